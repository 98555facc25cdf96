//! The spool's cursor, kept by the broker: it is committed in the same transaction as the batches it stands behind, so that
//! whatever dies, the two agree.
//!
//! ```text
//! group gannet-spool/PROBE/BROKERS, partition 0 of the ledger topic: offset = position behind the last batch, metadata = spool UUID
//! ```
//! The topic only lends its name: it is there, it is ours, and where it is deleted its offsets go with it. Then, and where the
//! UUID is that of another spool, the cursor's own file counts. Who may not do that (Read on group and topic) sends without it.

use std::time::Duration;

use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};
use uuid::Uuid;

use super::client::{Client, client_config, patiently};
use super::failure::{Failure, is_denied};
use crate::spool::Position;

/// First part of the group's name: what has to be permitted.
pub(super) const GROUP_PREFIX: &str = "gannet-spool/";

/// The partition that lends its name.
const PARTITION: i32 = 0;

/// Settings of a producer that a consumer has no use for.
const OF_PRODUCERS: [&str; 7] = [
    "acks",
    "message.timeout.ms",
    "compression.codec",
    "queue.buffering.max.kbytes",
    "linger.ms",
    "transactional.id",
    "transaction.timeout.ms",
];

/// Where the broker keeps a cursor.
pub(super) struct Place {
    group: ConsumerGroupMetadata,
    topic: String,
    spool: Uuid,
}

impl Place {
    /// Finds it, and reads what a former transaction left there. Behind `init_transactions`, so that nothing is pending.
    pub(super) fn find(
        config: &[(String, String)],
        (group, topic, spool): (&str, &str, Uuid),
        is_over: &mut dyn FnMut() -> bool,
    ) -> Result<(Self, Option<Position>), Failure> {
        let failed = |error: KafkaError| Failure::of(&error, None);
        let consumer = BaseConsumer::from_config(&of_consumer(config, group)).map_err(failed)?;
        let asked = || {
            let mut list = TopicPartitionList::new();
            list.add_partition(topic, PARTITION);
            list
        };
        let found = patiently(is_over, |time| match denial(&consumer) {
            Some(error) => Err(error),
            None => consumer.committed_offsets(asked(), time),
        });
        let found = found.map_err(failed)?;
        let elements = found.elements();
        let committed = elements.first().map(|element| element.error().map(|()| element));
        let committed = committed.transpose().map_err(failed)?;
        let position = committed.and_then(|element| match element.offset() {
            Offset::Offset(offset) if element.metadata() == spool.to_string() => {
                u64::try_from(offset).ok().map(Position)
            }
            _ => None,
        });
        let group =
            consumer.group_metadata().ok_or_else(|| Failure::Fatal("no group metadata".to_owned()))?;
        Ok((Self { group, topic: topic.to_owned(), spool }, position))
    }

    fn offsets(&self, position: Position) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(&self.topic, PARTITION);
        // 63 bits, by the way positions are made.
        element.set_offset(Offset::Offset(position.0 as i64))?;
        element.set_metadata(self.spool.to_string());
        Ok(list)
    }
}

impl Client {
    /// Puts the cursor into the transaction that is open. A call that was not answered may be made again, as long as `goes_on`,
    /// which is asked with what the call said.
    pub(super) fn commit_place(
        &self,
        position: Option<Position>,
        each: Duration,
        mut goes_on: impl FnMut(&KafkaError) -> bool,
    ) -> Result<(), KafkaError> {
        let (Some(place), Some(position)) = (&self.place, position) else { return Ok(()) };
        let offsets = place.offsets(position)?;
        loop {
            match self.producer.send_offsets_to_transaction(&offsets, &place.group, each) {
                Err(error) if is_retriable(&error) && goes_on(&error) => {}
                result => return result,
            }
        }
    }
}

/// Whether the broker has refused the group. Who asks for its offsets is not told so, and waits for a coordinator that librdkafka
/// will never be shown; the refusal is an event of the consumer.
fn denial(consumer: &BaseConsumer) -> Option<KafkaError> {
    let error = consumer.poll(Duration::ZERO)?.err()?;
    error.rdkafka_error_code().is_some_and(is_denied).then_some(error)
}

fn is_retriable(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(cause) if cause.is_retriable())
}

fn of_consumer(pairs: &[(String, String)], group: &str) -> ClientConfig {
    let mut config = client_config(pairs);
    for key in OF_PRODUCERS {
        config.remove(key);
    }
    config.set("group.id", group).set("enable.auto.commit", "false");
    config
}
