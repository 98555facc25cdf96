//! The floor: librdkafka's producer, and nothing of ours around it but the loop.

use std::time::Duration;

use flow_wire::batch::Sealed;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::{TRANSACTION_BATCHES, TRANSACTION_OCTETS};

const BOUND: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(1);

pub(crate) struct Producer {
    producer: BaseProducer,
    topic: String,
}

impl Producer {
    /// With the sink's settings.
    pub(crate) fn connect(bootstrap: &str, topic: &str) -> Self {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("acks", "all")
            .set("message.timeout.ms", "0")
            .set("compression.codec", "zstd")
            .set("queue.buffering.max.kbytes", "65536")
            .set("linger.ms", "5")
            .set("transactional.id", format!("kafka-cost-{}", std::process::id()))
            .create()
            .unwrap();
        producer.init_transactions(BOUND).unwrap();
        Self { producer, topic: topic.to_owned() }
    }

    /// All of them, in transactions as large as the sink's.
    pub(crate) fn send(&self, mut batches: &[Sealed]) {
        while !batches.is_empty() {
            let (now, later) = batches.split_at(together(batches));
            self.producer.begin_transaction().unwrap();
            now.iter().for_each(|sealed| self.produce(sealed));
            // The client's own flush looks once in 100 ms: that takes longer, and least of the processor, which is what is compared.
            self.producer.flush(BOUND).unwrap();
            self.producer.commit_transaction(BOUND).unwrap();
            batches = later;
        }
    }

    fn produce(&self, sealed: &Sealed) {
        let pairs = sealed.header.to_pairs();
        loop {
            let headers =
                pairs.iter().fold(OwnedHeaders::new_with_capacity(pairs.len()), |headers, (key, value)| {
                    headers.insert(Header { key, value: Some(value) })
                });
            let record =
                BaseRecord::<(), [u8]>::to(&self.topic).partition(0).payload(&sealed.body).headers(headers);
            match self.producer.send(record) {
                Ok(()) => return,
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    self.producer.poll(LOOK);
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
    }
}

fn together(batches: &[Sealed]) -> usize {
    let mut octets = 0;
    let fits = |sealed: &&Sealed| {
        octets += sealed.body.len();
        octets <= TRANSACTION_OCTETS
    };
    batches.iter().take(TRANSACTION_BATCHES).take_while(fits).count().max(1)
}
