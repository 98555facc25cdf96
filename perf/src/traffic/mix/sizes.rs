//! How many packets a flow has, and which of many ends it has.

use crate::traffic::random::{Random, exp, ln};

/// Lower end of the Pareto distribution before it is shifted to 1: with alpha 1.1 this gives what measured traffic has,
/// 27 % of flows with one packet and 96 % with fewer than 64.
const PARETO_LEAST: f64 = 3.0;

/// The law of flow sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Law {
    /// Bounded Pareto: P(size > n) falls as n to the power -alpha; a few flows have most packets.
    Pareto,
    /// Zipf: P(size = n) is proportional to n to the power -alpha.
    Zipf,
    /// All the same (--packets-per-flow).
    Fixed,
}

/// Draws flow sizes, in packets.
#[derive(Clone, Debug)]
pub(super) enum Sizes {
    Pareto { exponent: f64, tail: f64, most: u32 },
    Zipf(Zipf),
    Fixed(u32),
}

impl Sizes {
    /// `most` bounds the first two, `fixed` is the third.
    pub(super) fn new(law: Law, alpha: f64, most: u32, fixed: u32) -> Self {
        match law {
            Law::Pareto => {
                let tail = exp(alpha * ln(PARETO_LEAST / (PARETO_LEAST + f64::from(most))));
                Self::Pareto { exponent: -1.0 / alpha, tail, most }
            }
            Law::Zipf => Self::Zipf(Zipf::new(most, alpha)),
            Law::Fixed => Self::Fixed(fixed),
        }
    }

    /// At least 1.
    pub(super) fn draw(&self, random: &mut Random) -> u32 {
        match self {
            Self::Pareto { exponent, tail, most } => {
                let above = tail + random.unit() * (1.0 - tail);
                let excess = PARETO_LEAST * (exp(exponent * ln(above)) - 1.0);
                (excess as u32).saturating_add(1).min(*most)
            }
            Self::Zipf(zipf) => zipf.draw(random) + 1,
            Self::Fixed(packets) => *packets,
        }
    }
}

/// Ranks, the first the most frequent: P(rank r) is proportional to (r + 1) to the power -exponent.
#[derive(Clone, Debug)]
pub(super) struct Zipf {
    /// Sum of the weights up to and with each rank.
    cumulative: Vec<f64>,
}

impl Zipf {
    pub(super) fn new(ranks: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut up_to = |rank: u32| {
            sum += exp(-exponent * ln(f64::from(rank)));
            sum
        };
        Self { cumulative: (1..=ranks).map(&mut up_to).collect() }
    }

    /// From 0.
    pub(super) fn draw(&self, random: &mut Random) -> u32 {
        let last = self.cumulative.len() - 1;
        let point = random.unit() * self.cumulative[last];
        self.cumulative.partition_point(|sum| *sum < point).min(last) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u32 = 100_000;

    fn share(sizes: &Sizes, holds: impl Fn(u32) -> bool) -> f64 {
        let mut random = Random::new(7, 0);
        let count = (0..DRAWS).filter(|_| holds(sizes.draw(&mut random))).count();
        count as f64 / f64::from(DRAWS)
    }

    #[test]
    fn pareto_of_1_1_has_27_percent_of_one_packet_and_96_of_fewer_than_64() {
        let sizes = Sizes::new(Law::Pareto, 1.1, 1_000_000, 0);
        assert!((share(&sizes, |size| size == 1) - 0.271).abs() < 0.005);
        assert!((share(&sizes, |size| size < 64) - 0.966).abs() < 0.002);
    }

    #[test]
    fn no_flow_is_empty_or_above_the_bound() {
        for law in [Law::Pareto, Law::Zipf] {
            for most in [1, 2, 100] {
                let sizes = Sizes::new(law, 0.5, most, 0);
                assert_eq!(share(&sizes, |size| (1..=most).contains(&size)), 1.0, "{law:?} up to {most}");
                assert!(share(&sizes, |size| size == most) > 0.0, "{law:?}: none of {most}");
            }
        }
    }

    #[test]
    fn zipf_sizes_fall_by_their_power() {
        let sizes = Sizes::new(Law::Zipf, 2.0, 1000, 0);
        // 1 / zeta(2), and a quarter of it.
        assert!((share(&sizes, |size| size == 1) - 0.608).abs() < 0.005);
        assert!((share(&sizes, |size| size == 2) - 0.152).abs() < 0.005);
    }

    #[test]
    fn the_first_rank_is_as_frequent_as_the_harmonic_sum_says() {
        let zipf = Zipf::new(65_536, 1.0);
        let mut random = Random::new(7, 1);
        let first = (0..DRAWS).filter(|_| zipf.draw(&mut random) == 0).count();
        // 1 / (1 + 1/2 + ... + 1/65536)
        assert!((first as f64 / f64::from(DRAWS) - 0.0857).abs() < 0.003, "{first}");
    }
}
