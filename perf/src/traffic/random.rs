//! Random numbers that are the same on every machine.
//!
//! Only additions, multiplications and divisions of IEEE 754: the logarithm of one C library differs from another's
//! in the last bit, and one bit would make another file of the same seed.

/// Weyl increment of SplitMix64: 2^64 by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64 (Steele, Lea, Flood 2014): spreads a counter over all bits; a test must get the same keys every time.
pub(super) fn spread(seed: u64, number: u64) -> u64 {
    finish(seed ^ number.wrapping_mul(GOLDEN))
}

/// Its last step: each value has another one of its own.
pub(super) fn finish(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The one stream of a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Stream `number` of a seed, where there are many.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        Self { state: spread(seed, number) }
    }

    /// All 64 of them.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        finish(self.state)
    }

    /// Uniform, above 0 and at most 1.
    pub fn unit(&mut self) -> f64 {
        const SCALE: f64 = 1.0 / (1u64 << 53) as f64;
        ((self.bits() >> 11) + 1) as f64 * SCALE
    }

    /// Uniform, below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// Exponential of mean 1.
    pub(super) fn exponential(&mut self) -> f64 {
        -ln(self.unit())
    }

    /// Normal of mean 0 and deviation 1, by Marsaglia's polar method.
    pub(super) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * ln(square) / square).sqrt();
            }
        }
    }
}

/// Natural logarithm of a normal number above 0, to 1e-12.
pub(super) fn ln(value: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = value.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut mantissa = f64::from_bits(bits & MANTISSA | 1023 << 52);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), whose argument is below 0.172 here.
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let series = (0..8).rev().fold(0.0, |sum, n| sum * square + 1.0 / f64::from(2 * n + 1));
    f64::from(exponent) * std::f64::consts::LN_2 + 2.0 * t * series
}

/// e to the power, to 1e-12 of it; powers beyond 700 count as 700.
pub(super) fn exp(power: f64) -> f64 {
    let power = power.clamp(-700.0, 700.0);
    let whole = (power / std::f64::consts::LN_2).round();
    let rest = power - whole * std::f64::consts::LN_2;
    let series = (1..14).rev().fold(1.0, |sum, n| 1.0 + sum * rest / f64::from(n));
    series * f64::from_bits(((whole as i64 + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_and_exponential_are_those_of_the_library_to_1e_12() {
        for value in [1e-300, 1e-9, 0.3, 0.707, 1.0, 1.4143, 2.0, 12.5, 1e6, 1e300] {
            assert!((ln(value) - value.ln()).abs() <= 1e-12 * value.ln().abs().max(1.0), "ln {value}");
        }
        for power in [-700.0, -20.5, -1.0, -1e-9, 0.0, 0.3466, 1.0, 33.3, 700.0] {
            assert!((exp(power) / power.exp() - 1.0).abs() < 1e-12, "exp {power}");
        }
    }

    #[test]
    fn draws_have_the_moments_of_their_distributions() {
        const DRAWS: u32 = 100_000;
        let mut random = Random::new(1, 0);
        let mut mean = |draw: fn(&mut Random) -> f64| {
            (0..DRAWS).map(|_| draw(&mut random)).sum::<f64>() / f64::from(DRAWS)
        };
        assert!((mean(Random::unit) - 0.5).abs() < 0.005);
        assert!((mean(Random::exponential) - 1.0).abs() < 0.01);
        assert!(mean(Random::normal).abs() < 0.01);
        assert!((mean(|random| random.normal().powi(2)) - 1.0).abs() < 0.02);
        assert!((mean(|random| f64::from(random.below(12))) - 5.5).abs() < 0.05);
    }
}
