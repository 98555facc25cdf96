//! The ledger file of `--ledger PATH`: the terms of `flow_wire::ledger`, by name, as one JSON object.
//!
//! ```text
//! { "total": { seen, metered, excepted, lost, in_records, in_open_flows, residual, and every term summed },
//!   "interfaces": [..], "queues": [..], "workers": [..], "cursors": [..], "identities": [..] }
//! ```
//! An amount is `{"packets": n, "octets": n}`; terms by reason have one per reason. `excepted` and `lost` have their sum
//! in `packets` and `octets`, and beside it the reasons.

use std::collections::BTreeMap;

use flow_wire::ledger::{
    Amount, ByReason, Discard, Identity, Message, QueueTerms, WorkerTerms, lost_by_worst_sink, of_probe,
    residual,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::queues::{add, add_reasons};

/// The whole file.
pub fn ledger(message: &Message) -> Value {
    let identities = of_probe(message, None);
    let mut interfaces: Vec<QueueTerms> = Vec::new();
    for queue in &message.queues {
        match interfaces.iter_mut().find(|one| one.interface == queue.interface) {
            Some(one) => add(one, queue),
            None => interfaces.push(queue.clone()),
        }
    }
    json!({
        "total": total(message, &identities),
        "interfaces": interfaces.iter().map(interface).collect::<Vec<_>>(),
        "queues": message.queues.iter().map(queue).collect::<Vec<_>>(),
        "workers": message.workers.iter().map(worker).collect::<Vec<_>>(),
        "cursors": message.cursors,
        "identities": identities.iter().map(identity).collect::<Vec<_>>(),
        "closed": message.closed,
    })
}

fn total(message: &Message, identities: &[Identity]) -> Value {
    let mut queues = QueueTerms::default();
    message.queues.iter().for_each(|queue| add(&mut queues, queue));
    let mut workers = WorkerTerms::default();
    message.workers.iter().for_each(|worker| add_worker(&mut workers, worker));

    let mut terms = Map::new();
    let mut put = |name: &str, value: Value| drop(terms.insert(name.to_owned(), value));
    put("seen", json!(queues.seen));
    put("metered", json!(workers.metered));
    put("excepted", excepted(&queues, &workers));
    put("lost", lost(message, &queues, &workers));
    put("in_records", json!(in_records(&workers)));
    put("in_open_flows", json!(workers.open + workers.in_record_ring));
    let left_over = residual(identities);
    // Packets, or octets where only they are left over: not 0 whatever does not balance.
    put("residual", json!(if left_over.packets > 0 { left_over.packets } else { left_over.octets }));
    terms.extend(queue_terms(&queues));
    terms.extend(worker_terms(&workers));
    Value::Object(terms)
}

/// What was put into no flow, and needs not be: sound, and no loss.
fn excepted(queues: &QueueTerms, workers: &WorkerTerms) -> Value {
    let all = [
        sum(&queues.passed),
        sum(&queues.refused),
        sum(&workers.undecodable),
        sum(&workers.non_flow),
        workers.not_selected,
    ];
    let all = all.into_iter().fold(Amount::ZERO, |sum, amount| sum + amount);
    // By its only reason, as the others are by theirs.
    let not_selected: BTreeMap<_, _> = [("expression", workers.not_selected)]
        .into_iter()
        .filter(|(_, amount)| *amount != Amount::ZERO)
        .collect();
    json!({
        "packets": all.packets,
        "octets": all.octets,
        "passed": queues.passed,
        "refused": queues.refused,
        "undecodable": workers.undecodable,
        "non_flow": workers.non_flow,
        "not_selected": not_selected,
    })
}

/// What was to be in a record and is not, and what the worst sink did not get of the sealed ones, by reason: in packets and
/// octets, with the records beside them where they were sealed. The same packets as `telemetry::losses` counts for
/// `--max-loss`. Records without a sink are none: so it was asked for. Each sink's own losses stand in `cursors`.
fn lost(message: &Message, queues: &QueueTerms, workers: &WorkerTerms) -> Value {
    let mut reasons = Map::new();
    let mut all = Amount::ZERO;
    let mut put = |name: &str, amount: Amount| {
        if amount != Amount::ZERO {
            all += amount;
            reasons.insert(name.to_owned(), json!(amount));
        }
    };
    put("rx_ring_full", derived(queues, queues.rx_ring_full));
    put("rx_dropped", derived(queues, queues.rx_dropped));
    put("not_delivered", derived(queues, queues.not_delivered.unwrap_or(0)));
    put("device_missed", derived(queues, queues.device_missed.values().sum()));
    put("handover_full", workers.handover_full);
    for (reason, amount) in &workers.discarded {
        if *reason != Discard::NoSink {
            put(&name(reason), *amount);
        }
    }
    let mut records = 0;
    if let Some((_, losses)) = lost_by_worst_sink(message) {
        for (reason, lost) in losses {
            all += lost.amount;
            records += lost.records;
            // A worker's discards and a sink's have no reason in common.
            let Amount { packets, octets } = lost.amount;
            reasons.insert(
                name(&reason),
                json!({"packets": packets, "octets": octets, "records": lost.records}),
            );
        }
    }
    reasons.insert("records".into(), json!(records));
    reasons.insert("packets".into(), json!(all.packets));
    reasons.insert("octets".into(), json!(all.octets));
    Value::Object(reasons)
}

/// Packets in records that were completed, whether there was a sink for them or none was asked for.
fn in_records(workers: &WorkerTerms) -> Amount {
    workers.exported + workers.discarded.get(&Discard::NoSink).copied().unwrap_or(Amount::ZERO)
}

fn interface(terms: &QueueTerms) -> Value {
    let mut value = queue_terms(terms);
    value.insert("interface".into(), json!(terms.interface));
    Value::Object(value)
}

fn queue(terms: &QueueTerms) -> Value {
    let mut value = queue_terms(terms);
    value.insert("interface".into(), json!(terms.interface));
    value.insert("queue".into(), json!(terms.queue));
    Value::Object(value)
}

fn worker(terms: &WorkerTerms) -> Value {
    let mut value = worker_terms(terms);
    value.insert("worker".into(), json!(terms.worker));
    Value::Object(value)
}

fn queue_terms(terms: &QueueTerms) -> Map<String, Value> {
    let losses = |packets| json!(derived(terms, packets));
    let value = json!({
        "offered": terms.offered.map_or_else(|| json!("unknown"), |amount| json!(amount)),
        "device_missed": terms.device_missed,
        "seen": terms.seen,
        "passed": terms.passed,
        "shunted": terms.shunted,
        "shunt_counted": terms.shunt_counted,
        "redirected": terms.redirected,
        "refused": terms.refused,
        "received": terms.received,
        "rx_ring_full": losses(terms.rx_ring_full),
        "rx_dropped": losses(terms.rx_dropped),
        "not_delivered": terms.not_delivered.map_or_else(|| json!("unknown"), losses),
        "rx_fill_ring_empty_descs": terms.rx_fill_ring_empty_descs,
        "octets_of_losses": "derived: the kernel counts packets; their mean length is that of the redirected ones",
    });
    object(value)
}

fn worker_terms(terms: &WorkerTerms) -> Map<String, Value> {
    let value = json!({
        "received": terms.received,
        "metered": terms.metered,
        "shunt_merged": terms.shunt_merged,
        "shunted_flows": terms.shunted_flows,
        "shunts": terms.shunts,
        "unshunted": terms.unshunted,
        "undecodable": terms.undecodable,
        "non_flow": terms.non_flow,
        "not_selected": terms.not_selected,
        "handed_over": terms.handed_over,
        "taken_over": terms.taken_over,
        "handover_full": terms.handover_full,
        "inherited": terms.inherited,
        "exported": terms.exported,
        "open": terms.open,
        "open_flows": terms.open_flows,
        "in_record_ring": terms.in_record_ring,
        "discarded": terms.discarded,
        "records": terms.records,
        "fragments_without_first": terms.fragments_without_first,
        "evicted_flows": terms.evicted_flows,
        "split_flows": terms.split_flows,
    });
    object(value)
}

fn identity(identity: &Identity) -> Value {
    json!({
        "name": identity.name,
        "hop": identity.hop,
        "scope": identity.scope,
        "left_over": identity.left_over(),
        "left_over_octets": identity.left_over_octets(),
        "holds": identity.holds(),
        "equation": identity.equation(),
    })
}

fn add_worker(total: &mut WorkerTerms, worker: &WorkerTerms) {
    total.received += worker.received;
    total.metered += worker.metered;
    total.shunt_merged += worker.shunt_merged;
    total.shunted_flows += worker.shunted_flows;
    total.shunts += worker.shunts;
    for (reason, flows) in &worker.unshunted {
        *total.unshunted.entry(*reason).or_default() += flows;
    }
    add_reasons(&mut total.undecodable, &worker.undecodable);
    add_reasons(&mut total.non_flow, &worker.non_flow);
    total.not_selected += worker.not_selected;
    total.handed_over += worker.handed_over;
    total.taken_over += worker.taken_over;
    total.handover_full += worker.handover_full;
    total.inherited += worker.inherited;
    total.exported += worker.exported;
    total.open += worker.open;
    total.open_flows += worker.open_flows;
    total.in_record_ring += worker.in_record_ring;
    add_reasons(&mut total.discarded, &worker.discarded);
    total.records += worker.records;
    total.fragments_without_first += worker.fragments_without_first;
    total.evicted_flows += worker.evicted_flows;
    total.split_flows += worker.split_flows;
}

/// Lost packets with the octets that they would have at the mean length of those that were not.
fn derived(queue: &QueueTerms, packets: u64) -> Amount {
    let Amount { packets: known, octets } = queue.redirected;
    let octets = u128::from(octets) * u128::from(packets) / u128::from(known.max(1));
    Amount { packets, octets: u64::try_from(octets).unwrap_or(u64::MAX) }
}

fn sum<R>(amounts: &ByReason<R>) -> Amount {
    amounts.values().fold(Amount::ZERO, |sum, amount| sum + *amount)
}

/// A unit variant by the name that it has everywhere else in JSON.
fn name(reason: &impl Serialize) -> String {
    json!(reason).as_str().unwrap_or("unnamed").to_owned()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use flow_wire::ledger::{CursorTerms, Guarantee};
    use flow_wire::stamp::StreamId;
    use xdp_abi::headers::{NonFlow, Undecodable};

    use super::*;

    fn amount(packets: u64) -> Amount {
        Amount { packets, octets: packets * 100 }
    }

    fn message(exported: Amount) -> Message {
        let queue = QueueTerms {
            interface: "a.pcap".into(),
            seen: amount(10),
            redirected: amount(10),
            received: amount(10),
            ..QueueTerms::default()
        };
        let worker = WorkerTerms {
            received: amount(10),
            metered: amount(7),
            undecodable: [(Undecodable::TcpTruncated, amount(1))].into(),
            non_flow: [(NonFlow::Arp, amount(2))].into(),
            exported,
            ..WorkerTerms::default()
        };
        Message {
            version: 1,
            exporter: "host".into(),
            epoch_start_nanoseconds: 0,
            time_nanoseconds: 0,
            active_timeout_seconds: 120,
            queues: vec![queue],
            workers: vec![worker],
            cursors: vec![],
            cuts: vec![],
            closed: true,
            ..Message::default()
        }
    }

    #[test]
    fn seen_is_in_records_and_excepted() {
        let ledger = ledger(&message(amount(7)));
        let total = &ledger["total"];
        assert_eq!(total["seen"], json!({"packets": 10, "octets": 1000}));
        assert_eq!(total["in_records"], json!({"packets": 7, "octets": 700}));
        assert_eq!(total["excepted"]["packets"], 3);
        assert_eq!(total["excepted"]["non_flow"]["arp"]["packets"], 2);
        assert_eq!(total["lost"], json!({"packets": 0, "octets": 0, "records": 0}));
        assert_eq!(total["residual"], 0);
        for part in ["interfaces", "queues"] {
            assert_eq!(ledger[part][0]["interface"], "a.pcap");
            assert_eq!(ledger[part][0]["seen"], total["seen"]);
        }
        assert_eq!(ledger["workers"][0]["metered"], json!({"packets": 7, "octets": 700}));
    }

    fn cursor(sink: &str, lost: &[(Discard, u64, u64)]) -> CursorTerms {
        CursorTerms {
            sink: sink.into(),
            number: 1,
            read_here: false,
            stream: StreamId(0),
            guarantee: Guarantee::AtMostOnce,
            records_out: 5,
            acknowledged: 5 - lost.iter().map(|(_, records, _)| records).sum::<u64>(),
            in_spool: 0,
            discarded: lost.iter().map(|(reason, records, _)| (*reason, *records)).collect(),
            discarded_amounts: lost.iter().map(|(reason, _, packets)| (*reason, amount(*packets))).collect(),
            discarded_batches: 1,
        }
    }

    #[test]
    fn lost_records_count_with_their_packets_and_of_the_worst_sink() {
        let mut message = message(amount(7));
        message.cursors = vec![
            cursor("zmq://a", &[(Discard::NoSubscriber, 1, 2)]),
            cursor("flows:b", &[(Discard::WriteFailed, 2, 3), (Discard::DrainTimeout, 1, 1)]),
        ];
        let lost = &ledger(&message)["total"]["lost"];
        let expected = json!({
            "packets": 4, "octets": 400, "records": 3,
            "write_failed": {"packets": 3, "octets": 300, "records": 2},
            "drain_timeout": {"packets": 1, "octets": 100, "records": 1},
        });
        assert_eq!(*lost, expected);
        assert_eq!(lost["packets"], crate::telemetry::losses(&message).values().sum::<u64>());
    }

    #[test]
    fn a_record_that_vanished_is_a_residual() {
        let ledger = ledger(&message(amount(6)));
        assert_eq!(ledger["total"]["residual"], 1);
        let broken: Vec<_> =
            ledger["identities"].as_array().unwrap().iter().filter(|one| one["holds"] == false).collect();
        assert_eq!(broken.len(), 1);
        assert_eq!(broken[0]["hop"], "export");
    }

    #[test]
    fn octets_alone_are_a_residual_too() {
        let ledger = ledger(&message(Amount { packets: 7, octets: 640 }));
        assert_eq!(ledger["total"]["residual"], 60);
    }
}
