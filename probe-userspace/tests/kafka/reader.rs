//! What a reader of committed messages sees: every message of the flow topic, with headers and body checked.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flow_wire::batch::open;
use flow_wire::bus::Kind;
use flow_wire::header::Header;
use flow_wire::stamp::{Epoch, StreamId};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Headers as _;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(60);

/// Sequences in the order of the log, by epoch and stream; and the partition of each.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    pub(crate) sequences: BTreeMap<(Epoch, StreamId), Vec<u64>>,
    pub(crate) partitions: BTreeMap<(Epoch, StreamId), i32>,
    pub(crate) rows: u64,
}

/// Reads the topic from its beginning to the end of what is committed.
pub(crate) fn committed(bootstrap: &str, topic: &str) -> Committed {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "test")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
    let mut open_partitions = metadata.topics()[0].partitions().len();
    assert!(open_partitions > 0, "topic {topic} is missing");
    let mut assignment = TopicPartitionList::new();
    for partition in 0..open_partitions {
        assignment.add_partition_offset(topic, partition as i32, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();

    let mut seen = Committed::default();
    let until = Instant::now() + PATIENCE;
    while open_partitions > 0 {
        assert!(Instant::now() < until, "{open_partitions} partitions of {topic} did not come to their end");
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => take(&message, &mut seen),
            Some(Err(KafkaError::PartitionEOF(_))) => open_partitions -= 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    seen
}

fn take(message: &impl Message, seen: &mut Committed) {
    let headers = message.headers().expect("a message without headers");
    let header = Header::from_pairs(headers.iter().filter_map(|pair| Some((pair.key, pair.value?)))).unwrap();
    assert_eq!(header.kind, Kind::Flows);
    let decoded = open(&header, message.payload().unwrap()).unwrap();
    let stamp = header.stamp;
    seen.rows += decoded.batch.num_rows() as u64;
    seen.sequences.entry((stamp.epoch, stamp.stream)).or_default().push(stamp.sequence.0);
    let partition = *seen.partitions.entry((stamp.epoch, stamp.stream)).or_insert(message.partition());
    assert_eq!(partition, message.partition(), "a stream moved to another partition");
}
