//! What a worker is about to do to its flow cache, written down before it does it: one line of the cache, so that a packet
//! pays a few stores to memory that is always near.
//!
//! | `what` | written down before | a kill inside is undone by |
//! |---|---|---|
//! | adding | a packet goes into an entry | the counters of its direction and `metered` as they were. All else that a packet changes (flags, times, TTL) is a sum of sets: what a half-added packet left there is true of the wire |
//! | beginning | a vacant slot becomes a flow of one packet | the slot is vacant, `metered` as it was |
//! | writing | an entry's record goes out, and the entry is vacated or begins anew | nothing: once the record was taken (one store, see `sequence`) the entry counts for nothing, whatever half of it is left; before, it is untouched |
//! | merging | what the shunt has counted goes into an entry | entry, reading and sum as they were: they are written down beside the readings (`shunts`), and nothing was read |
//!
//! Only one thing is under way at a time, and nothing is under way between two of them.

use flow_wire::ledger::Amount;

use super::step::step;

const NOTHING: u64 = 0;
const ADDING: u64 = 1;
const BEGINNING: u64 = 2;
const WRITING: u64 = 3;
const MERGING: u64 = 4;

/// Bits of `what` below the side.
const KIND_BITS: u32 = 8;
/// Bits of `what` below the slot.
const SIDE_BITS: u32 = 16;

/// The journal and the packets metered.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Journal {
    /// Kind, side and slot.
    what: u64,
    /// Packets, octets and layer-2 octets of the entry's side, before.
    counters: [u64; 3],
    metered: [u64; 2],
    metered_before: [u64; 2],
    /// Records taken, before.
    sequence: u64,
    /// The burst under way: 0 = from a source, 1 = from other workers.
    is_taken_over: u64,
    _unused: [u64; 6],
}

const _: () = assert!(size_of::<Journal>() == 128);

/// What was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnderWay {
    Nothing,
    /// The counters of a side of the entry in this slot are to be as they were.
    Adding {
        slot: usize,
        side: usize,
        counters: [u64; 3],
    },
    /// The slot is vacant.
    Beginning {
        slot: usize,
    },
    /// The entry counts for nothing if more than so many records were taken. Behind the slots are the places of the shunt.
    Writing {
        slot: usize,
        sequence: u64,
    },
    /// The entry is to be as it was. Behind the slots are the places of the shunt.
    Merging {
        slot: usize,
    },
}

impl Journal {
    /// A packet is about to go into a side of an entry that has these counters.
    #[inline(always)]
    pub(crate) fn adding(&mut self, slot: usize, side: usize, counters: [u64; 3]) {
        self.counters = counters;
        self.metered_before = self.metered;
        step();
        self.what = ADDING | (side as u64) << KIND_BITS | (slot as u64) << SIDE_BITS;
        step();
    }

    /// A vacant slot is about to become a flow.
    #[inline(always)]
    pub(crate) fn beginning(&mut self, slot: usize) {
        self.metered_before = self.metered;
        step();
        self.what = BEGINNING | (slot as u64) << SIDE_BITS;
        step();
    }

    /// The packet is in.
    #[inline(always)]
    pub(crate) fn metered(&mut self, octets: u64) {
        step();
        self.metered[0] += 1;
        step();
        self.metered[1] += octets;
        step();
        self.what = NOTHING;
        step();
    }

    /// The record of an entry is about to be taken; so many were before.
    #[inline]
    pub(crate) fn writing(&mut self, slot: usize, sequence: u64) {
        self.sequence = sequence;
        step();
        self.what = WRITING | (slot as u64) << SIDE_BITS;
        step();
    }

    /// What the shunt has counted is about to go into an entry, which is written down as it was.
    pub(crate) fn merging(&mut self, slot: usize) {
        step();
        self.what = MERGING | (slot as u64) << SIDE_BITS;
        step();
    }

    /// The entry is vacant, or has begun anew, or has what was to be merged.
    #[inline]
    pub(crate) fn written(&mut self) {
        step();
        self.what = NOTHING;
        step();
    }

    /// The next packets come from a source, or from other workers.
    pub(crate) fn burst(&mut self, is_taken_over: bool) {
        self.is_taken_over = u64::from(is_taken_over);
        step();
    }

    /// Packets that are in the cache, or were.
    #[inline]
    pub(crate) fn amount(&self) -> Amount {
        Amount { packets: self.metered[0], octets: self.metered[1] }
    }

    pub(crate) fn is_taken_over(&self) -> bool {
        self.is_taken_over != 0
    }

    /// What a kill interrupted; `metered` is put right. `None` = it holds what nobody ever wrote down.
    pub(crate) fn mend(&mut self) -> Option<UnderWay> {
        let (slot, side) = (self.what >> SIDE_BITS, self.what >> KIND_BITS & 0xff);
        let slot = usize::try_from(slot).ok()?;
        let under_way = match self.what & 0xff {
            NOTHING if self.what == 0 => return Some(UnderWay::Nothing),
            ADDING if side < 2 => UnderWay::Adding { slot, side: side as usize, counters: self.counters },
            BEGINNING if side == 0 => UnderWay::Beginning { slot },
            WRITING if side == 0 => return Some(UnderWay::Writing { slot, sequence: self.sequence }),
            MERGING if side == 0 => return Some(UnderWay::Merging { slot }),
            _ => return None,
        };
        self.metered = self.metered_before;
        Some(under_way)
    }
}
