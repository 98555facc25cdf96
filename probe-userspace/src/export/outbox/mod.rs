//! What is sealed and not yet acknowledged: one cursor per sink, over a bounded queue in memory or over the spool on disk.
//!
//! ```text
//!                   acknowledged │ handed to the sink │ waiting            │ appended here
//! cursor kafka      .............├────────────────────┼────────────────────┤  spool: segments on disk, the newest in memory
//! cursor zmq store  .......................├──────────┼────────────────────┤  spool
//! cursor zmq        ...........................................├────┼──────┤  memory
//! ```
//!
//! In memory each sink has a bound of its own in octets: one that cannot send loses its own batches (`outbox_full`, counted in
//! records), never another's. What is handed to a sink is never discarded under it. Ledger messages have room reserved: they
//! are cumulative, so where even that is full the oldest of them goes, and the newest stays.
//!
//! The spool keeps what its cursors have not sent, whatever becomes of the process: at the stop it stays, and goes out at the
//! next start, unchanged. Nobody here waits for a disk's fsync but the thread that calls it ([`Outbox::keep`]).

mod cursor;
mod delay;
mod earlier;
mod keep;
mod queue;
mod seat;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flow_wire::batch::Sealed;
use flow_wire::ledger::{CursorTerms, Discard, Guarantee};
use flow_wire::stamp::{Epoch, StreamId};
use hdrhistogram::Histogram;

use super::Sink;
use crate::spool::{Appended, Note, Spool, Statistics, Sync, Tally};
pub use cursor::{Cursor, Next};
use delay::Delays;
pub use earlier::Earlier;
use queue::Queue;
use seat::{Kept, Seat};

/// Room for ledger messages beside the flows, per sink in memory: about three hours of a message a second with four workers.
pub const LEDGER_OCTETS: usize = 32 << 20;

/// All cursors.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    /// Something was appended, acknowledged, synced, or ended.
    changed: Condvar,
    /// Something wants to be synced, or the end has come.
    unsynced: Condvar,
}

#[derive(Debug)]
struct State {
    seats: Vec<Seat>,
    spool: Option<Spool>,
    epoch: Option<Epoch>,
    /// Cursors that are opened later are kept in the spool.
    keeps_opened: bool,
    /// Room of each queue in memory for flows.
    octets: usize,
    /// What was appended so far, per stream: where a cursor begins that comes later.
    before: BTreeMap<StreamId, Tally>,
    /// How long batches take to be acknowledged.
    delays: Delays,
    /// The time to drain runs.
    draining: bool,
    /// What the spool holds is left to the next start.
    leaving: bool,
    /// Nothing will be appended any more.
    ended: bool,
}

/// A sink that wants a cursor.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// As in ledger and messages, and of the cursor in the spool.
    pub name: String,
    /// What its acknowledgement promises.
    pub guarantee: Guarantee,
    /// It reads the spool, where there is one.
    pub is_durable: bool,
    /// So do the cursors that it opens later.
    pub opens_cursors: bool,
}

impl Wanted {
    /// What a sink says of itself.
    pub fn by(sink: &dyn Sink) -> Self {
        Self {
            name: sink.name(),
            guarantee: sink.guarantee(),
            is_durable: sink.is_durable(),
            opens_cursors: sink.opens_cursors(),
        }
    }
}

impl Outbox {
    /// With one queue in memory per sink, each of so many octets of flow batches. Without sinks whatever is appended is
    /// discarded as `no_sink`.
    pub fn new(sinks: &[(String, Guarantee)], octets: usize) -> Arc<Self> {
        let wanted = |(name, guarantee): &(String, Guarantee)| Wanted {
            name: name.clone(),
            guarantee: *guarantee,
            is_durable: false,
            opens_cursors: false,
        };
        Self::over(&sinks.iter().map(wanted).collect::<Vec<_>>(), octets, None)
    }

    /// The same, over a spool for those sinks that want it. Cursors that it holds for others stand behind those of the sinks, each with
    /// a number of its own.
    pub fn over(sinks: &[Wanted], octets: usize, spool: Option<Spool>) -> Arc<Self> {
        let mut state = State {
            seats: Vec::new(),
            spool,
            keeps_opened: sinks.iter().any(|sink| sink.opens_cursors),
            epoch: None,
            octets,
            before: BTreeMap::new(),
            delays: Delays::default(),
            draining: false,
            leaving: false,
            ended: false,
        };
        for sink in sinks {
            state.seat(&sink.name, sink.guarantee, sink.is_durable);
        }
        state.seat_idle_cursors();
        if state.seats.is_empty() {
            state.seats.push(Seat::Memory(Queue::none()));
        }
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new(), unsynced: Condvar::new() })
    }

    /// Says whose batches will come, and of which streams: their terms are there from now on, so that the books miss the first batch,
    /// too, if it goes astray.
    pub fn begin_epoch(&self, epoch: Epoch, streams: &[StreamId]) {
        let mut state = self.lock();
        let state = &mut *state;
        state.epoch = Some(epoch);
        for stream in streams {
            state.before.entry(*stream).or_default();
            for seat in &mut state.seats {
                if let Seat::Memory(queue) = seat {
                    queue.expect(*stream);
                }
            }
        }
        if let Some(spool) = &mut state.spool {
            spool.begin_epoch(epoch, streams.iter().copied());
            spool.write_epoch(now_nanoseconds());
        }
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
    /// Where the outbox has a spool, and the sink said that it opens cursors, the cursor is kept in it under this name: it waits for its reader over restarts, and
    /// opened again it goes on where it stood, with the number that it had from the start of the run.
    pub fn open_cursor(self: &Arc<Self>, name: &str, guarantee: Guarantee) -> Option<Cursor> {
        let seat = self.lock().open(name, guarantee)?;
        Some(Cursor::new(Arc::clone(self), seat))
    }

    /// The same in memory in any case, for readers that never acknowledge: what they were not sent is not kept for them.
    pub fn open_in_memory(self: &Arc<Self>, name: &str, guarantee: Guarantee) -> Option<Cursor> {
        let mut state = self.lock();
        let is_new = state.seats.iter().all(|seat| seat.name() != name);
        let seat = if is_new { state.seat(name, guarantee, false) } else { None };
        drop(state);
        Some(Cursor::new(Arc::clone(self), seat?))
    }

    /// Names of the spool's cursors that begin so and that no sink reads now: their readers came in an earlier run, and are waited for.
    pub fn kept_for_later(&self, beginning: &str) -> Vec<String> {
        let state = self.lock();
        let Some(spool) = &state.spool else { return Vec::new() };
        let is_kept =
            |kept: &&Kept| !kept.is_read && !spool.is_dropped(kept.id) && kept.name.starts_with(beginning);
        let kept = state.seats.iter().filter_map(Seat::kept).filter(is_kept);
        kept.map(|kept| kept.name.clone()).collect()
    }

    /// Puts a batch behind every cursor. When it returns, the batch is in the spool where there is one: in the kernel's hands, so
    /// that it outlives this process. Never waits for the medium.
    pub fn append(&self, sealed: &Arc<Sealed>) {
        self.put(sealed, Note::Flows);
    }

    /// The same with a ledger message, which the spool keeps account of. `false` = there was no room for it.
    pub fn append_books(&self, sealed: &Arc<Sealed>, note: Note) -> bool {
        self.put(sealed, note)
    }

    fn put(&self, sealed: &Arc<Sealed>, note: Note) -> bool {
        let mut state = self.lock();
        let is_kept = state.append(sealed, note);
        let wants_sync = state.spool.as_ref().is_some_and(|spool| spool.options().sync == Sync::Batch);
        drop(state);
        self.changed.notify_all();
        if wants_sync {
            self.unsynced.notify_one();
        }
        is_kept
    }

    /// Whether a batch of this size would be kept for every sink, and push nothing out.
    pub fn has_room(&self, octets: usize) -> bool {
        let state = self.lock();
        let is_awaited = |seat: &Seat| matches!(seat, Seat::Kept(kept) if kept.is_read && !kept.is_left);
        let spool = state.spool.as_ref().filter(|_| state.seats.iter().any(is_awaited));
        let queues = state.seats.iter().all(|seat| match seat {
            Seat::Memory(queue) => queue.has_room(octets),
            Seat::Kept(_) => true,
        });
        queues && spool.is_none_or(|spool| spool.has_room(octets))
    }

    /// Where every stream stands for every sink, of one moment.
    pub fn terms(&self) -> Vec<CursorTerms> {
        let state = self.lock();
        let terms = |seat: &Seat| match (seat, &state.spool, state.epoch) {
            (Seat::Memory(queue), ..) => queue.terms().collect(),
            // One that is no more has no part in what is sealed since; what it lost is told by its tombstones.
            (Seat::Kept(kept), Some(spool), Some(epoch)) if !spool.is_dropped(kept.id) => {
                kept.terms(spool, epoch)
            }
            (Seat::Kept(_), ..) => Vec::new(),
        };
        state.seats.iter().flat_map(terms).collect()
    }

    /// How long a stream's batches took from their seal to the acknowledgement of each sink; `None` = there was none yet.
    pub fn acknowledge_times(&self, stream: StreamId) -> Option<Histogram<u64>> {
        self.lock().delays.of(stream).cloned()
    }

    /// What the spool says of itself, where there is one.
    pub fn statistics(&self) -> Option<Statistics> {
        self.lock().spool.as_ref().map(Spool::statistics)
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
        self.unsynced.notify_one();
    }

    /// Waits no longer for sinks. In memory what no sink has been handed yet is discarded, flows only, the ledger goes on; in the
    /// spool it stays for the next start.
    pub fn abandon(&self, reason: Discard) {
        let mut state = self.lock();
        state.leaving = true;
        for seat in &mut state.seats {
            if let Seat::Memory(queue) = seat {
                queue.abandon(reason);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until nothing waits and nothing is handed (of what is left to the next start, nothing handed), or the time is over;
    /// says which.
    pub fn wait_empty(&self, timeout: Duration) -> bool {
        let (_state, timed_out) = self
            .changed
            .wait_timeout_while(self.lock(), timeout, |state| !state.is_settled())
            .unwrap_or_else(PoisonError::into_inner);
        !timed_out.timed_out()
    }

    /// What waits in the spool for the next start: names of sinks, and records of all epochs.
    pub fn left(&self) -> Vec<(String, u64)> {
        let state = self.lock();
        let Some(spool) = &state.spool else { return Vec::new() };
        let waiting =
            spool.cursors().into_iter().filter(|cursor| cursor.waiting.records > 0 && !cursor.is_dropped);
        waiting.map(|cursor| (cursor.name, cursor.waiting.records)).collect()
    }

    /// A sink that panicked while it held the lock has left whole numbers: every change is one call of `Queue` or `Spool`.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
        let timeout = until.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl State {
    /// `false` = the spool has no room for it.
    fn append(&mut self, sealed: &Arc<Sealed>, note: Note) -> bool {
        self.before.entry(sealed.header.stamp.stream).or_default().add(Tally::of(sealed));
        self.delays.appended(sealed.header.stamp, Instant::now());
        for seat in &mut self.seats {
            if let Seat::Memory(queue) = seat {
                queue.append(sealed);
            }
        }
        let Some(spool) = &mut self.spool else { return true };
        !matches!(spool.append(sealed, note, 0, now_nanoseconds()), Appended::Discarded(_))
    }

    /// A seat for a sink; gives its index.
    fn seat(&mut self, name: &str, guarantee: Guarantee, is_durable: bool) -> Option<usize> {
        // A run has some sinks and cursors: far below 65,536.
        let number = u16::try_from(self.seats.len() + 1).ok()?;
        let seat = match self.spool.as_mut().filter(|_| is_durable) {
            Some(spool) => Seat::Kept(Kept {
                id: spool.open_cursor(name, now_nanoseconds() / 1_000_000_000)?,
                name: name.to_owned(),
                number,
                guarantee,
                is_read: true,
                is_listed: true,
                is_left: false,
            }),
            None => {
                let mut queue = Queue::new(name.to_owned(), number, guarantee, self.octets);
                self.before.iter().for_each(|(stream, before)| queue.begin_behind(*stream, *before));
                Seat::Memory(queue)
            }
        };
        self.seats.push(seat);
        Some(self.seats.len() - 1)
    }

    /// Seats for the cursors that wait for a reader which has not come yet in this run.
    fn seat_idle_cursors(&mut self) {
        let cursors = self.spool.as_ref().map(Spool::cursors).unwrap_or_default();
        for cursor in cursors.into_iter().filter(|cursor| !cursor.is_attached) {
            let Ok(number) = u16::try_from(self.seats.len() + 1) else { return };
            // Only cursors that were acknowledged stay in a spool: by a broker in transactions, or by a store of ours.
            let guarantee = match cursor.name.starts_with("zmq") {
                true => Guarantee::AtLeastOnce,
                false => Guarantee::ExactlyOnce,
            };
            let (id, name) = (cursor.id, cursor.name);
            self.seats.push(Seat::Kept(Kept {
                id,
                name,
                number,
                guarantee,
                is_read: false,
                is_listed: true,
                is_left: false,
            }));
        }
    }

    fn open(&mut self, name: &str, guarantee: Guarantee) -> Option<usize> {
        let Some(index) = self.seats.iter().position(|seat| seat.name() == name) else {
            return self.seat(name, guarantee, self.keeps_opened);
        };
        match (&mut self.seats[index], &mut self.spool) {
            (Seat::Kept(kept), Some(spool)) if !kept.is_read => {
                kept.id = spool.open_cursor(name, now_nanoseconds() / 1_000_000_000)?;
                (kept.guarantee, kept.is_read, kept.is_listed, kept.is_left) = (guarantee, true, true, false);
                Some(index)
            }
            _ => None,
        }
    }

    fn is_settled(&self) -> bool {
        self.seats.iter().all(|seat| match (seat, &self.spool) {
            (Seat::Memory(queue), _) => queue.is_empty(),
            (Seat::Kept(kept), Some(spool)) if self.leaving || kept.is_left => !spool.is_handed(kept.id),
            (Seat::Kept(kept), Some(spool)) if kept.is_read => spool.is_empty(kept.id),
            (Seat::Kept(_), _) => true,
        })
    }
}

/// The wall clock: what is kept over restarts has no other.
fn now_nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
