//! How many frames are due. Counted from the start, never from the last burst: a late wake-up is made up for, and
//! the rate does not drift.

use std::time::{Duration, Instant};

/// Below this a sleep takes longer than it was asked for (timer slack is 50 us): wait by spinning.
const SHORTEST_SLEEP: Duration = Duration::from_micros(200);

/// A stop is seen that soon.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

const NANOSECONDS: u128 = 1_000_000_000;

/// A rate since a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    start: Instant,
    rate: Option<u64>,
    /// Between two answers.
    interval: Duration,
    /// Since the start: no answer before.
    next: Duration,
}

impl Pace {
    /// Answers no sooner than `interval` after the answer before.
    pub(super) fn new(start: Instant, rate: Option<u64>, interval: Duration) -> Self {
        Self { start, rate: rate.map(|rate| rate.max(1)), interval, next: Duration::ZERO }
    }

    /// Waits until at least one more than `sent` is due; answers how many are, at most `most`.
    pub(super) fn wait(&mut self, sent: u64, most: u64) -> u32 {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let Some(rate) = self.rate else { return most };
        loop {
            let elapsed = self.start.elapsed();
            let due = due(elapsed, rate).saturating_sub(u128::from(sent));
            if due > 0 && elapsed >= self.next {
                self.next = elapsed + self.interval;
                return u32::try_from(due).unwrap_or(u32::MAX).min(most);
            }
            let left = time_of(u128::from(sent) + 1, rate).max(self.next).saturating_sub(elapsed);
            if left > SHORTEST_SLEEP {
                std::thread::sleep(left - SHORTEST_SLEEP / 2);
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

/// Waits for a moment; `false` = it was over before.
pub(super) fn wait_until(moment: Instant, is_over: impl Fn() -> bool) -> bool {
    loop {
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        if is_over() {
            return false;
        }
        if left > SHORTEST_SLEEP {
            std::thread::sleep((left - SHORTEST_SLEEP / 2).min(LONGEST_SLEEP));
        } else {
            std::hint::spin_loop();
        }
    }
}

/// Frames due after so long: the first at once.
fn due(elapsed: Duration, rate: u64) -> u128 {
    elapsed.as_nanos() * u128::from(rate) / NANOSECONDS + 1
}

/// When frame number `n` (from 1) is due.
fn time_of(n: u128, rate: u64) -> Duration {
    let nanoseconds = ((n - 1) * NANOSECONDS).div_ceil(u128::from(rate));
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_due_at_its_time_and_not_before() {
        for rate in [1, 3, 7_777, 1_000_000, 14_880_952] {
            for n in [1u128, 2, 3, 1_000, 1_000_003] {
                let time = time_of(n, rate);
                assert!(due(time, rate) >= n, "{n} at {rate}");
                if let Some(before) = time.checked_sub(Duration::from_nanos(1)) {
                    assert!(due(before, rate) < n || rate > 1_000_000_000, "{n} at {rate}, too early");
                }
            }
        }
    }

    #[test]
    fn a_moment_is_waited_for_unless_it_is_over_before() {
        let start = Instant::now();
        assert!(wait_until(start + Duration::from_millis(3), || false));
        assert!(start.elapsed() >= Duration::from_millis(3));
        assert!(!wait_until(start + Duration::from_secs(3600), || true));
    }

    #[test]
    fn a_stall_is_made_up_for_in_bursts_of_at_most_what_one_call_takes() {
        let start = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let mut pace = Pace::new(start, Some(1000), Duration::ZERO);
        assert_eq!(pace.wait(0, 64), 64);
        assert!(pace.wait(990, 64) >= 10);
    }

    #[test]
    fn two_answers_are_an_interval_apart_and_what_is_due_meanwhile_comes_together() {
        let mut pace = Pace::new(Instant::now(), Some(1_000_000), Duration::from_millis(2));
        let first = u64::from(pace.wait(0, 1));
        let between = Instant::now();
        assert!(pace.wait(first, u64::MAX) >= 1000);
        assert!(between.elapsed() >= Duration::from_millis(1));
    }
}
