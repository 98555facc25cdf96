//! The books as Prometheus metrics. All names stand here: `probe_<module>_<noun>_<unit>_total`.
//!
//! A scrape builds its registry from the newest message and throws it away: there is no second set of counters that
//! could differ from the books.

use flow_wire::ledger::{Amount, ByReason, Cause, CursorTerms, Discard, Message, QueueTerms, WorkerTerms};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use serde::Serialize;

use super::rates::word;
use super::stages::{ByWorker, StageTimes};
use crate::spool::Statistics;

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge>;

/// The page of `GET /metrics` (OpenMetrics text); `residual` is what the books cannot account for.
pub(super) fn page(message: &Message, residual: u64, spool: Option<Statistics>, stages: ByWorker) -> String {
    let mut registry = Registry::with_prefix("probe");
    let mut metrics = Metrics::new(&mut registry);
    message.queues.iter().for_each(|queue| metrics.queue(queue));
    message.workers.iter().for_each(|worker| metrics.worker(worker));
    let mut sinks: Vec<&str> = Vec::new();
    for cursor in &message.cursors {
        metrics.cursor(cursor, sink_label(&cursor.sink, &mut sinks));
    }
    if let Some(spool) = spool {
        super::spool::register(&mut registry, &spool);
    }
    registry.register_collector(Box::new(StageTimes(stages)));
    let left_over = Gauge::<i64>::default();
    left_over.set(i64::try_from(residual).unwrap_or(i64::MAX));
    registry.register(
        "ledger_residual_packets",
        "What the books cannot account for: 0, or look into it",
        left_over,
    );
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

/// A counter of packets and one of octets.
struct Traffic {
    packets: Counters,
    octets: Counters,
}

impl Traffic {
    fn new(registry: &mut Registry, name: &str, help: &str) -> Self {
        let traffic = Self { packets: Counters::default(), octets: Counters::default() };
        registry.register(format!("{name}_packets"), format!("{help}, packets"), traffic.packets.clone());
        registry.register_with_unit(
            name,
            format!("{help}, octets of their frames without FCS"),
            Unit::Bytes,
            traffic.octets.clone(),
        );
        traffic
    }

    fn add(&self, labels: &Labels, amount: Amount) {
        self.packets.get_or_create(labels).inc_by(amount.packets);
        self.octets.get_or_create(labels).inc_by(amount.octets);
    }

    fn add_by_reason<R: Serialize>(&self, labels: &Labels, amounts: &ByReason<R>) {
        for (reason, amount) in amounts {
            self.add(&with(labels, "reason", word(reason)), *amount);
        }
    }
}

struct Metrics {
    seen: Traffic,
    passed: Traffic,
    shunted: Traffic,
    redirected: Traffic,
    received: Traffic,
    refused: Traffic,
    dropped: Counters,
    fill_ring_empty: Counters,
    metered: Traffic,
    shunt_merged: Traffic,
    undecodable: Traffic,
    non_flow: Traffic,
    not_selected: Traffic,
    handed_over: Traffic,
    split_flows: Counters,
    handover_full: Traffic,
    exported: Traffic,
    discarded: Traffic,
    records: Counters,
    evicted: Counters,
    shunts: Counters,
    unshunted: Counters,
    fragments: Counters,
    shunted_flows: Gauges,
    open: Gauges,
    sink_records: Counters,
    sink_discarded: Counters,
    waiting: Gauges,
}

impl Metrics {
    fn new(registry: &mut Registry) -> Self {
        let mut traffic = |name: &str, help: &str| Traffic::new(registry, name, help);
        let seen = traffic("source_seen", "Seen by the XDP program, the packet socket or the file reader");
        let passed = traffic("source_passed", "Passed to the stack");
        let shunted = traffic("source_shunted", "Counted by the XDP program itself, and dropped");
        let redirected = traffic("source_redirected", "Handed to AF_XDP sockets");
        let received = traffic("source_received", "Taken from the sockets' rings");
        let refused = traffic("source_refused", "Refused by the kernel");
        let metered = traffic("worker_metered", "Put into flows");
        let shunt_merged = traffic("worker_shunt_merged", "Of what the XDP program counted, put into flows");
        let undecodable = traffic("worker_undecodable", "Broken packets");
        let non_flow = traffic("worker_non_flow", "Sound packets that are not IP");
        let not_selected = traffic("worker_not_selected", "Taken, and not selected by the expression of -f");
        let handed_over = traffic("worker_handed_over", "Given to the worker of their flow");
        let handover_full =
            traffic("worker_handover_full", &knobs("Dropped between two workers", &[Cause::HandoverFull]));
        let exported = traffic("export_exported", "In records that were sealed into batches");
        let discarded = traffic(
            "export_discarded",
            &knobs("In records that were dropped", &[Cause::Discarded(Discard::ExportQueueFull)]),
        );
        let mut counter = |name: &str, help: &str| {
            let family = Counters::default();
            registry.register(name, help, family.clone());
            family
        };
        let dropped = counter(
            "source_dropped_packets",
            &knobs(
                "Lost between device and worker",
                &[Cause::DeviceMissed, Cause::RxRingFull, Cause::RxDropped, Cause::NotDelivered],
            ),
        );
        let fill_ring_empty = counter(
            "source_fill_ring_empty_descriptors",
            &knobs("Explains rx_dropped", &[Cause::FillRingEmpty]),
        );
        let records = counter("export_sealed_records", "Records sealed into batches");
        let evicted = counter(
            "flow_evicted_flows",
            &knobs("Flows that a full bucket pushed out, exported early", &[Cause::EvictedFlows]),
        );
        let split_flows = counter(
            "worker_split_flows",
            &knobs("Sampled flows that came by queues of several workers", &[Cause::SplitFlows]),
        );
        let shunts = counter("flow_shunts", "Flows that the XDP program ever began to count itself");
        let unshunted = counter("flow_unshunted_elephants", "Flows that it was to count, and does not");
        let fragments = counter(
            "flow_portless_fragments",
            "Later fragments metered with port 0, their first was not seen",
        );
        let sink_records = counter("sink_acknowledged_records", "Records that the bus acknowledged");
        let sink_discarded = counter("sink_discarded_records", "Records that never reached the bus");
        let mut gauge = |name: &str, help: &str| {
            let family = Gauges::default();
            registry.register(name, help, family.clone());
            family
        };
        let open = gauge("flow_open_flows", "Flows in the cache");
        let shunted_flows = gauge("flow_shunted_flows", "Flows that the XDP program counts itself");
        let waiting = gauge("sink_waiting_records", "Records in the outbox or in flight");
        Self {
            seen,
            passed,
            shunted,
            redirected,
            received,
            refused,
            dropped,
            fill_ring_empty,
            metered,
            shunt_merged,
            undecodable,
            non_flow,
            not_selected,
            handed_over,
            split_flows,
            handover_full,
            exported,
            discarded,
            records,
            evicted,
            shunts,
            unshunted,
            fragments,
            shunted_flows,
            open,
            sink_records,
            sink_discarded,
            waiting,
        }
    }

    fn queue(&mut self, terms: &QueueTerms) {
        let labels = vec![("interface", terms.interface.clone()), ("queue", terms.queue.to_string())];
        self.seen.add(&labels, terms.seen);
        self.shunted.add(&labels, terms.shunted);
        self.redirected.add(&labels, terms.redirected);
        self.received.add(&labels, terms.received);
        self.passed.add_by_reason(&labels, &terms.passed);
        self.refused.add_by_reason(&labels, &terms.refused);
        let not_delivered = terms.not_delivered.unwrap_or(0);
        let drops = [
            ("rx_ring_full", terms.rx_ring_full),
            ("rx_dropped", terms.rx_dropped),
            ("not_delivered", not_delivered),
        ];
        let missed = terms.device_missed.values().sum();
        for (reason, packets) in drops.into_iter().chain([("device_missed", missed)]) {
            self.dropped.get_or_create(&with(&labels, "reason", reason.into())).inc_by(packets);
        }
        self.fill_ring_empty.get_or_create(&labels).inc_by(terms.rx_fill_ring_empty_descs);
    }

    fn worker(&mut self, terms: &WorkerTerms) {
        let labels = vec![("worker", terms.worker.to_string())];
        self.metered.add(&labels, terms.metered);
        self.shunt_merged.add(&labels, terms.shunt_merged);
        self.shunts.get_or_create(&labels).inc_by(terms.shunts);
        for (reason, flows) in &terms.unshunted {
            self.unshunted.get_or_create(&with(&labels, "reason", word(reason))).inc_by(*flows);
        }
        self.shunted_flows.get_or_create(&labels).set(i64::try_from(terms.shunted_flows).unwrap_or(i64::MAX));
        self.undecodable.add_by_reason(&labels, &terms.undecodable);
        self.non_flow.add_by_reason(&labels, &terms.non_flow);
        self.not_selected.add(&labels, terms.not_selected);
        self.handed_over.add(&labels, terms.handed_over);
        self.split_flows.get_or_create(&labels).inc_by(terms.split_flows);
        self.handover_full.add(&labels, terms.handover_full);
        self.exported.add(&labels, terms.exported);
        self.discarded.add_by_reason(&labels, &terms.discarded);
        self.records.get_or_create(&labels).inc_by(terms.records);
        self.evicted.get_or_create(&labels).inc_by(terms.evicted_flows);
        self.fragments.get_or_create(&labels).inc_by(terms.fragments_without_first);
        self.open.get_or_create(&labels).set(i64::try_from(terms.open_flows).unwrap_or(i64::MAX));
    }

    fn cursor(&mut self, terms: &CursorTerms, sink: String) {
        let labels = vec![("sink", sink), ("worker", terms.stream.0.to_string())];
        self.sink_records.get_or_create(&labels).inc_by(terms.acknowledged);
        self.waiting.get_or_create(&labels).set(i64::try_from(terms.in_spool).unwrap_or(i64::MAX));
        for (reason, records) in &terms.discarded {
            self.sink_discarded.get_or_create(&with(&labels, "reason", word(reason))).inc_by(*records);
        }
    }
}

/// `kafka-0`: what kind of sink, and its place among the sinks. Its endpoint is an address, which no label has.
fn sink_label<'a>(sink: &'a str, known: &mut Vec<&'a str>) -> String {
    let place = known.iter().position(|one| *one == sink).unwrap_or_else(|| {
        known.push(sink);
        known.len() - 1
    });
    let kind = sink.split(':').next().unwrap_or_default();
    format!("{kind}-{place}")
}

/// What is counted, and what to turn for each reason: `.. (rx_ring_full: --ring-size, ..; rx_dropped: ..)`.
fn knobs(what: &str, causes: &[Cause]) -> String {
    let knobs: Vec<_> = causes.iter().map(|cause| format!("{}: {}", cause.name(), cause.knob())).collect();
    format!("{what} ({})", knobs.join("; "))
}

fn with(labels: &Labels, name: &'static str, value: String) -> Labels {
    labels.iter().cloned().chain([(name, value)]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flow_wire::ledger::Pass;

    use super::*;

    #[test]
    fn a_sink_is_named_by_its_kind_and_place() {
        let mut known = Vec::new();
        let mut label = |sink| sink_label(sink, &mut known);
        assert_eq!(label("kafka://10.0.0.1:9092"), "kafka-0");
        assert_eq!(label("flows:/tmp/x"), "flows-1");
        assert_eq!(label("kafka://10.0.0.1:9092"), "kafka-0");
    }

    #[test]
    fn every_term_has_its_name_and_labels() {
        let queue = QueueTerms {
            interface: "eno1".into(),
            queue: 3,
            seen: Amount { packets: 10, octets: 1000 },
            passed: BTreeMap::from([(Pass::Own, Amount { packets: 2, octets: 84 })]),
            rx_ring_full: 5,
            ..QueueTerms::default()
        };
        let message = Message {
            version: 1,
            exporter: String::new(),
            epoch_start_nanoseconds: 0,
            time_nanoseconds: 0,
            active_timeout_seconds: 120,
            queues: vec![queue],
            workers: vec![WorkerTerms { worker: 1, open_flows: 9, ..WorkerTerms::default() }],
            cursors: vec![],
            cuts: vec![],
            closed: false,
            ..Message::default()
        };
        let page = page(&message, 3, None, ByWorker::new());
        for line in [
            "probe_source_seen_packets_total{interface=\"eno1\",queue=\"3\"} 10",
            "probe_source_seen_bytes_total{interface=\"eno1\",queue=\"3\"} 1000",
            "probe_source_passed_packets_total{interface=\"eno1\",queue=\"3\",reason=\"own\"} 2",
            "probe_source_dropped_packets_total{interface=\"eno1\",queue=\"3\",reason=\"rx_ring_full\"} 5",
            "probe_flow_open_flows{worker=\"1\"} 9",
            "# HELP probe_flow_evicted_flows Flows that a full bucket pushed out, exported early (evicted_flows: -M).",
            "probe_ledger_residual_packets 3",
            "# EOF",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
        }
    }
}
