//! The flow cache: fixed size, allocated at start, entries that never move.

use flow_wire::ledger::Amount;
use flow_wire::record::FlowEndReason;
use xdp_abi::key::FlowKey;

use super::Records;
use super::buckets::{Buckets, Slot, Tags, Tick, WAYS, ways};
use super::entry::{Entry, TOUCHED_LINES};
use super::processor::prefetch;
use super::settings::{Due, Settings, Timeouts};
use super::shunts::{OFF, Shunts};
use crate::packet::Packet;
use crate::survive::file::FlowMemory;
use crate::survive::journal::Journal;
use crate::survive::{Owned, step, torn};
pub use hand::{Budget, Hand};
mod hand;

/// Slots for each flow of the capacity: at eight of sixteen ways on average, fewer than one flow in a thousand finds its
/// bucket full while the cache is.
const SLOTS_PER_FLOW: usize = 2;

/// Records that one bucket may give at once: each entry one at an active time-out and one at its end.
pub const BUCKET_RECORDS: usize = 2 * WAYS;

/// Buckets that are searched for a flow to give up, when the cache is full and the packet's own bucket is empty: 32 kB of tags.
/// Only where buckets are more than flows (`hash_size`) may there be none in so many.
const SEARCHED: usize = 512;

/// The cache of one shard.
pub struct Cache {
    pub(super) buckets: Buckets,
    pub(super) entries: Owned<Entry>,
    pub(super) journal: Owned<Journal>,
    timeouts: Timeouts,
    pub(super) observation_domain_id: u32,
    capacity: usize,
    pub(super) open_flows: usize,
    pub(super) open: Amount,
    evicted_flows: u64,
    /// Packets one way that make an elephant; [`OFF`] = none is one.
    pub(super) elephant_packets: u64,
    pub(super) shunts: Option<Box<Shunts>>,
    /// Never runs backwards: the latest time of any packet or call.
    pub(super) clock: u64,
    /// Where ticks count from: the first time that was seen.
    base: Option<u64>,
    hand: usize,
    /// The time up to which the hand has gone its way.
    hand_at: u64,
    /// Where the search for a flow to give up goes on.
    searched: usize,
}

/// Where a key belongs: its bucket and its tag, and the way where the look ahead found that tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    bucket: usize,
    tag: u32,
    way: u32,
}

impl Place {
    #[inline(always)]
    fn guess(self) -> Slot {
        Slot { bucket: self.bucket, way: self.way as usize }
    }
}

fn buckets_for(settings: &Settings) -> usize {
    let slots = settings.capacity.saturating_mul(SLOTS_PER_FLOW);
    slots.max(settings.hash_size.unwrap_or(0)).max(1).div_ceil(WAYS)
}

fn octets_of(buckets: usize) -> usize {
    buckets.saturating_mul(WAYS * size_of::<Entry>() + 2 * size_of::<Tags>() + size_of::<Tick>())
}

impl Cache {
    /// A cache in this memory, which has [`Cache::buckets_for`] buckets; touches all of it.
    pub fn new(settings: &Settings, memory: FlowMemory) -> Self {
        let FlowMemory { journal, tags, mut entries } = memory;
        entries.fill(Entry::VACANT);
        Self {
            buckets: Buckets::new(tags),
            entries,
            journal,
            timeouts: Timeouts::new(settings),
            observation_domain_id: settings.observation_domain_id,
            capacity: settings.capacity.max(1),
            open_flows: 0,
            open: Amount::ZERO,
            evicted_flows: 0,
            elephant_packets: OFF,
            shunts: None,
            clock: 0,
            base: None,
            hand: 0,
            hand_at: 0,
            searched: 0,
        }
    }

    /// Buckets, of sixteen entries each.
    pub fn bucket_count(&self) -> usize {
        self.buckets.count()
    }

    /// Octets of memory.
    pub fn memory_octets(&self) -> usize {
        octets_of(self.buckets.count())
    }

    /// Buckets of a cache with these settings.
    pub fn buckets_for(settings: &Settings) -> usize {
        buckets_for(settings)
    }

    /// Octets of memory that a cache with these settings would take.
    pub fn octets_for(settings: &Settings) -> usize {
        octets_of(buckets_for(settings))
    }

    /// Flows in the cache; one whose record was just written at an active time-out is among them.
    pub fn open_flows(&self) -> usize {
        self.open_flows
    }

    /// Packets that were put into entries less those of the records made from them.
    pub fn open(&self) -> Amount {
        self.open
    }

    /// Packets that were ever put into entries.
    pub fn metered(&self) -> Amount {
        self.journal[0].amount()
    }

    /// The journal, for what is written down of a burst.
    pub(crate) fn journal(&mut self) -> &mut Journal {
        &mut self.journal[0]
    }

    /// Flows that a full bucket pushed out.
    pub fn evicted_flows(&self) -> u64 {
        self.evicted_flows
    }

    /// The latest time of any packet or call.
    pub fn clock(&self) -> u64 {
        self.clock
    }

    /// Where a key belongs.
    #[inline]
    pub fn place(&self, key: &FlowKey) -> Place {
        // The upper half has chosen the worker (`xdp_abi::spread`): the bucket comes from the lower one.
        let hash = key.hash();
        let bucket = (u64::from(hash as u32) * self.buckets.count() as u64) >> 32;
        Place { bucket: bucket as usize, tag: ((hash >> 32) as u32).max(1), way: 0 }
    }

    /// First look ahead: the tags.
    #[inline]
    pub fn prefetch_tags(&self, place: Place) {
        prefetch(self.buckets.tags(place.bucket), 1);
    }

    /// Second look ahead, once the tags are there: the entry.
    #[inline]
    pub fn prefetch_entry(&self, place: &mut Place) {
        let candidates = self.buckets.tags(place.bucket).matching(place.tag);
        if candidates != 0 {
            place.way = candidates.trailing_zeros();
            prefetch(&self.entries[place.guess().index()], TOUCHED_LINES);
        }
    }

    /// Puts a packet into its flow, which it may find ended, or begin.
    #[inline]
    pub fn meter(&mut self, place: Place, packet: &Packet, out: &mut impl Records) {
        self.advance(packet.timestamp_nanoseconds);
        match self.find(place, &packet.headers.key) {
            Some(slot) => self.meter_known(slot, place, packet, out),
            None => self.begin(place, packet, out),
        }
    }

    /// The clock moves on to `now`, never back.
    #[inline]
    pub fn advance(&mut self, now: u64) {
        if self.base.is_none() {
            self.base = Some(now);
            self.hand_at = now;
        }
        self.clock = self.clock.max(now);
    }

    #[inline]
    fn find(&self, place: Place, key: &FlowKey) -> Option<Slot> {
        // The packets between may have ended the flow that was there, and begun another.
        let guess = place.guess();
        if self.buckets.has(guess, place.tag) && self.entries[guess.index()].key.is_same(key) {
            return Some(guess);
        }
        ways(self.buckets.tags(place.bucket).matching(place.tag))
            .map(|way| Slot { bucket: place.bucket, way })
            .find(|slot| self.entries[slot.index()].key == *key)
    }

    #[inline]
    fn meter_known(&mut self, slot: Slot, place: Place, packet: &Packet, out: &mut impl Records) {
        if self.timeouts.is_due(&self.entries[slot.index()], self.clock) && !self.settle_due(slot, out) {
            return self.begin(place, packet, out);
        }
        if self.entries[slot.index()].is_reopened_by(packet) {
            self.end(slot, FlowEndReason::EndOfFlow, out);
            return self.begin(place, packet, out);
        }
        self.add(slot, packet);
    }

    #[inline]
    fn add(&mut self, slot: Slot, packet: &Packet) {
        let side = packet.headers.direction as usize;
        let entry = &mut self.entries[slot.index()];
        let was_closed = entry.closed_at().is_some();
        self.journal[0].adding(slot.index(), side, entry.counters(side));
        entry.add(packet, self.clock);
        self.journal[0].metered(packet.layer2_octets.into());
        self.open += Amount::one(packet.layer2_octets.into());
        if !was_closed && entry.closed_at().is_some() {
            let due = self.tick(self.timeouts.deadline(&self.entries[slot.index()]));
            self.buckets.lower(slot, due);
        }
        if self.entries[slot.index()].packets(side) >= self.elephant_packets {
            self.shunt(slot);
        }
    }

    /// A flow that is not in the cache (any more).
    fn begin(&mut self, place: Place, packet: &Packet, out: &mut impl Records) {
        let slot = self.vacancy(place.bucket, out);
        self.journal[0].beginning(slot.index());
        self.entries[slot.index()] = Entry::begin(packet, self.timeouts.life(place.tag));
        torn();
        self.open_flows += 1;
        // The bound is set once the packet is in: its time counts.
        self.entries[slot.index()].add(packet, self.clock);
        self.open += Amount::one(packet.layer2_octets.into());
        let due = self.tick(self.timeouts.deadline(&self.entries[slot.index()]));
        self.buckets.occupy(slot, place.tag, due);
        self.journal[0].metered(packet.layer2_octets.into());
    }

    /// A vacant slot in the bucket, made if need be: flows that are due go first, then a closed one, then the oldest.
    fn vacancy(&mut self, bucket: usize, out: &mut impl Records) -> Slot {
        if let Some(slot) = self.vacant(bucket) {
            return slot;
        }
        let now = self.tick(self.clock);
        for slot in (0..WAYS).map(|way| Slot { bucket, way }) {
            if self.buckets.may_be_due(slot, now) {
                self.settle_due(slot, out);
            }
        }
        if let Some(slot) = self.vacant(bucket) {
            return slot;
        }
        if let Some(victim) = self.victim(bucket) {
            self.evict(victim, out);
            return victim;
        }
        self.make_room_elsewhere(out);
        Slot { bucket, way: 0 }
    }

    /// The cache is full and the packet's bucket empty: another one gives up a flow. Where none is found in so many buckets, there is
    /// a flow more than the cache shall hold (its slot is there); the next search goes on behind them, and then two go for one.
    #[inline(never)]
    fn make_room_elsewhere(&mut self, out: &mut impl Records) {
        let mut evicted = 0;
        for _ in 0..SEARCHED.min(self.buckets.count()) {
            let victim = self.victim(self.searched);
            self.searched = if self.searched + 1 == self.buckets.count() { 0 } else { self.searched + 1 };
            if let Some(victim) = victim {
                self.evict(victim, out);
                evicted += 1;
            }
            if evicted == 2 || self.open_flows < self.capacity {
                return;
            }
        }
    }

    /// A vacant slot, unless the cache holds as many flows as it may.
    fn vacant(&self, bucket: usize) -> Option<Slot> {
        if self.open_flows >= self.capacity {
            return None;
        }
        ways(!self.buckets.tags(bucket).occupied()).next().map(|way| Slot { bucket, way })
    }

    /// Who goes when there is no room: a closed flow, else the one whose last packet is oldest; a shunted one last of all.
    fn victim(&self, bucket: usize) -> Option<Slot> {
        ways(self.buckets.tags(bucket).occupied()).map(|way| Slot { bucket, way }).min_by_key(|slot| {
            let entry = &self.entries[slot.index()];
            (entry.shunt().is_some(), entry.closed_at().is_none(), entry.last_at, slot.way)
        })
    }

    fn evict(&mut self, slot: Slot, out: &mut impl Records) {
        self.evicted_flows += 1;
        let reason = match self.entries[slot.index()].closed_at() {
            Some(_) => FlowEndReason::EndOfFlow,
            None => FlowEndReason::LackOfResources,
        };
        self.end(slot, reason, out);
    }

    /// Writes what is due of an entry by now. `false` = it has ended, the slot is vacant.
    #[inline]
    fn settle(&mut self, slot: Slot, out: &mut impl Records) -> bool {
        self.buckets.is_occupied(slot) && self.settle_due(slot, out)
    }

    #[inline(never)]
    fn settle_due(&mut self, slot: Slot, out: &mut impl Records) -> bool {
        loop {
            match self.timeouts.due(&self.entries[slot.index()], self.clock) {
                Due::Not => return true,
                // It has gone on in the shunt.
                Due::Idle if self.merge_newest(slot) => {}
                Due::Active => {
                    self.merge_newest(slot);
                    let continued = self.entries[slot.index()].continued();
                    self.write(slot, FlowEndReason::ActiveTimeout, out);
                    self.entries[slot.index()] = continued;
                    self.journal[0].written();
                }
                Due::Idle => {
                    self.end(slot, FlowEndReason::IdleTimeout, out);
                    return false;
                }
                Due::Closed => {
                    self.end(slot, FlowEndReason::EndOfFlow, out);
                    return false;
                }
            }
        }
    }

    fn end(&mut self, slot: Slot, reason: FlowEndReason, out: &mut impl Records) {
        if self.entries[slot.index()].shunt().is_some() {
            return self.part(slot, reason);
        }
        if !self.entries[slot.index()].is_empty() {
            self.write(slot, reason, out);
        }
        self.buckets.vacate(slot);
        self.journal[0].written();
        self.open_flows -= 1;
    }

    /// From here to the end of what the caller makes of the entry, the journal says that its record is on its way.
    fn write(&mut self, slot: Slot, reason: FlowEndReason, out: &mut impl Records) {
        let entry = &self.entries[slot.index()];
        let amount = entry.amount();
        self.open.packets -= amount.packets;
        self.open.octets -= amount.octets;
        self.journal[0].writing(slot.index(), out.sequence());
        out.record(entry.record(self.observation_domain_id, reason));
        step();
    }

    /// Ends every flow, bucket by bucket from `from` on, while `out` has room: those that are due for their own reason,
    /// the others as forced. Returns where to go on, `None` at the end.
    pub fn flush(&mut self, from: usize, out: &mut impl Records) -> Option<usize> {
        for bucket in from..self.buckets.count() {
            if out.room() < BUCKET_RECORDS {
                return Some(bucket);
            }
            for way in ways(self.buckets.tags(bucket).occupied()) {
                let slot = Slot { bucket, way };
                if self.settle(slot, out) {
                    let reason = match self.entries[slot.index()].closed_at() {
                        Some(_) => FlowEndReason::EndOfFlow,
                        None => FlowEndReason::ForcedEnd,
                    };
                    self.end(slot, reason, out);
                }
            }
        }
        None
    }

    /// Begins a new time when `first_nanoseconds` is older than the clock by more than the idle time-out, after ending
    /// every flow of the old one. `out` has room for all of them.
    pub fn rewind(&mut self, first_nanoseconds: u64, out: &mut impl Records) {
        if !self.timeouts.is_before(first_nanoseconds, self.clock) {
            return;
        }
        let mut next = Some(0);
        while let Some(bucket) = next {
            next = self.flush(bucket, out);
        }
        (self.clock, self.base, self.hand_at) = (0, None, 0);
    }

    #[inline]
    fn tick(&self, nanoseconds: u64) -> Tick {
        Tick::new(self.base.unwrap_or(0), nanoseconds)
    }
}
