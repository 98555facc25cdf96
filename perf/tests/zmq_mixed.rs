//! One address that a collector binds, and two who connect: a probe of ours, which acknowledges, and somebody else, who does not. Each flow is stored once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../../probe-userspace/wire/tests/ntop/frames.rs"]
mod frames;
mod whole;

use std::path::Path;

use perf::process::Program;
use perf::wait::wait_until;
use serde_json::Value;
use whole::{Collector, PATIENCE, free_port};

/// Flows of the golden messages.
const FOREIGN_FLOWS: u64 = 80;

/// It publishes as netflow2ng does, and knows when it is heard.
fn foreign(port: u16) -> zmq::Socket {
    let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
    socket.set_linger(0).unwrap();
    socket.set_rcvtimeo(30_000).unwrap();
    socket.connect(&format!("tcp://127.0.0.1:{port}")).unwrap();
    while socket.recv_bytes(0).unwrap() != b"\x01flow" {}
    socket
}

#[test]
fn a_probe_of_ours_and_somebody_else_at_one_address_are_each_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("mix.pcap");
    let words = "write --mix --flows 4000 --packets-max 30 --ipv6-share 30 --clients 300 --seed 7 --out";
    let written = Program::ours("gannet-replay").unwrap().args(words.split_whitespace()).args([&capture]);
    assert_eq!(written.run(PATIENCE).unwrap().code(), 0);
    let port = free_port();
    let url = format!("zmq://127.0.0.1:{port}c");
    let collector = Collector::start(&folder.path().join("store"), None, &["-i", &url]);
    let publisher = foreign(port);

    let ledger = folder.path().join("ledger");
    let probe = whole::reader(&capture, None, &["--ntopng", &url, "--zmq-acknowledge", "require"])
        .args([Path::new("--ledger"), &ledger])
        .run(PATIENCE)
        .unwrap();
    assert_eq!(probe.code(), 0, "{}", probe.stderr);
    for message in frames::read("netflow2ng/tlv.frames") {
        publisher.send_multipart(message, 0).unwrap();
    }
    let books: Value = serde_json::from_slice(&std::fs::read(&ledger).unwrap()).unwrap();
    let cursors = books["cursors"].as_array().unwrap_or_else(|| panic!("no cursors: {books:#}"));
    let of = |end: &str| {
        let mut of = cursors.iter().filter(|cursor| cursor["sink"].as_str().unwrap().ends_with(end));
        of.next().unwrap_or_else(|| panic!("no cursor of {end}: {cursors:#?}"))["acknowledged"]
            .as_u64()
            .unwrap()
    };
    // What it writes for ntopng went out here as well: the collector subscribes that for the other one's sake.
    let records = of("/ntop");
    assert!(records > 3_000, "{records}");
    let expected = records + FOREIGN_FLOWS;
    // Its books come behind its flows.
    let ledger = || -> Value {
        let finished = collector.ask(&["ledger", "--check", "--format", "json"]);
        serde_json::from_str(&finished.stdout).unwrap_or_default()
    };
    let read = |ledger: &Value| -> Vec<u64> {
        let epochs = ledger["epochs"].as_array().cloned().unwrap_or_default();
        epochs.iter().filter_map(|epoch| epoch["message"]["publisher"]["records_read"].as_u64()).collect()
    };
    wait_until("all is stored and told", PATIENCE, || {
        collector.rows() >= expected && !read(&ledger()).is_empty()
    })
    .unwrap();
    let closed = ledger();
    assert_eq!((collector.rows(), read(&closed)), (expected, vec![FOREIGN_FLOWS]), "{closed:#}");
    assert_eq!(
        (&closed["residual"]["packets"], &closed["verdict"]),
        (&0.into(), &"open".into()),
        "{closed:#}"
    );
    collector.stop();
}
