//! Where one sink's batches are: in memory, or in the spool.

use flow_wire::ledger::{CursorTerms, Guarantee};
use flow_wire::stamp::{Epoch, StreamId};

use super::queue::Queue;
use crate::spool::{CursorId, Spool};

/// One sink's part of the outbox.
#[derive(Debug)]
pub(super) enum Seat {
    /// A bounded queue, which ends with the process.
    Memory(Queue),
    /// A cursor of the spool.
    Kept(Kept),
}

/// A cursor of the spool, and what the spool does not know of its sink.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) id: CursorId,
    pub(super) name: String,
    pub(super) number: u16,
    pub(super) guarantee: Guarantee,
    /// A sink of this run reads it.
    pub(super) is_read: bool,
    /// Its terms stand in the books.
    pub(super) is_listed: bool,
    /// Its sink has given up for now: nobody waits for it, and what it has not sent stays for the next start.
    pub(super) is_left: bool,
}

impl Seat {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Memory(queue) => queue.sink(),
            Self::Kept(kept) => &kept.name,
        }
    }

    pub(super) fn number(&self) -> u16 {
        match self {
            Self::Memory(queue) => queue.number(),
            Self::Kept(kept) => kept.number,
        }
    }

    pub(super) fn kept(&self) -> Option<&Kept> {
        match self {
            Self::Memory(_) => None,
            Self::Kept(kept) => Some(kept),
        }
    }

    pub(super) fn set_guarantee(&mut self, guarantee: Guarantee) {
        match self {
            Self::Memory(queue) => queue.set_guarantee(guarantee),
            Self::Kept(kept) => kept.guarantee = guarantee,
        }
    }
}

impl Kept {
    /// The books of one epoch. The control stream carries no records; what it dropped shows as gaps in its sequences.
    pub(super) fn terms(&self, spool: &Spool, epoch: Epoch) -> Vec<CursorTerms> {
        let flows =
            spool.terms(self.id, epoch).filter(|(stream, _)| self.is_listed && *stream != StreamId::CONTROL);
        flows
            .map(|(stream, terms)| terms.to_message(&self.name, self.number, self.guarantee, stream))
            .collect()
    }
}
