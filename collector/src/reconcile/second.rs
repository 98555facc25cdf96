//! What one ledger message says in a handful of counters, for the view of now.

use flow_wire::ledger::{Amount, Message, QueueTerms, WorkerTerms};
use flow_wire::stamp::Stamp;

use crate::store::Second;

/// Summed over queues and workers. Saturating: the numbers come from outside, and a plot is no book.
pub fn second(stamp: &Stamp, message: &Message) -> Second {
    let queues = |of: fn(&QueueTerms) -> u64| message.queues.iter().map(of).fold(0, u64::saturating_add);
    let workers = |of: fn(&WorkerTerms) -> u64| message.workers.iter().map(of).fold(0, u64::saturating_add);
    Second {
        probe: stamp.probe,
        epoch: stamp.epoch,
        time_nanoseconds: message.time_nanoseconds,
        seen: Amount {
            packets: queues(|queue| queue.seen.packets),
            octets: queues(|queue| queue.seen.octets),
        },
        metered: Amount {
            packets: workers(|worker| worker.metered.packets.saturating_add(worker.shunt_merged.packets)),
            octets: workers(|worker| worker.metered.octets.saturating_add(worker.shunt_merged.octets)),
        },
        excepted_packets: queues(excepted_by_kernel).saturating_add(workers(excepted_by_worker)),
        lost_packets: queues(lost_by_kernel)
            .saturating_add(message.lost_in_rings.unwrap_or(0))
            .saturating_add(workers(lost_by_worker)),
    }
}

fn packets<'a>(amounts: impl Iterator<Item = &'a Amount>) -> u64 {
    amounts.map(|amount| amount.packets).fold(0, u64::saturating_add)
}

fn excepted_by_kernel(queue: &QueueTerms) -> u64 {
    packets(queue.passed.values().chain(queue.refused.values()))
}

fn excepted_by_worker(worker: &WorkerTerms) -> u64 {
    packets(worker.undecodable.values().chain(worker.non_flow.values()).chain([&worker.not_selected]))
}

fn lost_by_kernel(queue: &QueueTerms) -> u64 {
    let device = queue.device_missed.values().copied().fold(0, u64::saturating_add);
    [queue.rx_ring_full, queue.rx_dropped, queue.not_delivered.unwrap_or(0)]
        .into_iter()
        .fold(device, u64::saturating_add)
}

fn lost_by_worker(worker: &WorkerTerms) -> u64 {
    packets(worker.discarded.values().chain([&worker.handover_full, &worker.lost_at_crash]))
}
