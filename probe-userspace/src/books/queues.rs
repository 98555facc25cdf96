//! The terms of each queue, from several places: every socket of the queue, and the kernel's counters.

use flow_wire::ledger::{Amount, ByReason, QueueTerms};

/// One entry per interface and queue, in the order of their first appearance. What several sources say of one queue is
/// added up: sockets each have their part of `received` and of the ring's losses, the kernel alone has `seen` and the
/// outcomes, the device alone what it missed.
pub fn merge(parts: impl IntoIterator<Item = QueueTerms>) -> Vec<QueueTerms> {
    let mut merged: Vec<QueueTerms> = Vec::new();
    for part in parts {
        match merged.iter_mut().find(|one| one.interface == part.interface && one.queue == part.queue) {
            Some(one) => add(one, &part),
            None => merged.push(part),
        }
    }
    merged
}

/// Adds the terms of `part`; names stay.
pub(super) fn add(sum: &mut QueueTerms, part: &QueueTerms) {
    sum.offered = some_sum(sum.offered, part.offered, |one, other| one + other);
    for (counter, missed) in &part.device_missed {
        *sum.device_missed.entry(counter.clone()).or_default() += missed;
    }
    sum.seen += part.seen;
    add_reasons(&mut sum.passed, &part.passed);
    sum.shunted += part.shunted;
    sum.shunt_counted += part.shunt_counted;
    sum.redirected += part.redirected;
    sum.dropped_before_redirect |= part.dropped_before_redirect;
    add_reasons(&mut sum.refused, &part.refused);
    sum.received += part.received;
    sum.rx_ring_full += part.rx_ring_full;
    sum.rx_dropped += part.rx_dropped;
    sum.not_delivered = some_sum(sum.not_delivered, part.not_delivered, |one, other| one + other);
    // With a shared UMEM every socket of the queue reports all of it.
    sum.rx_fill_ring_empty_descs = sum.rx_fill_ring_empty_descs.max(part.rx_fill_ring_empty_descs);
}

pub(super) fn add_reasons<R: Copy + Ord>(sum: &mut ByReason<R>, part: &ByReason<R>) {
    for (reason, amount) in part {
        *sum.entry(*reason).or_insert(Amount::ZERO) += *amount;
    }
}

fn some_sum<T>(one: Option<T>, other: Option<T>, add: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(add(one, other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use flow_wire::ledger::Pass;

    use super::*;

    fn of(interface: &str, queue: u32) -> QueueTerms {
        QueueTerms { interface: interface.into(), queue, ..QueueTerms::default() }
    }

    #[test]
    fn sockets_and_kernel_counters_of_a_queue_are_one_entry() {
        let kernel = QueueTerms {
            seen: Amount { packets: 10, octets: 1000 },
            redirected: Amount { packets: 9, octets: 900 },
            passed: [(Pass::Own, Amount { packets: 1, octets: 100 })].into(),
            ..of("eno1", 0)
        };
        let socket = |packets, full, empty| QueueTerms {
            received: Amount { packets, octets: packets * 100 },
            rx_ring_full: full,
            rx_fill_ring_empty_descs: empty,
            ..of("eno1", 0)
        };
        let merged = merge([socket(4, 1, 7), of("eno1", 1), kernel, socket(3, 1, 7)]);
        assert_eq!(merged.len(), 2);
        assert_eq!(merged[1], of("eno1", 1));
        let queue = &merged[0];
        assert_eq!(queue.received, Amount { packets: 7, octets: 700 });
        assert_eq!((queue.rx_ring_full, queue.rx_fill_ring_empty_descs), (2, 7));
        assert_eq!(queue.seen.packets, queue.redirected.packets + queue.passed[&Pass::Own].packets);
    }

    #[test]
    fn what_no_source_knows_stays_unknown() {
        let known = QueueTerms { not_delivered: Some(2), ..of("a", 0) };
        let merged = merge([of("a", 0), known, of("a", 0)]);
        assert_eq!((merged[0].not_delivered, merged[0].offered), (Some(2), None));
    }
}
