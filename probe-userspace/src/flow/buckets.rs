//! Where the entries of a hash may be, and when each bucket next needs a look.
//!
//! ```text
//! bucket b   tags [u32; 16]     one cache line, 0 = vacant       entries b*16 .. b*16+15
//!            due  [tick; 16]    a lower bound of each deadline
//! earliest[b]                   the smallest of them, packed: sixteen buckets of it in a cache line
//! ```
//! A packet makes its entry's deadline later, so a bound stays a bound without being touched; only a TCP end makes it
//! earlier and lowers it.

use super::{hugepages, processor};
use crate::survive::Owned;

/// Entries of a bucket: as many 32-bit tags as a cache line has room for.
pub(crate) const WAYS: usize = 16;

/// No look needed.
const NEVER: Tick = Tick(u32::MAX);

/// A bound of a deadline: steps of 16.8 ms (2^24 ns) from the first packet on, for 2.3 years; beyond that a bucket is
/// looked at on every round, which costs time and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(u32);

impl Tick {
    pub(super) fn new(base_nanoseconds: u64, at_nanoseconds: u64) -> Self {
        let steps = at_nanoseconds.saturating_sub(base_nanoseconds) >> 24;
        Self(u32::try_from(steps).unwrap_or(u32::MAX - 1).min(u32::MAX - 1))
    }
}

/// Which entry of which bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) bucket: usize,
    pub(super) way: usize,
}

impl Slot {
    pub(super) fn index(self) -> usize {
        self.bucket * WAYS + self.way
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Tags([u32; WAYS]);

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bounds([Tick; WAYS]);

/// The index of the cache.
pub(super) struct Buckets {
    /// May outlive the process; the deadlines need not.
    tags: Owned<Tags>,
    due: Box<[Bounds]>,
    earliest: Box<[Tick]>,
}

impl Buckets {
    /// As many as there are tags; touches all of it.
    pub(super) fn new(mut tags: Owned<Tags>) -> Self {
        let count = tags.len();
        tags.fill(Tags([0; WAYS]));
        Self {
            tags,
            due: hugepages::filled(Bounds([NEVER; WAYS]), count),
            earliest: vec![NEVER; count].into_boxed_slice(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.tags.len()
    }

    pub(super) fn tags(&self, bucket: usize) -> &Tags {
        &self.tags[bucket]
    }

    pub(super) fn is_occupied(&self, slot: Slot) -> bool {
        self.tags[slot.bucket].0[slot.way] != 0
    }

    /// Whether the slot has this tag.
    #[inline]
    pub(super) fn has(&self, slot: Slot, tag: u32) -> bool {
        self.tags[slot.bucket].0[slot.way] == tag
    }

    pub(super) fn occupy(&mut self, slot: Slot, tag: u32, due: Tick) {
        self.tags[slot.bucket].0[slot.way] = tag;
        self.due[slot.bucket].0[slot.way] = due;
        self.earliest[slot.bucket] = self.earliest[slot.bucket].min(due);
    }

    pub(super) fn vacate(&mut self, slot: Slot) {
        self.tags[slot.bucket].0[slot.way] = 0;
        self.due[slot.bucket].0[slot.way] = NEVER;
    }

    /// A deadline became earlier.
    pub(super) fn lower(&mut self, slot: Slot, due: Tick) {
        let bound = &mut self.due[slot.bucket].0[slot.way];
        *bound = due.min(*bound);
        self.earliest[slot.bucket] = self.earliest[slot.bucket].min(due);
    }

    /// Whether nothing in the bucket is due.
    #[inline]
    pub(super) fn is_quiet(&self, bucket: usize, now: Tick) -> bool {
        now < self.earliest[bucket]
    }

    /// Whether the entry may be due.
    pub(super) fn may_be_due(&self, slot: Slot, now: Tick) -> bool {
        self.is_occupied(slot) && self.due[slot.bucket].0[slot.way] <= now
    }

    /// After a look at an entry that was not due after all.
    pub(super) fn postpone(&mut self, slot: Slot, due: Tick) {
        self.due[slot.bucket].0[slot.way] = due;
    }

    /// After a look at all entries of a bucket.
    pub(super) fn settle(&mut self, bucket: usize) {
        self.earliest[bucket] = self.due[bucket].0.iter().copied().fold(NEVER, Tick::min);
    }
}

impl Tags {
    /// Whether this way holds something.
    pub(crate) fn is_occupied(&self, way: usize) -> bool {
        self.0[way] != 0
    }

    /// The ways with this tag, as bits.
    #[inline]
    pub(super) fn matching(&self, tag: u32) -> u16 {
        processor::equal(&self.0, tag)
    }

    /// The ways that hold something, as bits.
    #[inline]
    pub(super) fn occupied(&self) -> u16 {
        !self.matching(0)
    }
}

/// The set bits of a mask, lowest first.
#[inline]
pub(super) fn ways(mut mask: u16) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let way = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (way < WAYS).then_some(way)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_ways_is_told_apart() {
        for set in 0..=u16::MAX {
            let tags = Tags(std::array::from_fn(|way| if set >> way & 1 == 1 { 7 } else { way as u32 + 8 }));
            assert_eq!(tags.matching(7), set);
        }
    }
}
