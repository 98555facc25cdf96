//! Where to begin in a partition, and whether its log is still the one that we know.
//!
//! The store has the offset of the last message taken in, and what that message was. Reading begins at that very message:
//! if it is there and the same, what follows is new. Anything else is another log (a topic deleted and made again, a
//! broker restored from a backup): it is read from its beginning, and the stamps tell what is stored already.
//!
//! Where the log begins behind the message taken in last, its retention may have removed something that nobody here has
//! read. What, the sequences behind it tell, never the offsets, of which transactions leave some without a message; so each
//! message from there on carries where the log began then, and the store asks its stream what is missing.
//!
//! While it is read, a log is known to be another one when its topic is missing at a look, when it is shorter than what was
//! read of it, or when offsets go back. One that is replaced by a longer one between two looks is not noticed by its offsets
//! (librdkafka's Rust binding shows no topic id): what is missing then stands in the ledger, at the bus.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset as Position, TopicPartitionList};

use super::answer_within;
use super::progress::Context;
use crate::ingest::{Stop, now_nanoseconds};
use crate::store::{Expiry, Mark, Offset};

/// A message by its place and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) offset: i64,
    pub(super) mark: Option<Mark>,
}

/// A partition that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    /// The message that must come first: the last one of the run before.
    expected: Option<Last>,
    /// The last one that was taken in.
    last: Option<Last>,
    /// Where reading began.
    from: i64,
    /// Below this offset everything may be stored already.
    reread_below: i64,
    /// What the log had lost unread.
    expiry: Expiry,
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Take it in.
    New { reread: bool },
    /// The run before took it in.
    TakenBefore,
    /// It is not the message that was there.
    AnotherLog,
}

impl Reading {
    fn expecting(last: Last, expiry: Expiry) -> Self {
        Self { expected: Some(last), last: Some(last), from: last.offset, reread_below: 0, expiry }
    }

    /// A log whose messages are all new to this reading.
    pub(super) fn anew(from: i64, reread_below: i64, expiry: Expiry) -> Self {
        Self { expected: None, last: None, from, reread_below, expiry }
    }

    /// What the log had lost unread.
    pub(super) fn expiry(&self) -> Expiry {
        self.expiry
    }

    /// The last message that was taken in.
    pub(super) fn last(&self) -> Option<Last> {
        self.last
    }

    /// Everything of this log below it was taken in.
    pub(super) fn next(&self) -> i64 {
        self.last.map_or(self.from, |last| last.offset.saturating_add(1))
    }

    /// Judges the next message.
    pub(super) fn judge(&mut self, offset: i64, mark: Option<Mark>) -> Verdict {
        let this = Last { offset, mark };
        if let Some(expected) = self.expected.take() {
            return if this == expected { Verdict::TakenBefore } else { Verdict::AnotherLog };
        }
        // Offsets only grow in one log.
        if self.last.is_some_and(|last| offset <= last.offset) {
            return Verdict::AnotherLog;
        }
        self.last = Some(this);
        Verdict::New { reread: offset < self.reread_below }
    }
}

/// A partition of a topic.
type Key = (String, i32);

/// Where to begin in a partition, and what to expect there.
pub(super) fn begin(
    consumer: &BaseConsumer<Context>,
    (topic, partition): &Key,
    stored: Option<&Offset>,
    stop: &Stop,
) -> KafkaResult<(i64, Reading)> {
    let (low, high) = consumer.fetch_watermarks(topic, *partition, answer_within(stop)?)?;
    Ok(begin_within(topic, *partition, low..high, stored, now_nanoseconds()))
}

fn begin_within(
    topic: &str,
    partition: i32,
    log: std::ops::Range<i64>,
    stored: Option<&Offset>,
    now_nanoseconds: u64,
) -> (i64, Reading) {
    let (low, high) = (log.start, log.end);
    let expired = Expiry::seen(low, now_nanoseconds);
    match stored {
        None if low > 0 => {
            tracing::warn!(
                topic,
                partition,
                low,
                "the log begins behind its first message: what its retention removed before this store was made is not in it; the ledger names it as expired"
            );
            (low, Reading::anew(low, 0, expired))
        }
        None => (low, Reading::anew(low, 0, Expiry::default())),
        Some(stored) if stored.last >= high => {
            let last = stored.last;
            tracing::warn!(
                topic,
                partition,
                stored = last,
                high,
                "the log is shorter than it was: a new one"
            );
            (low, Reading::anew(low, high, expired))
        }
        // The next message is the first one that is still there: nothing unread is gone.
        Some(stored) if stored.last + 1 == low => (low, Reading::anew(low, 0, stored.expiry)),
        Some(stored) if stored.last < low => {
            tracing::error!(
                topic,
                partition,
                stored = stored.last,
                low,
                "retention of the topic removed what was not read yet: the ledger names the batches as expired; raise the topic's retention.ms and retention.bytes"
            );
            (low, Reading::anew(low, 0, expired))
        }
        Some(Offset { last, mark, expiry, .. }) => {
            (*last, Reading::expecting(Last { offset: *last, mark: *mark }, *expiry))
        }
    }
}

/// Reads an assigned partition from the beginning of its log.
pub(super) fn from_beginning(
    consumer: &BaseConsumer<Context>,
    key: &Key,
    stop: &Stop,
) -> KafkaResult<Reading> {
    let (low, high) = consumer.fetch_watermarks(&key.0, key.1, answer_within(stop)?)?;
    leave(consumer, &key.0, key.1);
    assign(consumer, std::iter::once((key, low)))?;
    Ok(Reading::anew(low, high, Expiry::seen(low, now_nanoseconds())))
}

/// Adds partitions to what is read.
pub(super) fn assign<'a>(
    consumer: &BaseConsumer<Context>,
    starts: impl Iterator<Item = (&'a Key, i64)>,
) -> KafkaResult<()> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), from) in starts {
        list.add_partition_offset(topic, *partition, Position::Offset(from))?;
    }
    consumer.incremental_assign(&list)
}

/// Reads a partition no longer.
pub(super) fn leave(consumer: &BaseConsumer<Context>, topic: &str, partition: i32) {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    if let Err(error) = consumer.incremental_unassign(&list) {
        tracing::debug!(topic, partition, "not assigned: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stamp;

    fn last(offset: i64, sequence: u64) -> Last {
        Last { offset, mark: Some(Mark { stamp: stamp(0, sequence), crc32c: 7 }) }
    }

    #[test]
    fn reading_goes_on_behind_the_message_that_is_still_the_same() {
        let mut reading = Reading::expecting(last(41, 3), Expiry::default());
        assert_eq!(reading.judge(41, last(41, 3).mark), Verdict::TakenBefore);
        assert_eq!(reading.judge(43, last(43, 4).mark), Verdict::New { reread: false });
        assert_eq!(reading.last(), Some(last(43, 4)));
    }

    #[test]
    fn another_message_at_that_offset_is_another_log() {
        let expect = || Reading::expecting(last(41, 3), Expiry::default());
        assert_eq!(expect().judge(41, last(41, 9).mark), Verdict::AnotherLog);
        assert_eq!(expect().judge(41, None), Verdict::AnotherLog);
        assert_eq!(expect().judge(42, last(41, 3).mark), Verdict::AnotherLog);
        let mut reading = expect();
        assert_eq!(reading.judge(41, last(41, 3).mark), Verdict::TakenBefore);
        assert_eq!(reading.judge(5, last(5, 9).mark), Verdict::AnotherLog);
    }

    #[test]
    fn a_log_that_is_read_anew_may_repeat_until_where_it_ended_then() {
        let mut reading = Reading::anew(0, 2, Expiry::default());
        assert_eq!(reading.judge(1, None), Verdict::New { reread: true });
        assert_eq!(reading.judge(2, None), Verdict::New { reread: false });
    }

    fn stored(last: i64, expiry: Expiry) -> Offset {
        let (cluster, topic) = ("c".into(), "t".into());
        Offset { cluster, topic, partition: 0, last, mark: None, expiry }
    }

    #[test]
    fn only_a_log_that_begins_behind_the_next_message_has_lost_any() {
        let begin = |low, high, stored: Option<&Offset>| {
            let (from, reading) = begin_within("t", 0, low..high, stored, 77);
            (from, reading.expiry())
        };
        let (never, now) = (Expiry::default(), |below| Expiry { below, until_nanoseconds: 77 });
        assert_eq!(begin(0, 9, None), (0, never));
        assert_eq!(begin(4, 9, None), (4, now(4)));
        assert_eq!(begin(0, 9, Some(&stored(7, never))), (7, never));
        assert_eq!(begin(8, 9, Some(&stored(7, never))), (8, never));
        assert_eq!(begin(9, 12, Some(&stored(7, never))), (9, now(9)));
        // What happened once is not forgotten, nor when.
        let once = Expiry { below: 8, until_nanoseconds: 5 };
        assert_eq!(begin(8, 12, Some(&stored(10, once))), (10, once));
        assert_eq!(begin(8, 12, Some(&stored(7, once))), (8, once));
        // Another log, of which the first part is gone already; or nothing.
        assert_eq!(begin(2, 5, Some(&stored(7, never))), (2, now(2)));
        assert_eq!(begin(0, 5, Some(&stored(7, never))), (0, never));
    }
}
