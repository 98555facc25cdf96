//! Which messages of a source did not come, by their numbers.

/// A step by more is no gap but another beginning: even the smallest messages would have filled a link of 10 Gbit/s for seconds.
const GAP_MAX: u32 = 1 << 24;

/// The numbers of one source. They begin anew where it is started again, and where they wrap, which each does where it likes.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Of this run of numbers.
    first: u32,
    last: Option<u32>,
    /// From first to last of the runs before.
    of_earlier_runs: u64,
}

/// What a number says about those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The first one, or the next one.
    Next,
    /// So many are missing between.
    Gap(u64),
    /// A new beginning: what was missed around it nobody knows.
    Restart,
}

impl Numbers {
    pub(super) fn take(&mut self, number: u32) -> Step {
        let step = match self.last {
            None => Step::Next,
            Some(last) if number <= last || number - last > GAP_MAX => Step::Restart,
            Some(last) if number == last + 1 => Step::Next,
            Some(last) => Step::Gap(u64::from(number - last - 1)),
        };
        if self.last.is_none() || step == Step::Restart {
            self.of_earlier_runs = self.span();
            self.first = number;
        }
        self.last = Some(number);
        step
    }

    /// From the first number to the last of each run, both included.
    pub(super) fn span(&self) -> u64 {
        let of_this_run = self.last.map_or(0, |last| u64::from(last - self.first) + 1);
        self.of_earlier_runs + of_this_run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(numbers: &[u32]) -> (Vec<Step>, u64) {
        let mut known = Numbers::default();
        let steps = numbers.iter().map(|number| known.take(*number)).collect();
        (steps, known.span())
    }

    #[test]
    fn gaps_are_counted_and_restarts_are_none() {
        use Step::{Gap, Next, Restart};
        assert_eq!(steps(&[]), (vec![], 0));
        assert_eq!(steps(&[7, 8, 11, 12]), (vec![Next, Next, Gap(2), Next], 6));
        // Started again; and wrapped at a place of its own.
        assert_eq!(steps(&[900, 901, 1, 2]), (vec![Next, Next, Restart, Next], 4));
        assert_eq!(steps(&[u32::MAX - 1, u32::MAX, 0, 1]), (vec![Next, Next, Restart, Next], 4));
        assert_eq!(steps(&[5, 5]), (vec![Next, Restart], 2), "the same number again is another message");
        assert_eq!(steps(&[1, u32::MAX]), (vec![Next, Restart], 2), "no gap of four thousand million");
        assert_eq!(steps(&[0, GAP_MAX]).1, u64::from(GAP_MAX) + 1);
    }

    #[test]
    fn what_came_and_what_is_missing_is_what_was_numbered() {
        for seed in 0..200_u32 {
            let mut number = seed;
            let (mut known, mut came, mut missed) = (Numbers::default(), 0, 0);
            for at in 0..100 {
                number = match (seed.wrapping_mul(31) ^ (at * 7)) % 11 {
                    0 => at,
                    step => number.wrapping_add(step),
                };
                came += 1;
                if let Step::Gap(gap) = known.take(number) {
                    missed += gap;
                }
            }
            assert_eq!(known.span(), came + missed, "{seed}");
        }
    }
}
