//! The topics: looked up, and made when they are missing. How many partitions they have is read once a connection and kept:
//! a stream stays on its partition, since `stream % partitions` of a count that grows would move it.

use std::time::{Duration, Instant};

use flow_wire::stamp::{Stamp, StreamId};
use rdkafka::config::ClientConfig;
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::Producer;

use super::bootstrap::{Wanted, make, retention};
use super::client::patiently;
use super::failure::Failure;
use super::notes::Producing;

/// So often it is looked whether a topic is there by now.
const LOOK: Duration = Duration::from_millis(100);

/// Time for a new topic to be known everywhere.
const SETTLE: Duration = Duration::from_secs(10);

/// A topic that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) name: String,
    /// At least one.
    pub(super) partitions: u32,
    /// How it differs from what was asked for, with the mend.
    pub(super) differences: Vec<String>,
}

impl Topic {
    /// The partition of a stream, the same for as long as this connection lasts.
    pub(super) fn partition(&self, stream: StreamId) -> i32 {
        // Below the count of partitions, which is an i32 on the wire.
        (u32::from(stream.0) % self.partitions) as i32
    }

    /// Where no stream has to stay together: batch by batch over all partitions, whatever the number of streams.
    pub(super) fn partition_of_batch(&self, stamp: &Stamp) -> i32 {
        let number = stamp.sequence.0.wrapping_add(u64::from(stamp.stream.0));
        (number % u64::from(self.partitions)) as i32
    }
}

/// What the broker says of a topic.
enum Found {
    There { partitions: u32, replicas: usize },
    Leaderless,
    Missing,
}

/// Finds the topic, or makes it.
pub(super) fn ensure(
    producer: &Producing,
    config: &ClientConfig,
    wanted: Wanted,
    is_over: &mut dyn FnMut() -> bool,
) -> Result<Topic, Failure> {
    let mut found = find(producer, &wanted.name, is_over)?;
    if matches!(found, Found::Missing) {
        make(config, &wanted, is_over)?;
        let until = Instant::now() + SETTLE;
        while !matches!(found, Found::There { .. }) && Instant::now() < until && !is_over() {
            std::thread::park_timeout(LOOK);
            found = find(producer, &wanted.name, is_over)?;
        }
    }
    let Found::There { partitions, replicas } = found else {
        let name = wanted.name;
        return Err(Failure::Away(format!(
            "a partition of topic '{name}' has no leader: a broker or a disk is gone"
        )));
    };
    let mut differences = wanted.differences(partitions, replicas);
    if let Some(asked) = wanted.retention {
        differences.extend(wanted.retention_difference(asked, retention(config, &wanted.name, is_over)));
    }
    Ok(Topic { name: wanted.name, partitions, differences })
}

/// Whether one of the topics is not what it was at the connection; within so short a time that no answer is none.
pub(super) fn gone(producer: &Producing, topics: &[&Topic], time: Duration) -> Option<Failure> {
    let metadata = producer.client().fetch_metadata(None, time).ok()?;
    let is_there = |topic: &&Topic| {
        let found = metadata.topics().iter().find(|found| found.name() == topic.name);
        found.is_some_and(|found| found.partitions().len() >= topic.partitions as usize)
    };
    let gone = topics.iter().find(|topic| !is_there(topic))?;
    Some(Failure::TopicGone(format!("'{}' has no longer {} partitions", gone.name, gone.partitions)))
}

/// All topics are asked for: to ask for one by its name would make it on brokers that create topics by themselves, with
/// their number of partitions.
fn find(producer: &Producing, name: &str, is_over: &mut dyn FnMut() -> bool) -> Result<Found, Failure> {
    let failed = |error| Failure::of(&error, producer.context().notes.connection());
    let metadata = patiently(is_over, |time| producer.client().fetch_metadata(None, time)).map_err(failed)?;
    let found = metadata.topics().iter().find(|topic| topic.name() == name);
    Ok(found.map_or(Found::Missing, judge))
}

fn judge(topic: &MetadataTopic) -> Found {
    let partitions = topic.partitions();
    let is_led = partitions.iter().all(|partition| partition.leader() >= 0);
    match partitions.first() {
        Some(first) if is_led && topic.error().is_none() => {
            Found::There { partitions: partitions.len() as u32, replicas: first.replicas().len() }
        }
        Some(_) => Found::Leaderless,
        None => Found::Missing,
    }
}

#[cfg(test)]
mod tests {
    use flow_wire::stamp::{Epoch, ProbeId, Sequence};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_stream_stays_on_its_partition() {
        let topic = Topic { name: "gannet.flow".to_owned(), partitions: 4, differences: vec![] };
        let partitions: Vec<_> = (0..6).map(|stream| topic.partition(StreamId(stream))).collect();
        assert_eq!(partitions, [0, 1, 2, 3, 0, 1]);
        assert_eq!(topic.partition(StreamId::CONTROL), 3);
    }

    #[test]
    fn batches_go_round_all_partitions() {
        let topic = Topic { name: "flows".to_owned(), partitions: 3, differences: vec![] };
        let stamp = |stream, sequence| Stamp {
            probe: ProbeId(Uuid::nil()),
            epoch: Epoch(Uuid::nil()),
            stream: StreamId(stream),
            sequence: Sequence(sequence),
        };
        let of = |stream, sequence| topic.partition_of_batch(&stamp(stream, sequence));
        assert_eq!([of(0, 0), of(0, 1), of(0, 2), of(0, 3), of(2, 1)], [0, 1, 2, 0, 0]);
        assert_eq!(of(1, u64::MAX), 0);
    }
}
