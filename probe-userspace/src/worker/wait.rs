//! What a worker does with a turn that found nothing.
//!
//! ```text
//! poll      nothing ─► sleep
//! spin      nothing ─► again ─► again ─► ... a look every 100 us ─► again
//! adaptive  nothing ─► again, for 50 us ─► sleep
//! ```

/// How long [`Wait::Adaptive`] goes on after the last packet: longer than waking a thread takes (some 5 us here, tens in a
/// guest whose host is busy), so that packets which keep coming find it awake; a link with fewer than one in 50 us sleeps.
const ADAPTIVE_NANOSECONDS: u64 = 50_000;

/// How often a worker that spins makes the call that the others sleep in, with no time to sleep: a driver may wait for it
/// (need-wakeup), another thread may have called, and the end of a run is seen there. One microsecond in a hundred.
const LOOK_NANOSECONDS: u64 = 100_000;

/// How a worker waits for packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// It sleeps in poll(2): costs nothing while nothing comes, and a wake-up when something does.
    #[default]
    Poll,
    /// It never sleeps: a core each, whole.
    Spin,
    /// It spins for a moment after the last packet, then it sleeps.
    Adaptive,
}

/// What comes after a turn that found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another turn at once.
    Again,
    /// A look at what wakes a sleeper, without sleeping.
    Look,
    /// Sleep.
    Sleep,
}

/// Since when a worker has found nothing.
#[derive(Debug, Default)]
pub(super) struct Patience {
    wait: Wait,
    idle_since: Option<u64>,
    /// When it looked last.
    looked: u64,
}

impl Patience {
    pub(super) fn new(wait: Wait) -> Self {
        Self { wait, ..Self::default() }
    }

    /// A turn found something.
    pub(super) fn moved(&mut self) {
        self.idle_since = None;
    }

    /// A turn that began at `now` found nothing. Without a clock (files) there is nothing to spin for.
    pub(super) fn idle(&mut self, now: Option<u64>) -> Next {
        let Some(now) = now else { return Next::Sleep };
        if self.idle_since.is_none() {
            self.looked = now;
        }
        let since = *self.idle_since.get_or_insert(now);
        match self.wait {
            Wait::Poll => Next::Sleep,
            Wait::Adaptive if now - since >= ADAPTIVE_NANOSECONDS => Next::Sleep,
            Wait::Spin if now - self.looked >= LOOK_NANOSECONDS => {
                self.looked = now;
                Next::Look
            }
            Wait::Spin | Wait::Adaptive => Next::Again,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows idle turns at these times.
    fn steps(wait: Wait, times: &[u64]) -> Vec<Next> {
        let mut patience = Patience::new(wait);
        times.iter().map(|&now| patience.idle(Some(now))).collect()
    }

    #[test]
    fn who_polls_sleeps_at_once_and_so_does_whoever_has_no_clock() {
        assert_eq!(steps(Wait::Poll, &[0, 1]), [Next::Sleep; 2]);
        for wait in [Wait::Spin, Wait::Adaptive] {
            assert_eq!(Patience::new(wait).idle(None), Next::Sleep);
        }
    }

    #[test]
    fn who_spins_never_sleeps_and_looks_now_and_then() {
        let found = steps(Wait::Spin, &[7, 100_006, 100_007, 200_006, 200_007]);
        assert_eq!(found, [Next::Again, Next::Again, Next::Look, Next::Again, Next::Look]);
    }

    #[test]
    fn who_adapts_sleeps_only_some_time_after_the_last_packet() {
        assert_eq!(steps(Wait::Adaptive, &[7, 50_006, 50_007]), [Next::Again, Next::Again, Next::Sleep]);
        let mut patience = Patience::new(Wait::Adaptive);
        patience.idle(Some(0));
        patience.moved();
        assert_eq!(patience.idle(Some(60_000)), Next::Again);
    }
}
