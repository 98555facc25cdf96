//! A sink's view of the outbox.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_wire::batch::Sealed;
use flow_wire::ledger::{Discard, Guarantee};
use flow_wire::stamp::Stamp;

use super::Outbox;

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
        u16::try_from(self.sink + 1).unwrap_or(0)
    }

    /// The batches behind those that were handed: at least one, else as many as both bounds let through. Waits for the first.
    pub fn next(&self, batches: usize, octets: usize, timeout: Duration) -> Next {
        let until = Instant::now() + timeout;
        let mut state = self.outbox.lock();
        loop {
            let handed = state.queues[self.sink].hand(batches, octets);
            if !handed.is_empty() {
                return Next::Batches(handed);
            }
            if state.ended {
                return Next::End;
            }
            if Instant::now() >= until {
                return Next::Nothing;
            }
            state = self.outbox.wait(state, until);
        }
    }

    /// The first `count` of the handed batches have arrived.
    pub fn acknowledge(&self, count: usize) {
        self.outbox.lock().queues[self.sink].acknowledge(count);
        self.outbox.changed.notify_all();
    }

    /// None of the handed batches has arrived: [`Cursor::next`] hands them again.
    pub fn give_back(&self) {
        self.outbox.lock().queues[self.sink].give_back();
        self.outbox.changed.notify_all();
    }

    /// This batch will never arrive: it is counted under the reason.
    pub fn discard(&self, stamp: Stamp, reason: Discard) {
        self.outbox.lock().queues[self.sink].discard(stamp, reason);
        self.outbox.changed.notify_all();
    }

    /// Gives it the name of the reader for whom it was kept before anybody knew who that would be.
    pub fn rename(&self, name: &str) {
        self.outbox.lock().queues[self.sink].rename(name);
    }

    /// Whether its terms stand in the books. A cursor that nobody ever read, where others of the same bus are read, is no
    /// reader's loss.
    pub fn set_listed(&self, is_listed: bool) {
        self.outbox.lock().queues[self.sink].set_listed(is_listed);
    }

    /// Ends it: nobody came for whom it was kept. What it holds is forgotten, and so are its terms.
    pub fn withdraw(self) {
        self.outbox.lock().queues[self.sink].withdraw();
        self.outbox.changed.notify_all();
    }

    /// What acknowledgements promise from now on.
    pub fn set_guarantee(&self, guarantee: Guarantee) {
        self.outbox.lock().queues[self.sink].set_guarantee(guarantee);
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
