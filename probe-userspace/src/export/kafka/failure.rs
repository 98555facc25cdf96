//! What can go wrong with a broker, and what is done about it.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::TRANSACTION_TIMEOUT;
use super::{ABORTED_PAUSE, FENCED_PAUSE, PAUSE};

/// Sorted by what follows from it, not by where it came from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// Nothing of it is anybody's fault here: it is tried again.
    #[error("{0}; batches are kept and sent when it answers again")]
    Away(String),
    /// The transaction must be aborted: the same batches go again.
    #[error("a transaction was aborted and is sent again: {0}")]
    Aborted(String),
    /// The producer is of no use any more.
    #[error("the producer is made anew: {0}")]
    Fatal(String),
    /// Another producer has our `transactional.id`, or the coordinator raised its epoch itself when a transaction took too long.
    #[error(
        "the broker has fenced this producer off ({0}): either another one has the identity of this probe (two probes must \
         not share a UUID: give one of them another --probe-id or state directory), or the coordinator timed its \
         transaction out (the probe or the broker stood still for {timeout} s or more); it comes back after a pause",
        timeout = TRANSACTION_TIMEOUT.as_secs()
    )]
    Fenced(String),
    /// A topic is missing and may not be made.
    #[error(
        "topic '{topic}' is missing and cannot be made ({reason}): make it with {partitions} partitions, or permit Create"
    )]
    Topic {
        /// Which one.
        topic: String,
        /// What the broker says.
        reason: String,
        /// How many it would have got.
        partitions: u16,
    },
    /// The broker does not let this user write.
    #[error(
        "the broker does not permit it: {0}; permit Write and Describe on the topics and on the transactional id gannet/*"
    )]
    NotPermitted(String),
    /// The broker has no transactions for this user.
    #[error("no transactions: {0}")]
    NoTransactions(String),
}

impl Failure {
    /// From an error of any call but those within a transaction.
    pub(super) fn of(error: &KafkaError, detail: &str) -> Self {
        let text = describe(error, detail);
        match error {
            KafkaError::Transaction(cause) if is_fenced(cause.code()) => Self::Fenced(text),
            KafkaError::Transaction(cause) if is_transactions_refused(cause.code()) => {
                Self::NoTransactions(text)
            }
            KafkaError::Transaction(cause) if is_denied(cause.code()) => Self::NotPermitted(text),
            KafkaError::Transaction(cause) if cause.is_fatal() => Self::Fatal(text),
            KafkaError::Transaction(cause) if cause.txn_requires_abort() => Self::Aborted(text),
            _ => match error.rdkafka_error_code() {
                Some(code) if is_denied(code) => Self::NotPermitted(text),
                Some(RDKafkaErrorCode::Fatal) => Self::Fatal(text),
                _ => Self::Away(text),
            },
        }
    }

    /// Whether the producer has come to its end.
    pub(super) fn needs_new_producer(&self) -> bool {
        !matches!(self, Self::Aborted(_) | Self::Away(_))
    }

    /// Time before the next try.
    pub(super) fn pause(&self) -> Duration {
        match self {
            Self::NoTransactions(_) => Duration::ZERO,
            Self::Aborted(_) => ABORTED_PAUSE,
            Self::Fenced(_) => FENCED_PAUSE,
            _ => PAUSE,
        }
    }
}

/// Whether the broker will never take this message, however often it comes.
pub(super) fn is_for_good(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidRecord
    )
}

/// What is said, with what librdkafka's own thread said last: "timed out" alone helps nobody.
fn describe(error: &KafkaError, detail: &str) -> String {
    let text = match error {
        KafkaError::Transaction(cause) => cause.to_string(),
        other => other.to_string(),
    };
    if detail.is_empty() || text.contains(detail) { text } else { format!("{text} ({detail})") }
}

fn is_fenced(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::Fenced)
}

fn is_transactions_refused(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TransactionalIdAuthorizationFailed | RDKafkaErrorCode::UnsupportedFeature
    )
}

fn is_denied(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::Authentication
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_is_away_is_waited_for_with_the_same_producer() {
        let failure =
            Failure::of(&KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure), "refused");
        assert!(!failure.needs_new_producer() && failure.pause() > Duration::ZERO);
        assert!(failure.to_string().contains("(refused); batches are kept"), "{failure}");
    }

    #[test]
    fn fenced_names_both_causes() {
        let text = Failure::Fenced("fenced".to_owned()).to_string();
        assert!(text.contains("--probe-id") && text.contains("timed its transaction out"), "{text}");
    }

    #[test]
    fn denial_names_what_to_permit() {
        let failure = Failure::of(&KafkaError::Flush(RDKafkaErrorCode::TopicAuthorizationFailed), "");
        assert!(failure.to_string().contains("permit Write"), "{failure}");
    }

    #[test]
    fn only_what_never_fits_is_refused_for_good() {
        assert!(is_for_good(RDKafkaErrorCode::MessageSizeTooLarge));
        assert!(!is_for_good(RDKafkaErrorCode::NotEnoughReplicas));
        assert!(!is_for_good(RDKafkaErrorCode::PurgeQueue));
    }
}
