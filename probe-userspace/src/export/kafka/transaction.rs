//! Some batches in one transaction: all of them are read, or none.

use std::sync::Arc;
use std::time::Duration;

use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use flow_wire::fault::{self, Hop};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};

use super::client::Client;
use super::failure::{Failure, is_for_good};
use super::report::Reporter;
use crate::export::copies;

/// Time for one try of a call that is then tried again: so soon the end of the run is noticed.
const TRY: Duration = Duration::from_millis(200);

/// What became of a transaction.
pub(super) enum Outcome {
    /// Every batch of it is there.
    Committed,
    /// None of them is there.
    Aborted(Failure),
    /// None of them is there, and one of them at least the broker will never take.
    Refused(String),
    /// The run ended before the broker answered.
    Over,
}

impl Client {
    /// Sends the batches and waits for the broker, for as long as it takes or until `is_over`.
    pub(super) fn transact(
        &self,
        batches: &[Arc<Sealed>],
        mut is_over: impl FnMut() -> bool,
        reporter: &mut Reporter,
    ) -> Outcome {
        self.notes().clear();
        if self.transactional
            && let Err(error) = self.producer.begin_transaction()
        {
            return aborted(Failure::Fatal(error.to_string()));
        }
        for sealed in batches {
            if let Err(error) = self.produce(sealed, &mut is_over) {
                return self.abort(Failure::of(&error, ""), &mut is_over);
            }
        }
        if self.transactional {
            self.commit(&mut is_over, reporter)
        } else {
            self.deliver(&mut is_over, reporter)
        }
    }

    fn produce(&self, sealed: &Sealed, is_over: &mut impl FnMut() -> bool) -> Result<(), KafkaError> {
        let times = match sealed.header.kind {
            Kind::Flows => copies(fault::take(Hop::Bus)),
            Kind::Ledger => 1,
        };
        for _ in 0..times {
            while let Err(error) = self.send(sealed) {
                match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::QueueFull) if !is_over() => self.producer.poll(TRY),
                    Some(code) if is_for_good(code) => {
                        self.notes().refuse(error.to_string());
                        return Err(error);
                    }
                    _ => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn send(&self, sealed: &Sealed) -> Result<(), KafkaError> {
        let topic = self.topic(sealed.header.kind);
        let pairs = sealed.header.sent_by(self.sink).to_pairs();
        let headers =
            pairs.iter().fold(OwnedHeaders::new_with_capacity(pairs.len()), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value) })
            });
        let record = BaseRecord::<(), [u8]>::to(&topic.name)
            .partition(topic.partition(sealed.header.stamp.stream))
            .payload(&sealed.body)
            .headers(headers);
        self.producer.send(record).map_err(|(error, _)| error)
    }

    /// A commit that was not answered may be asked for again: librdkafka resumes it.
    fn commit(&self, is_over: &mut impl FnMut() -> bool, reporter: &mut Reporter) -> Outcome {
        loop {
            let error = match self.producer.commit_transaction(TRY) {
                Ok(()) => return Outcome::Committed,
                Err(error) => error,
            };
            match Failure::of(&error, &self.notes().last()) {
                Failure::Away(reason) if self.notes().failed().is_none() => {
                    if is_over() {
                        return Outcome::Over;
                    }
                    self.tell(Failure::Away(reason), reporter);
                }
                failure @ (Failure::Fatal(_) | Failure::Fenced(_)) => return aborted(failure),
                failure => return self.abort(failure, is_over),
            }
        }
    }

    /// A slow commit is no trouble yet; one that no broker answers is.
    fn tell(&self, failure: Failure, reporter: &mut Reporter) {
        if !self.notes().last().is_empty() {
            reporter.trouble(&failure);
        }
    }

    /// Without transactions: what was delivered stays, and comes again if the others fail.
    fn deliver(&self, is_over: &mut impl FnMut() -> bool, reporter: &mut Reporter) -> Outcome {
        while let Err(error) = self.producer.flush(TRY) {
            if is_over() {
                return Outcome::Over;
            }
            self.tell(Failure::of(&error, &self.notes().last()), reporter);
        }
        match (self.notes().refused(), self.notes().failed()) {
            (Some(reason), _) => Outcome::Refused(reason),
            (None, Some(reason)) => aborted(Failure::Aborted(reason)),
            (None, None) => Outcome::Committed,
        }
    }

    fn abort(&self, failure: Failure, is_over: &mut impl FnMut() -> bool) -> Outcome {
        // The broker's own words on the message that failed say more than that the transaction did.
        let failure = match (self.notes().failed(), failure) {
            (Some(reason), Failure::Aborted(_) | Failure::Away(_)) => Failure::Aborted(reason),
            (_, Failure::Away(reason)) => Failure::Aborted(reason),
            (_, failure) => failure,
        };
        if let Err(outcome) = self.roll_back(is_over) {
            return outcome;
        }
        match self.notes().refused() {
            Some(reason) => Outcome::Refused(reason),
            None => aborted(failure),
        }
    }

    fn roll_back(&self, is_over: &mut impl FnMut() -> bool) -> Result<(), Outcome> {
        if !self.transactional {
            return Ok(());
        }
        loop {
            match self.producer.abort_transaction(TRY) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(cause)) if cause.is_fatal() => {
                    return Err(aborted(Failure::Fatal(cause.to_string())));
                }
                Err(_) if is_over() => return Err(Outcome::Over),
                Err(error) => tracing::debug!(%error, "abort_transaction is tried again"),
            }
        }
    }
}

fn aborted(failure: Failure) -> Outcome {
    Outcome::Aborted(failure)
}
