//! The protocol: which steps there are, what each does, and what must never be.

use super::explore::{Model, Wrong};
use super::state::{Collector, Entry, Faults, Stamp, State};

/// Records that are metered at most.
pub(crate) const RECORDS_MAX: u8 = 3;

/// Batches of a transaction, of an intake, and in flight.
pub(crate) const BATCHES_MAX: usize = 2;

/// Messages that a ZMQ connection holds upstream: a collector whose acknowledgements nobody takes commits no more.
pub(crate) const UPSTREAM_MAX: usize = 2;

/// Batches that a ZMQ collector takes without having committed one.
pub(crate) const CREDIT: u8 = 2;

/// What the batches go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bus {
    /// The cursor is committed with the batches.
    Transactions,
    /// The broker does not permit transactions: at least once.
    NoTransactions,
    /// Acknowledged by the collector.
    Zmq,
}

/// Ways to get it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// The cursor moves when a batch is handed over.
    CursorBeforeAcknowledgement,
    /// The cursor of a transactional sink is a file of its own.
    CursorInFile,
    /// A new producer does not fence the one before.
    NoFence,
    /// A tail that a power cut took gives its positions to other batches.
    PositionReuse,
    /// A start goes on with the epoch of the one before.
    EpochContinued,
    /// The record ring is moved when the batch is sealed.
    RingBeforeSpool,
    /// Recovery does not ask the spool what it has already.
    RecoveryWithoutSpool,
    /// The collector keeps the highest sequence only.
    HighWaterMark,
    /// The collector stores whatever comes.
    NoDedupe,
    /// The collector acknowledges what it has not committed.
    AcknowledgeBeforeCommit,
    /// The collector's offset is no part of the transaction with the rows.
    OffsetBeforeRows,
    /// The books take the number of discarded batches, though some of them may have arrived.
    DiscardsByNumber,
    /// A collector that was greeted once is never greeted again.
    OneHello,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Meter,
    Seal,
    Append,
    Release,
    Sync,
    Discard,
    SaveCursor,
    Connect,
    Send,
    AskToCommit,
    Commit,
    Answer,
    /// The broker takes one of those in flight, out of order where it likes.
    Land(usize),
    Break,
    Hello,
    Hear,
    Deliver,
    Drop(usize),
    TimeOut,
    Fetch,
    Store,
    KillProbe,
    CutPower,
    StartProbe,
    KillCollector,
    StartCollector,
}

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    pub(crate) bus: Bus,
    /// Records that are metered.
    pub(crate) records: u8,
    /// `--spool-sync batch`: nothing is sent that a power cut could take back.
    pub(crate) syncs_first: bool,
    pub(crate) faults: Faults,
    pub(crate) mutation: Option<Mutation>,
}

impl Protocol {
    pub(crate) fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

impl Model for Protocol {
    type State = State;
    type Step = Step;

    fn first(&self) -> State {
        let mut state = State { faults: self.faults, ..State::default() };
        state.start_probe(self);
        state.start_collector();
        state
    }

    fn steps(&self) -> Vec<Step> {
        use Step::*;
        let mut steps = vec![Meter, Seal, Append, Release, Discard, SaveCursor, Send, Break, Store];
        steps.extend([KillProbe, CutPower, StartProbe, KillCollector, StartCollector]);
        if self.faults.power > 0 {
            steps.push(Sync);
        }
        match self.bus {
            Bus::Transactions => steps.extend([Connect, AskToCommit, Commit, Answer, Fetch]),
            Bus::NoTransactions => {
                steps.extend([Connect, Answer, Fetch]);
                steps.extend((0..BATCHES_MAX).map(Land));
            }
            Bus::Zmq => {
                steps.extend([Hello, Hear, Deliver, TimeOut]);
                steps.extend((0..BATCHES_MAX).map(Drop));
            }
        }
        steps
    }

    fn take(&self, state: &mut State, step: Step) -> bool {
        match step {
            Step::Meter => state.meter(self),
            Step::Seal => state.seal(self),
            Step::Append => state.append(self),
            Step::Release => state.release(),
            Step::Sync => state.sync(),
            Step::Discard => state.discard(),
            Step::SaveCursor => state.save_cursor(),
            Step::Connect => state.connect(self),
            Step::Send => state.send(self),
            Step::AskToCommit => state.ask_to_commit(),
            Step::Commit => state.commit(),
            Step::Answer => state.answer(self),
            Step::Land(which) => state.land(which),
            Step::Break => state.break_connection(),
            Step::Hello => state.hello(self),
            Step::Hear => state.hear(),
            Step::Deliver => state.deliver(self),
            Step::Drop(which) => state.drop_message(which),
            Step::TimeOut => state.time_out(),
            Step::Fetch => state.fetch(self),
            Step::Store => state.store(self),
            Step::KillProbe => state.kill_probe(),
            Step::CutPower => state.cut_power(),
            Step::StartProbe => state.start_probe(self),
            Step::KillCollector => state.kill_collector(),
            Step::StartCollector => state.start_collector(),
        }
    }

    fn is_end(&self, state: &State) -> bool {
        state.is_drained(self)
    }

    fn wrong(&self, state: &State) -> Option<Wrong> {
        state
            .wrong_at_any_time(self)
            .or_else(|| if state.is_drained(self) { state.wrong_once_drained(self) } else { None })
    }
}

impl State {
    pub(crate) fn spend(left: &mut u8) -> bool {
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    }

    fn is_drained(&self, protocol: &Protocol) -> bool {
        let Some(exporter) = &self.exporter else { return false };
        let Some(Collector { intake, position }) = &self.collector else { return false };
        let metered = self.ring.written == protocol.records && self.ring.read == protocol.records;
        let sent = exporter.sink.is_connected && exporter.sink.handed == exporter.sink.acknowledged;
        let bus = match protocol.bus {
            Bus::Zmq => self.wire.down.is_empty() && self.wire.up.is_empty(),
            Bus::Transactions | Bus::NoTransactions => {
                *position == self.broker.log.len() && self.broker.pending.is_empty() && !self.broker.answer
            }
        };
        metered
            && exporter.sealed.is_none()
            && exporter.covered.is_none()
            && sent
            && self.next_to_send(protocol).is_none()
            && (!protocol.syncs_first || self.spool.synced == self.spool.entries.len())
            && bus
            && intake.is_empty()
    }

    fn wrong_at_any_time(&self, protocol: &Protocol) -> Option<Wrong> {
        if self.store.rows.iter().any(|times| *times > 1) {
            return Some("a record is stored twice");
        }
        if self.store.has_conflict {
            return Some("two batches have one stamp");
        }
        let log = &self.broker.log;
        let twice = (1..log.len()).any(|at| log[..at].iter().any(|entry| entry.stamp == log[at].stamp));
        (protocol.bus == Bus::Transactions && twice)
            .then_some("readers of committed messages see a batch twice")
    }

    fn wrong_once_drained(&self, protocol: &Protocol) -> Option<Wrong> {
        let is_discarded =
            |record| self.spool.entries.iter().any(|entry| entry.record == record && entry.is_discarded);
        let is_accounted = |record: u8| {
            self.store.rows[usize::from(record)] > 0
                || is_discarded(record)
                || self.ring.cut_off & (1 << record) != 0
        };
        if !(0..protocol.records).all(is_accounted) {
            return Some("a record is lost");
        }
        let balances = (0..=self.spool.generation).all(|epoch| self.balances(protocol, epoch));
        (!balances).then_some("the books do not balance")
    }

    /// `sealed = arrived + discarded` of one epoch, below the cut. A tombstone says that a batch will not be sent any more, not
    /// that it never was: where an acknowledgement got lost it is there all the same, and counts as arrived.
    fn balances(&self, protocol: &Protocol, epoch: u8) -> bool {
        let of_epoch = || self.spool.entries.iter().filter(|entry| entry.stamp.epoch == epoch);
        let cut = of_epoch().map(|entry| entry.stamp.sequence + 1).max().unwrap_or(0);
        let below = |(stamp, _): &&(Stamp, u8)| stamp.epoch == epoch && stamp.sequence < cut;
        let arrived = self.store.received.iter().filter(below).count();
        let counts = |entry: &Entry| {
            protocol.is(Mutation::DiscardsByNumber) || self.store.content_of(entry.stamp).is_none()
        };
        let discarded = of_epoch().filter(|entry| entry.is_discarded && counts(entry)).count();
        usize::from(cut) == arrived + discarded
    }
}
