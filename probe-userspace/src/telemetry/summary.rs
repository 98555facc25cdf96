//! What a person reads when the run is over: each loss, and what announces one, with the knob for it.

use std::fmt::Write;

use flow_wire::ledger::{Amount, Cause, Message};

use super::causes::{SIGNS, explain, places};
use super::number::{grouped, si};
use super::rates::{by_word, losses, lost_records, records, seen};

/// A few lines: what was seen, what became of it, what was lost, and by what; and what waits in the spool, by sink.
pub fn summary(message: &Message, residual: u64, left: &[(String, u64)]) -> String {
    let mut text = String::new();
    let total = seen(message);
    let seconds = message.time_nanoseconds.saturating_sub(message.epoch_start_nanoseconds) as f64 / 1e9;
    // Writing to a String cannot fail.
    let _ = writeln!(text, "seen       {} in {seconds:.1} s", amount(total));
    let _ = writeln!(
        text,
        "metered    {}",
        amount(message.workers.iter().fold(Amount::ZERO, |sum, w| sum + w.metered))
    );
    let shunted = message.queues.iter().fold(Amount::ZERO, |sum, queue| sum + queue.shunted);
    if shunted != Amount::ZERO {
        let _ = writeln!(text, "shunted    {}", amount(shunted));
    }
    let _ = writeln!(text, "records    {}", grouped(records(message)));
    for (name, packets) in excepted(message) {
        let _ = writeln!(text, "  {name:<28} {} packets", grouped(packets));
    }
    let losses = losses(message);
    let in_records = match lost_records(message) {
        0 => String::new(),
        records => format!(", {} records of a sink among them", grouped(records)),
    };
    let _ = writeln!(text, "lost       {} packets{in_records}", grouped(losses.values().sum()));
    for (reason, packets) in losses {
        // A sink's reason stands behind its name.
        let cause = reason.rsplit(' ').next().and_then(Cause::named);
        let knob = cause.map_or_else(String::new, |cause| explain(message, cause));
        let _ = writeln!(text, "  {reason:<28} {}{knob}", grouped(packets));
    }
    for cause in SIGNS {
        let count: u64 = places(message, cause).iter().map(|(_, count)| count).sum();
        if count > 0 {
            let knob = explain(message, cause);
            let _ = writeln!(text, "look at    {} {}{knob}", cause.name(), grouped(count));
        }
    }
    for (sink, records) in left {
        let records = grouped(*records);
        let _ = writeln!(
            text,
            "in spool   {records} records wait for {sink}: a start with this output sends them"
        );
    }
    let _ = write!(text, "residual   {residual}");
    text
}

/// Packets that went another way than into a flow, by what it was.
fn excepted(message: &Message) -> Vec<(String, u64)> {
    let mut list: Vec<(String, u64)> = Vec::new();
    let mut add = |group: &str, reason: String, packets: u64| {
        let name = format!("{group} {reason}");
        match list.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += packets,
            None => list.push((name, packets)),
        }
    };
    for queue in &message.queues {
        by_word(&queue.passed).for_each(|(reason, packets)| add("passed", reason, packets));
        by_word(&queue.refused).for_each(|(reason, packets)| add("refused", reason, packets));
    }
    for worker in &message.workers {
        by_word(&worker.non_flow).for_each(|(reason, packets)| add("non_flow", reason, packets));
        add("not_selected", "by -f".into(), worker.not_selected.packets);
        by_word(&worker.undecodable).for_each(|(reason, packets)| add("undecodable", reason, packets));
    }
    list.retain(|(_, packets)| *packets > 0);
    list
}

fn amount(amount: Amount) -> String {
    format!("{} packets, {}B", grouped(amount.packets), si(amount.octets as f64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flow_wire::ledger::{CursorTerms, Discard, Guarantee, Pass, QueueTerms, WorkerTerms};
    use flow_wire::stamp::StreamId;

    use super::*;

    #[test]
    fn exceptions_and_losses_are_named_and_summed_over_queues() {
        let queue = QueueTerms {
            interface: "eno1".into(),
            seen: Amount { packets: 600, octets: 60_000 },
            rx_ring_full: 3,
            passed: BTreeMap::from([(Pass::Own, Amount { packets: 2, octets: 84 })]),
            ..QueueTerms::default()
        };
        let worker = WorkerTerms {
            metered: Amount { packets: 1196, octets: 119_000 },
            discarded: BTreeMap::from([
                (Discard::ExportQueueFull, Amount { packets: 7, octets: 700 }),
                (Discard::NoSink, Amount { packets: 9, octets: 900 }),
            ]),
            records: 1234,
            evicted_flows: 12,
            ..WorkerTerms::default()
        };
        let message = Message {
            version: 1,
            exporter: String::new(),
            epoch_start_nanoseconds: 1_000_000_000,
            time_nanoseconds: 3_500_000_000,
            active_timeout_seconds: 120,
            queues: vec![queue.clone(), queue],
            workers: vec![worker],
            cursors: vec![CursorTerms {
                sink: "kafka://a".into(),
                stream: StreamId(0),
                guarantee: Guarantee::AtMostOnce,
                records_out: 3,
                acknowledged: 0,
                in_spool: 0,
                discarded: BTreeMap::from([(Discard::NoSink, 3), (Discard::DrainTimeout, 1)]),
                number: 0,
                read_here: false,
                discarded_amounts: BTreeMap::from([(
                    Discard::DrainTimeout,
                    Amount { packets: 2, octets: 200 },
                )]),
                discarded_batches: 1,
            }],
            cuts: vec![],
            closed: true,
            ..Message::default()
        };
        let text = summary(&message, 0, &[("kafka://b".to_owned(), 1_500)]);
        for part in [
            "1,200 packets, 120 kB in 2.5 s",
            "1,196",
            "1,234",
            "passed own",
            "4 packets",
            "lost       15 packets, 1 records of a sink among them\n",
            "6 (eno1 queue 0 3, eno1 queue 0 3)  the worker came too late; turn: --ring-size, ",
            "kafka://a drain_timeout      2  the time to drain ran out at the stop; turn: a spool",
            "look at    evicted_flows 12 (worker 0 12)  the flow cache is too small, so that flows end early; turn: -M\n",
            "in spool   1,500 records wait for kafka://b",
            "residual   0",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }
}
