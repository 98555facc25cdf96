//! The program itself with `--kafka`: as ntop's pages write it, beside our own bus, and killed.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "kafka/bench.rs"]
mod bench;
#[path = "../../deploy/kafka/broker.rs"]
mod broker;
#[path = "kafka/generic.rs"]
mod generic;
#[path = "kafka/reader.rs"]
mod reader;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bench::{PROBE, Running, new_epoch, new_prefix};
use broker::shared;
use flow_wire::batch::encode;
use flow_wire::field::Template;
use flow_wire::record::FlowRecord;
use flow_wire::stamp::{Sequence, Stamp, StreamId};
use generic::{JSON, Read, flows_to, read, sink_of};
use probe::export::kafka::flows::SchemaId;
use reader::committed;
use serde_json::Value;

const FLOWS: u16 = 3_000;

/// What a flow of the capture has: its port is its name.
fn truth(port: u16) -> (u64, u64) {
    let packets = u64::from(port % 5) + 1;
    (packets, packets * (28 + u64::from(port % 100)))
}

/// UDP over IPv4, packet by packet through all flows, a microsecond apart.
fn capture(path: &Path) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    let mut microsecond = 0_u32;
    for round in 0..5 {
        for port in (1..=FLOWS).filter(|port| truth(*port).0 > round) {
            let payload = port % 100;
            let length = u32::from(payload) + 42;
            for word in [1_700_000_000 + microsecond / 1_000_000, microsecond % 1_000_000, length, length] {
                file.extend_from_slice(&word.to_le_bytes());
            }
            microsecond += 1;
            file.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0]);
            file.extend_from_slice(&(28 + payload).to_be_bytes());
            file.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 1, 0, 1]);
            for half in [port, 53, 8 + payload, 0] {
                file.extend_from_slice(&half.to_be_bytes());
            }
            file.resize(file.len() + usize::from(payload), 0);
        }
    }
    std::fs::write(path, file).unwrap();
}

/// By port: packets and octets. Each flow is there once.
fn by_port(flows: &[Value], [port, packets, octets]: [&str; 3]) -> BTreeMap<u16, (u64, u64)> {
    let number = |flow: &Value, key: &str| flow[key].as_u64().unwrap();
    let entry = |flow: &Value| {
        let port = u16::try_from(number(flow, port)).unwrap();
        (port, (number(flow, packets), number(flow, octets)))
    };
    let all: BTreeMap<_, _> = flows.iter().map(entry).collect();
    assert_eq!(all.len(), flows.len(), "a flow is there twice");
    all
}

/// The command of ntop's page "Exporting to Apache Kafka", hosts aside, and all kinds of outputs beside it.
#[test]
fn every_output_of_one_probe_is_complete() {
    let (broker, prefix, folder) = (shared(), new_prefix(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).display().to_string();
    capture(Path::new(&path("trace.pcap")));
    let (first, second) = (format!("{prefix}-first"), format!("{prefix}-second"));
    // The other brokers are away.
    let documented = format!("{},127.0.0.1:1,127.0.0.1:2;{first}", broker.bootstrap);
    let output = Command::new(env!("CARGO_BIN_EXE_gannet-probe"))
        .args(["-i", &path("trace.pcap"), "--kafka", &documented])
        .args(["--kafka", &format!("{};{second};none;1;gzip", broker.bootstrap), "--json-labels"])
        .args(["--ntopng", &broker.url(), "--topic-prefix", &prefix, "--flows", "-"])
        .args(["--state-dir", &path("state"), "--user", "root", "--ledger", &path("books.json")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let expected: BTreeMap<u16, (u64, u64)> = (1..=FLOWS).map(|port| (port, truth(port))).collect();
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_lines = ["source_transport_port", "packet_delta_count", "octet_delta_count"];
    assert_eq!(by_port(&lines, of_lines), expected);
    for topic in [&first, &second] {
        let flows = read(broker, topic, "json", Read::Bare(None));
        assert_eq!(by_port(&flows, ["L4_SRC_PORT", "IN_PKTS", "IN_BYTES"]), expected, "{topic}");
    }
    assert_eq!(committed(&broker.bootstrap, &format!("{prefix}.flow")).rows, u64::from(FLOWS));
    let books: Value = serde_json::from_slice(&std::fs::read(path("books.json")).unwrap()).unwrap();
    assert_eq!(books["total"]["residual"], 0, "{books}");
    for topic in [&first, &second] {
        assert!(said.contains(&format!("/{topic}")), "{said}");
    }
}

#[test]
fn a_probe_that_knows_no_topic_ends_with_2_and_the_mend() {
    let output = Command::new(env!("CARGO_BIN_EXE_gannet-probe"))
        .args(["-i", "lo", "--kafka", "localhost;flows;1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("'localhost;flows;none;1'") && said.contains("'localhost;flows,1'"), "{said}");
}

/// Twenty flows of a batch: who sealed it, and its sequence.
fn batch(child: u16, epoch: flow_wire::stamp::Epoch, sequence: u64) -> Arc<flow_wire::batch::Sealed> {
    let stamp = Stamp { probe: PROBE, epoch, stream: StreamId(2), sequence: Sequence(sequence) };
    let row = |number: u16| FlowRecord {
        source_transport_port: child,
        destination_transport_port: number,
        octet_delta_count: sequence,
        ..bench::record(0)
    };
    Arc::new(encode(&(0..20).map(row).collect::<Vec<_>>(), stamp).unwrap())
}

fn start(url: &str, topic: &str, folder: &Path) -> Running {
    let mut flows = flows_to(url, topic, JSON, SchemaId::None);
    flows.template = Template::parse("%L4_SRC_PORT %L4_DST_PORT %IN_BYTES").unwrap();
    Running::spooled(sink_of(flows, Default::default()), folder)
}

/// The child process of the test below: seals and sends until it is killed.
#[test]
#[ignore = "a role of the test below, which starts it"]
fn child_that_seals_until_it_is_killed() {
    let said = |name: &str| std::env::var(name).unwrap();
    let child: u16 = said("GANNET_TEST_CHILD").parse().unwrap();
    let running =
        start(&said("GANNET_TEST_URL"), &said("GANNET_TEST_TOPIC"), Path::new(&said("GANNET_TEST_FOLDER")));
    let epoch = new_epoch();
    running.outbox.begin_epoch(epoch, &[StreamId(2)]);
    for sequence in 0.. {
        running.outbox.append(&batch(child, epoch, sequence));
        println!("sealed {sequence}");
        while running.outbox.left().first().is_some_and(|(_, records)| *records > 4_000) {
            std::thread::yield_now();
        }
    }
}

/// Starts it, and kills it once it has sealed so many batches; gives how many it said.
fn kill_after(child: u16, batches: u64, [url, topic, folder]: [&str; 3]) -> u64 {
    let mut process: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_seals_until_it_is_killed", "--ignored", "--nocapture"])
        .envs([("GANNET_TEST_URL", url), ("GANNET_TEST_TOPIC", topic), ("GANNET_TEST_FOLDER", folder)])
        .env("GANNET_TEST_CHILD", child.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let sealed = |line: String| line.strip_prefix("sealed ").and_then(|text| text.parse::<u64>().ok());
    let reached = said.by_ref().filter_map(sealed).find(|sequence| sequence + 1 >= batches);
    process.kill().unwrap();
    process.wait().unwrap();
    let reached = reached.expect("the child ended by itself");
    said.filter_map(sealed).last().unwrap_or(reached) + 1
}

#[test]
fn a_probe_that_is_killed_goes_on_at_its_place_and_every_flow_is_there_once() {
    let (broker, topic, folder) = (shared(), new_prefix(), tempfile::tempdir().unwrap());
    let url = broker.url();
    let words = [url.as_str(), &topic, folder.path().to_str().unwrap()];
    // From the first connect to well behind it: before, in and between transactions.
    let sealed_by: Vec<u64> = (0..)
        .zip([1, 40, 150, 300, 301, 200])
        .map(|(child, batches)| kill_after(child, batches, words))
        .collect();
    let last = start(&url, &topic, folder.path());
    last.outbox.begin_epoch(new_epoch(), &[StreamId(2)]);
    last.finish();
    let mut seen: BTreeMap<(u64, u64), Vec<u64>> = BTreeMap::new();
    for flow in read(broker, &topic, "json", Read::Bare(None)) {
        let number = |key: &str| flow[key].as_u64().unwrap();
        seen.entry((number("L4_SRC_PORT"), number("IN_BYTES"))).or_default().push(number("L4_DST_PORT"));
    }
    let all: Vec<u64> = (0..20).collect();
    for (batch, mut rows) in seen.clone() {
        rows.sort_unstable();
        assert_eq!(rows, all, "each flow of {batch:?} once");
    }
    for (child, batches) in (0..).zip(sealed_by) {
        // One more may have been in the spool and not said yet.
        let there: Vec<u64> =
            seen.keys().filter(|(of, _)| *of == child).map(|(_, sequence)| *sequence).collect();
        assert_eq!(there, (0..there.len() as u64).collect::<Vec<_>>(), "child {child}");
        assert!(there.len() as u64 >= batches, "{} of {batches} of child {child}", there.len());
    }
}
