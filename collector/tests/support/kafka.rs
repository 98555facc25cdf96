//! A real broker, and a producer that does what a probe does: transactions, stamps in headers.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use collector::testing::{message, record, sealed, stamp};
use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use flow_wire::ledger::{Amount, CursorTerms, Guarantee};
use flow_wire::stamp::StreamId;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

const ANSWER: Duration = Duration::from_secs(30);

/// One broker in a directory of its own; stopped with it.
pub(crate) struct Broker {
    directory: tempfile::TempDir,
    address: String,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let output = script("start", directory.path());
        let address = String::from_utf8(output).unwrap().trim().to_owned();
        Self { directory, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("kafka://{}", self.address)
    }

    /// A crash.
    pub(crate) fn crash_and_restart(&self) {
        script("kill", self.directory.path());
        script("start", self.directory.path());
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    fn with_admin<T>(&self, ask: impl AsyncFnOnce(AdminClient<DefaultClientContext>) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ask(self.config().create().unwrap()))
    }

    /// Both topics, with so many partitions for flows.
    pub(crate) fn make_topics(&self, prefix: &str, partitions: i32) {
        let names = Kind::ALL.map(|kind| kind.topic(prefix));
        self.with_admin(async |admin| {
            let counts = [partitions, 1];
            let topics: Vec<_> = names
                .iter()
                .zip(counts)
                .map(|(name, count)| NewTopic::new(name, count, TopicReplication::Fixed(1)))
                .collect();
            for made in admin.create_topics(&topics, &AdminOptions::new()).await.unwrap() {
                made.unwrap();
            }
        });
    }

    /// What retention does: the first flow partition begins at this offset from now on.
    pub(crate) fn expire_below(&self, prefix: &str, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&Kind::Flows.topic(prefix), 0, Offset::Offset(offset)).unwrap();
        self.with_admin(async |admin| {
            let deleted = admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
            assert!(deleted.elements().iter().all(|element| element.error().is_ok()));
        });
    }

    /// More partitions for flows.
    pub(crate) fn add_partitions(&self, prefix: &str, partitions: usize) {
        let topic = Kind::Flows.topic(prefix);
        let more = NewPartitions::new(&topic, partitions);
        self.with_admin(async |admin| {
            let made = admin.create_partitions([&more], &AdminOptions::new()).await.unwrap();
            assert!(made.iter().all(Result::is_ok), "{made:?}");
        });
    }

    pub(crate) fn delete_topics(&self, prefix: &str) {
        let names = Kind::ALL.map(|kind| kind.topic(prefix));
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        self.with_admin(async |admin| {
            for deleted in admin.delete_topics(&names, &AdminOptions::new()).await.unwrap() {
                deleted.unwrap();
            }
        });
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        script("stop", self.directory.path());
    }
}

fn script(command: &str, directory: &Path) -> Vec<u8> {
    let broker = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka/broker");
    // Never the one of KAFKA_BOOTSTRAP: this one is crashed, and its topics are deleted.
    let output =
        Command::new(broker).env_remove("KAFKA_BOOTSTRAP").arg(command).arg(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Rows of each batch.
pub(crate) const ROWS: u64 = 20;

/// What a probe has sealed, and how it sends it.
pub(crate) struct Producer {
    producer: BaseProducer,
    prefix: String,
    partitions: i32,
    sealed: Vec<Sealed>,
    control: u64,
    /// Of batches that were sent and are not kept here.
    forgotten: Forgotten,
}

#[derive(Default)]
struct Forgotten {
    batches: u64,
    records: u64,
    exported: Amount,
}

impl Producer {
    pub(crate) fn new(broker: &Broker, prefix: &str, partitions: i32) -> Self {
        let mut config = broker.config();
        config.set("transactional.id", prefix);
        let producer: BaseProducer<DefaultProducerContext> = config.create().unwrap();
        producer.init_transactions(ANSWER).unwrap();
        Self {
            producer,
            prefix: prefix.to_owned(),
            partitions,
            sealed: Vec::new(),
            control: 0,
            forgotten: Forgotten::default(),
        }
    }

    /// Seals `count` batches and sends them in one transaction, which is aborted first and then repeated: a reader of
    /// committed messages must see it once.
    pub(crate) fn send(&mut self, count: u64) {
        let from = self.sealed.len() as u64;
        for sequence in from..from + count {
            let records: Vec<_> = (0..ROWS).map(|row| record(sequence * ROWS + row)).collect();
            self.sealed.push(sealed(stamp(0, sequence), &records));
        }
        let new = self.sealed[from as usize..].to_vec();
        self.transaction(&new, false);
        self.transaction(&new, true);
    }

    /// Seals `count` batches of so many rows and sends them, without keeping them: before any other.
    pub(crate) fn send_and_forget(&mut self, count: u64, rows: u64) {
        assert!(self.sealed.is_empty());
        let from = self.forgotten.batches;
        let sealed: Vec<_> = (from..from + count)
            .map(|sequence| {
                let records: Vec<_> = (0..rows).map(|row| record(sequence * rows + row)).collect();
                sealed(stamp(0, sequence), &records)
            })
            .collect();
        self.transaction(&sealed, true);
        self.forgotten.batches += count;
        self.forgotten.records += count * rows;
        self.forgotten.exported = sealed.iter().fold(self.forgotten.exported, |sum, one| sum + one.exported);
    }

    /// Goes on where another one was: a new connection, the same probe.
    pub(crate) fn take_over(&mut self, other: Self) {
        self.sealed = other.sealed;
        self.control = other.control;
    }

    /// Everything again, as into a new log.
    pub(crate) fn resend_all(&self) {
        self.transaction(&self.sealed, true);
    }

    /// The control message: all that was sealed so far is below the cut.
    pub(crate) fn cut(&mut self, closed: bool) {
        let exported = self.sealed.iter().fold(self.forgotten.exported, |sum, one| sum + one.exported);
        let batches = self.forgotten.batches + self.sealed.len() as u64;
        let records = self.rows();
        let mut said = message(&[(0, batches, records, exported)], closed);
        said.cursors.push(CursorTerms {
            sink: "kafka://test".into(),
            stream: StreamId(0),
            guarantee: Guarantee::ExactlyOnce,
            records_out: records,
            acknowledged: records,
            in_spool: 0,
            discarded: Default::default(),
            number: 0,
            read_here: false,
            discarded_amounts: Default::default(),
            discarded_batches: 0,
        });
        let sealed = Sealed::ledger(&said, stamp(StreamId::CONTROL.0, self.control)).unwrap();
        self.control += 1;
        self.transaction(&[sealed], true);
    }

    /// A message that is none of ours.
    pub(crate) fn send_garbage(&self) {
        let topic = Kind::Flows.topic(&self.prefix);
        self.producer.begin_transaction().unwrap();
        self.producer
            .send(BaseRecord::<(), _>::to(&topic).payload("hello"))
            .map_err(|(error, _)| error)
            .unwrap();
        self.producer.commit_transaction(ANSWER).unwrap();
    }

    fn transaction(&self, sealed: &[Sealed], commit: bool) {
        self.producer.begin_transaction().unwrap();
        for one in sealed {
            let pairs = one.header.to_pairs();
            let headers = pairs.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value) })
            });
            let topic = one.header.kind.topic(&self.prefix);
            let partition = match one.header.kind {
                Kind::Flows => one.header.stamp.sequence.0 as i32 % self.partitions,
                Kind::Ledger => 0,
            };
            let record =
                BaseRecord::<(), _>::to(&topic).partition(partition).payload(&one.body).headers(headers);
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        if commit {
            self.producer.commit_transaction(ANSWER).unwrap();
        } else {
            self.producer.flush(ANSWER).unwrap();
            self.producer.abort_transaction(ANSWER).unwrap();
        }
    }

    /// Rows that the store must have.
    pub(crate) fn rows(&self) -> u64 {
        self.forgotten.records + self.sealed.len() as u64 * ROWS
    }
}
