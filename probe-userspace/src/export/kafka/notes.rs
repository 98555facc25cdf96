//! What librdkafka's own threads report, kept for the sink's thread.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{ProducerContext, ThreadedProducer};

use super::failure::is_for_good;

/// Of one producer.
#[derive(Default)]
pub(super) struct Context {
    pub(super) notes: Notes,
}

/// A producer of ours.
pub(super) type Producing = ThreadedProducer<Context>;

/// Shared with librdkafka's threads.
#[derive(Clone, Default)]
pub(super) struct Notes(Arc<Shared>);

#[derive(Default)]
struct Shared {
    noted: Mutex<Noted>,
    /// A message was delivered, or failed.
    reported: Condvar,
}

#[derive(Default)]
struct Noted {
    /// Messages that librdkafka took and has not reported on.
    unreported: usize,
    connection: Option<Note>,
    refused: Option<Note>,
    failed: Option<Note>,
}

/// A complaint, with the code that sorts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) code: RDKafkaErrorCode,
    pub(super) text: String,
}

impl Notes {
    /// The newest complaint about a connection that says why.
    pub(super) fn connection(&self) -> Option<Note> {
        self.lock().connection.clone()
    }

    /// Begins a transaction: nothing of it has failed yet.
    pub(super) fn clear(&self) {
        let mut noted = self.lock();
        *noted = Noted { unreported: noted.unreported, ..Noted::default() };
    }

    /// A message is about to be handed over.
    pub(super) fn sending(&self) {
        self.lock().unreported += 1;
    }

    /// What became of one is known: or it was not taken.
    pub(super) fn reported(&self) {
        let mut noted = self.lock();
        noted.unreported = noted.unreported.saturating_sub(1);
        if noted.unreported == 0 {
            self.0.reported.notify_all();
        }
    }

    /// Waits until all are reported on, or the time is over; says which.
    pub(super) fn wait_reported(&self, until: Instant) -> bool {
        let timeout = until.saturating_duration_since(Instant::now());
        let waiting = self.0.reported.wait_timeout_while(self.lock(), timeout, |noted| noted.unreported > 0);
        !waiting.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Whether the broker will never take some message, and why.
    pub(super) fn refused(&self) -> Option<Note> {
        self.lock().refused.clone()
    }

    /// Whether any message was not delivered, and why the first of them.
    pub(super) fn failed(&self) -> Option<Note> {
        self.lock().failed.clone()
    }

    pub(super) fn refuse(&self, code: RDKafkaErrorCode, text: String) {
        self.lock().refused.get_or_insert(Note { code, text });
    }

    fn fail(&self, code: RDKafkaErrorCode, text: String) {
        self.lock().failed.get_or_insert(Note { code, text });
    }

    fn connect(&self, code: RDKafkaErrorCode, text: &str) {
        let mut noted = self.lock();
        // "All brokers are down" follows on whatever was wrong with the last one, and says less.
        if code != RDKafkaErrorCode::AllBrokersDown || noted.connection.is_none() {
            // Without librdkafka's clock and counters, which would make each of them news.
            let text = text.split(" (after ").next().unwrap_or_default().to_owned();
            noted.connection = Some(Note { code, text });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
        self.notes.connect(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown), reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            if is_for_good(code) {
                self.notes.refuse(code, code.to_string());
            } else {
                self.notes.fail(code, code.to_string());
            }
        }
        self.notes.reported();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_says_why_is_not_covered_by_what_follows_from_it() {
        let notes = Notes::default();
        notes.connect(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        notes.connect(RDKafkaErrorCode::SSL, "certificate verify failed (after 9ms in state SSL_HANDSHAKE)");
        notes.connect(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        let text = "certificate verify failed".to_owned();
        assert_eq!(notes.connection(), Some(Note { code: RDKafkaErrorCode::SSL, text }));
    }

    #[test]
    fn who_waits_for_the_messages_is_woken_by_the_last_report() {
        let notes = Notes::default();
        assert!(notes.wait_reported(Instant::now()), "nothing is under way");
        (0..2).for_each(|_| notes.sending());
        notes.reported();
        assert!(!notes.wait_reported(Instant::now() + Duration::from_millis(1)), "one is");
        // A transaction that begins forgets what was said, not what is under way.
        notes.clear();
        let other = notes.clone();
        let reporting = std::thread::spawn(move || other.reported());
        assert!(notes.wait_reported(Instant::now() + Duration::from_secs(60)));
        reporting.join().unwrap();
    }

    #[test]
    fn the_first_failure_is_the_cause_of_the_others() {
        let notes = Notes::default();
        notes.fail(RDKafkaErrorCode::TopicAuthorizationFailed, "denied".into());
        notes.fail(RDKafkaErrorCode::PurgeQueue, "purged".into());
        assert_eq!(notes.failed().unwrap().text, "denied");
    }
}
