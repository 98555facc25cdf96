//! Acknowledged ZMQ: HELLO, CREDIT (with each acknowledgement one batch more) and ACK upstream, batches downstream.

use super::rules::{BATCHES_MAX, CREDIT, Mutation, Protocol, UPSTREAM_MAX};
use super::state::{Entry, State, Upstream};

impl State {
    /// At the start, and again while nothing comes.
    pub(crate) fn hello(&mut self, protocol: &Protocol) -> bool {
        let may = self.collector.is_some() && self.wire.up.is_empty();
        let knows = protocol.is(Mutation::OneHello) && self.store.offset > 0;
        if may && !knows {
            // Kafka's offset has no other use here: it tells the mutant that it has greeted once.
            self.store.offset = usize::from(protocol.is(Mutation::OneHello));
            self.wire.up.push(Upstream::Hello);
        }
        may && !knows
    }

    /// The probe takes the next message of its collector. A HELLO to somebody who is known is a sign of life; to a stranger all
    /// that is not acknowledged is sent again.
    pub(crate) fn hear(&mut self) -> bool {
        let Some(exporter) = &mut self.exporter else { return false };
        if self.wire.up.is_empty() {
            return false;
        }
        let sink = &mut exporter.sink;
        match self.wire.up.remove(0) {
            Upstream::Hello if sink.is_connected => {}
            Upstream::Hello => {
                sink.is_connected = true;
                sink.handed = sink.acknowledged;
                sink.credit = CREDIT;
            }
            Upstream::Acknowledge(entry) => {
                sink.credit = CREDIT.min(sink.credit + 1);
                // What a power cut took, or the quota, nobody waits for any more.
                let waits = |known: &Entry| *known == entry && entry.position >= sink.acknowledged;
                if self.spool.entries.iter().any(waits) && !sink.early.contains(&entry.position) {
                    sink.early.push(entry.position);
                    sink.early.sort_unstable();
                }
            }
        }
        self.pass_the_acknowledged();
        true
    }

    /// The cursor passes what is acknowledged without a gap.
    fn pass_the_acknowledged(&mut self) {
        let Some(exporter) = &mut self.exporter else { return };
        let sink = &mut exporter.sink;
        let begin = sink.acknowledged;
        let waiting = self.spool.entries.iter().filter(|entry| !entry.is_discarded);
        for Entry { position, .. } in waiting.filter(|entry| entry.position >= begin) {
            if sink.early.first() != Some(position) {
                break;
            }
            sink.early.remove(0);
            sink.acknowledged = position + 1;
        }
        sink.handed = sink.handed.max(sink.acknowledged);
    }

    pub(crate) fn deliver(&mut self, protocol: &Protocol) -> bool {
        let Some(collector) = &mut self.collector else { return false };
        if self.wire.down.is_empty() || collector.intake.len() == BATCHES_MAX {
            return false;
        }
        if protocol.is(Mutation::AcknowledgeBeforeCommit) && self.wire.up.len() == UPSTREAM_MAX {
            return false;
        }
        let entry = self.wire.down.remove(0);
        collector.intake.push(entry);
        if protocol.is(Mutation::AcknowledgeBeforeCommit) {
            self.acknowledge(entry);
        }
        true
    }

    /// An acknowledgement says again what an earlier one said, if that got lost.
    pub(crate) fn acknowledge(&mut self, entry: Entry) {
        self.wire.up.push(Upstream::Acknowledge(entry));
    }

    /// One message is lost on its way, those behind it are not.
    pub(crate) fn drop_message(&mut self, which: usize) -> bool {
        if which >= self.wire.down.len() {
            return false;
        }
        self.wire.down.remove(which);
        Self::spend(&mut self.faults.drops)
    }

    /// What was handed over and is not acknowledged goes out again, too early at times.
    pub(crate) fn time_out(&mut self) -> bool {
        let Some(exporter) = &mut self.exporter else { return false };
        let sink = &mut exporter.sink;
        if !sink.is_connected || sink.handed == sink.acknowledged || !self.wire.down.is_empty() {
            return false;
        }
        sink.handed = sink.acknowledged;
        sink.credit = CREDIT;
        true
    }
}
