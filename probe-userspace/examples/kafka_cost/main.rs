//! What the exporter costs into a real Kafka, beside a bare producer of the same messages: one way a process, so that its CPU seconds are those of
//! all threads, librdkafka's among them. A line of JSON. `perf/scenarios/kafka` runs the ways in turns.
//!
//! `kafka_cost HOST:PORT TOPIC WAY [FOLDER]`: the messages are read from TOPIC (of a probe), then sent as WAY into the topics `cost.flow`, `cost.ledger`:
//!
//! ```text
//!   read      nothing is sent: what it costs to read the topic and to check each message
//!   bare      a producer with the sink's settings: transactions of as many messages, with the same headers
//!   batches   sealed batches ─► outbox ─► the probe's Kafka sink
//!   records   records ─► sealed ─► outbox ─► the sink: all that the exporter does
//! ```
//! With FOLDER the outbox has a spool there, as a probe with a bus has by default.
#![allow(clippy::unwrap_used, reason = "a measurement that fails is none")]

mod bare;
mod exporter;
mod topic;

use std::path::Path;
use std::time::Instant;

use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use rustix::time::{ClockId, clock_gettime};

/// Of the topics that are written.
const PREFIX: &str = "cost";
/// Batches and octets of a transaction, as the sink has them.
const TRANSACTION_BATCHES: usize = 64;
const TRANSACTION_OCTETS: usize = 4 << 20;

/// CPU seconds of this process so far, threads that have ended included, to the nanosecond: it takes some tenths of a second in all.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What it takes from here on.
struct Measurement {
    begun: Instant,
    cpu: f64,
}

impl Measurement {
    fn begin() -> Self {
        Self { begun: Instant::now(), cpu: cpu_seconds() }
    }

    /// Says what it took for these.
    fn end(self, way: &str, batches: &[Sealed]) {
        let (seconds, cpu) = (self.begun.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        let octets: usize = batches.iter().map(|sealed| sealed.body.len()).sum();
        let records: u64 = batches.iter().map(|sealed| u64::from(sealed.header.rows)).sum();
        let messages = batches.len();
        println!(
            "{{\"way\": \"{way}\", \"messages\": {messages}, \"octets\": {octets}, \"records\": {records}, \"seconds\": {seconds:.3}, \"cpu_seconds\": {cpu:.4}}}"
        );
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, source, way, folder @ ..] = &words[..] else {
        eprintln!("kafka_cost HOST:PORT TOPIC read|bare|batches|records [FOLDER]");
        std::process::exit(2);
    };
    let folder = folder.first().map(Path::new);
    let reading = Measurement::begin();
    let batches = topic::read(bootstrap, source);
    match &**way {
        "read" => reading.end(way, &batches),
        "bare" => {
            let producer = bare::Producer::connect(bootstrap, &Kind::Flows.topic(PREFIX));
            producer.send(&batches[..1]);
            let sending = Measurement::begin();
            producer.send(&batches[1..]);
            sending.end(way, &batches[1..]);
        }
        "batches" | "records" => exporter::run(bootstrap, way, &batches, folder),
        other => panic!("no way is called {other}"),
    }
}
