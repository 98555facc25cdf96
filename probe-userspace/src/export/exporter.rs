//! One step of the exporter: rings in, sealed batches and messages out. No clock, no thread: both are the caller's.

use std::iter::repeat_n;
use std::sync::Arc;
use std::time::Duration;

use flow_wire::batch::Sealed;
use flow_wire::bus::BODY_OCTETS_MAX;
use flow_wire::fault::{self, Hop};
use flow_wire::ledger::{Amount, Discard, Message};
use flow_wire::stamp::StreamId;

use super::closing::{self, Closing};
use super::message::{Control, complete};
use super::outbox::Outbox;
use super::salvage::Salvage;
use super::stream::Stream;
use super::{Books, Identity, Pressure, Salvaged, copies, witness};
use crate::spool::Note;
use crate::survive::bank::Bank;
use crate::survive::file::{LaneMemory, SEALED};
use crate::survive::step;
use crate::worker::{Consumer, Cut, Export};

/// Entries taken from a ring before the next one's turn: some batches, so that one busy worker does not starve the others.
const TURN_ENTRIES: usize = 4_096;

/// Time after which a message is made though a worker is late with its cut: its older one is as exact as it was.
const COMPOSE_AGE: Duration = Duration::from_secs(2);

/// One worker's ring and stream.
struct Lane {
    ring: Consumer,
    stream: Stream,
    /// What a next start will know of the stream, if this one is killed.
    sealed: Bank<SEALED>,
    cut: Option<Cut>,
    /// The cut is in no message yet.
    is_fresh: bool,
    has_ended: bool,
}

/// All lanes, and what they flow into.
pub(super) struct Exporter {
    lanes: Vec<Lane>,
    /// What killed epochs left.
    salvage: Option<Salvage>,
    identity: Identity,
    control: Control,
    outbox: Arc<Outbox>,
    books: Box<dyn Books>,
    closing: Closing,
    composed: Duration,
}

impl Exporter {
    pub(super) fn new(
        identity: &Identity,
        lanes: Vec<LaneMemory>,
        salvaged: Option<Salvaged>,
        outbox: Arc<Outbox>,
        books: Box<dyn Books>,
    ) -> Self {
        let lane = |(worker, LaneMemory { ring, sealed })| Lane {
            ring,
            sealed,
            stream: Stream::new(identity.clone(), StreamId(worker)),
            cut: None,
            is_fresh: false,
            has_ended: false,
        };
        let lanes: Vec<_> = (0..).zip(lanes).map(lane).collect();
        let behind = StreamId(lanes.len() as u16);
        let salvage = salvaged.map(|salvaged| Salvage::new(identity, behind, salvaged));
        let streams: Vec<_> = (0..behind.0 + u16::from(salvage.is_some())).map(StreamId).collect();
        outbox.begin_epoch(identity.epoch, &streams);
        let control = Control::new(identity.clone());
        let (identity, closing) = (identity.clone(), Closing::default());
        Self { lanes, salvage, identity, control, outbox, books, closing, composed: Duration::ZERO }
    }

    /// Takes what the rings have, seals what is due, and makes a message when the workers' cuts are in. `false` = there was
    /// nothing to do.
    pub(super) fn step(&mut self, now: Duration, wall_nanoseconds: u64, pressure: Pressure) -> bool {
        let mut worked = false;
        for lane in &mut self.lanes {
            worked |= lane.turn(now, pressure, &self.outbox);
        }
        worked |= self.salvage(now, wall_nanoseconds);
        if self.is_time_to_compose(now) {
            self.compose(now, wall_nanoseconds, false);
            worked = true;
        }
        worked
    }

    /// A batch of what killed epochs left, and the closing books of one that has nothing left.
    fn salvage(&mut self, now: Duration, wall_nanoseconds: u64) -> bool {
        let Some(salvage) = &mut self.salvage else { return false };
        let worked = salvage.turn(now, &self.outbox);
        // What the closing message says is nowhere else once the files are gone: it waits for room, too.
        if !salvage.has_finished_any() || !self.outbox.has_room(BODY_OCTETS_MAX) {
            return worked;
        }
        let newest = |epoch| closing::newest(&self.outbox, &self.identity, epoch);
        if let Some(mut message) = salvage.closing(&self.identity, wall_nanoseconds, newest) {
            // Every message of one start that closes another's books counts alike: this one, and those with the cursors.
            if let (Some(generation), Some(closes)) = (self.outbox.generation(), &mut message.closes) {
                closes.generation = generation;
            }
            let Some(sealed) = self.control.seal(&message) else { return worked };
            witness::saw(&sealed);
            if !self.outbox.append_books(&sealed, Note::ClosesAnother) {
                return worked;
            }
            step();
            salvage.forget(&message);
        }
        worked
    }

    /// Whether every worker has said its last.
    pub(super) fn has_ended(&self) -> bool {
        self.lanes.iter().all(|lane| lane.has_ended)
    }

    /// Ends the lanes of workers that are stuck.
    pub(super) fn forsake(&mut self, now: Duration) {
        self.lanes.iter_mut().filter(|lane| !lane.has_ended).for_each(|lane| lane.forsake(now, &self.outbox));
    }

    /// Makes a message, sends it in-band and hands it to the books.
    pub(super) fn compose(&mut self, now: Duration, wall_nanoseconds: u64, closed: bool) -> Arc<Message> {
        self.composed = now;
        // First what former starts left open: their books do not wait for the first full second of this one. What is being
        // salvaged is not said before it is known.
        let is_salvaged = |epoch| self.salvage.as_ref().is_some_and(|salvage| salvage.is_pending(epoch));
        for due in self.closing.due(&self.outbox, &self.identity, closed, is_salvaged) {
            if self.send(&due.message, Note::ClosesAnother) {
                self.closing.is_said(due);
            }
        }
        let mut message = self.message(wall_nanoseconds, closed);
        message.tombstones = self.outbox.take_tombstones();
        let is_kept = self.send(&message, if closed { Note::ClosedBooks } else { Note::Books });
        match (message.tombstones.is_empty(), is_kept) {
            (true, _) => {}
            (false, true) => self.outbox.tombstones_are_told(),
            // A disk that is full for flows is soon full for the books too.
            (false, false) => self.outbox.tombstones_are_untold(),
        }
        let message = Arc::new(message);
        self.books.publish(&message, self.outbox.statistics());
        message
    }

    /// Whether it is kept: a spool on a full disk may have no room for it.
    fn send(&mut self, message: &Message, note: Note) -> bool {
        let Some(sealed) = self.control.seal(message) else { return false };
        witness::saw(&sealed);
        self.outbox.append_books(&sealed, note)
    }

    /// A message that goes nowhere: what stands at the very end, behind the sinks.
    pub(super) fn message(&mut self, wall_nanoseconds: u64, closed: bool) -> Message {
        let mut cuts = Vec::with_capacity(self.lanes.len());
        for lane in &mut self.lanes {
            lane.is_fresh = false;
            cuts.extend(lane.cut.clone());
        }
        let mut streams: Vec<_> = self.lanes.iter().map(|lane| lane.stream.cut()).collect();
        if let Some(salvage) = &self.salvage {
            streams.push(salvage.cut());
            // It has no sources, and its end is that of the others.
            let last = self.has_ended();
            let cut = Cut {
                time_nanoseconds: wall_nanoseconds,
                worker: salvage.terms(),
                sources: Vec::new(),
                stages: None,
                last,
            };
            cuts.push(cut);
        }
        self.control.compose(&cuts, streams, &self.outbox, &mut *self.books, wall_nanoseconds, closed)
    }

    /// When every worker that still runs has a new cut, or one has and the others are late.
    fn is_time_to_compose(&self, now: Duration) -> bool {
        let all_known = self.lanes.iter().all(|lane| lane.cut.is_some() || lane.has_ended);
        let any_fresh = self.lanes.iter().any(|lane| lane.is_fresh);
        let all_fresh = self.lanes.iter().all(|lane| lane.is_fresh || lane.has_ended);
        all_known && any_fresh && (all_fresh || now.saturating_sub(self.composed) >= COMPOSE_AGE)
    }
}

impl Lane {
    fn turn(&mut self, now: Duration, pressure: Pressure, outbox: &Outbox) -> bool {
        let mut taken = 0;
        while taken < TURN_ENTRIES {
            if pressure == Pressure::Wait && !outbox.has_room(BODY_OCTETS_MAX) {
                break;
            }
            match self.ring.pop() {
                Some(Export::Record(record)) => {
                    for record in repeat_n(record, copies(fault::take(Hop::Export))) {
                        self.push(record, now, outbox);
                    }
                }
                Some(Export::Cut(cut)) => self.cut(*cut, now, outbox),
                None => break,
            }
            taken += 1;
        }
        if self.stream.is_due(now) {
            self.seal(now, outbox);
        }
        self.notice_the_dead();
        taken > 0
    }

    fn push(&mut self, record: flow_wire::record::FlowRecord, now: Duration, outbox: &Outbox) {
        if let Some(sealed) = self.stream.push(record, now) {
            self.deliver(Some(sealed), outbox);
        }
    }

    /// Hands a batch on, and releases what it covers of the ring: see `survive` for the order. Without a batch (it could not
    /// be encoded) the totals have changed all the same.
    fn deliver(&mut self, sealed: Option<Sealed>, outbox: &Outbox) {
        self.sealed.prepare(&self.stream.sealed(self.ring.position()).numbers());
        if let Some(sealed) = sealed {
            deliver(sealed, outbox);
        }
        self.sealed.commit();
        self.ring.release();
    }

    /// The batch is closed at the cut, so that the cut is exact and lies at a batch's edge.
    fn cut(&mut self, mut cut: Cut, now: Duration, outbox: &Outbox) {
        self.seal(now, outbox);
        complete(&mut cut, &self.stream, outbox);
        self.has_ended = cut.last;
        self.cut = Some(cut);
        self.is_fresh = true;
    }

    /// Its worker will not say its last: the one before stands for it. What was open then and has not come since is
    /// discarded; what came in since then nobody knows, so this is a bound, and is said.
    fn forsake(&mut self, now: Duration, outbox: &Outbox) {
        self.seal(now, outbox);
        self.has_ended = true;
        let Some(cut) = &mut self.cut else { return };
        let (open, before) = (cut.worker.open, cut.worker.exported);
        let sealed = self.stream.cut();
        (cut.worker.exported, cut.worker.records) = (sealed.exported, sealed.records);
        let left = less(open, less(sealed.exported, before));
        cut.worker.open = Amount::ZERO;
        cut.worker.open_flows = 0;
        *cut.worker.discarded.entry(Discard::DrainTimeout).or_default() += left;
        cut.last = true;
        tracing::error!(
            "worker {} is stuck: the {} packets of its open flows, as of a second ago, are counted as discarded \
             drain_timeout; that is a bound",
            cut.worker.worker,
            left.packets
        );
    }

    fn seal(&mut self, now: Duration, outbox: &Outbox) {
        if self.stream.is_empty() {
            // Cuts take room as well.
            self.ring.release();
        } else {
            let sealed = self.stream.seal(now);
            self.deliver(sealed, outbox);
        }
    }

    /// A worker that is gone without its last cut has panicked: the stop must not wait for it. The books will not balance,
    /// and say so.
    fn notice_the_dead(&mut self) {
        if !self.has_ended && self.ring.is_abandoned() && self.ring.is_empty() {
            tracing::error!("a worker ended without its last cut: the ledger cannot balance");
            self.has_ended = true;
        }
    }
}

fn less(one: Amount, other: Amount) -> Amount {
    Amount {
        packets: one.packets.saturating_sub(other.packets),
        octets: one.octets.saturating_sub(other.octets),
    }
}

/// Behind every cursor.
pub(super) fn deliver(sealed: Sealed, outbox: &Outbox) {
    witness::saw(&sealed);
    let sealed = Arc::new(sealed);
    for _ in 0..copies(fault::take(Hop::Batch)) {
        outbox.append(&sealed);
    }
}

#[cfg(test)]
mod tests;
