//! What killed epochs left, on its way into batches of this one: bit by bit, between the rings' turns.
//!
//! ```text
//! remains of epoch A, worker 0 ─┐
//! remains of epoch A, worker 1 ─┼─► stream behind those of the workers ─► outbox ─► closing message of A ─► files removed
//! remains of epoch B, worker 0 ─┘                                                   closing message of B
//! ```
//! It waits for room in the outbox: unlike packets it has time, and what this run does not come to the next one finds.

use std::collections::VecDeque;
use std::time::Duration;

use flow_wire::bus::BODY_OCTETS_MAX;
use flow_wire::ledger::{Amount, Closes, Message, StreamCut, WorkerTerms};
use flow_wire::stamp::{Epoch, StreamId};

use super::outbox::Outbox;
use super::stream::{SEAL_ROWS, Stream};
use super::{Identity, Salvaged};
use crate::survive::Remains;
use crate::survive::bank::Bank;
use crate::survive::file::SEALED;
use crate::survive::remains::amount;
use crate::survive::sealed::Sealed;

/// The stream of what is salvaged.
pub(super) struct Salvage {
    left: VecDeque<Remains>,
    /// Whole, but their epoch is not yet.
    done: Vec<Remains>,
    stream: Stream,
    sealed: Bank<SEALED>,
    inherited: Amount,
    epoch: Epoch,
    generation: u64,
}

impl Salvage {
    pub(super) fn new(identity: &Identity, stream: StreamId, salvaged: Salvaged) -> Self {
        Self {
            left: salvaged.remains.into(),
            done: Vec::new(),
            stream: Stream::new(identity.clone(), stream),
            sealed: salvaged.lane.sealed,
            inherited: Amount::ZERO,
            epoch: identity.epoch,
            generation: salvaged.generation,
        }
    }

    /// A batch, if there is room for it. `false` = there was nothing to do.
    pub(super) fn turn(&mut self, now: Duration, outbox: &Outbox) -> bool {
        let Some(front) = self.left.front_mut().filter(|_| outbox.has_room(BODY_OCTETS_MAX)) else {
            return false;
        };
        let rows = front.records.len().min(SEAL_ROWS);
        let mut sealed = None;
        for record in front.records.drain(..rows) {
            let counted = amount(&record);
            self.inherited.packets = self.inherited.packets.saturating_add(counted.packets);
            self.inherited.octets = self.inherited.octets.saturating_add(counted.octets);
            sealed = self.stream.push(record, now);
        }
        let sealed = sealed.or_else(|| self.stream.seal());
        let totals = Sealed { inherited: self.inherited, ..self.stream.sealed(0) };
        self.sealed.prepare(&totals.numbers());
        front.prepare(rows, self.epoch, totals.cut.stream, totals.cut.next);
        if let Some(sealed) = sealed {
            super::exporter::deliver(sealed, outbox);
        }
        front.commit();
        self.sealed.commit();
        if front.records.is_empty() {
            self.done.extend(self.left.pop_front());
        }
        true
    }

    /// The books of an epoch of which everything has gone out. They go into the outbox before [`Salvage::forget`].
    pub(super) fn closing(&self, identity: &Identity, wall_nanoseconds: u64) -> Option<Message> {
        let first = self.done.first()?;
        let epoch = first.owner.epoch;
        if self.left.front().is_some_and(|next| next.owner.epoch == epoch) {
            return None;
        }
        let is_bound = self.done.iter().any(|remains| remains.is_bound);
        Some(Message {
            version: Message::VERSION,
            exporter: identity.exporter.clone(),
            epoch_start_nanoseconds: first.owner.epoch_start_nanoseconds,
            time_nanoseconds: wall_nanoseconds,
            active_timeout_seconds: u32::try_from(identity.active_timeout.as_secs()).unwrap_or(u32::MAX),
            workers: self.done.iter().map(|remains| remains.terms.clone()).collect(),
            cuts: self.done.iter().map(|remains| remains.cut).collect(),
            closed: true,
            closes: Some(Closes { epoch, generation: self.generation, is_bound }),
            ..Message::default()
        })
    }

    /// Whether the books of that epoch are not closed yet.
    pub(super) fn is_pending(&self, epoch: Epoch) -> bool {
        self.left.iter().chain(&self.done).any(|remains| remains.owner.epoch == epoch)
    }

    /// The closing message is in the outbox: the files are not needed any more.
    pub(super) fn forget(&mut self) {
        let packets: u64 = self.done.iter().map(|remains| remains.terms.recovered.packets).sum();
        for remains in self.done.drain(..) {
            remains.remove();
        }
        tracing::info!(
            "what a killed run had left is exported: {packets} packets in its open flows and finished records"
        );
    }

    /// This epoch's part of it.
    pub(super) fn terms(&self) -> WorkerTerms {
        let totals = Sealed { inherited: self.inherited, ..self.stream.sealed(0) };
        let mut terms = WorkerTerms { worker: totals.cut.stream.0, ..WorkerTerms::default() };
        totals.complete(&mut terms);
        terms
    }

    pub(super) fn cut(&self) -> StreamCut {
        self.stream.cut()
    }
}
