//! A build with faults loses or doubles one thing at one hop; the check must exit with 3 and name that hop.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod whole;

use std::path::Path;

use whole::{Broker, Collector, capture, probe};

/// The hops that the probe's own books see.
const PROBE_HOPS: [&str; 5] = ["kernel", "receive", "meter", "export", "batch"];

#[test]
fn the_probe_names_each_hop_before_the_bus() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.pcap");
    capture(&file, 1_000, 50);
    for hop in PROBE_HOPS {
        for fault in ["lose", "double"] {
            let finished = probe(&file, Some(&format!("{hop}:{fault}")), &["--flows", "/dev/null"]);
            assert_eq!(finished.code(), 3, "{hop}:{fault}: {}", finished.stderr);
            let said = finished.stderr.lines().find(|line| line.contains("do not balance")).unwrap();
            assert!(said.contains(&format!("at the hop {hop}:")), "{hop}:{fault}: {said}");
        }
    }
}

#[test]
fn a_fault_that_does_not_exist_is_wrong_usage() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.pcap");
    capture(&file, 1_000, 1);
    let finished = probe(&file, Some("nowhere:lose"), &[]);
    assert_eq!(finished.code(), 2, "{}", finished.stderr);
    assert!(finished.stderr.contains("nowhere:lose"), "{}", finished.stderr);
}

/// One run from capture to store with a fault in either program: exit code of the check, and the hop named first.
fn run(
    directory: &Path,
    broker: &Broker,
    probe_fault: Option<&str>,
    collector_fault: Option<&str>,
) -> (i32, String) {
    let name = probe_fault.or(collector_fault).unwrap_or("none").replace(':', "-");
    let file = directory.join("file.pcap");
    capture(&file, 1_000, 1_500);
    let url = broker.url();
    let prefix = ["--topic-prefix", &name];
    let store = directory.join(format!("store-{name}"));
    let collector = Collector::start(&store, collector_fault, &["-i", &url, prefix[0], prefix[1]]);
    let finished = probe(&file, probe_fault, &["--ntopng", &url, prefix[0], prefix[1]]);
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    let (code, ledger) = collector.check();
    (code, ledger["hops"][0].as_str().unwrap_or("none").to_owned())
}

#[test]
fn the_collector_names_bus_ingest_and_store() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    assert_eq!(run(directory.path(), &broker, None, None), (0, "none".to_owned()));
    for fault in ["lose", "double"] {
        let bus = format!("bus:{fault}");
        assert_eq!(run(directory.path(), &broker, Some(&bus), None), (3, "bus".to_owned()), "{bus}");
        for hop in ["ingest", "store"] {
            let named = format!("{hop}:{fault}");
            assert_eq!(run(directory.path(), &broker, None, Some(&named)), (3, hop.to_owned()), "{named}");
        }
    }
}
