//! Epochs of earlier starts of which batches wait, or that could not close their books.

use flow_wire::ledger::{CursorTerms, Tombstone};
use flow_wire::stamp::Epoch;

use super::Outbox;
use super::seat::Seat;
use crate::spool::{EarlierEpoch, Spool};

/// Tombstones in one message: with them it stays far below the largest body. What is over comes with the next one.
const TOMBSTONES_MAX: usize = 1_000;

/// Where an earlier epoch stands now.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// What the spool knows of it.
    pub epoch: EarlierEpoch,
    /// Its books for every cursor of the spool that has a part in it.
    pub cursors: Vec<CursorTerms>,
    /// The start of the spool that speaks for it now.
    pub generation: u64,
}

impl Outbox {
    /// All of them, oldest first.
    pub fn earlier(&self) -> Vec<Earlier> {
        let state = self.lock();
        let Some(spool) = &state.spool else { return Vec::new() };
        let generation = spool.identity().generation;
        let cursors = |epoch: Epoch, spool: &Spool| -> Vec<CursorTerms> {
            let of = |seat: &Seat| match seat {
                Seat::Memory(_) => Vec::new(),
                Seat::Kept(kept) => kept.terms(spool, epoch),
            };
            state.seats.iter().flat_map(of).collect()
        };
        let earlier = spool.earlier_epochs().into_iter();
        earlier.map(|epoch| Earlier { cursors: cursors(epoch.epoch, spool), epoch, generation }).collect()
    }

    /// Counts the starts of the spool; `None` = there is none.
    pub fn generation(&self) -> Option<u64> {
        self.lock().spool.as_ref().map(|spool| spool.identity().generation)
    }

    /// The numbers that sinks have in this run, by name.
    pub fn numbers(&self) -> Vec<(String, u16)> {
        self.lock().seats.iter().map(|seat| (seat.name().to_owned(), seat.number())).collect()
    }

    /// The message with what [`Outbox::take_tombstones`] gave is appended: a next start need not tell of it.
    pub fn tombstones_are_told(&self) {
        if let Some(spool) = &mut self.lock().spool {
            spool.tombstones_are_told();
        }
    }

    /// That message is not: the next one tells of them again.
    pub fn tombstones_are_untold(&self) {
        if let Some(spool) = &mut self.lock().spool {
            spool.tombstones_are_untold();
        }
    }

    /// What cursors of the spool have discarded since this was last asked, some of it where it is much.
    pub fn take_tombstones(&self) -> Vec<Tombstone> {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(spool) = &mut state.spool else { return Vec::new() };
        let mut all = Vec::new();
        for seat in &state.seats {
            let Seat::Kept(kept) = seat else { continue };
            let room = TOMBSTONES_MAX - all.len();
            let taken = spool.take_tombstones(kept.id, room);
            all.extend(taken.into_iter().map(|tombstone| Tombstone { sink: kept.number, ..tombstone }));
        }
        all
    }
}
