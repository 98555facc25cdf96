//! The highest rate without loss, found as RFC 2544 section 26.1 does: trials of one length, each judged as lost or not, the rate
//! halved between the highest that passed and the lowest that did not.

use std::fmt;

use serde::Serialize;

use super::account::{Account, Verdict, grouped};

/// Where to look.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Bounds {
    /// Frames a second that are tried first; `None` = as fast as it goes.
    pub highest: Option<u64>,
    /// The search ends when passed and lost rates are so near, as a part of the first trial's.
    pub resolution: f64,
    /// Length of a trial, in seconds.
    pub trial_seconds: f64,
}

/// One rate, tried.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Frames a second that were asked for; `None` = as fast as it goes.
    pub asked: Option<u64>,
    /// Frames a second that arrived.
    pub arrived_per_second: f64,
    /// What became of them.
    pub account: Account,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A trial at so many frames a second.
    Try(Option<u64>),
    /// The search has ended: the highest rate that passed; 0 = none.
    Done(u64),
}

/// A search under way.
#[derive(Clone, Debug, Serialize)]
pub struct Ramp {
    bounds: Bounds,
    /// Every trial, in the order of trying.
    trials: Vec<Trial>,
    passed: u64,
    lost: Option<u64>,
}

/// A generator that comes no nearer than this to the rate that it was asked for is at its own limit.
const ON_RATE: f64 = 0.98;

impl Ramp {
    /// A search at its beginning.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, trials: Vec::new(), passed: 0, lost: None }
    }

    /// What to do now.
    #[must_use]
    pub fn next(&self) -> Step {
        let Some(first) = self.trials.first() else { return Step::Try(self.bounds.highest) };
        let Some(lost) = self.lost else { return Step::Done(self.passed) };
        let near = (first.rate() as f64 * self.bounds.resolution) as u64;
        if lost - self.passed <= near.max(1) {
            Step::Done(self.passed)
        } else {
            Step::Try(Some(self.passed.midpoint(lost)))
        }
    }

    /// Takes in what a trial came to.
    pub fn add(&mut self, trial: Trial) {
        let rate = trial.rate();
        match trial.account.verdict() {
            Verdict::Pass => self.passed = self.passed.max(rate),
            Verdict::Loss | Verdict::Unexplained => {
                self.lost = Some(self.lost.map_or(rate, |lost| lost.min(rate)).max(self.passed));
            }
        }
        self.trials.push(trial);
    }

    /// Every trial so far.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Nothing was lost at the highest rate that the generator could send: the probe's limit lies above it.
    #[must_use]
    pub fn is_bound_by_generator(&self) -> bool {
        self.lost.is_none() && self.trials.iter().any(Trial::is_below_its_rate)
    }

    /// The worst verdict: a packet that nothing explains is more than a loss, at any rate.
    #[must_use]
    pub fn worst(&self) -> Verdict {
        let verdicts = self.trials.iter().map(|trial| trial.account.verdict());
        verdicts.min().unwrap_or(Verdict::Pass)
    }
}

impl Trial {
    /// Frames a second that were borne, or not: no more than arrived, whatever was asked for.
    fn rate(&self) -> u64 {
        self.asked.unwrap_or(u64::MAX).min(self.arrived_per_second as u64)
    }

    /// Whether the generator sent less than it was asked for.
    fn is_below_its_rate(&self) -> bool {
        self.asked.is_none_or(|asked| self.arrived_per_second < asked as f64 * ON_RATE)
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = &self.account;
        write!(to, "{:>11} a second: {}", grouped(self.arrived_per_second as u64), account.verdict().word())?;
        for (reason, packets) in &account.probe.lost {
            write!(to, ", {} {reason}", grouped(*packets))?;
        }
        for (packets, what) in [
            (account.unseen(), "unseen"),
            (account.missing(), "not stored"),
            (account.unexplained(), "unexplained"),
        ] {
            if packets > 0 {
                write!(to, ", {} {what}", grouped(packets))?;
            }
        }
        write!(to, " (of {})", grouped(account.arrived))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::metrics::Terms;
    use super::*;

    /// A probe that loses everything beyond its limit, and a generator that has one as well.
    fn search(limit: u64, generator: u64, highest: Option<u64>) -> (u64, Ramp) {
        let mut ramp = Ramp::new(Bounds { highest, resolution: 0.01, trial_seconds: 1.0 });
        loop {
            let asked = match ramp.next() {
                Step::Try(asked) => asked,
                Step::Done(rate) => return (rate, ramp),
            };
            let arrived = asked.unwrap_or(u64::MAX).min(generator);
            let metered = arrived.min(limit);
            let lost = BTreeMap::from([("rx_ring_full".to_owned(), arrived - metered)]);
            let probe = Terms { seen: arrived, metered, lost, ..Terms::default() };
            let account = Account { sent: arrived, arrived, probe, stored: None };
            ramp.add(Trial { asked, arrived_per_second: arrived as f64, account });
        }
    }

    #[test]
    fn the_limit_is_found_within_the_resolution_and_never_above_it() {
        for limit in [1, 9_999, 123_456, 500_000, 999_999] {
            let (found, ramp) = search(limit, 2_000_000, Some(1_000_000));
            assert!(found <= limit && limit - found <= 10_000, "{found} of {limit}");
            assert!(ramp.trials().len() <= 9, "{} trials", ramp.trials().len());
        }
    }

    #[test]
    fn a_probe_that_bears_everything_needs_one_trial() {
        let (found, ramp) = search(u64::MAX, 2_000_000, Some(1_000_000));
        assert_eq!((found, ramp.trials().len(), ramp.is_bound_by_generator()), (1_000_000, 1, false));
    }

    #[test]
    fn a_generator_at_its_own_limit_is_said_to_be() {
        for highest in [None, Some(1_000_000)] {
            let (found, ramp) = search(u64::MAX, 700_000, highest);
            assert_eq!((found, ramp.is_bound_by_generator()), (700_000, true));
            let (found, ramp) = search(300_000, 700_000, highest);
            assert!((290_000..=300_000).contains(&found), "{found}");
            assert!(!ramp.is_bound_by_generator());
        }
    }
}
