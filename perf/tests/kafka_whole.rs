//! The two lines of the manual, as a user types them: `gannet-probe -i X --ntopng URL`, `gannet-collector -i URL`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod whole;

use std::process::Command;

use whole::broker::{root, shared};
use whole::{Collector, capture, free_port, probe};

#[test]
fn through_kafka_collector_and_foreign_consumer_read_the_same_flows() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.pcap");
    capture(&file, 1_000, 2_500);
    let broker = shared();
    let url = broker.url();
    let collector = Collector::start(&directory.path().join("store"), None, &["-i", &url]);
    let finished = probe(&file, None, &["--ntopng", &url]);
    assert_eq!(finished.code(), 0, "{}", finished.stderr);

    // By the documented format alone, while the collector reads as well.
    let foreign = Command::new(root().join("deploy/kafka/pyarrow"))
        .arg(root().join("deploy/kafka/read_flows.py"))
        .arg(&broker.bootstrap)
        .output()
        .unwrap();
    assert!(foreign.status.success(), "{}", String::from_utf8_lossy(&foreign.stderr));
    let lines = String::from_utf8(foreign.stdout).unwrap();
    assert_eq!(lines.lines().filter(|line| !line.starts_with("{\"ledger\"")).count(), 2_500);

    let (code, ledger) = collector.check();
    assert_eq!((code, &ledger["verdict"]), (0, &"balanced".into()), "{ledger:#}");
    assert_eq!(collector.rows(), 2_500);
    collector.stop();
}

#[test]
fn through_zmq_a_capture_file_waits_for_its_collector() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.pcap");
    capture(&file, 1_000, 2_500);
    let url = format!("zmq://127.0.0.1:{}", free_port());
    let collector = Collector::start(&directory.path().join("store"), None, &["-i", &url]);
    let finished = probe(&file, None, &["--ntopng", &url]);
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    let (code, ledger) = collector.check();
    assert_eq!((code, &ledger["verdict"]), (0, &"balanced".into()), "{ledger:#}");
    assert_eq!(collector.rows(), 2_500);
    collector.stop();
}
