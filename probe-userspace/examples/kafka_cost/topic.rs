//! The messages that a probe has left in a topic.

use std::time::Duration;

use flow_wire::batch::{Sealed, open};
use flow_wire::header::Header;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const BOUND: Duration = Duration::from_secs(30);

/// All of them, partition by partition.
pub(crate) fn read(bootstrap: &str, topic: &str) -> Vec<Sealed> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "kafka-cost")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), BOUND).unwrap();
    let mut partitions = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        partitions.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();
    let (mut sealed, mut open_partitions) = (Vec::new(), partitions.count());
    while open_partitions > 0 {
        match consumer.poll(BOUND).expect("the broker is silent") {
            Ok(message) => sealed.push(batch(&message)),
            Err(KafkaError::PartitionEOF(_)) => open_partitions -= 1,
            Err(error) => panic!("{topic}: {error}"),
        }
    }
    assert!(sealed.len() > 1, "{topic} has {} messages: nothing to measure", sealed.len());
    sealed
}

fn batch(message: &impl Message) -> Sealed {
    let headers = message.headers().unwrap();
    let pairs = headers.iter().filter_map(|header| Some((header.key, header.value?)));
    let header = Header::from_pairs(pairs).unwrap();
    let body = message.payload().unwrap().to_vec();
    let exported = open(&header, &body).unwrap().exported().unwrap();
    Sealed { header, body, exported }
}
