//! Whether flows are split: of queues that each belong to one worker, the two directions of a flow must come to one. The device
//! says that they do, or somebody has asked for it; here it is seen whether they do.
//!
//! ```text
//!           a few packets of one burst in eight
//! worker 0 ──────────────┐     slot of the flow's hash: fingerprint | second | first | other
//! worker 1 ──────────────┴───► seen by 0 ─► by 1 too ─► by 0 again: its packets come by both, in turns
//! ```
//!
//! A flow that only moves (somebody has set the device's table anew) is seen by the one, then by the other, and never again by the
//! first. Loads and stores are relaxed, and one that is lost in a race is a sighting that is missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xdp_abi::headers::Fragment;

use crate::packet::Packet;

/// Flows that are watched at a time, 32 KiB: on links with more the sample finds some of them all the same.
const SLOTS: usize = 4096;
/// A slot is anybody's once nobody has seen its flow for so long.
const LAPSE_SECONDS: u8 = 10;
/// One burst in so many is looked at. With [`LOOKS`] it is one packet in 128 under load, and a fraction of a nanosecond a packet.
const BURSTS: u32 = 8;
/// Packets of such a burst that are looked at.
const LOOKS: usize = 4;
/// One flow may be steered by a rule of its own; so many are a device that spreads by directions.
const ENOUGH: u64 = 3;

/// In place of the other worker: the flow was counted, and is not again as long as its slot is its.
const COUNTED: u8 = u8::MAX;

/// What all workers saw; shared by them.
#[derive(Debug)]
pub struct Sightings {
    slots: Box<[AtomicU64]>,
    /// Flows that came by several workers in turns.
    split: AtomicU64,
}

/// What a slot holds.
#[derive(Clone, Copy)]
struct Sighting {
    /// The upper 40 bits of the hash; the slot is chosen by the lower ones.
    fingerprint: u64,
    second: u8,
    /// Workers, from 1; 0 = none.
    first: u8,
    other: u8,
}

impl Default for Sightings {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(), split: AtomicU64::new(0) }
    }
}

impl Sightings {
    /// Whether so many flows were seen to be split that it is no accident.
    pub fn are_split(&self) -> bool {
        self.split.load(Ordering::Relaxed) >= ENOUGH
    }

    /// Worker number `worker` saw a flow. `true` = another one does as well.
    fn see(&self, hash: u64, second: u8, worker: u8) -> bool {
        let slot = &self.slots[hash as usize % SLOTS];
        let found = Sighting::of(slot.load(Ordering::Relaxed));
        let (own, fingerprint) = (worker + 1, hash >> 24);
        let fresh = Sighting { fingerprint, second, first: own, other: 0 };
        let next = if found.first == 0 || second.wrapping_sub(found.second) > LAPSE_SECONDS {
            fresh
        } else if found.fingerprint != fingerprint {
            return false;
        } else if found.other == COUNTED {
            Sighting { second, ..found }
        } else if found.first != own {
            Sighting { second, other: own, ..found }
        } else if found.other == 0 {
            Sighting { second, ..found }
        } else {
            // Once: a flow may be steered by a rule of its own, or lie in a tunnel whose ends the device tells apart.
            slot.store(Sighting { second, other: COUNTED, ..found }.word(), Ordering::Relaxed);
            self.split.fetch_add(1, Ordering::Relaxed);
            return true;
        };
        if next.word() != found.word() {
            slot.store(next.word(), Ordering::Relaxed);
        }
        false
    }
}

impl Sighting {
    fn of(word: u64) -> Self {
        let [other, first, second, ..] = word.to_le_bytes();
        Self { fingerprint: word >> 24, second, first, other }
    }

    fn word(self) -> u64 {
        let [other, first, second] = [self.other, self.first, self.second].map(u64::from);
        self.fingerprint << 24 | second << 16 | first << 8 | other
    }
}

/// One worker's part in it.
#[derive(Debug)]
pub(super) struct Lookout {
    sightings: Arc<Sightings>,
    worker: u8,
    /// Bursts until the next look.
    until: u32,
    /// Flows that were seen to be split by this worker.
    pub(super) split_flows: u64,
}

impl Lookout {
    pub(super) fn new(sightings: &Arc<Sightings>, worker: usize) -> Self {
        // Numbers of workers end at `MOST_WORKERS`.
        Self { sightings: Arc::clone(sightings), worker: worker as u8, until: 1, split_flows: 0 }
    }

    /// Behind a burst of the worker's own sources. `true` = flows are split.
    #[inline]
    pub(super) fn look(&mut self, packets: &[Packet], now_nanoseconds: u64) -> bool {
        self.until -= 1;
        self.until == 0 && self.look_now(packets, now_nanoseconds)
    }

    #[cold]
    fn look_now(&mut self, packets: &[Packet], now_nanoseconds: u64) -> bool {
        self.until = BURSTS;
        let second = (now_nanoseconds / 1_000_000_000) as u8;
        // A device spreads fragments by less than whole packets: they may come by another queue than the rest of their flow.
        let whole = |packet: &&Packet| packet.headers.fragment == Fragment::Whole;
        for packet in packets.iter().filter(whole).take(LOOKS) {
            let hash = packet.headers.key.hash();
            self.split_flows += u64::from(self.sightings.see(hash, second, self.worker));
        }
        self.sightings.are_split()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: u64 = 0x0123_4567_89ab_cdef;

    /// Whether the last of these sightings of one flow (second, worker) tells of a split.
    fn seen(sightings: &[(u8, u8)]) -> bool {
        let all = Sightings::default();
        sightings.iter().fold(false, |_, &(second, worker)| all.see(FLOW, second, worker))
    }

    #[test]
    fn a_flow_that_comes_by_two_workers_in_turns_is_split() {
        assert!(seen(&[(0, 0), (0, 1), (0, 0)]));
        assert!(seen(&[(0, 0), (0, 0), (3, 1), (3, 1), (9, 0)]));
        assert!(seen(&[(250, 63), (255, 62), (3, 63)]), "seconds begin anew");
    }

    #[test]
    fn a_flow_that_moves_or_stays_is_not() {
        assert!(!seen(&[(0, 0), (1, 0), (2, 0)]));
        assert!(!seen(&[(0, 0), (1, 1), (2, 1), (3, 1)]));
        assert!(!seen(&[(0, 0), (1, 1), (12, 0)]), "the first is forgotten");
    }

    #[test]
    fn one_flow_counts_once_however_long_it_goes_on() {
        let all = Sightings::default();
        let counted = (0..1000).filter(|&turn| all.see(FLOW, (turn / 10) as u8, (turn % 2) as u8)).count();
        assert_eq!(counted, 1);
        assert!(!all.are_split());
    }

    #[test]
    fn another_flow_of_the_slot_is_neither_mistaken_nor_kept_out_for_ever() {
        let all = Sightings::default();
        let other = FLOW ^ 1 << 60;
        assert!(!all.see(FLOW, 0, 0) && !all.see(other, 0, 1) && !all.see(FLOW, 0, 0));
        assert!(!all.see(other, 11, 1) && !all.see(other, 11, 0) && all.see(other, 11, 1));
    }

    #[test]
    fn a_word_holds_a_sighting() {
        let word = Sighting { fingerprint: FLOW >> 24, second: 7, first: 64, other: 1 }.word();
        let back = Sighting::of(word);
        assert_eq!((back.fingerprint, back.second, back.first, back.other), (FLOW >> 24, 7, 64, 1));
    }

    #[test]
    fn one_split_flow_is_an_accident_and_three_are_none() {
        let all = Sightings::default();
        for flow in 0..ENOUGH {
            assert!(!all.are_split());
            let hash = flow | flow << 32;
            assert!(!all.see(hash, 0, 0) && !all.see(hash, 0, 1) && all.see(hash, 0, 0));
        }
        assert!(all.are_split());
    }
}
