//! A subscriber as ntopng is one: every flow of known traffic reaches it, once, in every format and header, beside our own collector.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../../probe-userspace/wire/tests/ntop/decoder.rs"]
mod decoder;
mod whole;

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use decoder::{Flow, Head, Value};
use perf::flows::{self, Flows, Line};
use perf::process::{Finished, Program};
use perf::wait::wait_until;
use tempfile::TempDir;
use whole::{Collector, PATIENCE, free_port};

/// What ntopng subscribes; flows last, since a probe that reads a file begins once they are wanted.
const TOPICS: [&str; 9] =
    ["event", "counter", "template", "option", "hello", "listening-ports", "snmp-ifaces", "message", "flow"];

/// ntopng's fields, and the two that the generator's truth has beside them.
const TEMPLATE: &str = "@NTOPNG@ %layer2OctetDeltaCount %reverseLayer2OctetDeltaCount";

/// Silence after the probe's end by which a subscriber knows that nothing more comes.
const SILENCE_MS: i32 = 1_000;

/// TCP, UDP and ICMP of both IP versions, in a VLAN: the capture, and the truth.
fn traffic(folder: &TempDir) -> Flows {
    let [capture, truth] = ["mix.pcap", "truth"].map(|name| folder.path().join(name));
    let words = "write --mix --flows 4000 --packets-max 300 --ipv6-share 30 --clients 300 --vlan 9 --seed 7";
    let finished = Program::ours("gannet-replay")
        .unwrap()
        .args(words.split_whitespace())
        .args([Path::new("--out"), &capture, Path::new("--truth"), &truth])
        .run(PATIENCE)
        .unwrap();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    flows::read(&std::fs::read_to_string(truth).unwrap()).unwrap()
}

/// Reads all that comes on a port until the probe has ended, and some silence, and says so message by message. The side that binds is the one
/// that does not connect.
fn subscribe(
    port: u16,
    binds: bool,
    server: Option<&zmq::CurveKeyPair>,
    ended: Receiver<()>,
    heard: Sender<()>,
) -> JoinHandle<Vec<Vec<Vec<u8>>>> {
    let socket = zmq::Context::new().socket(zmq::SUB).unwrap();
    if let Some(pair) = server {
        socket.set_curve_server(true).unwrap();
        socket.set_curve_secretkey(&pair.secret_key).unwrap();
    }
    socket.set_rcvhwm(0).unwrap();
    socket.set_linger(0).unwrap();
    socket.set_rcvtimeo(SILENCE_MS).unwrap();
    TOPICS.iter().for_each(|topic| socket.set_subscribe(topic.as_bytes()).unwrap());
    let address = format!("tcp://127.0.0.1:{port}");
    if binds {
        socket.bind(&address).unwrap()
    } else {
        socket.connect(&address).unwrap()
    }
    std::thread::spawn(move || {
        let mut messages = Vec::new();
        let mut is_over = false;
        loop {
            match socket.recv_multipart(0) {
                Ok(frames) => {
                    messages.push(frames);
                    // Not everybody waits for it.
                    let _nobody = heard.send(());
                }
                Err(_) if is_over => return messages,
                Err(_) => is_over = ended.try_recv().is_ok(),
            }
        }
    })
}

/// Runs a probe over the traffic; what it said, and what a subscriber read.
fn published(folder: &TempDir, binds: bool, words: &[&str]) -> (Finished, Vec<(Head, Vec<Flow>, String)>) {
    published_to(folder, binds, None, words)
}

/// The same; `server` = the keys of a subscriber that is the server of an encrypted link.
fn published_to(
    folder: &TempDir,
    binds: bool,
    server: Option<&zmq::CurveKeyPair>,
    words: &[&str],
) -> (Finished, Vec<(Head, Vec<Flow>, String)>) {
    let port = free_port();
    let (end, ended) = channel();
    let reader = subscribe(port, binds, server, ended, channel().0);
    let url = format!("zmq://127.0.0.1:{port}");
    let ledger = folder.path().join("ledger");
    let probe = whole::reader(&folder.path().join("mix.pcap"), None, &["--ntopng", &url, "-T", TEMPLATE])
        .args(words)
        .args([Path::new("--ledger"), &ledger])
        .run(PATIENCE)
        .unwrap();
    end.send(()).unwrap();
    let messages = reader.join().unwrap();
    (probe, messages.iter().map(|frames| decoder::message(frames)).collect())
}

/// The flows of all messages, per conversation.
fn sums(messages: &[(Head, Vec<Flow>, String)]) -> Flows {
    let mut sums = Flows::new();
    for flow in messages.iter().flat_map(|(_, flows, _)| flows) {
        flows::add(&mut sums, &line(flow));
    }
    sums
}

fn line(flow: &Flow) -> Line {
    let number = |key: &str| flow.get(key).map_or(0, Value::number);
    let address = |v4: &str, v6: &str| {
        let texts: Vec<_> = [v4, v6].into_iter().filter_map(|key| flow.get(key)).collect();
        assert_eq!(texts.len(), 1, "one of {v4} and {v6}: {flow:?}");
        texts[0].text().parse().unwrap()
    };
    Line {
        source_ip_address: address("8", "27"),
        destination_ip_address: address("12", "28"),
        source_transport_port: number("7") as u16,
        destination_transport_port: number("11") as u16,
        protocol_identifier: number("4") as u8,
        vlan_id: flow.get("58").map(|vlan| vlan.number() as u16),
        packet_delta_count: number("2"),
        reverse_packet_delta_count: number("24"),
        octet_delta_count: number("1"),
        reverse_octet_delta_count: number("23"),
        layer2_octet_delta_count: number("352"),
        reverse_layer2_octet_delta_count: flow
            .get("29305.352")
            .or(flow.get("reverseLayer2OctetDeltaCount"))
            .map_or(0, Value::number),
    }
}

/// All records that went out: ntopng counts them, not what they sum up to.
fn records(messages: &[(Head, Vec<Flow>, String)]) -> u64 {
    messages.iter().map(|(_, flows, _)| flows.len() as u64).sum()
}

fn ledger(folder: &TempDir) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(folder.path().join("ledger")).unwrap()).unwrap()
}

/// The one source of all messages numbers them without a gap, and its last event tells what the generator sent.
fn assert_sound(messages: &[(Head, Vec<Flow>, String)], truth: &Flows, what: &str) {
    let (first, _, _) = &messages[0];
    for (number, (head, _, _)) in (1..).zip(messages) {
        assert_eq!((head.number, head.source), (number, first.source), "{what}");
    }
    assert_eq!(first.topic, "template", "{what}: names before the first flow");
    let of = |topic: &str| messages.iter().filter(|(head, _, _)| head.topic == topic).collect::<Vec<_>>();
    let fields: serde_json::Value = serde_json::from_str(&of("template")[0].2).unwrap();
    let has = |name: &str| fields.as_array().unwrap().iter().any(|field| field["name"] == name);
    for name in [
        "FIRST_SWITCHED",
        "LAST_SWITCHED",
        "L4_SRC_PORT",
        "L4_DST_PORT",
        "IP_PROTOCOL_VERSION",
        "PROTOCOL",
        "IN_BYTES",
        "IN_PKTS",
        "OUT_BYTES",
        "OUT_PKTS",
    ] {
        assert!(has(name), "{what}: {name}");
    }
    let event: serde_json::Value = serde_json::from_str(&of("event").last().unwrap().2).unwrap();
    let total = flows::total(truth);
    assert_eq!(event["packets"], total.packets, "{what}: {event:#}");
    assert_eq!(event["bytes"], total.layer2_octets, "{what}");
    assert_eq!(event["packet_drops"], 0, "{what}");
    assert_eq!(event["zmq"]["num_flow_exports"], records(messages), "{what}");
}

#[test]
fn a_subscriber_like_ntopng_has_every_flow_once_in_every_format_and_header() {
    let folder = tempfile::tempdir().unwrap();
    let truth = traffic(&folder);
    let cases: [(&[&str], bool, u8); 7] = [
        (&[], false, 4),
        (&["--zmq-probe-mode"], true, 4),
        (&["--zmq-header-version", "2"], false, 3),
        (&["--zmq-header-version", "1"], false, 3),
        (&["--zmq-format", "j"], false, 4),
        (&["--zmq-format", "j", "--zmq-header-version", "2"], false, 2),
        (
            &["--zmq-format", "json-dotted", "--zmq-header-version", "1", "--zmq-disable-compression"],
            false,
            2,
        ),
    ];
    for (words, binds, version) in cases {
        let what = words.join(" ");
        let (probe, messages) = published(&folder, binds, words);
        assert_eq!(probe.code(), 0, "{what}: {}", probe.stderr);
        assert_eq!(flows::differences(&truth, &sums(&messages)), Vec::<String>::new(), "{what}");
        assert_sound(&messages, &truth, &what);
        for (head, flows, _) in &messages {
            let wants_tlv = head.topic == "flow" && !what.contains("json") && !what.contains("-format j");
            let wants_zlib =
                what == "--zmq-format j --zmq-header-version 2" || (version < 4 && !flows_are(head));
            assert_eq!(head.is_tlv, wants_tlv, "{what}: {head:?}");
            assert_eq!(head.is_compressed, wants_zlib && !what.contains("disable"), "{what}: {head:?}");
            assert!(flows.is_empty() || head.version == version, "{what}: {head:?}");
        }
        let ledger = ledger(&folder);
        let total = &ledger["total"];
        assert_eq!((&total["residual"], &total["lost"]["packets"]), (&0.into(), &0.into()), "{what}");
        assert_eq!(total["seen"]["packets"], flows::total(&truth).packets, "{what}");
        assert!(!probe.stderr.contains("ERROR"), "{what}: {}", probe.stderr);
    }
}

fn flows_are(head: &Head) -> bool {
    head.topic == "flow"
}

/// One socket, two kinds of readers: neither costs the other anything, and the books of the store balance.
#[test]
fn ntopng_and_a_collector_read_one_probe_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let truth = traffic(&folder);
    let port = free_port();
    let url = format!("zmq://127.0.0.1:{port}");
    let (end, ended) = channel();
    let (hear, heard) = channel();
    let reader = subscribe(port, false, None, ended, hear);
    let (capture, probes) = (folder.path().join("mix.pcap"), url.clone());
    let probe = std::thread::spawn(move || {
        let words = ["--ntopng", &probes, "-T", TEMPLATE, "--zmq-acknowledge", "require"];
        whole::probe(&capture, None, &words)
    });
    // A file waits for its first reader only: were that the collector, the subscriber might come too late.
    heard.recv_timeout(PATIENCE).unwrap();
    let collector = Collector::start(&folder.path().join("store"), None, &["-i", &url]);
    let probe = probe.join().unwrap();
    assert_eq!(probe.code(), 0, "{}", probe.stderr);
    end.send(()).unwrap();
    let messages: Vec<_> = reader.join().unwrap().iter().map(|frames| decoder::message(frames)).collect();
    assert_eq!(flows::differences(&truth, &sums(&messages)), Vec::<String>::new());
    wait_until("all is stored", PATIENCE, || collector.rows() == records(&messages)).unwrap();
    let (code, ledger) = collector.check_with(&["--max-loss", "0"]);
    assert_eq!((code, &ledger["verdict"]), (0, &"balanced".into()), "{ledger:#}");
    collector.stop();
}

/// ntopng is the CURVE server of its link; a SUB socket with its secret key, which connects or binds.
#[test]
fn an_ntopng_that_is_the_curve_server_has_every_flow_and_another_key_none() {
    let folder = tempfile::tempdir().unwrap();
    let truth = traffic(&folder);
    let (ntopng, other) = (zmq::CurveKeyPair::new().unwrap(), zmq::CurveKeyPair::new().unwrap());
    let text = |pair: &zmq::CurveKeyPair| zmq::z85_encode(&pair.public_key).unwrap();
    let file = folder.path().join("zmq-key.pub");
    std::fs::write(&file, text(&ntopng) + "\n").unwrap();
    for (key, binds) in [(text(&ntopng), false), (file.display().to_string(), true)] {
        let words = ["--zmq-encryption-key", &key, "--zmq-probe-mode"];
        let (probe, messages) =
            published_to(&folder, binds, Some(&ntopng), &words[..if binds { 3 } else { 2 }]);
        assert_eq!(probe.code(), 0, "{key}: {}", probe.stderr);
        assert_eq!(flows::differences(&truth, &sums(&messages)), Vec::<String>::new(), "{key}");
        assert_sound(&messages, &truth, &key);
    }
    let (probe, messages) =
        published_to(&folder, false, Some(&ntopng), &["--zmq-encryption-key", &text(&other)]);
    assert_eq!((probe.code(), messages.len()), (0, 0), "{}", probe.stderr);
    let (probe, messages) = published_to(&folder, false, None, &["--zmq-encryption-key", &text(&ntopng)]);
    assert_eq!((probe.code(), messages.len()), (0, 0), "{}", probe.stderr);
}

/// More messages than libzmq holds for one subscriber, and than its connection does: it cannot have them all.
fn much_traffic(folder: &TempDir) -> Flows {
    let [capture, truth] = ["much.pcap", "truth"].map(|name| folder.path().join(name));
    let words = "write --mix --flows 250000 --packets-max 3 --ipv6-share 30 --clients 60000 --seed 8";
    let finished = Program::ours("gannet-replay")
        .unwrap()
        .args(words.split_whitespace())
        .args([Path::new("--out"), &capture, Path::new("--truth"), &truth])
        .run(PATIENCE)
        .unwrap();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    flows::read(&std::fs::read_to_string(truth).unwrap()).unwrap()
}

/// Subscribes everything and reads nothing.
fn stuck(port: u16) -> zmq::Socket {
    let socket = zmq::Context::new().socket(zmq::SUB).unwrap();
    socket.set_rcvhwm(1).unwrap();
    socket.set_rcvbuf(4_096).unwrap();
    socket.set_linger(0).unwrap();
    socket.set_rcvtimeo(SILENCE_MS).unwrap();
    socket.set_subscribe(b"").unwrap();
    socket.connect(&format!("tcp://127.0.0.1:{port}")).unwrap();
    socket
}

/// Three readers of one socket: one acknowledges, one is as fast as ntopng, one has stopped reading. The last one loses its own messages alone.
#[test]
fn a_subscriber_that_is_stuck_costs_ntopng_and_a_collector_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let truth = much_traffic(&folder);
    let port = free_port();
    let url = format!("zmq://127.0.0.1:{port}");
    let (end, ended) = channel();
    let (hear, heard) = channel();
    let reader = subscribe(port, false, None, ended, hear);
    let (capture, ledger) = (folder.path().join("much.pcap"), folder.path().join("ledger"));
    let words = ["--ntopng", &url, "-T", TEMPLATE, "--zmq-acknowledge", "require"];
    let probe = whole::reader(&capture, None, &words).args([Path::new("--ledger"), &ledger]);
    let probe = std::thread::spawn(move || probe.run(PATIENCE).unwrap());
    // The others come once it is there: what went out before nobody would hear again.
    heard.recv_timeout(PATIENCE).unwrap();
    let stuck = stuck(port);
    let collector = Collector::start(&folder.path().join("store"), None, &["-i", &url]);
    let probe = probe.join().unwrap();
    assert_eq!(probe.code(), 0, "{}", probe.stderr);
    end.send(()).unwrap();
    let messages: Vec<_> = reader.join().unwrap().iter().map(|frames| decoder::message(frames)).collect();
    assert_eq!(flows::differences(&truth, &sums(&messages)), Vec::<String>::new());
    assert_sound(&messages, &truth, "beside a stuck one");
    wait_until("all is stored", PATIENCE, || collector.rows() == records(&messages)).unwrap();
    let (code, books) = collector.check_with(&["--max-loss", "0"]);
    assert_eq!((code, &books["verdict"]), (0, &"balanced".into()), "{books:#}");

    let flow = |frames: &[Vec<u8>]| frames.len() == 2 && frames[0].starts_with(b"flow\0");
    let sent = messages.iter().filter(|(head, _, _)| head.topic == "flow").count();
    let mut read = 0;
    while let Ok(frames) = stuck.recv_multipart(0) {
        read += usize::from(flow(&frames));
    }
    assert!(read > 0 && read < sent, "it was there, and it was stuck: {read} of {sent} messages of flows");
    collector.stop();
}

#[test]
fn a_template_that_ntopng_would_complain_of_is_warned_of() {
    let said = |template: &str| {
        let words = ["-i", "lo", "--ntopng", "zmq://127.0.0.1:1", "--check-config", "-T", template];
        Program::ours("gannet-probe").unwrap().args(words).run(PATIENCE).unwrap().stderr
    };
    let lacking = said("@NTOPNG@ %IN_BYTES=>octets %IN_PKTS");
    assert!(!lacking.contains("-T lacks"), "{lacking}");
    let lacking =
        said("%IPV4_SRC_ADDR %IPV4_DST_ADDR %IN_BYTES=>octets %OUT_BYTES %IN_PKTS %OUT_PKTS %PROTOCOL");
    let names =
        "-T lacks %FIRST_SWITCHED %LAST_SWITCHED %L4_SRC_PORT %L4_DST_PORT %IP_PROTOCOL_VERSION %IN_BYTES:";
    assert!(lacking.contains(names), "{lacking}");
}

#[test]
fn a_template_that_cannot_be_is_wrong_usage_and_named() {
    for (words, said) in [
        (["-T", "%IN_BYTE"], "did you mean %IN_BYTES?"),
        (["-T", ""], "-T '': it names no field"),
        (["--zmq-format", "m"], "--zmq-format m: not a format that is written here"),
        (["--zmq-header-version", "4"], "--zmq-header-version 4: must be 1 to 3"),
        (
            ["--topic-prefix", "flows"],
            "--topic-prefix flows: on ZMQ ntopng subscribes all that begins with 'flow'",
        ),
    ] {
        let program = Program::ours("gannet-probe").unwrap();
        let finished = program
            .args(["-i", "lo", "--ntopng", "zmq://127.0.0.1:1", "--check-config"])
            .args(words)
            .run(PATIENCE)
            .unwrap();
        assert_eq!(finished.code(), 2, "{}", finished.stderr);
        assert!(finished.stderr.contains(said), "{}", finished.stderr);
    }
}
