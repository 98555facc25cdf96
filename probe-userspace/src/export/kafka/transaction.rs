//! Some batches in one transaction: all of them are read, or none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_wire::batch::Sealed;
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;

use super::client::Client;
use super::failure::{Failure, is_retriable};
use super::notes::Note;
use super::place::Unplaced;
use super::report::Reporter;
use super::topics;
use crate::spool::Position;

/// Time for one try of a call that is then tried again: so soon the end of the run is noticed.
pub(super) const TRY: Duration = Duration::from_millis(200);

/// A broker that has not answered for so long is told of: a commit takes milliseconds.
const UNANSWERED: Duration = Duration::from_secs(5);

/// So often the broker is asked whether the topics are still there, while it does not answer for them.
const LOOK_FOR_TOPICS: Duration = Duration::from_secs(2);

/// Behind the last report it takes librdkafka so long to see that there is none left.
const FLUSH_STEP: Duration = Duration::from_micros(100);

/// Between two calls that wake the client to send what lingers.
const FLUSH_AGAIN: Duration = Duration::from_millis(100);

/// Before a call is made again that librdkafka answered: it may do so at once, each time.
pub(super) const AGAIN: Duration = Duration::from_millis(20);

/// For the broker's answer to a transaction.
struct Waiting {
    begun: Instant,
    looked: Instant,
}

impl Waiting {
    fn new() -> Self {
        let now = Instant::now();
        Self { begun: now, looked: now }
    }
}

/// What became of a transaction.
pub(super) enum Outcome {
    /// Every batch of it is there.
    Committed,
    /// None of them is there.
    Aborted(Failure),
    /// None of them is there, and one of them at least will never be: the broker does not take it, or it cannot be read.
    Refused(Note),
    /// The run ended before the broker answered.
    Over,
}

impl Client {
    /// Sends the batches, with the spool's position behind them, and waits for the broker, for as long as it takes or until
    /// `is_over`.
    pub(super) fn transact(
        &self,
        batches: &[Arc<Sealed>],
        position: Option<Position>,
        mut is_over: impl FnMut() -> bool,
        reporter: &mut Reporter,
    ) -> Outcome {
        let begun = Instant::now();
        match self.send_together(batches, position, &mut is_over, reporter) {
            Outcome::Aborted(Failure::Fenced(reason)) if begun.elapsed() >= self.transaction_timeout => {
                aborted(Failure::Expired(reason))
            }
            outcome => outcome,
        }
    }

    fn send_together(
        &self,
        batches: &[Arc<Sealed>],
        position: Option<Position>,
        is_over: &mut impl FnMut() -> bool,
        reporter: &mut Reporter,
    ) -> Outcome {
        self.notes().clear();
        if self.transactional
            && let Err(error) = self.producer.begin_transaction()
        {
            return aborted(Failure::Fatal(error.to_string()));
        }
        for sealed in batches {
            if let Err(error) = self.produce(sealed, is_over) {
                return self.abort(Failure::of(&error, None), is_over);
            }
        }
        let (mut waiting, mut gone) = (Waiting::new(), None);
        let placed = self.commit_place(position, |error| {
            let failure = self.silence(error);
            gone = self.look(failure, &mut waiting, reporter).or_else(|| self.expired(&waiting));
            gone.is_none() && !is_over()
        });
        match placed {
            Ok(()) => {}
            Err(Unplaced::Failed(error)) => return self.abort(self.place_failure(&error), is_over),
            // The next producer closes what this one leaves open.
            Err(Unplaced::Left) => return gone.map_or(Outcome::Over, aborted),
            Err(Unplaced::Dead) => {
                return aborted(Failure::Fatal("the spool's cursor has no thread".to_owned()));
            }
        }
        if self.transactional { self.commit(is_over, reporter) } else { self.deliver(is_over, reporter) }
    }

    /// What an answer that does not come is called, or one that says no more than that.
    fn silence(&self, error: Option<&KafkaError>) -> Failure {
        let connection = self.notes().connection();
        match error {
            Some(error) => Failure::of(error, connection),
            None => Failure::of_connection("the broker does not answer".to_owned(), connection),
        }
    }

    /// The coordinator has long given the transaction up, and so may who waits for the call: librdkafka may have lost it.
    fn expired(&self, waiting: &Waiting) -> Option<Failure> {
        let since = waiting.begun.elapsed();
        (since >= 2 * self.transaction_timeout).then(|| {
            Failure::Expired(format!("the spool's cursor was not answered for in {} s", since.as_secs()))
        })
    }

    /// Why the cursor could not be put in. A batch that was refused meanwhile fails the whole transaction, and this call with it:
    /// that says nothing of the cursor.
    fn place_failure(&self, error: &KafkaError) -> Failure {
        // Brings what became of the batches so far.
        self.producer.poll(Duration::ZERO);
        match Failure::of(error, None) {
            Failure::NotPermitted(reason) if self.notes().failed().is_none() => Failure::NoPlace(reason),
            failure => failure,
        }
    }

    /// Until all messages are delivered or failed, or the time is over. The producer's own flush looks once in 100 ms, and it must not be
    /// called much more often: a client that is woken all the time does not find a broker that comes back.
    fn flush(&self, most: Duration) -> Result<(), KafkaError> {
        let until = Instant::now() + most;
        loop {
            match self.producer.flush(Duration::ZERO) {
                Err(_) if Instant::now() < until => {
                    if self.notes().wait_reported(until.min(Instant::now() + FLUSH_AGAIN)) {
                        std::thread::park_timeout(FLUSH_STEP);
                    }
                }
                done => return done,
            }
        }
    }

    /// A commit that was not answered may be asked for again: librdkafka resumes it. While it is under way nobody knows whether it has
    /// been made, and librdkafka refuses to abort it.
    fn commit(&self, is_over: &mut impl FnMut() -> bool, reporter: &mut Reporter) -> Outcome {
        let mut waiting = Waiting::new();
        loop {
            let error = match self.flush(TRY).and_then(|()| self.producer.commit_transaction(TRY)) {
                Ok(()) => return Outcome::Committed,
                Err(error) => error,
            };
            // Before it the messages are flushed, which is no error of the transaction.
            let is_under_way = is_retriable(&error);
            match Failure::of(&error, self.notes().connection()) {
                failure @ (Failure::Fatal(_) | Failure::Fenced(_)) => return aborted(failure),
                failure if is_under_way || (failure.is_silence() && self.notes().failed().is_none()) => {
                    if is_over() {
                        return Outcome::Over;
                    }
                    match self.look(failure, &mut waiting, reporter) {
                        Some(gone) if !is_under_way => return self.abort(gone, is_over),
                        // The next producer reads what became of it. Where the broker keeps no place, only this one will hear.
                        Some(gone) if self.place.is_some() => return aborted(gone),
                        _ => std::thread::park_timeout(AGAIN),
                    }
                }
                failure => return self.abort(failure, is_over),
            }
        }
    }

    /// A slow answer is no trouble yet; one that no broker gives is. For a topic that is gone librdkafka waits without end
    /// and without a word, so the broker is asked for it.
    fn look(&self, failure: Failure, waiting: &mut Waiting, reporter: &mut Reporter) -> Option<Failure> {
        if self.notes().connection().is_some() {
            reporter.trouble(&failure);
        } else if waiting.begun.elapsed() >= UNANSWERED {
            let seconds = waiting.begun.elapsed().as_secs();
            reporter.trouble(&Failure::Away(format!("the broker has not answered for {seconds} s")));
        }
        if waiting.looked.elapsed() < LOOK_FOR_TOPICS {
            return None;
        }
        waiting.looked = Instant::now();
        topics::gone(&self.producer, &self.outlet.topics(), TRY)
    }

    /// Without transactions: what was delivered stays, and comes again if the others fail.
    fn deliver(&self, is_over: &mut impl FnMut() -> bool, reporter: &mut Reporter) -> Outcome {
        let mut waiting = Waiting::new();
        while let Err(error) = self.flush(TRY) {
            if is_over() {
                return Outcome::Over;
            }
            let failure = Failure::of(&error, self.notes().connection());
            if let Some(gone) = self.look(failure, &mut waiting, reporter) {
                return aborted(gone);
            }
        }
        match (self.notes().refused(), self.notes().failed()) {
            (Some(refused), _) => Outcome::Refused(refused),
            (None, Some(failed)) => aborted(Failure::of_delivery(failed)),
            (None, None) => Outcome::Committed,
        }
    }

    fn abort(&self, failure: Failure, is_over: &mut impl FnMut() -> bool) -> Outcome {
        // The broker's own words on the message that failed say more than that the transaction did.
        let failure = match (self.notes().failed(), failure) {
            (Some(failed), Failure::Aborted(_) | Failure::Away(_)) => Failure::of_delivery(failed),
            (_, Failure::Away(reason)) => Failure::Aborted(reason),
            (_, failure) => failure,
        };
        let failure = match self.roll_back(is_over) {
            Ok(()) => failure,
            Err(Outcome::Aborted(_)) if failure.needs_new_producer() => failure,
            // Such a producer is of no use any more; the cause is still what a person should read.
            Err(Outcome::Aborted(fatal)) if self.notes().refused().is_none() => fatal,
            Err(Outcome::Aborted(_)) => failure,
            Err(outcome) => return outcome,
        };
        match self.notes().refused() {
            Some(refused) => Outcome::Refused(refused),
            None => aborted(failure),
        }
    }

    /// No longer than the coordinator waits: then it aborts what is open by itself, and so does the next producer.
    fn roll_back(&self, is_over: &mut impl FnMut() -> bool) -> Result<(), Outcome> {
        if !self.transactional {
            return Ok(());
        }
        let until = Instant::now() + self.transaction_timeout;
        loop {
            match self.producer.abort_transaction(TRY) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(cause)) if cause.is_fatal() => {
                    return Err(aborted(Failure::Fatal(cause.to_string())));
                }
                Err(_) if is_over() => return Err(Outcome::Over),
                Err(error) if Instant::now() >= until => {
                    return Err(aborted(Failure::Fatal(error.to_string())));
                }
                Err(error) => tracing::debug!(%error, "abort_transaction is tried again"),
            }
            std::thread::park_timeout(AGAIN);
        }
    }
}

fn aborted(failure: Failure) -> Outcome {
    Outcome::Aborted(failure)
}
