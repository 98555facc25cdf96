//! The shunt: flows that the XDP program counts by itself. What it decides, in one place for the program and for the tests of
//! user space; and how the memory lies that both of them map.
//!
//! ```text
//! hash of the key ─► index ─► taken?  ── no ─────────────────► up: to the worker, as if there was no shunt
//!                                │ yes
//!                                ▼
//!                           key, stopped?  ── other, yes ────► up
//!                                │
//!                    SYN, FIN, RST, silence ── stops ────────► up
//!                                │
//!                    a second since the last one ────────────► up: a sample; who finds no socket stops
//!                                ▼
//!                              counted, dropped
//! ```
//! A packet that comes up is not counted here: each packet is counted in one place.

use crate::headers::{Fragment, Headers};
use crate::key::{Direction, FlowKey};
use crate::protocol::TCP;

/// Places for flows, a power of two: one a flow, chosen by its hash alone.
pub const PLACES: u32 = 8192;

/// What every packet looks at: a cache line that holds for all places, of which these words are used; then a bit a place, set where a
/// flow is. A kilobyte, which stays in the first cache whatever else goes through it; 64 bits a place did not
/// (`perf/journal/2026-11-27-shunt-look.md`).
pub type Head = [u64; TAKEN + PLACES as usize / 64];
/// Word of [`Head`]: flows that are shunted; 0 = the program looks nowhere.
pub const FLOWS: usize = 0;
/// Word of [`Head`]: silence that stops a shunt, nanoseconds.
pub const IDLE: usize = 1;
/// First word of [`Head`] of those with the bits: see [`taken`].
pub const TAKEN: usize = 8;

/// A place: key and state.
pub type Place = [u64; 16];
/// Word of a [`Place`], behind those of the key: not 0 = all packets come up. The program sets it, who puts a flow in clears it.
pub const STOPPED: usize = 6;
/// Word of a [`Place`]: when a packet was last counted or came up as a sample, by CLOCK_MONOTONIC as coarse as the kernel's tick.
pub const LAST_AT: usize = 8;
/// First of two words of a [`Place`], by direction: when a sample last came up.
pub const SAMPLED_AT: usize = 9;

/// Counters of one place on one CPU: [`SIDE_WORDS`] words for each direction. They only grow, over all flows that have the
/// place one after the other; but for the flags, which who reads them takes away.
pub type Row = [u64; 2 * SIDE_WORDS];
/// Words of a direction in a [`Row`].
pub const SIDE_WORDS: usize = 4;
/// Word of a direction: packets.
pub const PACKETS: usize = 0;
/// Word of a direction: octets of IP packets, as a record counts them.
pub const OCTETS: usize = 1;
/// Word of a direction: octets of frames.
pub const LAYER2_OCTETS: usize = 2;
/// Word of a direction: TCP flags that were seen.
pub const TCP_FLAGS: usize = 3;

/// Between two samples of a direction, nanoseconds.
pub const SAMPLE_NANOSECONDS: u64 = 1_000_000_000;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// Place of a flow. The upper half of its hash has chosen the worker, the upper bits of the lower one its bucket there.
#[inline(always)]
pub const fn index(hash: u64) -> u32 {
    hash as u32 & (PLACES - 1)
}

/// Where in [`Head`] it stands whether a place is taken: the word, and its bit.
#[inline(always)]
pub const fn taken(index: u32) -> (usize, u64) {
    (TAKEN + (index / 64) as usize, 1 << (index % 64))
}

/// Access to the words of one [`Place`].
pub trait Words {
    /// Reads a word.
    fn get(&self, at: usize) -> u64;
    /// Writes a word.
    fn set(&self, at: usize, value: u64);
    /// The direction as a number, 0 or 1. The XDP program proves here to the verifier that it is no other.
    #[inline(always)]
    fn side(&self, direction: Direction) -> usize {
        direction as usize
    }
}

/// What happens to a packet whose place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the worker.
    Up,
    /// It goes to the worker as well, and if nobody is there the shunt ends ([`stop`]).
    Sample,
    /// It is counted, and goes nowhere.
    Count,
}

/// Whether a packet may be shunted at all.
#[inline(always)]
pub fn is_candidate(headers: &Headers) -> bool {
    matches!(headers.fragment, Fragment::Whole)
}

/// Judges a packet, and marks in the place what follows. `now` and `idle` in nanoseconds.
#[inline(always)]
pub fn judge<W: Words>(place: &W, headers: &Headers, now: u64, idle: u64) -> Verdict {
    if !is_of(place, &headers.key) || place.get(STOPPED) != 0 {
        return Verdict::Up;
    }
    let last = place.get(LAST_AT);
    let ends = headers.key.protocol == TCP && headers.tcp_flags & (FIN | SYN | RST) != 0;
    if ends || now.saturating_sub(last) > idle {
        stop(place);
        return Verdict::Up;
    }
    // Once a tick: other CPUs read the line.
    if now > last {
        place.set(LAST_AT, now);
    }
    let sampled = SAMPLED_AT + place.side(headers.direction);
    if now.saturating_sub(place.get(sampled)) >= SAMPLE_NANOSECONDS {
        place.set(sampled, now);
        return Verdict::Sample;
    }
    Verdict::Count
}

/// From now on all packets of the flow come up.
#[inline(always)]
pub fn stop<W: Words>(place: &W) {
    place.set(STOPPED, 1);
}

#[inline(always)]
fn is_of<W: Words>(place: &W, key: &FlowKey) -> bool {
    let [a, b, c, d, e, f] = key.words();
    let other = place.get(0) ^ a
        | place.get(1) ^ b
        | place.get(2) ^ c
        | place.get(3) ^ d
        | place.get(4) ^ e
        | place.get(5) ^ f;
    other == 0
}

const _: () = {
    assert!(PLACES.is_power_of_two());
    assert!(size_of::<Head>() == 64 + 1024 && size_of::<Place>() == 128 && size_of::<Row>() == 64);
    assert!(STOPPED * 8 >= size_of::<FlowKey>());
};
