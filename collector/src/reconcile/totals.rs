//! The terms of an epoch, summed over queues, workers and streams: what a page shows in one column.

use std::collections::BTreeMap;

use flow_wire::ledger::{Amount, ByReason};
use flow_wire::stamp::StreamId;
use serde::Serialize;

use crate::store::{EpochBooks, Stored};

/// Terms by their names in the ledger.
#[derive(Debug, Default, Serialize)]
pub struct Totals {
    /// By kernel or file reader.
    pub seen: Amount,
    /// By the workers.
    pub received: Amount,
    /// Put into flows.
    pub metered: Amount,
    /// In sealed batches.
    pub exported: Amount,
    /// In open flows.
    pub open: Amount,
    /// Open flows.
    pub open_flows: u64,
    /// Between worker and batch.
    pub in_record_ring: Amount,
    /// Put into flows by an earlier start that was killed, and exported here.
    pub inherited: Amount,
    /// Put into flows here, and exported by a later start.
    pub recovered: Amount,
    /// Packets, by reason.
    pub excepted: BTreeMap<String, u64>,
    /// Packets, by reason.
    pub lost: BTreeMap<String, u64>,
    /// In the store.
    pub stored: Stored,
}

impl Totals {
    pub(super) fn of(books: &EpochBooks) -> Self {
        let mut totals = Self::default();
        for (stream, books) in &books.streams {
            if *stream != StreamId::CONTROL {
                totals.stored.batches += books.stored.batches;
                totals.stored.records += books.stored.records;
                totals.stored.packets = totals.stored.packets.saturating_add(books.stored.packets);
                totals.stored.octets = totals.stored.octets.saturating_add(books.stored.octets);
            }
        }
        let Some(message) = &books.message else { return totals };
        for queue in &message.queues {
            add(&mut totals.seen, queue.seen);
            by_reason(&mut totals.excepted, "passed", &queue.passed);
            by_reason(&mut totals.excepted, "refused", &queue.refused);
            for (counter, packets) in &queue.device_missed {
                count(&mut totals.lost, &format!("device_missed.{counter}"), *packets);
            }
            count(&mut totals.lost, "rx_ring_full", queue.rx_ring_full);
            count(&mut totals.lost, "rx_dropped", queue.rx_dropped);
            count(&mut totals.lost, "not_delivered", queue.not_delivered.unwrap_or(0));
        }
        count(&mut totals.lost, "lost_in_rings", message.lost_in_rings.unwrap_or(0));
        for worker in &message.workers {
            add(&mut totals.received, worker.received);
            // Whoever counted them.
            add(&mut totals.metered, worker.metered);
            add(&mut totals.metered, worker.shunt_merged);
            add(&mut totals.exported, worker.exported);
            add(&mut totals.open, worker.open);
            add(&mut totals.in_record_ring, worker.in_record_ring);
            add(&mut totals.inherited, worker.inherited);
            add(&mut totals.recovered, worker.recovered);
            totals.open_flows = totals.open_flows.saturating_add(worker.open_flows);
            by_reason(&mut totals.excepted, "undecodable", &worker.undecodable);
            by_reason(&mut totals.excepted, "non_flow", &worker.non_flow);
            count(&mut totals.excepted, "not_selected", worker.not_selected.packets);
            by_reason(&mut totals.lost, "discarded", &worker.discarded);
            count(&mut totals.lost, "handover_full", worker.handover_full.packets);
            count(&mut totals.lost, "lost_at_crash", worker.lost_at_crash.packets);
        }
        totals
    }
}

/// Saturating, here and below: the numbers come from outside, and this is for show; the identities check themselves.
fn add(sum: &mut Amount, amount: Amount) {
    sum.packets = sum.packets.saturating_add(amount.packets);
    sum.octets = sum.octets.saturating_add(amount.octets);
}

fn by_reason<R: Serialize>(sums: &mut BTreeMap<String, u64>, term: &str, amounts: &ByReason<R>) {
    for (reason, amount) in amounts {
        if let Ok(serde_json::Value::String(reason)) = serde_json::to_value(reason) {
            count(sums, &format!("{term}.{reason}"), amount.packets);
        }
    }
}

fn count(sums: &mut BTreeMap<String, u64>, name: &str, packets: u64) {
    if packets > 0 {
        let sum = sums.entry(name.to_owned()).or_default();
        *sum = sum.saturating_add(packets);
    }
}
