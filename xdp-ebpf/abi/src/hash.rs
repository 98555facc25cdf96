//! The hash of a flow key: the same number for both directions, because the key is the same.
//!
//! Multiply and mix, 64 bits wide: eBPF multiplies 64 by 64 to 64 bits and has no wider product.

use crate::key::FlowKey;

/// 2^64 divided by the golden ratio, made odd: every input bit reaches the upper half of the product.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
/// Digits of pi: a start that is not a fixed point.
const START: u64 = 0x243f_6a88_85a3_08d3;

impl FlowKey {
    /// The hash of the whole key. [`crate::spread`] chooses the worker with the upper half, so that a table within one
    /// worker should take its bucket from the lower half.
    #[inline(always)]
    pub fn hash(&self) -> u64 {
        let ports = u64::from(self.low_port) << 48 | u64::from(self.high_port) << 32;
        let tags = u64::from(self.vlan) << 16 | u64::from(self.customer_vlan);
        let protocol = u64::from(self.protocol) << 8 | u64::from(self.ip_version);
        finish(mix(self.addresses(), ports | tags), protocol)
    }

    /// The hash of the addresses alone: what every fragment of a packet has.
    #[inline(always)]
    pub fn address_hash(&self) -> u64 {
        finish(self.addresses(), 0)
    }

    /// Two IPv4 addresses are one word.
    #[inline(always)]
    fn addresses(&self) -> u64 {
        let [low_high, low_low] = words(&self.low_address);
        let [high_high, high_low] = words(&self.high_address);
        if self.ip_version == 4 {
            return mix(START, low_high | high_high >> 32);
        }
        mix(mix(mix(mix(START, low_high), low_low), high_high), high_low)
    }
}

/// The hash of a number of at most 64 bits.
#[inline(always)]
pub(crate) fn of(word: u64) -> u64 {
    finish(mix(START, word), 0)
}

#[inline(always)]
fn mix(state: u64, word: u64) -> u64 {
    let product = (state ^ word).wrapping_mul(MULTIPLIER);
    product ^ product >> 32
}

/// The last word, of few bits, and one more round, so that it too reaches every bit.
#[inline(always)]
fn finish(state: u64, word: u64) -> u64 {
    mix(mix(state, state >> 29), word)
}

#[inline(always)]
fn words(address: &[u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
    [u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes([i, j, k, l, m, n, o, p])]
}
