//! How long a script rests after its process was killed or crashed.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Twice as long each time, until a job is done.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// It ended; says for how long it rests.
    pub(super) fn fail(&mut self, now: Instant) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        self.until = Some(now + pause);
        pause
    }

    pub(super) fn succeed(&mut self) {
        *self = Self::default();
    }

    pub(super) fn rests(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_twice_as_long_each_time_up_to_a_minute_until_something_is_done() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        assert!(!backoff.rests(now));
        let pauses: Vec<_> = (0..8).map(|_| backoff.fail(now).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(backoff.rests(now + Duration::from_secs(59)) && !backoff.rests(now + LONGEST));
        backoff.succeed();
        assert!(!backoff.rests(now));
        assert_eq!(backoff.fail(now), FIRST);
    }
}
