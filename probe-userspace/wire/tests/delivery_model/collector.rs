//! The collector: takes in, judges by stamp, commits.

use super::list::List;
use super::rules::{BATCHES_MAX, Bus, Mutation, Protocol, UPSTREAM_MAX};
use super::state::{Collector, Entry, Stamp, State, Store};

impl State {
    pub(crate) fn fetch(&mut self, protocol: &Protocol) -> bool {
        let Some(collector) = &mut self.collector else { return false };
        let Some(entry) = self.broker.log.get(collector.position) else { return false };
        if collector.intake.len() == BATCHES_MAX {
            return false;
        }
        collector.intake.push(*entry);
        collector.position += 1;
        if protocol.is(Mutation::OffsetBeforeRows) {
            self.store.offset = collector.position;
        }
        true
    }

    /// Rows, received set and offset, in one transaction; acknowledged behind it.
    pub(crate) fn store(&mut self, protocol: &Protocol) -> bool {
        let Some(collector) = &mut self.collector else { return false };
        let intake = collector.intake.take();
        if protocol.bus == Bus::Zmq && self.wire.up.len() + intake.len() > UPSTREAM_MAX {
            return false;
        }
        intake.iter().for_each(|entry| self.store.take(protocol, entry));
        if protocol.bus == Bus::Zmq {
            if !protocol.is(Mutation::AcknowledgeBeforeCommit) {
                intake.iter().for_each(|entry| self.acknowledge(*entry));
            }
        } else {
            self.store.offset = collector.position;
        }
        !intake.is_empty()
    }

    pub(crate) fn kill_collector(&mut self) -> bool {
        self.wire.down.take();
        self.collector.take().is_some() && Self::spend(&mut self.faults.collector)
    }

    pub(crate) fn start_collector(&mut self) -> bool {
        let was_dead = self.collector.is_none();
        self.collector.get_or_insert(Collector { intake: List::default(), position: self.store.offset });
        was_dead
    }
}

impl Store {
    /// What it holds under a stamp.
    pub(crate) fn content_of(&self, stamp: Stamp) -> Option<u8> {
        self.received.iter().find(|(known, _)| *known == stamp).map(|(_, record)| *record)
    }

    fn take(&mut self, protocol: &Protocol, entry: &Entry) {
        let known = self.content_of(entry.stamp);
        let mut of_epoch = self.received.iter().filter(|(stamp, _)| stamp.epoch == entry.stamp.epoch);
        let is_new = match protocol.mutation {
            Some(Mutation::HighWaterMark) => of_epoch.all(|(stamp, _)| *stamp < entry.stamp),
            Some(Mutation::NoDedupe) => true,
            _ => known.is_none(),
        };
        self.has_conflict |= known.is_some_and(|record| record != entry.record);
        if is_new {
            self.rows[usize::from(entry.record)] += 1;
        }
        if is_new && known.is_none() {
            self.received.push((entry.stamp, entry.record));
            self.received.sort_unstable();
        }
    }
}
