//! How far librdkafka has read, and so whether everything on the bus was taken in.
//!
//! ```text
//! ask        the end of each partition, from the broker, now        ends
//! statistics the next offset that librdkafka would fetch of each    next >= end, nothing queued
//! poll       gives nothing                                          all of it was taken in
//! ```
//! Transactions leave offsets without a message, so the last offset taken in says nothing about the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;

use super::BROKER_ANSWER;
use super::resume::Reading;
use crate::ingest::{InputState, InputStatus};

/// What librdkafka says of itself.
pub(super) struct Context {
    status: Arc<InputStatus>,
    /// Per partition: the next offset to be fetched, where nothing that was fetched waits to be taken.
    next: Mutex<HashMap<(String, i32), i64>>,
}

impl Context {
    pub(super) fn new(status: Arc<InputStatus>) -> Self {
        Self { status, next: Mutex::new(HashMap::new()) }
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
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.clear();
        for (name, topic) in statistics.topics {
            for (number, partition) in topic.partitions {
                if partition.fetchq_cnt == 0 && partition.next_offset >= 0 {
                    next.insert((name.clone(), number), partition.next_offset);
                }
            }
        }
    }
}

/// Looks for the moment when everything is taken in.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// Where each partition ended when the broker was asked.
    ends: Option<HashMap<(String, i32), i64>>,
    /// Something was taken in since the last such moment; at the start nothing is known.
    confirmed_since: bool,
    complete: bool,
}

impl Drain {
    /// A message was taken in.
    pub(super) fn taken(&mut self) {
        self.confirmed_since = false;
        // Asked again: what made this message may have made others.
        self.ends = None;
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
        reading: &HashMap<(String, i32), Reading>,
    ) -> Vec<(String, i32)> {
        let mut shorter = Vec::new();
        if self.confirmed_since || !self.complete || self.ends.is_some() {
            return shorter;
        }
        let mut ends = HashMap::new();
        for (key, reading) in reading {
            let Ok((_, end)) = consumer.fetch_watermarks(&key.0, key.1, BROKER_ANSWER) else {
                return shorter;
            };
            if reading.last().is_some_and(|last| last.offset >= end) {
                shorter.push(key.clone());
            }
            ends.insert(key.clone(), end);
        }
        self.ends = Some(ends);
        shorter
    }

    /// Called when a poll gave nothing: whether that moment is now.
    pub(super) fn confirmed(&mut self, context: &Context) -> bool {
        let Some(ends) = &self.ends else { return false };
        let next = context.next.lock().unwrap_or_else(PoisonError::into_inner);
        let read =
            |(key, end): (&(String, i32), &i64)| *end == 0 || next.get(key).is_some_and(|next| next >= end);
        if !ends.iter().all(read) {
            return false;
        }
        self.ends = None;
        self.confirmed_since = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(next: i64) -> Context {
        let context = Context::new(Arc::new(InputStatus::new("kafka://test".into())));
        context.next.lock().unwrap().insert(("t".into(), 0), next);
        context
    }

    #[test]
    fn drained_is_said_once_and_again_after_a_message() {
        let mut drain = Drain::default();
        assert!(!drain.confirmed(&context(9)), "nobody asked for the ends yet");
        drain.ends = Some(HashMap::from([(("t".to_owned(), 0), 9)]));
        assert!(!drain.confirmed(&context(8)));
        assert!(drain.confirmed(&context(9)));
        assert!(!drain.confirmed(&context(9)));
        drain.taken();
        assert!(!drain.confirmed(&context(9)), "the ends must be asked for again");
    }
}
