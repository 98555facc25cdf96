//! How far librdkafka has read, and so whether everything on the bus was taken in.
//!
//! ```text
//! ask        the end of each partition, from the broker, now            ends
//! taken      the last message of a busy partition                       offset + 1 >= end, or
//! statistics the next offset that librdkafka would fetch of a quiet one next >= end, twice, nothing queued
//! ```
//! Transactions leave offsets without a message, so the last offset taken in says nothing about the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;

use super::answer_within;
use super::resume::Reading;
use crate::ingest::{InputState, InputStatus, Stop, now_nanoseconds};

/// What librdkafka says of itself.
pub(super) struct Context {
    status: Arc<InputStatus>,
    positions: Mutex<Positions>,
}

/// Per partition, from the statistics.
#[derive(Debug, Default)]
struct Positions {
    /// The next offset to be fetched.
    next: HashMap<Key, i64>,
    /// Everything below was taken: it was fetched by the statistics before, and nothing waited at these. Of one look alone
    /// it is not sure: the position moves before the messages are in the queue.
    read: HashMap<Key, i64>,
}

impl Positions {
    fn say(&mut self, key: Key, next: i64, queued: bool) {
        let before = self.next.insert(key.clone(), next);
        if let Some(before) = before.filter(|_| !queued) {
            self.read.insert(key, before.min(next));
        }
    }
}

/// A partition of a topic.
type Key = (String, i32);

impl Context {
    pub(super) fn new(status: Arc<InputStatus>) -> Self {
        Self { status, positions: Mutex::default() }
    }

    /// What was said before a question is no answer to it.
    fn forget(&self) {
        *self.positions.lock().unwrap_or_else(PoisonError::into_inner) = Positions::default();
    }
}

impl Context {
    /// Whether the state of the input tells already why no broker is there.
    fn said_why(&self) -> bool {
        self.status.state().1.starts_with("waiting for a broker: ")
    }
}

impl ConsumerContext for Context {}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let input = self.status.endpoint();
        // Connection trouble is told by the state of the input; librdkafka repeats it every second.
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(input, facility, "{message}");
            }
            _ => tracing::debug!(input, facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Refused, unknown, not verified: the sentence without its clock and counters, which would make each one news.
        let why = reason.split(" (after ").next().unwrap_or_default();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) if self.said_why() => {}
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.status.set(InputState::Waiting, "waiting for the broker to come back");
            }
            // One connection of several may fail while all is read: it is news only to who waits.
            _ if self.status.state().0 == InputState::Running => {}
            _ => self.status.set(InputState::Waiting, format!("waiting for a broker: {why}")),
        }
        tracing::debug!(input = self.status.endpoint(), %error, "{reason}");
    }

    fn stats(&self, statistics: Statistics) {
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, topic) in statistics.topics {
            for (number, partition) in topic.partitions {
                if partition.next_offset >= 0 {
                    positions.say((name.clone(), number), partition.next_offset, partition.fetchq_cnt > 0);
                }
            }
        }
    }
}

/// Looks for the moment when everything that was there at a question is taken in, whatever comes meanwhile: on a bus with
/// many probes something always does.
#[derive(Debug, Default)]
pub(super) struct Drain {
    asked: Option<Asked>,
    /// Nothing was taken in since the last question; at the start nothing was asked.
    nothing_since: bool,
    complete: bool,
}

#[derive(Debug)]
struct Asked {
    at_nanoseconds: u64,
    /// Where each partition ended then.
    ends: HashMap<Key, i64>,
}

impl Drain {
    /// A message was taken in: what made it may have made others, so that there is another question to come.
    pub(super) fn taken(&mut self) {
        self.nothing_since = false;
    }

    /// Other partitions are read, or from elsewhere: a question about the former ones is void.
    pub(super) fn anew(&mut self) {
        self.asked = None;
        self.nothing_since = false;
    }

    /// Whether all topics are there.
    pub(super) fn complete(&mut self, complete: bool) {
        self.complete = complete;
    }

    /// Asks the broker where the partitions end, where that is of interest. Says which logs are shorter than what was read
    /// of them: they are other ones by now.
    pub(super) fn ask(
        &mut self,
        consumer: &BaseConsumer<Context>,
        reading: &HashMap<Key, Reading>,
        stop: &Stop,
    ) -> Vec<Key> {
        let mut shorter = Vec::new();
        if self.nothing_since || !self.complete || self.asked.is_some() {
            return shorter;
        }
        // Before the answers: what comes between is behind them, or in them to no harm.
        let at_nanoseconds = now_nanoseconds();
        let mut ends = HashMap::new();
        for (key, reading) in reading {
            let ask = |within| consumer.fetch_watermarks(&key.0, key.1, within);
            let Ok((_, end)) = answer_within(stop).and_then(ask) else {
                return shorter;
            };
            if reading.last().is_some_and(|last| last.offset >= end) {
                shorter.push(key.clone());
            }
            ends.insert(key.clone(), end);
        }
        consumer.context().forget();
        self.put(at_nanoseconds, ends);
        shorter
    }

    fn put(&mut self, at_nanoseconds: u64, ends: HashMap<Key, i64>) {
        self.asked = Some(Asked { at_nanoseconds, ends });
        self.nothing_since = true;
    }

    /// Offsets below the ends of the open question that are not read yet; 0 = none, or no question is open.
    pub(super) fn left(&self, context: &Context, reading: &HashMap<Key, Reading>) -> u64 {
        let positions = context.positions.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |(key, end): (&Key, &i64)| {
            let reading = reading.get(key);
            let taken = reading.map_or(0, Reading::next);
            end.saturating_sub(taken.max(positions.read.get(key).copied().unwrap_or(0))).max(0).unsigned_abs()
        };
        self.asked.iter().flat_map(|asked| &asked.ends).map(left).sum()
    }

    /// When the question was asked of which all is taken in by now; said once for each question.
    pub(super) fn confirmed(&mut self, context: &Context, reading: &HashMap<Key, Reading>) -> Option<u64> {
        let asked = self.asked.as_ref()?;
        let positions = context.positions.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = |(key, end): (&Key, &i64)| {
            let last = reading.get(key).and_then(Reading::last);
            *end == 0
                || last.is_some_and(|last| last.offset.saturating_add(1) >= *end)
                || positions.read.get(key).is_some_and(|read| read >= end)
        };
        if !asked.ends.iter().all(passed) {
            return None;
        }
        self.asked.take().map(|asked| asked.at_nanoseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context::new(Arc::new(InputStatus::new("kafka://test".into())))
    }

    fn key() -> Key {
        ("t".into(), 0)
    }

    fn asked(end: i64) -> Drain {
        let mut drain = Drain::default();
        drain.put(77, HashMap::from([(key(), end)]));
        drain
    }

    fn said(context: &Context, next: i64, queued: bool) {
        context.positions.lock().unwrap().say(key(), next, queued);
    }

    #[test]
    fn drained_is_said_once_for_each_question() {
        let (context, reading) = (context(), HashMap::new());
        said(&context, 9, false);
        said(&context, 9, false);
        assert_eq!(Drain::default().confirmed(&context, &reading), None, "nobody asked for the ends yet");
        assert_eq!(asked(10).confirmed(&context, &reading), None);
        let mut drain = asked(9);
        assert_eq!(drain.confirmed(&context, &reading), Some(77));
        assert_eq!(drain.confirmed(&context, &reading), None);
    }

    #[test]
    fn messages_that_go_on_coming_do_not_put_it_off() {
        let (context, reading) = (context(), HashMap::new());
        let mut drain = asked(9);
        drain.taken();
        said(&context, 12, false);
        said(&context, 13, false);
        assert_eq!(drain.confirmed(&context, &reading), Some(77));
        assert!(!drain.nothing_since, "what came since is asked for next");
    }

    #[test]
    fn what_was_fetched_and_is_not_taken_yet_is_not_read() {
        let (context, reading) = (context(), HashMap::new());
        said(&context, 9, false);
        assert_eq!(asked(9).confirmed(&context, &reading), None, "it may have been queued right after");
        said(&context, 9, true);
        assert_eq!(asked(9).confirmed(&context, &reading), None);
        said(&context, 9, false);
        assert_eq!(asked(9).confirmed(&context, &reading), Some(77));
    }

    #[test]
    fn the_last_message_taken_says_it_too() {
        let mut reading = Reading::anew(0, 0, crate::store::Expiry::default());
        reading.judge(8, None);
        let reading = HashMap::from([(key(), reading)]);
        assert_eq!(asked(10).confirmed(&context(), &reading), None);
        assert_eq!(asked(9).confirmed(&context(), &reading), Some(77));
    }

    #[test]
    fn other_partitions_void_the_question() {
        let mut drain = asked(0);
        drain.anew();
        assert_eq!(drain.confirmed(&context(), &HashMap::new()), None);
    }
}
