//! What a worker does with a turn that found nothing.
//!
//! ```text
//! poll      nothing ─► sleep
//! nap       nothing ─► sleep ─► packets, within 200 us ─► nothing ─► nap ─► packets ─► nap ─► ... ─► nothing ─► sleep
//! spin      nothing ─► again ─► again ─► ... a look every 100 us ─► again
//! adaptive  nothing ─► again, for 50 us ─► sleep
//! ```
//! A nap ends by itself: nobody has to wake the worker, which costs the kernel more than all else that it does with the packets of a
//! burst (an interrupt from CPU to CPU), and the packets of a nap come together. It is interrupt moderation, done by the receiver.

use std::time::Duration;

/// How long [`Wait::Adaptive`] goes on after the last packet: longer than waking a thread takes (some 5 us here, tens in a
/// guest whose host is busy), so that packets which keep coming find it awake; a link with fewer than one in 50 us sleeps.
const ADAPTIVE_NANOSECONDS: u64 = 50_000;

/// How often a worker that spins makes the call that the others sleep in, with no time to sleep: a driver may wait for it
/// (need-wakeup), another thread may have called, and the end of a run is seen there. One microsecond in a hundred.
const LOOK_NANOSECONDS: u64 = 100_000;

/// A nap, as it is asked for; the kernel makes it some 100 us (timer slack), in which 10 Mpps are 1,000 frames.
pub(super) const NAP: Duration = Duration::from_micros(50);

/// Packets that come so soon after the worker has lain down are worth a nap: the next ones come as soon.
const BRISK_NANOSECONDS: u64 = 200_000;

/// Rings below this are no place to leave packets in for the time of a nap.
pub const NAP_FRAMES: u32 = 4096;

/// How a worker waits for packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// It sleeps in poll(2): costs nothing while nothing comes, and a wake-up when something does.
    Poll,
    /// The same, but while packets keep coming it naps, for which nobody has to wake it.
    #[default]
    Nap,
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
    /// A look, and then [`NAP`].
    Nap,
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
    /// When it lay down last, if nothing has come since.
    lay_down: Option<u64>,
    /// The last time, packets came soon.
    brisk: bool,
}

impl Patience {
    pub(super) fn new(wait: Wait) -> Self {
        Self { wait, ..Self::default() }
    }

    /// A turn that began at `now` found something.
    #[inline]
    pub(super) fn moved(&mut self, now: Option<u64>) {
        self.idle_since = None;
        if let Some((now, lay_down)) = now.zip(self.lay_down.take()) {
            self.brisk = now.saturating_sub(lay_down) < BRISK_NANOSECONDS;
        }
    }

    /// A turn that began at `now` found nothing. Without a clock (files) there is nothing to spin for.
    pub(super) fn idle(&mut self, now: Option<u64>) -> Next {
        let Some(now) = now else { return Next::Sleep };
        if self.idle_since.is_none() {
            self.looked = now;
        }
        let since = *self.idle_since.get_or_insert(now);
        match self.wait {
            Wait::Nap => self.lie_down(now),
            Wait::Poll => Next::Sleep,
            Wait::Adaptive if now - since >= ADAPTIVE_NANOSECONDS => Next::Sleep,
            Wait::Spin if now - self.looked >= LOOK_NANOSECONDS => {
                self.looked = now;
                Next::Look
            }
            Wait::Spin | Wait::Adaptive => Next::Again,
        }
    }

    /// Twice in a row without a packet is a sleep.
    fn lie_down(&mut self, now: u64) -> Next {
        let brisk = self.brisk && self.lay_down.is_none();
        (self.brisk, self.lay_down) = (brisk, Some(now));
        if brisk { Next::Nap } else { Next::Sleep }
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
        patience.moved(Some(60_000));
        assert_eq!(patience.idle(Some(60_000)), Next::Again);
    }

    /// What follows when packets were found at the first of each pair, and nothing at the second.
    fn naps(times: &[(Option<u64>, u64)]) -> Vec<Next> {
        let mut patience = Patience::new(Wait::Nap);
        let mut step = |(found, nothing): &(Option<u64>, u64)| {
            if found.is_some() {
                patience.moved(*found);
            }
            patience.idle(Some(*nothing))
        };
        times.iter().map(&mut step).collect()
    }

    #[test]
    fn packets_soon_after_it_lay_down_are_worth_a_nap_and_late_ones_are_not() {
        let soon = naps(&[(Some(10), 20), (Some(200_019), 200_030), (Some(300_000), 300_010)]);
        assert_eq!(soon, [Next::Sleep, Next::Nap, Next::Nap]);
        assert_eq!(naps(&[(Some(10), 20), (Some(200_020), 200_030)]), [Next::Sleep; 2]);
        assert_eq!(naps(&[(None, 20), (None, 30), (Some(40), 50)]), [Next::Sleep, Next::Sleep, Next::Nap]);
    }

    #[test]
    fn a_nap_in_which_nothing_came_is_followed_by_a_sleep() {
        let found =
            naps(&[(None, 0), (Some(10), 20), (None, 120_000), (None, 130_000), (Some(131_000), 140_000)]);
        assert_eq!(found, [Next::Sleep, Next::Nap, Next::Sleep, Next::Sleep, Next::Nap]);
    }
}
