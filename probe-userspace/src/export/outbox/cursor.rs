//! A sink's view of the outbox.

use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use flow_wire::batch::Sealed;
use flow_wire::fault::{self, Mutant};
use flow_wire::ledger::{Discard, Guarantee};
use flow_wire::stamp::Stamp;
use uuid::Uuid;

use super::seat::Seat;
use super::{Outbox, State, now_nanoseconds};
use crate::spool::{CursorId, Position, Spool, Sync};

/// Where one sink stands.
#[derive(Debug)]
pub struct Cursor {
    outbox: Arc<Outbox>,
    sink: usize,
}

/// A sink that is gone has sent nothing of what it did not acknowledge.
impl Drop for Cursor {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// What [`Cursor::next`] found.
#[derive(Debug)]
pub enum Next {
    /// These come next. They are the sink's until it acknowledges them, gives them back or refuses them.
    Batches(Vec<Arc<Sealed>>),
    /// Nothing within the time.
    Nothing,
    /// Nothing any more.
    End,
}

impl State {
    /// The cursor in the spool, where the seat has one.
    fn kept(&mut self, seat: usize) -> Option<(&mut Spool, CursorId)> {
        match (&self.seats[seat], &mut self.spool) {
            (Seat::Kept(kept), Some(spool)) => Some((spool, kept.id)),
            _ => None,
        }
    }

    /// Nothing more comes for this seat: all is handed, or the rest is left to the next start.
    fn is_over(&self, seat: usize) -> bool {
        let (Seat::Kept(kept), Some(spool)) = (&self.seats[seat], &self.spool) else { return self.ended };
        let awaits_sync = spool.options().sync == Sync::Batch && !spool.unsynced().is_empty();
        self.ended && (self.leaving || kept.is_left || !awaits_sync)
    }

    /// What waits is left to the next start, from now on.
    fn is_leaving(&self, seat: usize) -> bool {
        matches!(&self.seats[seat], Seat::Kept(kept) if self.ended && (self.leaving || kept.is_left))
    }
}

impl Cursor {
    pub(super) fn new(outbox: Arc<Outbox>, sink: usize) -> Self {
        Self { outbox, sink }
    }

    /// The outbox that it is of: for a sink that opens further cursors ([`Outbox::open_cursor`]).
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// The number of its sink, as in the terms: what it sends carries it.
    pub fn number(&self) -> u16 {
        self.outbox.lock().seats[self.sink].number()
    }

    /// The batches behind those that were handed: at least one, else as many as both bounds let through. Waits for the first.
    pub fn next(&self, batches: usize, octets: usize, timeout: Duration) -> Next {
        let until = Instant::now() + timeout;
        let mut state = self.outbox.lock();
        loop {
            if state.is_leaving(self.sink) {
                return Next::End;
            }
            let handed;
            (state, handed) = self.take(state, batches, octets);
            if !handed.is_empty() {
                state.delays.handed(self.sink, &handed);
                return Next::Batches(handed);
            }
            if state.is_over(self.sink) {
                return Next::End;
            }
            if Instant::now() >= until {
                return Next::Nothing;
            }
            state = self.outbox.wait(state, until);
        }
    }

    /// What there is now. The disk is read without the lock, so that nobody who appends waits for it.
    fn take<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        batches: usize,
        octets: usize,
    ) -> (MutexGuard<'a, State>, Vec<Arc<Sealed>>) {
        loop {
            if let Seat::Memory(queue) = &mut state.seats[self.sink] {
                let handed = queue.hand(batches, octets);
                return (state, handed);
            }
            let source = state.kept(self.sink).and_then(|(spool, id)| spool.look(id, batches, octets));
            let Some(source) = source else { return (state, Vec::new()) };
            drop(state);
            let fetched = source.fetch();
            state = self.outbox.lock();
            let handed = state.kept(self.sink).and_then(|(spool, id)| spool.hand(id, fetched));
            // Nothing: the cursor was moved meanwhile, or there were only notes of the spool's own.
            if let Some(handed) = handed.filter(|handed| !handed.is_empty()) {
                if fault::is(Mutant::CursorFirst) {
                    state
                        .kept(self.sink)
                        .into_iter()
                        .for_each(|(spool, id)| spool.acknowledge(id, handed.len()));
                }
                return (state, handed);
            }
        }
    }

    /// The first `count` of the handed batches have arrived.
    pub fn acknowledge(&self, count: usize) {
        let mut state = self.outbox.lock();
        state.delays.acknowledged(self.sink, count, Instant::now());
        match &mut state.seats[self.sink] {
            Seat::Memory(queue) => queue.acknowledge(count),
            Seat::Kept(kept) => kept.is_left = false,
        }
        if let Some((spool, id)) = state.kept(self.sink) {
            spool.acknowledge(id, count);
        }
        drop(state);
        self.outbox.changed.notify_all();
    }

    /// None of the handed batches has arrived: [`Cursor::next`] hands them again.
    pub fn give_back(&self) {
        let mut state = self.outbox.lock();
        state.delays.given_back(self.sink);
        if let Seat::Memory(queue) = &mut state.seats[self.sink] {
            queue.give_back();
        }
        if let Some((spool, id)) = state.kept(self.sink) {
            spool.give_back(id);
        }
        drop(state);
        self.outbox.changed.notify_all();
    }

    /// This batch will never arrive: it is counted under the reason. Of a cursor in the spool it must be one that is handed.
    pub fn discard(&self, stamp: Stamp, reason: Discard) {
        let mut state = self.outbox.lock();
        state.delays.discarded(self.sink, stamp);
        if let Seat::Memory(queue) = &mut state.seats[self.sink] {
            queue.discard(stamp, reason);
        }
        if let Some((spool, id)) = state.kept(self.sink) {
            spool.discard(id, stamp, reason);
        }
        drop(state);
        self.outbox.changed.notify_all();
    }

    /// Whether its reader is there. While it is away others may drop the cursor.
    pub fn set_attended(&self, is_attended: bool) {
        let mut state = self.outbox.lock();
        if let Some((spool, id)) = state.kept(self.sink) {
            spool.set_attached(id, is_attended, now_nanoseconds() / 1_000_000_000);
        }
    }

    /// Whether somebody has dropped it.
    pub fn is_dropped(&self) -> bool {
        self.outbox.lock().kept(self.sink).is_some_and(|(spool, id)| spool.is_dropped(id))
    }

    /// Gives it the name of the reader for whom it was kept before anybody knew who that would be.
    pub fn rename(&self, name: &str) {
        let mut state = self.outbox.lock();
        let state = &mut *state;
        match (&mut state.seats[self.sink], &mut state.spool) {
            (Seat::Memory(queue), _) => queue.rename(name),
            (Seat::Kept(kept), Some(spool)) => {
                if spool.rename_cursor(&kept.name, name) {
                    name.clone_into(&mut kept.name);
                }
            }
            (Seat::Kept(_), None) => {}
        }
    }

    /// Whether its terms stand in the books. A cursor that nobody ever read, where others of the same bus are read, is no
    /// reader's loss.
    pub fn set_listed(&self, is_listed: bool) {
        match &mut self.outbox.lock().seats[self.sink] {
            Seat::Memory(queue) => queue.set_listed(is_listed),
            Seat::Kept(kept) => kept.is_listed = is_listed,
        }
    }

    /// Ends it: its reader is given up. What waits for it is counted as `cursor_dropped`.
    pub fn withdraw(self) {
        self.end(|spool, id| {
            spool.detach(id);
            spool.drop_cursor(id)
        });
    }

    /// Ends it: nobody came for whom it was kept. What readers whose names begin so have before them all the same is forgotten; what
    /// earlier runs left to nobody else is counted as `cursor_dropped`, in the books of their epochs.
    pub fn withdraw_for(self, readers: &str) {
        self.end(|spool, id| spool.withdraw_cursor(id, readers));
    }

    /// `is_lost` = it holds what somebody misses: its terms stay in the books.
    fn end(self, is_lost: impl FnOnce(&mut Spool, CursorId) -> bool) {
        let mut state = self.outbox.lock();
        let is_lost = state.kept(self.sink).is_some_and(|(spool, id)| is_lost(spool, id));
        match &mut state.seats[self.sink] {
            Seat::Memory(queue) => queue.withdraw(),
            Seat::Kept(kept) => (kept.is_read, kept.is_listed) = (false, is_lost),
        }
        drop(state);
        self.outbox.changed.notify_all();
    }

    /// Nobody waits for its reader any longer, who may come all the same: in this run ([`Outbox::open_cursor`]), or in a later one.
    pub fn keep_for_later(self) {
        let mut state = self.outbox.lock();
        if let Some((spool, id)) = state.kept(self.sink) {
            spool.detach(id);
        }
        if let Seat::Kept(kept) = &mut state.seats[self.sink] {
            kept.is_read = false;
        }
        drop(state);
        self.outbox.changed.notify_all();
    }

    /// Nobody need wait for this sink any longer: what it has not sent stays in the spool for the next start, unless it takes
    /// something again. Gives the records that wait; `None` = they are in memory, and would be gone.
    pub fn leave(&self) -> Option<u64> {
        self.give_back();
        let mut state = self.outbox.lock();
        let (spool, id) = state.kept(self.sink)?;
        let waiting = spool.cursors().into_iter().find(|cursor| cursor.id == id)?.waiting.records;
        if let Seat::Kept(kept) = &mut state.seats[self.sink] {
            kept.is_left = true;
        }
        drop(state);
        self.outbox.changed.notify_all();
        Some(waiting)
    }

    /// Its reader has come back: it is waited for again.
    pub fn take_up(&self) {
        if let Seat::Kept(kept) = &mut self.outbox.lock().seats[self.sink] {
            kept.is_left = false;
        }
    }

    /// Behind the first `count` of the handed batches, for a bus that can keep it with them. `None` = there is no spool, or
    /// nothing is handed.
    pub fn position_after(&self, count: usize) -> Option<Position> {
        self.outbox.lock().kept(self.sink).and_then(|(spool, id)| spool.position_after(id, count))
    }

    /// The bus says that everything below this position has arrived. It is believed where it is ahead; gives the batches
    /// that are now known to have arrived.
    pub fn resume(&self, position: Position) -> u64 {
        let mut state = self.outbox.lock();
        let arrived = state.kept(self.sink).map_or(0, |(spool, id)| spool.resume(id, position));
        drop(state);
        self.outbox.changed.notify_all();
        arrived
    }

    /// Which spool positions are of; `None` = there is none.
    pub fn spool(&self) -> Option<Uuid> {
        self.outbox.lock().kept(self.sink).map(|(spool, _)| spool.identity().spool)
    }

    /// What acknowledgements promise from now on.
    pub fn set_guarantee(&self, guarantee: Guarantee) {
        self.outbox.lock().seats[self.sink].set_guarantee(guarantee);
    }

    /// Whether the time to drain runs: there is not much of it.
    pub fn is_draining(&self) -> bool {
        let state = self.outbox.lock();
        state.draining || state.ended
    }

    /// Whether nothing will be appended any more: the time to try is limited from now on.
    pub fn is_ending(&self) -> bool {
        self.outbox.lock().ended
    }
}
