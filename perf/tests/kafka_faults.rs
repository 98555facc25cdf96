//! A build with faults loses or doubles one packet, record, batch or row at a hop: the check exits with 3 and names that
//! hop, and so does the probe where the hop is its own. From a capture file over ZMQ or a real broker into a store.
//!
//! What only a live capture has, the program's and the sockets' part of `kernel` and `receive`, is in `live_faults`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod whole;

use std::path::PathBuf;
use std::process::Command;

use flow_wire::fault::VARIABLE;
use perf::process::{Finished, Program};
use serde_json::Value;
use tempfile::TempDir;
use whole::broker::{Broker, shared};
use whole::{Collector, PATIENCE, capture, faulty, free_port, hop_named_by, probe, program, with_fault};

/// More than the 1,000 records of one batch.
const FLOWS: u16 = 1_050;
const PACKETS: u16 = 3 * FLOWS;

/// One run from capture to check.
struct Run {
    folder: TempDir,
    capture: PathBuf,
    url: String,
    prefix: String,
}

/// What the probe said, the exit code of the check, and what it said.
type Said = (Finished, i32, Value);

impl Run {
    fn new(url: String, prefix: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.pcap");
        capture(&path, 1_000, FLOWS);
        Self { folder, capture: path, url, prefix: prefix.to_owned() }
    }

    fn collector(&self, fault: &str) -> Collector {
        let words = ["-i", &self.url, "--topic-prefix", &self.prefix];
        Collector::start(&self.folder.path().join("store"), Some(fault), &words)
    }

    fn probe(&self, fault: &str, words: &[&str]) -> Finished {
        let words = [&["--ntopng", &self.url, "--topic-prefix", &self.prefix], words].concat();
        probe(&self.capture, Some(fault), &words)
    }
}

/// Both programs are armed; only the one that has the hop heeds it. The probe waits for its subscriber.
fn over_zmq([of_probe, of_collector]: [&str; 2]) -> Said {
    over_zmq_with([of_probe, of_collector], &[], &[])
}

/// Nothing is acknowledged.
fn over_plain_zmq(fault: &str, words_of_check: &[&str]) -> Said {
    over_zmq_with([fault; 2], &["--zmq-acknowledge", "off"], words_of_check)
}

fn over_zmq_with([of_probe, of_collector]: [&str; 2], of_the_run: &[&str], of_check: &[&str]) -> Said {
    let run = Run::new(format!("zmq://127.0.0.1:{}", free_port()), "gannet");
    let collector = run.collector(of_collector);
    let probe = run.probe(of_probe, of_the_run);
    let (code, ledger) = collector.check_with(of_check);
    (probe, code, ledger)
}

/// Kafka keeps what is not read: the collector starts when the topics are there, and finds them at once.
fn over_kafka(broker: &Broker, [of_probe, of_collector]: [&str; 2]) -> Said {
    let run = Run::new(broker.url(), &of_probe.replace(':', "-"));
    let probe = run.probe(of_probe, &[]);
    let (code, ledger) = run.collector(of_collector).check();
    (probe, code, ledger)
}

/// The hops that the probe's own books show.
const PROBE_HOPS: [&str; 5] = ["kernel", "receive", "meter", "export", "batch"];

/// A fault that hits nothing: no hop of the probe, and none of the collector.
const ELSEWHERE: [&str; 2] = ["store:lose", "meter:double"];

fn assert_balanced((probe, code, ledger): &Said) {
    assert_eq!((probe.code(), hop_named_by(probe)), (0, ""), "{}", probe.stderr);
    assert_eq!((*code, &ledger["verdict"], &ledger["hops"][0]), (0, &"balanced".into(), &Value::Null));
    assert_eq!([&ledger["residual"]["packets"], &ledger["residual"]["octets"]], [0, 0]);
    let total = &ledger["epochs"][0]["total"];
    assert_eq!([&total["seen"]["packets"], &total["stored"]["packets"]], [PACKETS; 2], "{total:#}");
    assert_eq!(total["stored"]["records"], FLOWS);
}

fn assert_named(fault: &str, (probe, code, ledger): &Said) {
    let (hop, _) = fault.split_once(':').unwrap();
    assert_eq!((*code, &ledger["hops"][0]), (3, &hop.into()), "{fault}: {ledger:#}");
    let expected = if PROBE_HOPS.contains(&hop) { (3, hop) } else { (0, "") };
    assert_eq!((probe.code(), hop_named_by(probe)), expected, "{fault}: {}", probe.stderr);
}

#[test]
fn a_fault_that_hits_nothing_leaves_the_books_balanced() {
    assert_balanced(&over_zmq(ELSEWHERE));
}

macro_rules! named {
    ($($test:ident: $fault:literal;)*) => {$(
        #[test]
        fn $test() {
            assert_named($fault, &over_zmq([$fault; 2]));
        }
    )*};
}

named! {
    a_packet_lost_by_the_file_reader_is_named: "kernel:lose";
    a_packet_doubled_by_the_file_reader_is_named: "kernel:double";
    a_packet_lost_before_the_worker_is_named: "receive:lose";
    a_packet_doubled_before_the_worker_is_named: "receive:double";
    a_packet_lost_by_the_meter_is_named: "meter:lose";
    a_packet_doubled_by_the_meter_is_named: "meter:double";
    a_record_lost_by_the_exporter_is_named: "export:lose";
    a_record_doubled_by_the_exporter_is_named: "export:double";
    a_batch_lost_before_the_outbox_is_named: "batch:lose";
    a_batch_doubled_before_the_outbox_is_named: "batch:double";
    a_batch_lost_by_ingest_is_named: "ingest:lose";
    a_batch_doubled_by_ingest_is_named: "ingest:double";
    a_row_lost_by_the_store_is_named: "store:lose";
    a_row_doubled_by_the_store_is_named: "store:double";
}

/// Whoever watches the page, the metrics or the plain ledger never asks for a count of the rows.
#[test]
fn a_row_lost_by_the_store_is_seen_without_a_check() {
    let run = Run::new(format!("zmq://127.0.0.1:{}", free_port()), "gannet");
    let collector = run.collector("store:lose");
    run.probe(ELSEWHERE[0], &[]);
    perf::wait::wait_until("the plain ledger names the store", PATIENCE, || {
        let said = collector.ask(&["ledger", "--format", "json"]);
        let ledger: Value = serde_json::from_str(&said.stdout).unwrap_or_default();
        (&ledger["verdict"], &ledger["hops"][0]) == (&"residual".into(), &"store".into())
    })
    .unwrap();
    let (code, ledger) = collector.check();
    assert_eq!((code, &ledger["hops"]), (3, &serde_json::json!(["store"])));
}

/// A plain subscription promises nothing: a batch that is lost there is counted loss, and no residual; nobody sends one twice.
#[test]
fn a_batch_lost_on_plain_zmq_is_counted_and_held_against_max_loss() {
    assert_named("bus:double", &over_plain_zmq("bus:double", &[]));
    let (probe, code, ledger) = over_plain_zmq("bus:lose", &["--max-loss", "999"]);
    assert_eq!((probe.code(), code, &ledger["hops"][0]), (0, 4, &Value::Null), "{ledger:#}");
    assert_eq!([&ledger["lost"]["records"], &ledger["lost"]["batches"]], [1_000, 1]);
}

/// What a store acknowledges comes again where it did not arrive, and is left where it came already.
#[test]
fn a_batch_lost_or_doubled_on_the_way_to_a_store_is_mended() {
    for fault in ["bus:lose", "bus:double"] {
        let said = over_zmq([fault; 2]);
        assert_balanced(&said);
        assert_eq!(said.2["lost"]["records"], 0, "{fault}: {:#}", said.2);
    }
}

/// Kafka promises exactly once: there both are residuals. One broker, topics of its own for each run.
#[test]
fn a_batch_that_kafka_loses_or_doubles_is_named() {
    let broker = shared();
    assert_balanced(&over_kafka(broker, ELSEWHERE));
    for fault in ["bus:lose", "bus:double"] {
        assert_named(fault, &over_kafka(broker, [fault; 2]));
    }
}

#[test]
fn the_ordinary_build_does_not_look_at_the_variable() {
    let run = Run::new(String::new(), "");
    let words = ["-i", run.capture.to_str().unwrap(), "--flows", "/dev/null"];
    for fault in ["meter:lose", "nonsense"] {
        let probe = Program::ours("gannet-probe").unwrap().args(words).env(VARIABLE, fault);
        assert_eq!(probe.run(PATIENCE).unwrap().code(), 0, "{fault}");
    }
    let (http, store) = (format!("127.0.0.1:{}", free_port()), run.folder.path().join("store"));
    let words = ["-i", "zmq://127.0.0.1:9", "--http", &http, "--store", store.to_str().unwrap()];
    let collector = program("gannet-collector", None).args(words).env(VARIABLE, "nonsense");
    collector.start().unwrap().wait_for_line("page and API at", PATIENCE).unwrap();
}

#[test]
fn a_misspelt_fault_is_wrong_usage() {
    let run = Run::new(String::new(), "");
    let programs =
        [("gannet-probe", run.capture.to_str().unwrap()), ("gannet-collector", "zmq://127.0.0.1:9")];
    for (name, input) in programs {
        for fault in ["metre:lose", "meter:lost", "device:lose", ""] {
            let armed = with_fault(name, Command::new(faulty(name)), fault).args(["-i", input]);
            let finished = armed.run(PATIENCE).unwrap();
            assert_eq!(finished.code(), 2, "{name}, '{fault}': {}", finished.stderr);
            assert!(finished.stderr.contains(&format!("{VARIABLE}='{fault}' is not")), "{}", finished.stderr);
        }
    }
}
