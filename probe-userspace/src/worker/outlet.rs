//! Where a shard's output goes: records and cuts to the exporter, packets to other workers.

use std::time::Duration;

use flow_wire::ledger::{Amount, ByReason, Discard};
use flow_wire::record::FlowRecord;

use super::handover::Handover;
use super::ring::{Cut, Producer};
use crate::flow::{BUCKET_RECORDS, Records};
use crate::meter::{Given, Owners};
use crate::packet::Packet;
use crate::survive::bank::Bank;
use crate::survive::file::{DISCARDS, OutMemory};
use crate::survive::remains::amount;

/// Between two looks at a full ring, where waiting is allowed: short against the time in which an exporter drains it.
const PAUSE: Duration = Duration::from_micros(50);

/// One place of the ring in so many is for records that packets bring about: expiry leaves it free, for what it does not write now it
/// writes later, and a packet cannot wait.
const FOR_PACKETS: usize = 4;

/// What becomes of a record that finds the ring full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is dropped and counted: packets on the wire do not wait.
    Discard,
    /// The worker waits: a file does.
    Wait,
}

/// The way out of one worker.
pub struct Outlet {
    ring: Producer,
    when_full: WhenFull,
    /// The last records are being written: who writes them looks at the room between, and not at the end of each.
    finishing: bool,
    /// No record goes out any more.
    given_up: bool,
    /// What a full ring and a stop without time cost: packets and octets of each.
    discards: Bank<DISCARDS>,
    handover: Handover,
}

/// Reasons in the order of the bank.
const REASONS: [Discard; DISCARDS / 2] = [Discard::ExportQueueFull, Discard::DrainTimeout];

impl Outlet {
    /// Records and cuts go into the ring of `memory`, which is touched here, packets of other workers' flows into `handover`.
    ///
    /// # Panics
    /// The ring is too small for the records of one bucket of the cache: expiry would never find room.
    pub fn new(memory: OutMemory, when_full: WhenFull, handover: Handover) -> Self {
        let OutMemory { mut ring, discards } = memory;
        let capacity = ring.capacity();
        assert!(
            when_full == WhenFull::Wait || capacity >= 2 * BUCKET_RECORDS,
            "a ring of {capacity} records"
        );
        ring.touch();
        Self { ring, when_full, finishing: false, given_up: false, discards, handover }
    }

    /// What a full ring, and a stop without time, cost so far.
    pub(super) fn discarded(&self) -> ByReason<Discard> {
        let mut by_reason = ByReason::new();
        discarded_of(&self.discards.numbers(), &mut by_reason);
        by_reason
    }

    /// From now on [`Records::room`] says what there is, also where a full ring would be waited for: so that a stop need
    /// not wait. A ring that cannot hold the records of a bucket would never have room for them: it is waited for.
    pub(super) fn begin_to_finish(&mut self) {
        self.finishing = self.ring.capacity() >= 2 * BUCKET_RECORDS;
    }

    /// From now on every record is dropped, and counted as `drain_timeout`.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
    }

    pub(super) fn handover(&self) -> &Handover {
        &self.handover
    }

    pub(super) fn handover_mut(&mut self) -> &mut Handover {
        &mut self.handover
    }

    pub(super) fn has_room_for_cut(&self) -> bool {
        self.when_full == WhenFull::Wait || self.ring.has_room_for_cut()
    }

    /// Sends a cut. The caller has made sure that there is room, or packets no longer come in, so that waiting costs
    /// nothing.
    pub(super) fn send(&mut self, cut: Cut) {
        let mut cut = Box::new(cut);
        while !self.ring.is_abandoned() {
            match self.ring.push_cut(cut) {
                Ok(()) => return,
                Err(back) => cut = back,
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Gives the exporter a moment to take something, unless it is gone.
    pub(super) fn wait_for_room(&self) {
        if self.ring.room() < self.ring.capacity() / 2 && !self.ring.is_abandoned() {
            std::thread::sleep(PAUSE);
        }
    }

    /// `false` = dropped: the ring is full, or nobody reads it any more.
    fn push(&mut self, record: &FlowRecord) -> bool {
        while !self.ring.push(record) {
            if self.when_full == WhenFull::Discard || self.ring.is_abandoned() {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        true
    }

    /// Counted all at once: it is by this that the record was taken.
    fn discard(&mut self, reason: usize, amount: Amount) {
        let mut numbers = self.discards.numbers();
        numbers[2 * reason] += amount.packets;
        numbers[2 * reason + 1] += amount.octets;
        self.discards.write(&numbers);
    }
}

/// By reason, what a bank of discards says.
pub(crate) fn discarded_of(numbers: &[u64; DISCARDS], by_reason: &mut ByReason<Discard>) {
    for (at, reason) in REASONS.into_iter().enumerate() {
        let amount = Amount { packets: numbers[2 * at], octets: numbers[2 * at + 1] };
        if amount != Amount::ZERO {
            by_reason.insert(reason, amount);
        }
    }
}

impl Records for Outlet {
    fn record(&mut self, record: FlowRecord) {
        if self.given_up {
            self.discard(1, amount(&record));
        } else if !self.push(&record) {
            self.discard(0, amount(&record));
        }
    }

    #[inline]
    fn sequence(&self) -> u64 {
        self.ring.tail().wrapping_add(self.discards.generation())
    }

    fn room(&self) -> usize {
        let counts = self.when_full == WhenFull::Discard || self.finishing;
        if !counts || self.given_up || self.ring.is_abandoned() {
            return usize::MAX;
        }
        let for_packets = if self.finishing { 0 } else { self.ring.capacity() / FOR_PACKETS };
        self.ring.room().saturating_sub(for_packets)
    }
}

impl Owners for Outlet {
    #[inline]
    fn owns(&self, packet: &Packet) -> bool {
        self.handover.owns(packet)
    }

    fn owns_fragment(&self, packet: &Packet) -> bool {
        self.handover.owns_fragment(packet)
    }

    #[inline]
    fn give(&mut self, packet: &Packet) -> Given {
        self.handover.give(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survive::{Parts, Shape};

    #[test]
    fn expiry_leaves_room_for_the_records_of_packets_until_there_are_none_any_more() {
        let Parts { out, lane: _lane, .. } =
            Parts::anonymous(Shape { buckets: 1, ring: 128, places: 0 }).unwrap();
        let alone = Handover::mesh(1).unwrap().remove(0);
        let mut outlet = Outlet::new(out, WhenFull::Discard, alone);
        assert_eq!(outlet.room(), 96);
        (0..100).for_each(|_| outlet.record(crate::export::tests::record()));
        assert_eq!(outlet.room(), 0);
        assert!(outlet.discarded().is_empty());
        outlet.begin_to_finish();
        assert_eq!(outlet.room(), 28);
    }
}
