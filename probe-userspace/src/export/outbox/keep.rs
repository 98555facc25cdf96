//! The spool's own thread: once a second what has to be looked after, and the calls that wait for the medium.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Outbox, State, now_nanoseconds};
use crate::spool::{Sync, Unsynced};

/// Between two syncs (`--spool-sync interval`), and two looks at age, cursors and requests.
const INTERVAL: Duration = Duration::from_secs(1);

impl Outbox {
    /// Looks after the spool until nothing is appended any more and `is_over` says so. Without a spool it returns at once.
    pub fn keep(&self, is_over: impl Fn() -> bool) {
        self.keep_every(INTERVAL, is_over);
    }

    /// With another time between two looks, for tests.
    pub(super) fn keep_every(&self, interval: Duration, is_over: impl Fn() -> bool) {
        let mut tended = Instant::now();
        while self.lock().spool.is_some() && !is_over() {
            self.wait_for_work(tended + interval, &is_over);
            let is_due = tended.elapsed() >= interval;
            let unsynced = self.to_sync(is_due);
            unsynced.iter().for_each(|what| self.sync(what));
            if is_due {
                tended = Instant::now();
                self.tend();
            }
        }
    }

    fn tend(&self) {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(spool) = &mut state.spool {
            // Behind the closed books nothing is given up that they would not tell of: the next start tries again.
            if !state.ended {
                spool.give_up_refused();
            }
            spool.tend(now_nanoseconds());
        }
        self.changed.notify_all();
    }

    /// Wakes whoever is in [`Outbox::keep`].
    pub fn wake_keeper(&self) {
        self.unsynced.notify_all();
    }

    /// Everything is written, and onto the medium unless that was not wanted. A disk that does not answer makes it wait, and nobody
    /// else.
    pub fn close(&self) {
        if let Some(spool) = &mut self.lock().spool {
            spool.close(now_nanoseconds());
        }
        // What had to be written anew is there with the second time.
        for _ in 0..2 {
            self.to_sync(true).iter().for_each(|what| self.sync(what));
        }
    }

    /// Octets that are not known to be on the medium, where they should be; `None` = who could say so waits for the disk himself.
    pub fn unsynced_octets(&self) -> Option<u64> {
        let state = self.state.try_lock().ok()?;
        let spool = state.spool.as_ref().filter(|spool| spool.options().sync != Sync::None);
        Some(spool.map_or(0, |spool| spool.unsynced().iter().map(|what| what.octets).sum()))
    }

    /// What waits for the disk does so without the lock: nobody who appends waits with it.
    fn sync(&self, what: &Unsynced) {
        let result = what.sync();
        let anew = self.lock().spool.as_mut().and_then(|spool| spool.synced(what, result));
        if let Some(anew) = anew {
            let written = anew.write(now_nanoseconds());
            if let Some(spool) = &mut self.lock().spool {
                spool.take_anew(&anew, written);
            }
        }
        self.changed.notify_all();
    }

    fn wait_for_work(&self, until: Instant, is_over: &impl Fn() -> bool) {
        let has_none = |state: &mut State| {
            let wants = |spool: &crate::spool::Spool| {
                spool.options().sync == Sync::Batch && spool.unsynced().iter().any(|what| !what.is_refused)
            };
            !is_over() && !state.spool.as_ref().is_some_and(wants)
        };
        let time = until.saturating_duration_since(Instant::now());
        let waited = self.unsynced.wait_timeout_while(self.lock(), time, has_none);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn to_sync(&self, is_due: bool) -> Vec<Unsynced> {
        let state = self.lock();
        let Some(spool) = &state.spool else { return Vec::new() };
        match spool.options().sync {
            Sync::None => Vec::new(),
            Sync::Interval if !is_due => Vec::new(),
            Sync::Interval => spool.unsynced(),
            // What the disk refused has time until the next look: tried at once it would be tried without end.
            Sync::Batch => spool.unsynced().into_iter().filter(|what| is_due || !what.is_refused).collect(),
        }
    }
}
