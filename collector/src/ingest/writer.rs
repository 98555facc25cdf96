//! The one thread that writes: gathers what the inputs hand over, and commits it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flow_wire::stamp::Stamp;

use super::counters::{Counters, ReasonLabel};
use super::input::{Event, Feed, Stop};
use super::message::{Arrived, Content};
use super::receipt::Receipt;
use super::status::{InputStatus, StoreStatus};
use super::tap::{self, Tap};
use crate::store::{self, Intake};

/// Rows of a transaction: the store's cost per row is lowest from about here on.
const COMMIT_ROWS: usize = 100_000;

/// Octets of bodies in a transaction, whatever is in them: refused and ledger messages have no rows, and wide batches few. Above it
/// the messages of a full channel are all that is held beside.
const COMMIT_OCTETS: usize = 128 << 20;

/// So often refused messages are reported: anybody who reaches the bus can send them.
const REPORT: Duration = Duration::from_secs(30);

/// Age of a transaction: what came is queryable a second later, at any rate.
const COMMIT_AGE: Duration = Duration::from_secs(1);

/// Messages between inputs and writer: a second of the fastest probe, below 300 MB.
const CHANNEL_MESSAGES: usize = 256;

/// Between two attempts at a transaction that the store refused.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Attempts: an engine that refuses for half a minute is for the service manager and a person. A full disk is waited for.
const ATTEMPTS_MAX: u32 = 30;

/// Why the writer ended.
#[derive(Debug, thiserror::Error)]
#[error("the store refused a transaction {attempts} times: {error}")]
pub struct Failure {
    /// How often it was tried.
    pub attempts: u32,
    /// What it said last.
    pub error: store::Error,
}

/// Gathers and commits.
pub struct Writer {
    store: Box<dyn store::Writer>,
    receiver: Receiver<(usize, Event)>,
    sender: Option<SyncSender<(usize, Event)>>,
    counters: Counters,
    status: Arc<StoreStatus>,
    /// Per input: read to its end since its last message. ZMQ has nothing to be read later.
    drained: Vec<bool>,
    /// Per input whose bus keeps what is not read: what was on it at that time is taken in, whatever came since.
    drained_at: Vec<Option<u64>>,
    refusals: Refusals,
    /// Messages that a stop left to a bus that keeps them.
    left: u64,
    /// Of what was gathered and is not committed yet.
    receipts: Vec<Receipt>,
    /// Who is told of stored flows.
    tap: Option<Box<dyn Tap>>,
}

/// Refused messages since the last report.
#[derive(Default)]
struct Refusals {
    unreported: u64,
    reported: Option<Instant>,
}

impl Refusals {
    /// One more; their number, when it is time to say it: the first at once, then sums.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.unreported += 1;
        if self.reported.is_some_and(|at| now.duration_since(at) < REPORT) {
            return None;
        }
        self.reported = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}

impl Writer {
    /// Inert until [`Writer::run`].
    pub fn new(store: Box<dyn store::Writer>, counters: Counters, status: Arc<StoreStatus>) -> Self {
        let (sender, receiver) = sync_channel(CHANNEL_MESSAGES);
        Self {
            store,
            receiver,
            sender: Some(sender),
            counters,
            status,
            drained: Vec::new(),
            drained_at: Vec::new(),
            refusals: Refusals::default(),
            left: 0,
            receipts: Vec::new(),
            tap: None,
        }
    }

    /// Tells somebody of flows once they are stored.
    #[must_use]
    pub fn with_tap(self, tap: Option<Box<dyn Tap>>) -> Self {
        Self { tap, ..self }
    }

    /// The way in for one more input. `keeps` = its bus keeps what is not read (Kafka).
    pub fn feed(&mut self, status: Arc<InputStatus>, keeps: bool) -> Option<Feed> {
        self.drained.push(!keeps);
        self.drained_at.push((!keeps).then_some(u64::MAX));
        let sender = self.sender.clone()?;
        Some(Feed::new(self.drained.len() - 1, sender, status))
    }

    /// Commits until every input is gone; then once more. `stop` is set where the store does not recover.
    pub fn run(mut self, stop: &Stop) -> Result<(), Failure> {
        self.sender = None;
        self.status.set_caught_up(self.drained.iter().all(|drained| *drained));
        let keeps: Vec<bool> = self.drained.iter().map(|drained| !drained).collect();
        loop {
            let (intake, ended) = self.gather(&keeps, stop);
            if !intake.is_empty() {
                let added = self.commit(&intake, stop).inspect_err(|_| {
                    self.status.gives_up();
                    stop.set();
                })?;
                self.status.set_caught_up(self.drained.iter().all(|drained| *drained));
                self.receipts.drain(..).for_each(Receipt::commit);
                if let Some(tap) = &mut self.tap {
                    tap.stored(tap::stored(intake.batches, added));
                }
            }
            self.receipts.drain(..).for_each(Receipt::commit);
            if ended {
                if self.left > 0 {
                    let messages = self.left;
                    tracing::info!(
                        messages,
                        "stopped with messages read and not stored: Kafka keeps them, and the next start reads them again"
                    );
                }
                return Ok(());
            }
        }
    }

    /// What comes until there are enough rows, or the first of it is old enough. Once it is to stop, what a bus keeps is left to
    /// it: a full channel may hold several transactions, and a stop shall be quick.
    fn gather(&mut self, keeps: &[bool], stop: &Stop) -> (Intake, bool) {
        let mut intake = Intake::default();
        let mut first: Option<Instant> = None;
        let (mut rows, mut octets, mut ended) = (0, 0, false);
        while rows < COMMIT_ROWS && octets < COMMIT_OCTETS {
            let left = first.map_or(COMMIT_AGE, |first| COMMIT_AGE.saturating_sub(first.elapsed()));
            match self.receiver.recv_timeout(left) {
                Ok((input, _)) if keeps[input] && stop.is_set() => self.left += 1,
                Ok((input, event)) => {
                    first.get_or_insert_with(Instant::now);
                    self.drained[input] = !keeps[input] || matches!(event, Event::Drained(_));
                    match event {
                        Event::Message(arrived, receipt) => {
                            let is_last = is_last_of_its_epoch(&arrived);
                            let (more_rows, more_octets) = self.add(&mut intake, *arrived);
                            rows += more_rows;
                            octets += more_octets;
                            self.receipts.extend(receipt);
                            if is_last {
                                break;
                            }
                        }
                        Event::Drained(at) => self.drained_at[input] = Some(at),
                    }
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    ended = true;
                    break;
                }
            }
        }
        intake.now_nanoseconds = now_nanoseconds();
        // The least of them; `None` sorts first.
        let drained_at = self.drained_at.iter().min().copied().flatten();
        intake.drained = first.is_some() && drained_at.is_some();
        intake.drained_at_nanoseconds = drained_at.map(|at| at.min(intake.now_nanoseconds));
        (intake, ended)
    }

    /// Its rows and the octets of its body.
    fn add(&mut self, intake: &mut Intake, arrived: Arrived) -> (usize, usize) {
        self.counters.messages.inc();
        intake.arrivals.extend(arrived.arrival);
        intake.offsets.extend(arrived.offset);
        match arrived.content {
            Content::Flows(batch) => {
                let size = (batch.rows.num_rows(), batch.body.len());
                intake.batches.push(batch);
                return size;
            }
            Content::Books(books) => {
                let size = (0, books.body_octets);
                intake.books.push(books);
                return size;
            }
            Content::Refused(refusal) => {
                if let Some(messages) = self.refusals.count(Instant::now()) {
                    let (input, reason) = (&refusal.source, refusal.reason.name());
                    tracing::warn!(%input, reason, messages, "message refused and kept aside: {}", refusal.detail);
                }
                let octets = refusal.body.len() + refusal.detail.len();
                self.counters.refused.get_or_create(&ReasonLabel { reason: refusal.reason.name() }).inc();
                intake.refusals.push(refusal);
                return (0, octets);
            }
            Content::Nothing => {}
        }
        (0, 0)
    }

    /// Tries until the store takes it; the batches that were new. Meanwhile the channel fills and the inputs wait: Kafka keeps what is not read.
    fn commit(&mut self, intake: &Intake, stop: &Stop) -> Result<Vec<Stamp>, Failure> {
        let (mut attempts, mut reported) = (0, None::<Instant>);
        loop {
            let begun = Instant::now();
            let error = match self.store.commit(intake) {
                Ok(committed) => {
                    self.counters.commit_seconds.observe(begun.elapsed().as_secs_f64());
                    self.count(&committed);
                    self.status.works();
                    if attempts > 0 {
                        tracing::info!(attempts, "the store takes what comes again");
                    }
                    return Ok(committed.flows);
                }
                Err(error) => error,
            };
            attempts += 1;
            self.counters.failures.inc();
            self.status.fails(&error.to_string());
            if reported.is_none_or(|at| at.elapsed() >= REPORT) {
                tracing::error!(attempts, "nothing is stored until this is mended: {error}");
                reported = Some(begun);
            }
            if stop.is_set() || is_hopeless(&error, attempts) {
                return Err(Failure { attempts, error });
            }
            std::thread::sleep(RETRY_AFTER);
        }
    }

    fn count(&self, committed: &store::Committed) {
        self.counters.rows.inc_by(committed.rows);
        self.counters.batches.inc_by(committed.batches);
        self.counters.duplicates.inc_by(committed.duplicates);
        self.counters.conflicts.inc_by(committed.conflicts);
        if committed.parked > 0 {
            let messages = committed.parked;
            let reason = store::RefusalReason::StreamFull.name();
            self.counters.refused.get_or_create(&ReasonLabel { reason }).inc_by(messages);
            tracing::error!(
                messages,
                "messages of streams for which the store has no room: kept aside, not stored; the table kept_aside says of which"
            );
        }
        if committed.conflicts > 0 {
            let conflicts = committed.conflicts;
            self.counters.refused.get_or_create(&ReasonLabel { reason: "conflict" }).inc_by(conflicts);
            tracing::error!(
                conflicts,
                "batches arrived whose stamp is stored with another content: kept aside"
            );
        }
    }
}

/// What another attempt does not mend.
fn is_hopeless(error: &store::Error, attempts: u32) -> bool {
    match error {
        store::Error::Malformed { .. } => true,
        store::Error::Space { .. } => false,
        _ => attempts == ATTEMPTS_MAX,
    }
}

/// A probe that stops waits a moment for the word that its last message is stored.
fn is_last_of_its_epoch(arrived: &Arrived) -> bool {
    matches!(&arrived.content, Content::Books(books) if books.message.closed)
}

/// By the clock of this host, for people and retention; nothing is ordered by it.
pub fn now_nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_messages_are_said_once_and_then_as_sums() {
        let mut refusals = Refusals::default();
        let begin = Instant::now();
        assert_eq!(refusals.count(begin), Some(1));
        assert!((1..500).all(|second| refusals.count(begin + Duration::from_millis(second)).is_none()));
        assert_eq!(refusals.count(begin + REPORT), Some(500));
    }
}
