//! The sink over Kafka, with transactions and without.

use super::rules::{BATCHES_MAX, Bus, Mutation, Protocol};
use super::state::{Sink, State};

impl State {
    /// Fences whatever a producer before has under way, and asks where it stood.
    pub(crate) fn connect(&mut self, protocol: &Protocol) -> bool {
        let Some(exporter) = &mut self.exporter else { return false };
        if exporter.sink.is_connected {
            return false;
        }
        if !protocol.is(Mutation::NoFence) {
            self.broker.pending.take();
            self.broker.request = None;
        }
        self.broker.answer = false;
        let from_file = protocol.bus == Bus::NoTransactions || protocol.is(Mutation::CursorInFile);
        let committed = if from_file { None } else { self.broker.cursor };
        let position = committed.unwrap_or(self.spool.cursor);
        exporter.sink =
            Sink { is_connected: true, acknowledged: position, handed: position, ..Sink::default() };
        true
    }

    pub(crate) fn send(&mut self, protocol: &Protocol) -> bool {
        let Some(entry) = self.next_to_send(protocol) else { return false };
        let Some(exporter) = &mut self.exporter else { return false };
        let sink = &mut exporter.sink;
        let is_full = match protocol.bus {
            // Nothing is added to a transaction that is being committed.
            Bus::Transactions => {
                self.broker.pending.len() == BATCHES_MAX
                    || self.broker.request.is_some()
                    || self.broker.answer
            }
            Bus::NoTransactions => sink.flight.len() == BATCHES_MAX,
            Bus::Zmq => sink.credit == 0 || self.wire.down.len() == BATCHES_MAX,
        };
        if !sink.is_connected || is_full {
            return false;
        }
        match protocol.bus {
            Bus::Transactions => self.broker.pending.push(entry),
            Bus::NoTransactions => sink.flight.push((entry, false)),
            Bus::Zmq => {
                sink.credit -= 1;
                self.wire.down.push(entry);
            }
        }
        sink.handed = entry.position + 1;
        if protocol.is(Mutation::CursorBeforeAcknowledgement) {
            self.spool.cursor = sink.handed;
            self.broker.cursor = Some(sink.handed);
        }
        true
    }

    /// The request may be processed long after its sender died.
    pub(crate) fn ask_to_commit(&mut self) -> bool {
        let Some(exporter) = &self.exporter else { return false };
        let broker = &mut self.broker;
        let may = exporter.sink.is_connected
            && !broker.pending.is_empty()
            && broker.request.is_none()
            && !broker.answer
            && exporter.sink.handed > exporter.sink.acknowledged;
        if may {
            broker.request = Some(exporter.sink.handed);
        }
        may
    }

    /// Batches and cursor become visible together.
    pub(crate) fn commit(&mut self) -> bool {
        let Some(cursor) = self.broker.request.take() else { return false };
        let batches = self.broker.pending.take();
        self.broker.log.extend(&batches);
        self.broker.cursor = Some(cursor);
        self.broker.answer = true;
        true
    }

    /// Without transactions a batch is acknowledged behind its elders.
    pub(crate) fn answer(&mut self, protocol: &Protocol) -> bool {
        let Some(exporter) = &mut self.exporter else { return false };
        let sink = &mut exporter.sink;
        match protocol.bus {
            Bus::Transactions => {
                let may = sink.is_connected && std::mem::take(&mut self.broker.answer);
                if may {
                    sink.acknowledged = sink.handed;
                }
                may
            }
            Bus::NoTransactions => {
                let Some((entry, true)) = sink.flight.first().copied() else { return false };
                sink.flight.remove(0);
                sink.acknowledged = entry.position + 1;
                true
            }
            Bus::Zmq => false,
        }
    }

    /// Out of order: the elder one is refused for now.
    pub(crate) fn land(&mut self, which: usize) -> bool {
        let Some(exporter) = &mut self.exporter else { return false };
        let Some((entry, has_landed)) = exporter.sink.flight.get_mut(which) else { return false };
        let is_new = !std::mem::replace(has_landed, true);
        let entry = *entry;
        if is_new {
            self.broker.log.push(entry);
        }
        let in_order = exporter.sink.flight[..which].iter().all(|(_, has_landed)| *has_landed);
        is_new && (in_order || Self::spend(&mut self.faults.drops))
    }

    /// Connection or broker: what was not answered is in doubt.
    pub(crate) fn break_connection(&mut self) -> bool {
        let Some(exporter) = &mut self.exporter else { return false };
        let sink = &mut exporter.sink;
        let was_connected = std::mem::replace(&mut sink.is_connected, false);
        sink.handed = sink.acknowledged;
        sink.flight.take();
        sink.early.take();
        self.wire = super::state::Wire::default();
        was_connected && Self::spend(&mut self.faults.breaks)
    }
}
