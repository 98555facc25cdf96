//! What happened between two books.

use std::collections::BTreeMap;

use flow_wire::ledger::{Amount, ByReason, Discard, Message, lost_by_worst_sink};
use serde::Serialize;

/// Rates over the time between two messages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Packets that arrived, a second.
    pub packets: f64,
    /// Bits of their frames, a second.
    pub bits: f64,
    /// Records sealed, a second.
    pub records: f64,
}

impl Rates {
    /// From an older to a newer message of one epoch.
    pub fn between(older: &Message, newer: &Message) -> Self {
        let nanoseconds = newer.time_nanoseconds.saturating_sub(older.time_nanoseconds);
        if nanoseconds == 0 {
            return Self::default();
        }
        let seconds = nanoseconds as f64 / 1e9;
        let (before, after) = (seen(older), seen(newer));
        let packets = after.packets.saturating_sub(before.packets);
        let octets = after.octets.saturating_sub(before.octets);
        Self {
            packets: packets as f64 / seconds,
            bits: octets as f64 * 8.0 / seconds,
            records: records(newer).saturating_sub(records(older)) as f64 / seconds,
        }
    }
}

/// What all queues saw.
pub(super) fn seen(message: &Message) -> Amount {
    message.queues.iter().fold(Amount::ZERO, |sum, queue| sum + queue.seen)
}

/// Records of all workers.
pub(super) fn records(message: &Message) -> u64 {
    message.workers.iter().map(|worker| worker.records).sum()
}

/// Every loss so far by its reason, in packets: what `--max-loss` is held against, and `lost.packets` of the ledger file.
/// Packets in records that the worst sink did not get are among them. Reasons that never happened are absent.
pub fn losses(message: &Message) -> BTreeMap<String, u64> {
    let mut losses = BTreeMap::new();
    let mut add = |reason: &str, packets: u64| {
        if packets > 0 {
            *losses.entry(reason.to_string()).or_insert(0) += packets;
        }
    };
    for queue in &message.queues {
        add("rx_ring_full", queue.rx_ring_full);
        add("rx_dropped", queue.rx_dropped);
        add("not_delivered", queue.not_delivered.unwrap_or(0));
        add("device_missed", queue.device_missed.values().sum());
    }
    // Without a sink nothing was to be kept: that is how it was asked for, not a loss.
    for worker in &message.workers {
        add("handover_full", worker.handover_full.packets);
        for (reason, amount) in worker.discarded.iter().filter(|(reason, _)| **reason != Discard::NoSink) {
            add(&word(reason), amount.packets);
        }
    }
    if let Some((sink, lost)) = lost_by_worst_sink(message) {
        for (reason, lost) in lost {
            add(&format!("{sink} {}", word(&reason)), lost.amount.packets);
        }
    }
    losses
}

/// Sealed records that the worst sink did not get: [`losses`] has their packets.
pub(super) fn lost_records(message: &Message) -> u64 {
    lost_by_worst_sink(message).map_or(0, |(_, lost)| lost.values().map(|lost| lost.records).sum())
}

/// The reasons as the ledger writes them, with their packets.
pub(super) fn by_word<R: Serialize>(amounts: &ByReason<R>) -> impl Iterator<Item = (String, u64)> + '_ {
    amounts.iter().map(|(reason, amount)| (word(reason), amount.packets))
}

/// A unit variant's name as serde writes it: the one place where reasons get their names.
pub(super) fn word<R: Serialize>(reason: &R) -> String {
    match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "unnamed".to_string(),
    }
}
