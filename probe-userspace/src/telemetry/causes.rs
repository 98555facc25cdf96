//! Where something was lost, or is worth a look, and the knob for it: the table is `flow_wire`'s, the places are the books'.

use flow_wire::ledger::{Amount, Cause, Message, QueueTerms, WorkerTerms};

use super::number::grouped;

/// Places that are named; a NIC may have a hundred queues.
const PLACES: usize = 4;

/// What is no loss, and yet to be told at the end.
pub(super) const SIGNS: [Cause; 4] =
    [Cause::FillRingEmpty, Cause::EvictedFlows, Cause::FragmentsWithoutFirst, Cause::SplitFlows];

/// How often something happened, by queue or worker; where it did not is left out. What a sink did not get has no place but the
/// sink itself.
pub(super) fn places(message: &Message, cause: Cause) -> Vec<(String, u64)> {
    let queues = |of: fn(&QueueTerms) -> u64| -> Vec<_> {
        message.queues.iter().map(|q| (format!("{} queue {}", q.interface, q.queue), of(q))).collect()
    };
    let workers = |of: &dyn Fn(&WorkerTerms) -> u64| -> Vec<_> {
        message.workers.iter().map(|w| (format!("worker {}", w.worker), of(w))).collect()
    };
    let mut places = match cause {
        Cause::DeviceMissed => queues(|queue| queue.device_missed.values().sum()),
        Cause::RxRingFull => queues(|queue| queue.rx_ring_full),
        Cause::RxDropped => queues(|queue| queue.rx_dropped),
        Cause::NotDelivered => queues(|queue| queue.not_delivered.unwrap_or(0)),
        Cause::FillRingEmpty => queues(|queue| queue.rx_fill_ring_empty_descs),
        Cause::HandoverFull => workers(&|worker| worker.handover_full.packets),
        Cause::EvictedFlows => workers(&|worker| worker.evicted_flows),
        Cause::FragmentsWithoutFirst => workers(&|worker| worker.fragments_without_first),
        Cause::SplitFlows => workers(&|worker| worker.split_flows),
        Cause::Discarded(reason) => {
            workers(&|worker| worker.discarded.get(&reason).map_or(0, |amount: &Amount| amount.packets))
        }
    };
    places.retain(|(_, count)| *count > 0);
    places
}

/// `  (eno1 queue 3: 120; worker came too late: --ring-size ..)`, behind a number of which the reader knows what it counts.
pub(super) fn explain(message: &Message, cause: Cause) -> String {
    let mut places = places(message, cause);
    places.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named = places.iter().take(PLACES).map(|(place, count)| format!("{place} {}", grouped(*count)));
    let mut named: Vec<_> = named.collect();
    if places.len() > PLACES {
        named.push(format!("{} more", places.len() - PLACES));
    }
    let places = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
    format!("{places}  {}; turn: {}", cause.why(), cause.knob())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flow_wire::ledger::Discard;

    use super::*;

    fn message() -> Message {
        let queue = |queue, rx_ring_full| QueueTerms {
            interface: "eno1".into(),
            queue,
            rx_ring_full,
            rx_dropped: 1,
            not_delivered: Some(1),
            rx_fill_ring_empty_descs: 1,
            device_missed: BTreeMap::from([("rx_missed_errors".into(), 1)]),
            ..QueueTerms::default()
        };
        let discards = Cause::all().filter_map(|cause| match cause {
            Cause::Discarded(reason) => Some((reason, Amount::one(60))),
            _ => None,
        });
        let worker = WorkerTerms {
            worker: 1,
            handover_full: Amount::one(60),
            evicted_flows: 7,
            fragments_without_first: 1,
            split_flows: 1,
            discarded: discards.collect(),
            ..WorkerTerms::default()
        };
        let queues = (0..6).map(|number| queue(number, u64::from(number) * 1000)).collect();
        Message { queues, workers: vec![worker], ..Message::default() }
    }

    #[test]
    fn every_cause_is_found_where_it_happened() {
        for cause in Cause::all() {
            assert!(!places(&message(), cause).is_empty(), "{cause:?}");
            assert_eq!(places(&Message::default(), cause), [], "{cause:?}");
        }
        let full = places(&message(), Cause::Discarded(Discard::ExportQueueFull));
        assert_eq!(full, [("worker 1".to_owned(), 1)]);
    }

    #[test]
    fn the_worst_places_come_first_and_the_knob_last() {
        let text = explain(&message(), Cause::RxRingFull);
        assert!(text.starts_with(" (eno1 queue 5 5,000, eno1 queue 4 4,000, "), "{text}");
        assert!(text.contains(", 1 more)  the worker came too late; turn: --ring-size"), "{text}");
    }

    /// The guide has each by its name, and the options of its knob beside.
    #[test]
    fn the_guide_knows_every_cause() {
        let guide = include_str!("../../../deploy/guide/operator.md");
        for cause in Cause::all() {
            let row = guide.lines().find(|line| line.starts_with('|') && line.contains(cause.name()));
            let row = row.unwrap_or_else(|| panic!("{} is in no table of the guide", cause.name()));
            for option in cause.knob().split([' ', ',']).filter(|w| w.starts_with("--")) {
                assert!(row.contains(option.trim_end_matches(')')), "{option} is missing in\n{row}");
            }
        }
    }
}
