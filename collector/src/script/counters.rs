//! What is counted of scripts, by the names that Prometheus shows. Labels are names of files in the operator's directory.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Which script.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Of {
    script: String,
}

/// And what became of something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Outcome {
    script: String,
    outcome: &'static str,
}

/// And why it was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Dropped {
    script: String,
    reason: &'static str,
}

/// Why a script did not see a stored flow. The list is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It is slower than flows come.
    QueueFull,
    /// Its process was killed, or crashed, with them.
    ProcessEnded,
    /// A batch took longer than a script may, and the rest of it was left out.
    TimeLimit,
    /// The script has an error, or gives no function to call.
    NotLoaded,
    /// The collector ended.
    Stopped,
}

impl Reason {
    pub(super) const ALL: [Self; 5] =
        [Self::QueueFull, Self::ProcessEnded, Self::TimeLimit, Self::NotLoaded, Self::Stopped];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::ProcessEnded => "process_ended",
            Self::TimeLimit => "time_limit",
            Self::NotLoaded => "not_loaded",
            Self::Stopped => "stopped",
        }
    }
}

type Seconds = Family<Of, Histogram, fn() -> Histogram>;

/// Of all scripts.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    offered: Family<Of, Counter>,
    seen: Family<Of, Counter>,
    dropped: Family<Dropped, Counter>,
    waiting: Family<Of, Gauge<i64, AtomicI64>>,
    runs: Family<Outcome, Counter>,
    run_seconds: Seconds,
    kafka: Family<Outcome, Counter>,
    alerts: Family<Of, Counter>,
    starts: Family<Of, Counter>,
}

impl Default for Counters {
    fn default() -> Self {
        // From 0.1 ms to 50 s.
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_1, 2.0, 20));
        Self {
            offered: Family::default(),
            seen: Family::default(),
            dropped: Family::default(),
            waiting: Family::default(),
            runs: Family::default(),
            run_seconds: Family::new_with_constructor(histogram),
            kafka: Family::default(),
            alerts: Family::default(),
            starts: Family::default(),
        }
    }
}

impl Counters {
    /// New ones, known to the registry.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "collector_script_offered_flows",
            "Stored flows that a script was to see",
            new.offered.clone(),
        );
        registry.register(
            "collector_script_seen_flows",
            "Stored flows that a script has seen",
            new.seen.clone(),
        );
        registry.register(
            "collector_script_dropped_flows",
            "Stored flows that a script never sees",
            new.dropped.clone(),
        );
        registry.register(
            "collector_script_waiting_flows",
            "Stored flows that wait for a script",
            new.waiting.clone(),
        );
        registry.register(
            "collector_script_runs",
            "Runs and batches of flows, by how they ended",
            new.runs.clone(),
        );
        registry.register_with_unit(
            "collector_script_run",
            "Duration of a run, or a batch of flows",
            Unit::Seconds,
            new.run_seconds.clone(),
        );
        registry.register(
            "collector_script_kafka_messages",
            "Messages of ntop.sendKafkaMessage",
            new.kafka.clone(),
        );
        registry.register("collector_script_alerts", "Alerts of ntop.alert", new.alerts.clone());
        registry.register("collector_script_starts", "Processes that were started", new.starts.clone());
        new
    }

    pub(super) fn flows(&self, script: &str) -> Flows {
        let of = Of { script: script.to_owned() };
        // All of them are there from the start: a series that appears later hides its first increase.
        Reason::ALL
            .into_iter()
            .for_each(|reason| drop(self.dropped.get_or_create_owned(&of.dropped(reason))));
        Flows {
            offered: self.offered.get_or_create_owned(&of),
            seen: self.seen.get_or_create_owned(&of),
            waiting: self.waiting.get_or_create_owned(&of),
            dropped: self.dropped.clone(),
            of,
        }
    }

    pub(super) fn run(&self, script: &str, outcome: &'static str, count: u64) {
        self.runs.get_or_create(&Outcome { script: script.to_owned(), outcome }).inc_by(count);
    }

    pub(super) fn took(&self, script: &str, seconds: f64) {
        self.run_seconds.get_or_create(&Of { script: script.to_owned() }).observe(seconds);
    }

    pub(super) fn kafka(&self, script: &str, outcome: &'static str, count: u64) {
        if count > 0 {
            self.kafka.get_or_create(&Outcome { script: script.to_owned(), outcome }).inc_by(count);
        }
    }

    pub(super) fn alert(&self, script: &str) {
        self.alerts.get_or_create(&Of { script: script.to_owned() }).inc();
    }

    pub(super) fn start(&self, script: &str) {
        self.starts.get_or_create(&Of { script: script.to_owned() }).inc();
    }
}

impl Of {
    fn dropped(&self, reason: Reason) -> Dropped {
        Dropped { script: self.script.clone(), reason: reason.name() }
    }
}

/// Of the flows of one script: offered = seen + dropped + waiting.
#[derive(Clone, Debug)]
pub(super) struct Flows {
    of: Of,
    offered: Counter,
    seen: Counter,
    waiting: Gauge<i64, AtomicI64>,
    dropped: Family<Dropped, Counter>,
}

impl Flows {
    /// They are stored, and wait.
    pub(super) fn offer(&self, flows: u64) {
        self.offered.inc_by(flows);
        self.waiting.inc_by(flows.cast_signed());
    }

    /// The script has had them.
    pub(super) fn see(&self, flows: u64) {
        self.seen.inc_by(flows);
        self.waiting.dec_by(flows.cast_signed());
    }

    /// The script will not have them.
    pub(super) fn drop(&self, flows: u64, reason: Reason) {
        self.dropped.get_or_create(&self.of.dropped(reason)).inc_by(flows);
        self.waiting.dec_by(flows.cast_signed());
    }

    /// For the log, at the end.
    pub(super) fn sentence(&self) -> String {
        let dropped =
            Reason::ALL.map(|reason| format!("{} {}", self.dropped(reason), reason.name())).join(", ");
        format!("of {} flows offered {} seen, dropped: {dropped}", self.offered.get(), self.seen.get())
    }

    pub(super) fn dropped(&self, reason: Reason) -> u64 {
        self.dropped.get_or_create(&self.of.dropped(reason)).get()
    }

    #[cfg(test)]
    pub(super) fn offered(&self) -> u64 {
        self.offered.get()
    }

    #[cfg(test)]
    pub(super) fn seen(&self) -> u64 {
        self.seen.get()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> u64 {
        u64::try_from(self.waiting.get()).unwrap()
    }
}
