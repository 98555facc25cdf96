//! Where a shard's output goes: records and cuts to the exporter, packets to other workers.

use std::time::Duration;

use flow_wire::ledger::{Amount, ByReason, Discard};
use flow_wire::record::FlowRecord;
use rtrb::{Producer, PushError};

use super::handover::Handover;
use super::ring::{Cut, Export};
use crate::flow::{BUCKET_RECORDS, Records};
use crate::meter::{Given, Owners};
use crate::packet::Packet;

/// Between two looks at a full ring, where waiting is allowed: short against the time in which an exporter drains it.
const PAUSE: Duration = Duration::from_micros(50);

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
    ring: Producer<Export>,
    when_full: WhenFull,
    /// The last records are being written: who writes them looks at the room between, and not at the end of each.
    finishing: bool,
    /// No record goes out any more.
    given_up: bool,
    discarded: Amount,
    out_of_time: Amount,
    handover: Handover,
}

impl Outlet {
    /// Records and cuts go into `ring`, packets of other workers' flows into `handover`.
    ///
    /// # Panics
    /// The ring is too small for the records of one bucket of the cache: expiry would never find room.
    pub fn new(ring: Producer<Export>, when_full: WhenFull, handover: Handover) -> Self {
        let capacity = ring.buffer().capacity();
        assert!(
            when_full == WhenFull::Wait || capacity >= 2 * BUCKET_RECORDS,
            "a ring of {capacity} records"
        );
        let (discarded, out_of_time) = (Amount::ZERO, Amount::ZERO);
        Self { ring, when_full, finishing: false, given_up: false, discarded, out_of_time, handover }
    }

    /// What a full ring, and a stop without time, cost so far.
    pub(super) fn discarded(&self) -> ByReason<Discard> {
        let all = [(Discard::ExportQueueFull, self.discarded), (Discard::DrainTimeout, self.out_of_time)];
        all.into_iter().filter(|(_, amount)| *amount != Amount::ZERO).collect()
    }

    /// From now on [`Records::room`] says what there is, also where a full ring would be waited for: so that a stop need
    /// not wait. A ring that cannot hold the records of a bucket would never have room for them: it is waited for.
    pub(super) fn begin_to_finish(&mut self) {
        self.finishing = self.ring.buffer().capacity() >= 2 * BUCKET_RECORDS;
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
        self.when_full == WhenFull::Wait || self.ring.slots() > 0
    }

    /// Sends a cut. The caller has made sure that there is room, or packets no longer come in, so that waiting costs
    /// nothing.
    pub(super) fn send(&mut self, cut: Cut) {
        self.push(Export::Cut(Box::new(cut)), WhenFull::Wait);
    }

    /// Waits until the exporter has taken something, or is gone.
    pub(super) fn wait_for_room(&self) {
        while self.ring.slots() < self.ring.buffer().capacity() / 2 && !self.ring.is_abandoned() {
            std::thread::sleep(PAUSE);
        }
    }

    /// `false` = dropped: the ring is full, or nobody reads it any more.
    fn push(&mut self, export: Export, when_full: WhenFull) -> bool {
        let mut export = export;
        loop {
            match self.ring.push(export) {
                Ok(()) => return true,
                Err(PushError::Full(_)) if when_full == WhenFull::Discard || self.ring.is_abandoned() => {
                    return false;
                }
                Err(PushError::Full(back)) => export = back,
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Records for Outlet {
    fn record(&mut self, record: FlowRecord) {
        let amount = Amount {
            packets: record.packet_delta_count + record.reverse_packet_delta_count,
            octets: record.layer2_octet_delta_count + record.reverse_layer2_octet_delta_count,
        };
        if self.given_up {
            self.out_of_time += amount;
        } else if !self.push(Export::Record(record), self.when_full) {
            self.discarded += amount;
        }
    }

    fn room(&self) -> usize {
        let counts = self.when_full == WhenFull::Discard || self.finishing;
        if counts && !self.given_up && !self.ring.is_abandoned() { self.ring.slots() } else { usize::MAX }
    }
}

impl Owners for Outlet {
    #[inline]
    fn give(&mut self, packet: &Packet) -> Given {
        self.handover.give(packet)
    }
}
