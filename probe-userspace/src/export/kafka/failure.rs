//! What can go wrong with a broker, and what is done about it.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client::TRANSACTION_TIMEOUT;
use super::notes::Note;
use super::{ABORTED_PAUSE, FENCED_PAUSE, PAUSE};

/// Sorted by what follows from it, not by where it came from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// Nothing of it is anybody's fault here: it is tried again.
    #[error("{0}; batches are kept and sent when it answers again")]
    Away(String),
    /// Certificates do not fit.
    #[error(
        "no TLS with the broker ({0}): check that ssl.ca.location has the authority of its certificate, and that the \
         certificate names the host as the URL does"
    )]
    Tls(String),
    /// Name or password are wrong.
    #[error(
        "the broker does not let this probe in ({0}): check sasl.mechanism, sasl.username and sasl.password"
    )]
    Login(String),
    /// The transaction must be aborted: the same batches go again.
    #[error("a transaction was aborted and is sent again: {0}")]
    Aborted(String),
    /// The producer is of no use any more.
    #[error("the producer is made anew: {0}")]
    Fatal(String),
    /// It took longer than the coordinator waits: that is nobody else's doing.
    #[error(
        "a transaction was not finished in time, the coordinator has aborted it and it is sent again ({0}): the broker was \
         away or stood still, or the network is too slow"
    )]
    Expired(String),
    /// Another producer has our `transactional.id`, or the coordinator raised its epoch itself when a transaction took too long.
    #[error(
        "the broker has fenced this producer off ({0}): either another one has the identity of this probe (two probes must \
         not share a UUID: give one of them another --probe-id or state directory), or the coordinator timed its \
         transaction out (the probe or the broker stood still for {timeout} s or more); it comes back after a pause",
        timeout = TRANSACTION_TIMEOUT.as_secs()
    )]
    Fenced(String),
    /// A topic is missing and may not be made.
    #[error("topic '{topic}' is missing, or hidden from this user, and cannot be made ({reason}): {mend}")]
    Topic {
        /// Which one.
        topic: String,
        /// What the broker says.
        reason: String,
        /// What to do.
        mend: String,
    },
    /// A topic was there.
    #[error("a topic is gone, or has fewer partitions ({0}): topics are looked for, and made, anew")]
    TopicGone(String),
    /// A topic takes no messages like ours.
    #[error("the topic takes no messages without a key ({0}): set its cleanup.policy to delete")]
    TopicUnfit(String),
    /// The broker does not let this user write.
    #[error(
        "the broker does not permit it ({0}): permit Write and Describe on the topics and on the transactional id gannet/*"
    )]
    NotPermitted(String),
    /// The broker does not let this user commit the spool's cursor.
    #[error("the spool's cursor is not permitted: {0}")]
    NoPlace(String),
    /// The schema registry says no.
    #[error("the schema registry {0}; flows are kept")]
    Registry(String),
    /// The broker has no transactions for this user.
    #[error("no transactions: {0}")]
    NoTransactions(String),
}

impl Failure {
    /// From an error of any call, and what the connection's own thread said last: "timed out" alone helps nobody.
    pub(super) fn of(error: &KafkaError, connection: Option<Note>) -> Self {
        let text = describe(error, connection.as_ref());
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
                Some(code) if is_gone(code) => Self::TopicGone(text),
                _ => Self::of_connection(text, connection),
            },
        }
    }

    /// Nobody answered: there may be a reason that waiting does not mend.
    pub(super) fn of_connection(text: String, connection: Option<Note>) -> Self {
        match connection {
            Some(Note { code: RDKafkaErrorCode::SSL, text }) => Self::Tls(text),
            Some(Note { code, text }) if is_login(code) => Self::Login(text),
            _ => Self::Away(text),
        }
    }

    /// From what became of a message.
    pub(super) fn of_delivery(note: Note) -> Self {
        match note.code {
            code if is_denied(code) => Self::NotPermitted(note.text),
            code if is_gone(code) => Self::TopicGone(note.text),
            RDKafkaErrorCode::InvalidRecord => Self::TopicUnfit(note.text),
            _ => Self::Aborted(note.text),
        }
    }

    /// Whether nobody answered, for whatever reason.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Tls(_) | Self::Login(_))
    }

    /// Whether the producer has come to its end.
    pub(super) fn needs_new_producer(&self) -> bool {
        !matches!(
            self,
            Self::Aborted(_)
                | Self::Away(_)
                | Self::Tls(_)
                | Self::Login(_)
                | Self::TopicUnfit(_)
                | Self::NoPlace(_)
        )
    }

    /// Whether a person has to do something, or else it goes on for ever.
    pub(super) fn needs_a_person(&self) -> bool {
        !matches!(self, Self::Away(_) | Self::Aborted(_) | Self::Expired(_) | Self::TopicGone(_))
    }

    /// Time before the next try.
    pub(super) fn pause(&self) -> Duration {
        match self {
            Self::NoTransactions(_) | Self::NoPlace(_) => Duration::ZERO,
            Self::Aborted(_) => ABORTED_PAUSE,
            Self::Fenced(_) => FENCED_PAUSE,
            _ => PAUSE,
        }
    }
}

/// Whether the broker will never take this message, however often it comes. Nothing else is discarded: a topic can be mended.
pub(super) fn is_for_good(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::MessageBatchTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
    )
}

/// Whether librdkafka is still at it, and the same call resumes it.
pub(super) fn is_retriable(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(cause) if cause.is_retriable())
}

fn describe(error: &KafkaError, connection: Option<&Note>) -> String {
    let text = match error {
        KafkaError::Transaction(cause) => cause.to_string(),
        other => other.to_string(),
    };
    match connection {
        Some(note) if !text.contains(&note.text) => format!("{text} ({})", note.text),
        _ => text,
    }
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

pub(super) fn is_denied(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
    )
}

fn is_gone(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopicOrPartition
    )
}

fn is_login(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::SaslAuthenticationFailed | RDKafkaErrorCode::Authentication)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(code: RDKafkaErrorCode, text: &str) -> Option<Note> {
        Some(Note { code, text: text.to_owned() })
    }

    const UNANSWERED: KafkaError = KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);

    #[test]
    fn a_broker_that_is_away_is_waited_for_with_the_same_producer() {
        let failure = Failure::of(&UNANSWERED, note(RDKafkaErrorCode::BrokerTransportFailure, "refused"));
        assert!(!failure.needs_new_producer() && failure.pause() > Duration::ZERO);
        assert!(!failure.needs_a_person());
        assert!(failure.to_string().contains("(refused); batches are kept"), "{failure}");
    }

    #[test]
    fn who_is_not_let_in_is_told_what_to_check() {
        let said = |code| Failure::of(&UNANSWERED, note(code, "why")).to_string();
        assert!(said(RDKafkaErrorCode::SSL).contains("ssl.ca.location"));
        assert!(said(RDKafkaErrorCode::Authentication).contains("sasl.password"));
    }

    #[test]
    fn fenced_names_both_causes() {
        let text = Failure::Fenced("fenced".to_owned()).to_string();
        assert!(text.contains("--probe-id") && text.contains("timed its transaction out"), "{text}");
    }

    #[test]
    fn denial_names_what_to_permit() {
        let failure = Failure::of(&KafkaError::Flush(RDKafkaErrorCode::TopicAuthorizationFailed), None);
        assert!(failure.to_string().contains("permit Write") && failure.needs_a_person(), "{failure}");
    }

    #[test]
    fn a_topic_that_is_gone_needs_a_producer_that_looks_for_it() {
        let gone = note(RDKafkaErrorCode::UnknownTopicOrPartition, "x").map(Failure::of_delivery).unwrap();
        assert!(gone.needs_new_producer() && !gone.needs_a_person());
        let slow = note(RDKafkaErrorCode::NotEnoughReplicas, "x").map(Failure::of_delivery).unwrap();
        assert!(!slow.needs_new_producer());
    }

    #[test]
    fn only_what_never_fits_is_refused_for_good() {
        assert!(is_for_good(RDKafkaErrorCode::MessageSizeTooLarge));
        assert!(!is_for_good(RDKafkaErrorCode::NotEnoughReplicas));
        assert!(!is_for_good(RDKafkaErrorCode::InvalidRecord), "the topic can be mended");
        assert!(!is_for_good(RDKafkaErrorCode::PurgeQueue));
    }
}
