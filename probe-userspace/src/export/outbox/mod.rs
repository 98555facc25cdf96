//! What is sealed and not yet acknowledged, per sink: a bounded queue in memory, with the interface that a spool on disk
//! has as well (append, a cursor per sink, acknowledge).
//!
//! ```text
//!             acknowledged │ handed to the sink │ waiting            │ appended here
//! cursor kafka ............├────────────────────┼────────────────────┤
//! cursor zmq   .....................................├────┼───────────┤
//! ```
//!
//! Each sink has a bound of its own in octets: one that cannot send loses its own batches (`outbox_full`, counted in
//! records), never another's. What is handed to a sink is never discarded under it. Ledger messages have room reserved: they
//! are cumulative, so where even that is full the oldest of them goes, and the newest stays.

mod cursor;
mod queue;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flow_wire::batch::Sealed;
use flow_wire::ledger::{CursorTerms, Discard, Guarantee};
use flow_wire::stamp::StreamId;

pub use cursor::{Cursor, Next};
use queue::{Appended, Queue};

/// Room for ledger messages beside the flows, per sink: about three hours of a message a second with four workers.
pub const LEDGER_OCTETS: usize = 32 << 20;

/// All cursors.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    /// Something was appended, acknowledged, or ended.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    queues: Vec<Queue>,
    /// Room of each of them for flows.
    octets: usize,
    /// What was appended so far, per stream: where a cursor begins that comes later.
    before: BTreeMap<StreamId, Appended>,
    /// The time to drain runs.
    draining: bool,
    /// Nothing will be appended any more.
    ended: bool,
}

impl Outbox {
    /// With one queue per sink, each of so many octets of flow batches. Without sinks whatever is appended is discarded
    /// as `no_sink`.
    pub fn new(sinks: &[(String, Guarantee)], octets: usize) -> Arc<Self> {
        let queue = |(number, (name, guarantee)): (u16, &(String, Guarantee))| {
            Queue::new(name.clone(), number, *guarantee, octets)
        };
        let mut queues: Vec<_> = (1..).zip(sinks).map(queue).collect();
        if queues.is_empty() {
            queues.push(Queue::none());
        }
        Arc::new(Self {
            state: Mutex::new(State {
                queues,
                octets,
                before: BTreeMap::new(),
                draining: false,
                ended: false,
            }),
            changed: Condvar::new(),
        })
    }

    /// Says that batches of this stream will come: its terms are there from now on, so that the books miss the first batch,
    /// too, if it goes astray.
    pub fn expect(&self, stream: StreamId) {
        let mut state = self.lock();
        state.before.entry(stream).or_default();
        state.queues.iter_mut().for_each(|queue| queue.expect(stream));
    }

    /// The cursor of the sink with this index in [`Outbox::new`].
    pub fn cursor(self: &Arc<Self>, sink: usize) -> Cursor {
        Cursor::new(Arc::clone(self), sink)
    }

    /// A further cursor while the run goes on, for a reader that has just introduced itself. The name is what stands in the
    /// terms as `sink` (a collector picks its cursor by the kind of bus that it begins with, `zmq://`), and its number is new.
    /// It begins behind what was appended so far, which is counted as `no_subscriber` in its terms: all cursors of a run
    /// speak of the same records. `None` = a cursor of this name is there already and in use.
    ///
    /// Where the outbox has a spool, the cursor is kept in it under this name: it waits for its reader over restarts, and
    /// opened again it goes on where it stood.
    pub fn open_cursor(self: &Arc<Self>, name: &str, guarantee: Guarantee) -> Option<Cursor> {
        let mut state = self.lock();
        if state.queues.iter().any(|queue| queue.sink() == name) {
            return None;
        }
        // Two sinks have one queue each, and a run some cursors: far below 65,536.
        let number = u16::try_from(state.queues.len() + 1).ok()?;
        let mut queue = Queue::new(name.to_owned(), number, guarantee, state.octets);
        state.before.iter().for_each(|(stream, before)| queue.begin_behind(*stream, before));
        state.queues.push(queue);
        Some(Cursor::new(Arc::clone(self), state.queues.len() - 1))
    }

    /// Puts a batch behind every cursor. Never waits.
    pub fn append(&self, sealed: &Arc<Sealed>) {
        let mut state = self.lock();
        state.before.entry(sealed.header.stamp.stream).or_default().count(sealed);
        for queue in &mut state.queues {
            queue.append(sealed);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Whether a batch of this size would be kept for every sink.
    pub fn has_room(&self, octets: usize) -> bool {
        self.lock().queues.iter().all(|queue| queue.has_room(octets))
    }

    /// Where every stream stands for every sink, of one moment.
    pub fn terms(&self) -> Vec<CursorTerms> {
        self.lock().queues.iter().flat_map(Queue::terms).collect()
    }

    /// The run is being stopped: whoever pauses should try now.
    pub fn hasten(&self) {
        self.lock().draining = true;
        self.changed.notify_all();
    }

    /// Nothing will be appended any more: cursors end when they are empty.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Discards what no sink has been handed yet; flows only, the ledger goes on.
    pub fn abandon(&self, reason: Discard) {
        for queue in &mut self.lock().queues {
            queue.abandon(reason);
        }
        self.changed.notify_all();
    }

    /// Waits until nothing waits and nothing is handed, or the time is over; says which.
    pub fn wait_empty(&self, timeout: Duration) -> bool {
        let (_state, timed_out) = self
            .changed
            .wait_timeout_while(self.lock(), timeout, |state| {
                state.queues.iter().any(|queue| !queue.is_empty())
            })
            .unwrap_or_else(PoisonError::into_inner);
        !timed_out.timed_out()
    }

    /// A sink that panicked while it held the lock has left whole numbers: every change is one call of `Queue`.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
        let timeout = until.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests;
