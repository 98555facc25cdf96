//! What there is on the broker.

use flow_wire::bus::Kind;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};

use super::answer_within;
use super::progress::Context;
use crate::ingest::Stop;

/// Partitions that can be read, and topics that are not there.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) there: Vec<(String, i32)>,
    pub(super) missing: Vec<String>,
    /// One of these is hidden from this user, if it is there.
    pub(super) denied: bool,
}

/// The broker's name of its cluster, once a broker answers; `None` where it was stopped before.
pub(super) fn cluster(consumer: &BaseConsumer<Context>, stop: &Stop) -> Option<String> {
    while !stop.is_set() {
        if let Some(id) = consumer.client().fetch_cluster_id(super::POLL * 5) {
            return Some(id);
        }
        // Serves librdkafka's callbacks, of which the log lines are some.
        let _ = consumer.poll(super::POLL);
    }
    None
}

/// All partitions of our topics.
pub(super) fn partitions(consumer: &BaseConsumer<Context>, prefix: &str, stop: &Stop) -> KafkaResult<Found> {
    let mut found = Found::default();
    for kind in Kind::ALL {
        let topic = kind.topic(prefix);
        let metadata = consumer.fetch_metadata(Some(&topic), answer_within(stop)?)?;
        let known = metadata.topics().iter().find(|known| known.name() == topic && known.error().is_none());
        match known.filter(|known| !known.partitions().is_empty()) {
            Some(known) => {
                found
                    .there
                    .extend(known.partitions().iter().map(|partition| (topic.clone(), partition.id())));
            }
            None => {
                let error = metadata.topics().iter().find_map(|known| known.error());
                found.denied |= error.is_some_and(|error| {
                    RDKafkaErrorCode::from(error) == RDKafkaErrorCode::TopicAuthorizationFailed
                });
                found.missing.push(topic);
            }
        }
    }
    Ok(found)
}
