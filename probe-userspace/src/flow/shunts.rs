//! The flows of a shard that the XDP program counts (`source::xdp::shunt`), and what becomes of what it counts.
//!
//! ```text
//!            elephant                          stopped by the program, or all at the end
//! entry ─────────────────► Active ───────────────────────────────► Leaving ──── grace ────► entry, not shunted any more
//!                            │   once a second: counts ─► entry       │
//!                            └── the flow ends ─► Parted ◄────────────┘
//!                                                   └── grace: last counts ─► its record
//! ```
//! A flow that ends leaves its slot at once, whatever ends it: its entry waits here for the last counts, so that the next flow of the
//! same key begins anew, and no count goes to the wrong one. What a kill leaves of it all, and why it is whole: `survive::shunts`.

use std::collections::VecDeque;

use flow_wire::ledger::{Amount, Unshunted};
use flow_wire::record::FlowEndReason;
use xdp_abi::shunt::{PLACES, index};

use super::buckets::{Slot, WAYS, ways};
use super::entry::Entry;
use super::{Cache, Records};
use crate::source::xdp::shunt::Shunt;
use crate::survive::shunts::{Account, ShuntMemory};
use crate::survive::{Owned, step};
use merge::merge;
pub(crate) use merge::shunted_amount;

mod merge;
#[cfg(test)]
mod tests;

/// No flow has so many packets.
pub(super) const OFF: u64 = u64::MAX;

/// All active flows are read in this time.
const ROUND_NANOSECONDS: u64 = 1_000_000_000;
/// Flows read in one call at most: some microseconds.
const READ_MOST: u64 = 64;

/// An elephant that could not be shunted, or was and was stopped, is tried again after this: a place that is taken is asked for by every
/// packet otherwise, and one that is stopped again and again would only wait for grace periods.
const AGAIN_NANOSECONDS: u64 = 1_000_000_000;

/// Shunts that one call settles at most: each may be a record.
const SETTLED_MOST: usize = 16;

/// Flows of a bucket at most, so that there is always somebody else to be pushed out.
const WAYS_MOST: usize = WAYS / 2;

/// Of one worker.
pub struct Shunts {
    shunt: Shunt,
    threshold: u64,
    places: Box<[Place]>,
    account: Account,
    /// By place: entries of flows that have parted.
    parted: Owned<Entry>,
    /// Places of this worker, in no order.
    held: Vec<u16>,
    /// Those that wait for a grace, first come first.
    waiting: VecDeque<u16>,
    hand: usize,
    /// The time up to which the hand has gone its way.
    hand_at: u64,
}

/// What a worker says of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShuntTerms {
    /// Packets that the program counted and that are in flows.
    pub merged: Amount,
    /// Flows that are shunted now, or were a moment ago.
    pub flows: u64,
    /// Shunts that were ever begun.
    pub begun: u64,
    /// Elephants that were not shunted, by [`Unshunted`].
    pub refused: [u64; Unshunted::ALL.len()],
}

#[derive(Clone, Copy)]
struct Place {
    state: State,
    /// Where in `held` it stands.
    at: usize,
}

#[derive(Clone, Copy)]
enum State {
    /// Not of this worker.
    Free,
    /// The program counts the flow in this slot.
    Active(Slot),
    /// It does so no more, once the grace is over.
    Leaving(Slot, u64),
    /// The same, and the flow has ended.
    Parted(FlowEndReason, u64),
}

const FREE: Place = Place { state: State::Free, at: 0 };

impl Shunts {
    /// In this memory, which is touched here; nothing is allocated later. A flow is shunted when a side of its record comes to so many
    /// packets.
    pub(crate) fn new(shunt: Shunt, threshold: u64, memory: ShuntMemory) -> Self {
        let places = PLACES as usize;
        let ShuntMemory { mut account, mut parted } = memory;
        account.begin_at(shunt.offset());
        parted.fill(Entry::VACANT);
        Self {
            shunt,
            threshold,
            places: vec![FREE; places].into(),
            account,
            parted,
            held: Vec::with_capacity(places),
            waiting: VecDeque::with_capacity(places),
            hand: 0,
            hand_at: 0,
        }
    }

    /// No program counts there yet, and none does any more.
    fn hold(&mut self, place: usize, state: State) {
        self.places[place] = Place { state, at: self.held.len() };
        self.held.push(place as u16);
        self.account.begin(place, &self.shunt.counts(place));
        self.shunt.take_flags(place, [u8::MAX; 2]);
    }

    /// The program looks for it no more.
    fn take_out(&mut self, place: usize) -> u64 {
        self.waiting.push_back(place as u16);
        self.shunt.take_out(place)
    }

    fn give_back(&mut self, place: usize) {
        let at = self.places[place].at;
        self.held.swap_remove(at);
        if let Some(moved) = self.held.get(at) {
            self.places[usize::from(*moved)].at = at;
        }
        self.places[place] = FREE;
        self.shunt.release(place);
    }

    /// The one that has waited longest, if it need not any more.
    fn next_over(&mut self, without_grace: bool) -> Option<usize> {
        let place = usize::from(*self.waiting.front()?);
        let (State::Leaving(_, grace) | State::Parted(_, grace)) = self.places[place].state else {
            return None;
        };
        (without_grace || self.shunt.is_over(grace)).then(|| {
            self.waiting.pop_front();
            place
        })
    }

    /// How many the hand should have read by now.
    fn owed(&mut self, clock: u64) -> u64 {
        let count = self.held.len().max(1) as u64;
        let elapsed = clock.saturating_sub(self.hand_at).min(ROUND_NANOSECONDS);
        let owed = (elapsed * count / ROUND_NANOSECONDS).min(READ_MOST);
        self.hand_at = clock - elapsed + (owed * ROUND_NANOSECONDS).div_ceil(count).min(elapsed);
        owed
    }

    fn next_held(&mut self) -> Option<usize> {
        self.hand = if self.hand + 1 < self.held.len() { self.hand + 1 } else { 0 };
        self.held.get(self.hand).map(|place| usize::from(*place))
    }
}

impl Cache {
    /// The same, with a shunt.
    #[must_use]
    pub fn with_shunts(mut self, shunts: Option<Shunts>) -> Self {
        self.elephant_packets = shunts.as_ref().map_or(OFF, |shunts| shunts.threshold);
        self.shunts = shunts.map(Box::new);
        self
    }

    /// What the shunt says of itself.
    pub fn shunt_terms(&self) -> ShuntTerms {
        let terms = |shunts: &Shunts| ShuntTerms {
            merged: shunts.account.amount(),
            flows: shunts.held.len() as u64,
            begun: shunts.account.begun(),
            refused: shunts.account.refused(),
        };
        self.shunts.as_deref().map(terms).unwrap_or_default()
    }

    /// A packet of an elephant: the program counts it from now on, unless its place is taken, or the half of its bucket is shunted; then
    /// it is tried again.
    #[cold]
    pub(super) fn shunt(&mut self, slot: Slot) {
        if !self.entries[slot.index()].may_be_shunted(self.clock) {
            return;
        }
        if let Some(reason) = self.begin_shunt(slot) {
            let is_first = self.entries[slot.index()].put_shunt_off(self.clock + AGAIN_NANOSECONDS);
            if let Some(shunts) = self.shunts.as_deref_mut().filter(|_| is_first) {
                shunts.account.refuse(reason);
            }
        }
    }

    /// `Some` = why not.
    fn begin_shunt(&mut self, slot: Slot) -> Option<Unshunted> {
        let entry = &self.entries[slot.index()];
        let is_shunted =
            |way: &usize| self.entries[Slot { bucket: slot.bucket, way: *way }.index()].shunt().is_some();
        let shunted = ways(self.buckets.tags(slot.bucket).occupied()).filter(is_shunted).count();
        let shunts = self.shunts.as_deref_mut()?;
        let place = index(entry.key.hash()) as usize;
        if shunted >= WAYS_MOST {
            return Some(Unshunted::BucketFull);
        }
        if !shunts.shunt.claim(place) {
            return Some(Unshunted::PlaceTaken);
        }
        shunts.hold(place, State::Active(slot));
        let entry = &mut self.entries[slot.index()];
        entry.set_shunt(Some(place));
        step();
        shunts.shunt.put_in(place, &entry.key, self.clock, entry.is_known());
        None
    }

    /// A shunted flow ends: its slot is vacant, its record goes out once its last counts are known.
    pub(super) fn part(&mut self, slot: Slot, reason: FlowEndReason) {
        let entry = self.entries[slot.index()];
        let (Some(place), Some(shunts)) = (entry.shunt(), self.shunts.as_deref_mut()) else { return };
        let grace = match shunts.places[place].state {
            State::Leaving(_, grace) => grace,
            _ => shunts.take_out(place),
        };
        shunts.places[place].state = State::Parted(reason, grace);
        shunts.parted[place] = entry;
        shunts.account.part(place, reason);
        self.buckets.vacate(slot);
        self.open_flows -= 1;
    }

    /// What the shunt has counted of the flow in this slot; `false` = nothing new.
    pub(super) fn merge_newest(&mut self, slot: Slot) -> bool {
        let Some(place) = self.entries[slot.index()].shunt() else { return false };
        let Some(Shunts { shunt, account, .. }) = self.shunts.as_deref_mut() else { return false };
        let entry = &mut self.entries[slot.index()];
        let more = merge((shunt, account), (place, entry), (&mut self.journal[0], slot.index()), self.clock);
        self.open += more.unwrap_or(Amount::ZERO);
        more.is_some()
    }

    /// Bounded work: some that the program counts are read, and those whose grace is over end, as far as `out` has room.
    #[inline]
    pub(super) fn tend_shunts(&mut self, out: &mut impl Records) {
        if self.shunts.as_deref().is_some_and(|shunts| !shunts.held.is_empty()) {
            self.tend(out);
        }
    }

    fn tend(&mut self, out: &mut impl Records) {
        self.settle_over(SETTLED_MOST, out);
        let owed = self.shunts.as_deref_mut().map_or(0, |shunts| shunts.owed(self.clock));
        for _ in 0..owed {
            self.look();
        }
    }

    /// So many at most of those whose grace is over, as far as `out` has room.
    fn settle_over(&mut self, most: usize, out: &mut impl Records) {
        for _ in 0..most.min(out.room()) {
            let Some(place) = self.shunts.as_deref_mut().and_then(|shunts| shunts.next_over(false)) else {
                break;
            };
            self.settle_shunt(place, out);
        }
    }

    /// At the next one: a stopped one need not be looked for any more.
    fn look(&mut self) {
        let Some(shunts) = self.shunts.as_deref_mut() else { return };
        let Some(place) = shunts.next_held() else { return };
        let State::Active(slot) = shunts.places[place].state else { return };
        if shunts.shunt.is_stopped(place) {
            let grace = shunts.take_out(place);
            shunts.places[place].state = State::Leaving(slot, grace);
        }
        self.merge_newest(slot);
    }

    /// No program counts it any more: what it has counted is all.
    fn settle_shunt(&mut self, place: usize, out: &mut impl Records) {
        let Some(shunts) = self.shunts.as_deref_mut() else { return };
        match shunts.places[place].state {
            State::Leaving(slot, _) => {
                self.merge_newest(slot);
                step();
                let entry = &mut self.entries[slot.index()];
                entry.set_shunt(None);
                entry.put_shunt_off(self.clock + AGAIN_NANOSECONDS);
                step();
            }
            State::Parted(reason, _) => self.settle_parted(place, reason, out),
            State::Free | State::Active(_) => return,
        }
        if let Some(shunts) = self.shunts.as_deref_mut() {
            shunts.give_back(place);
        }
    }

    fn settle_parted(&mut self, place: usize, reason: FlowEndReason, out: &mut impl Records) {
        let Some(Shunts { shunt, account, parted, .. }) = self.shunts.as_deref_mut() else { return };
        // The journal counts places behind the slots.
        let number = self.entries.len() + place;
        let (entry, journal) = (&mut parted[place], &mut self.journal[0]);
        let more = merge((shunt, account), (place, entry), (journal, number), self.clock);
        self.open += more.unwrap_or(Amount::ZERO);
        if !entry.is_empty() {
            let amount = entry.amount();
            self.open.packets -= amount.packets;
            self.open.octets -= amount.octets;
            journal.writing(number, out.sequence());
            out.record(entry.record(self.observation_domain_id, reason));
            step();
        }
        account.end(place);
        journal.written();
    }

    /// Before the end: no flow is shunted any more, and none will be.
    pub fn leave_shunts(&mut self) {
        self.elephant_packets = OFF;
        let Some(shunts) = self.shunts.as_deref_mut() else { return };
        for at in 0..shunts.held.len() {
            let place = usize::from(shunts.held[at]);
            if let State::Active(slot) = shunts.places[place].state {
                let grace = shunts.take_out(place);
                shunts.places[place].state = State::Leaving(slot, grace);
            }
        }
    }

    /// Goes on with it. `true` = there is none left.
    pub fn has_left_shunts(&mut self, out: &mut impl Records) -> bool {
        self.settle_over(usize::MAX, out);
        self.shunts.as_deref().is_none_or(|shunts| shunts.held.is_empty())
    }

    /// Without the grace: what the programs count after this is lost, and the books show it.
    pub fn abandon_shunts(&mut self, out: &mut impl Records) {
        while let Some(place) = self.shunts.as_deref_mut().and_then(|shunts| shunts.next_over(true)) {
            self.settle_shunt(place, out);
        }
    }
}
