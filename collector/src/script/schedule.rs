//! When a periodic script is due: at multiples of its period since the UNIX epoch, so at the full minute, hour and day of UTC.

use std::time::Duration;

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// `second`
    Second,
    /// `minute`
    Minute,
    /// `5mins`
    FiveMinutes,
    /// `hourly`
    Hour,
    /// `daily`
    Day,
}

impl Period {
    /// Its length.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::FiveMinutes => 300,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

/// The run that comes next. Times are since the UNIX epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    period: Period,
    due: Duration,
}

impl Schedule {
    /// The first run is at the next full period: a collector that is started again and again does not run it each time.
    pub(super) fn new(period: Period, now: Duration) -> Self {
        Self { period, due: Self::after(period, now) }
    }

    /// How long until the next run; zero = now. A clock that was set back does not make it wait longer than a period.
    pub(super) fn left(&mut self, now: Duration) -> Duration {
        if self.due.saturating_sub(now) > Duration::from_secs(self.period.seconds()) {
            self.due = Self::after(self.period, now);
        }
        self.due.saturating_sub(now)
    }

    /// A run has ended: plans the next one, and says how many were due meanwhile.
    pub(super) fn ran(&mut self, now: Duration) -> u64 {
        let missed = now.saturating_sub(self.due).as_secs() / self.period.seconds();
        self.due = Self::after(self.period, now.max(self.due));
        missed
    }

    fn after(period: Period, now: Duration) -> Duration {
        Duration::from_secs((now.as_secs() / period.seconds() + 1) * period.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn each_period_is_due_at_its_multiples() {
        // 2023-11-14T22:13:20Z
        let now = Duration::from_secs(1_700_000_000);
        let left = [
            (Period::Second, 1),
            (Period::Minute, 40),
            (Period::FiveMinutes, 100),
            (Period::Hour, 2_800),
            (Period::Day, 6_400),
        ];
        for (period, seconds) in left {
            assert_eq!(Schedule::new(period, now).left(now), Duration::from_secs(seconds), "{period:?}");
        }
    }

    #[test]
    fn a_run_comes_once_a_period_and_those_that_it_outlasts_are_counted() {
        let mut schedule = Schedule::new(Period::Second, ms(10_500));
        assert_eq!((schedule.left(ms(10_500)), schedule.left(ms(11_001))), (ms(500), ms(0)));
        assert_eq!((schedule.ran(ms(11_002)), schedule.left(ms(11_002))), (0, ms(998)));
        // The run of 12 s took until 15.3: those of 13, 14 and 15 are over.
        assert_eq!((schedule.ran(ms(15_300)), schedule.left(ms(15_300))), (3, ms(700)));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_silence_it() {
        let mut schedule = Schedule::new(Period::Minute, ms(3_600_000));
        assert_eq!(schedule.left(ms(10_000)), ms(50_000));
    }
}
