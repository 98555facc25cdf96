//! The spool's cursor, kept by the broker: it is committed in the same transaction as the batches it stands behind, so that
//! whatever dies, the two agree.
//!
//! ```text
//! group gannet-spool/PROBE/BROKERS, partition 0 of the ledger topic: offset = position behind the last batch, metadata = spool UUID
//! ```
//! The topic only lends its name: it is there, it is ours, and where it is deleted its offsets go with it. Then, and where the
//! UUID is that of another spool, the cursor's own file counts. Who may not do that (Read on group and topic) sends without it.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};
use uuid::Uuid;

use super::client::{Client, client_config, patiently};
use super::failure::{Failure, is_denied, is_retriable};
use super::notes::Producing;
use super::transaction::AGAIN;
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

/// So often it is looked whether a call is still to be waited for.
const LOOK: Duration = Duration::from_millis(200);

/// Where the broker keeps a cursor.
pub(super) struct Place {
    topic: String,
    spool: Uuid,
    keeper: Keeper,
}

/// Why a cursor is not in its transaction.
pub(super) enum Unplaced {
    /// The call said so.
    Failed(KafkaError),
    /// It was not waited for any longer, and may still be under way: with this producer nothing else can be begun.
    Left,
    /// There is nobody who makes calls.
    Dead,
}

impl Place {
    /// Finds it, and reads what a former transaction left there. Behind `init_transactions`, so that nothing is pending.
    pub(super) fn find(
        client: &Client,
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
        let keeper = Keeper::start(client.producer.clone(), group, client.transaction_timeout)
            .map_err(|error| Failure::Fatal(format!("no thread for the spool's cursor: {error}")))?;
        Ok((Self { topic: topic.to_owned(), spool, keeper }, position))
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

/// A thread of its own: where the coordinator of the group is not there, librdkafka's call waits until it is, whatever time it is given.
struct Keeper {
    /// `None` = no more calls.
    calls: Option<Sender<TopicPartitionList>>,
    answers: Receiver<KafkaResult<()>>,
    /// `None` = a call is under way, or was left to itself.
    thread: Cell<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// `most`: what a call is given. One that ends sooner than its transaction would have that aborted, for nothing.
    fn start(producer: Producing, group: ConsumerGroupMetadata, most: Duration) -> std::io::Result<Self> {
        let ((calls, called), (answer, answers)) = (channel::<TopicPartitionList>(), channel());
        let keep = move || {
            for offsets in called {
                if answer.send(producer.send_offsets_to_transaction(&offsets, &group, most)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("kafka-place".to_owned()).spawn(keep)?;
        Ok(Self { calls: Some(calls), answers, thread: Cell::new(Some(thread)) })
    }

    fn call(
        &self,
        offsets: TopicPartitionList,
        goes_on: &mut impl FnMut(Option<&KafkaError>) -> bool,
    ) -> Result<KafkaResult<()>, Unplaced> {
        if self.calls.as_ref().is_none_or(|calls| calls.send(offsets).is_err()) {
            return Err(Unplaced::Dead);
        }
        // Nobody joins it while it is waited for, not even a panic.
        let thread = self.thread.take();
        loop {
            match self.answers.recv_timeout(LOOK) {
                Ok(answer) => {
                    self.thread.set(thread);
                    return Ok(answer);
                }
                Err(RecvTimeoutError::Timeout) if goes_on(None) => {}
                Err(RecvTimeoutError::Timeout) => return Err(Unplaced::Left),
                Err(RecvTimeoutError::Disconnected) => return Err(Unplaced::Dead),
            }
        }
    }
}

/// The producer has ended with it, unless a call is under way: that one ends by itself, and the next producer has fenced it off.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            let _it_said_so_on_stderr = thread.join();
        }
    }
}

impl Client {
    /// Puts the cursor into the transaction that is open. A call that was not answered is waited for and made again, as long as
    /// `goes_on`, which is asked with what the call said, if it said anything.
    pub(super) fn commit_place(
        &self,
        position: Option<Position>,
        mut goes_on: impl FnMut(Option<&KafkaError>) -> bool,
    ) -> Result<(), Unplaced> {
        let (Some(place), Some(position)) = (&self.place, position) else { return Ok(()) };
        loop {
            let offsets = place.offsets(position).map_err(Unplaced::Failed)?;
            match place.keeper.call(offsets, &mut goes_on)? {
                Ok(()) => return Ok(()),
                Err(error) if !is_retriable(&error) => return Err(Unplaced::Failed(error)),
                Err(error) if !goes_on(Some(&error)) => return Err(Unplaced::Left),
                Err(_) => std::thread::park_timeout(AGAIN),
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

fn of_consumer(pairs: &[(String, String)], group: &str) -> ClientConfig {
    let mut config = client_config(pairs);
    for key in OF_PRODUCERS {
        config.remove(key);
    }
    config.set("group.id", group).set("enable.auto.commit", "false");
    config
}
