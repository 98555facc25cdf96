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
        let mut tended = Instant::now();
        while self.lock().spool.is_some() && !is_over() {
            self.wait_for_work(tended + INTERVAL, &is_over);
            let is_due = tended.elapsed() >= INTERVAL;
            let unsynced = self.to_sync(is_due);
            for what in unsynced {
                let result = what.sync();
                let mut state = self.lock();
                if let Some(spool) = &mut state.spool {
                    spool.synced(&what, result, now_nanoseconds());
                }
                drop(state);
                self.changed.notify_all();
            }
            if is_due {
                tended = Instant::now();
                if let Some(spool) = &mut self.lock().spool {
                    spool.tend(now_nanoseconds());
                }
                self.changed.notify_all();
            }
        }
    }

    /// Wakes whoever is in [`Outbox::keep`].
    pub fn wake_keeper(&self) {
        self.unsynced.notify_all();
    }

    /// Everything is written, and onto the medium unless that was not wanted.
    pub fn close(&self) {
        if let Some(spool) = &mut self.lock().spool {
            spool.close(now_nanoseconds());
        }
    }

    fn wait_for_work(&self, until: Instant, is_over: &impl Fn() -> bool) {
        let has_none = |state: &mut State| {
            let wants = |spool: &crate::spool::Spool| {
                spool.options().sync == Sync::Batch && !spool.unsynced().is_empty()
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
            Sync::Interval | Sync::Batch => spool.unsynced(),
        }
    }
}
