//! The probe: from a metered record into the spool, and its deaths.

use super::rules::{Mutation, Protocol};
use super::state::{Entry, Exporter, Sink, Spool, Stamp, State};

/// Bits of a position that count within a generation.
const INDEX_BITS: u32 = 4;

impl State {
    pub(crate) fn meter(&mut self, protocol: &Protocol) -> bool {
        let may = self.exporter.is_some()
            && self.ring.written < protocol.records
            && self.ring.read == self.ring.written;
        if may {
            self.ring.written += 1;
        }
        may
    }

    pub(crate) fn seal(&mut self, protocol: &Protocol) -> bool {
        let Some(exporter) = &mut self.exporter else { return false };
        let is_busy = exporter.sealed.is_some() || exporter.covered.is_some();
        if is_busy || self.ring.read == self.ring.written {
            return false;
        }
        let stamp = Stamp { epoch: exporter.epoch, sequence: exporter.next };
        exporter.next += 1;
        exporter.sealed = Some((stamp, self.ring.read));
        if protocol.is(Mutation::RingBeforeSpool) {
            self.ring.read += 1;
        }
        true
    }

    pub(crate) fn append(&mut self, protocol: &Protocol) -> bool {
        let Some(exporter) = &mut self.exporter else { return false };
        let Some((stamp, record)) = exporter.sealed.take() else { return false };
        let index = self.spool.entries.len() as u8;
        let generation = if protocol.is(Mutation::PositionReuse) { 0 } else { self.spool.generation };
        let position = generation << INDEX_BITS | index;
        self.spool.entries.push(Entry { position, stamp, record, is_discarded: false });
        exporter.covered = Some(record);
        true
    }

    /// The record's place in the ring is free again.
    pub(crate) fn release(&mut self) -> bool {
        let covered = self.exporter.as_mut().and_then(|exporter| exporter.covered.take());
        covered.is_some_and(|record| {
            self.ring.read = self.ring.read.max(record + 1);
            true
        })
    }

    pub(crate) fn sync(&mut self) -> bool {
        let all = self.spool.entries.len();
        self.exporter.is_some() && std::mem::replace(&mut self.spool.synced, all) != all
    }

    /// The quota takes the oldest batch that is not in flight.
    pub(crate) fn discard(&mut self) -> bool {
        let Some(exporter) = &self.exporter else { return false };
        let (acknowledged, handed) = (exporter.sink.acknowledged, exporter.sink.handed);
        let waits = |entry: &&mut Entry| entry.position >= acknowledged && !entry.is_discarded;
        let oldest = self.spool.entries.iter_mut().find(waits);
        let Some(entry) = oldest.filter(|entry| entry.position >= handed) else { return false };
        entry.is_discarded = true;
        Self::spend(&mut self.faults.discards)
    }

    /// Written behind the acknowledgement, whenever there is time.
    pub(crate) fn save_cursor(&mut self) -> bool {
        let Some(exporter) = &self.exporter else { return false };
        let acknowledged = exporter.sink.acknowledged;
        std::mem::replace(&mut self.spool.cursor, acknowledged) != acknowledged
    }

    /// Spool and record ring outlive it.
    pub(crate) fn kill_probe(&mut self) -> bool {
        let died = self.exporter.take().is_some() && Self::spend(&mut self.faults.probe);
        self.wire.up.take();
        died
    }

    /// What was not synced is gone; the cursor's file is as old as it can be; memory is empty.
    pub(crate) fn cut_power(&mut self) -> bool {
        let died = self.exporter.take().is_some() && Self::spend(&mut self.faults.power);
        let Spool { entries, synced, cursor, .. } = &mut self.spool;
        entries.truncate(*synced);
        *cursor = 0;
        for record in 0..self.ring.written {
            if entries.iter().all(|entry| entry.record != record) {
                self.ring.cut_off |= 1 << record;
            }
        }
        self.ring.read = self.ring.written;
        self.wire.up.take();
        died
    }

    /// The generation is durable before anything is appended. What the ring of the dead has goes out in the new epoch, but for
    /// what the spool holds already.
    pub(crate) fn start_probe(&mut self, protocol: &Protocol) -> bool {
        if self.exporter.is_some() {
            return false;
        }
        self.spool.generation += 1;
        if !protocol.is(Mutation::RecoveryWithoutSpool) {
            let covered = self.spool.entries.iter().map(|entry| entry.record + 1).max();
            self.ring.read = self.ring.read.max(covered.unwrap_or(0));
        }
        let continued = protocol.is(Mutation::EpochContinued);
        let epoch = if continued { 1 } else { self.spool.generation };
        let stamps = self.spool.entries.iter().map(|entry| entry.stamp);
        let next = stamps.filter(|stamp| stamp.epoch == epoch).map(|stamp| stamp.sequence + 1).max();
        let cursor = self.spool.cursor;
        let sink = Sink { acknowledged: cursor, handed: cursor, ..Sink::default() };
        self.exporter = Some(Exporter { epoch, next: next.unwrap_or(0), sealed: None, covered: None, sink });
        true
    }

    /// The batch behind those that were handed over.
    pub(crate) fn next_to_send(&self, protocol: &Protocol) -> Option<Entry> {
        let handed = self.exporter.as_ref()?.sink.handed;
        let durable = if protocol.syncs_first { self.spool.synced } else { self.spool.entries.len() };
        let mut waiting = self.spool.entries[..durable].iter();
        waiting.find(|entry| entry.position >= handed && !entry.is_discarded).copied()
    }
}
