//! Publishers that are none of ours, as plain PUB sockets, and the real collector behind them: what netflow2ng sent is replayed octet for octet.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support {
    pub(crate) mod collector;
}
#[path = "../../probe-userspace/wire/tests/ntop/frames.rs"]
mod frames;
#[path = "../../probe-userspace/wire/tests/ntop/truth.rs"]
mod truth;

use std::path::Path;

use serde_json::Value;
use support::collector::{Collector, free_port, wait_until};

/// A publisher that takes nothing back: a PUB socket hears no HELLO. An XPUB could; this one is asked only what is subscribed, so that nothing
/// is sent before.
struct Foreign {
    socket: zmq::Socket,
    url: String,
}

impl Foreign {
    fn bind() -> Self {
        let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
        socket.set_linger(0).unwrap();
        socket.set_sndhwm(0).unwrap();
        socket.bind("tcp://127.0.0.1:*").unwrap();
        let url = socket.get_last_endpoint().unwrap().unwrap().replace("tcp:", "zmq:");
        Self { socket, url }
    }

    fn connect(port: u16) -> Self {
        let socket = zmq::Context::new().socket(zmq::XPUB).unwrap();
        socket.set_linger(0).unwrap();
        socket.connect(&format!("tcp://127.0.0.1:{port}")).unwrap();
        Self { socket, url: String::new() }
    }

    /// Until all that ntopng subscribes is subscribed.
    fn wait_for_subscriber(&self) {
        let mut wanted: Vec<_> = flow_wire::ntop::reader::TOPICS
            .iter()
            .map(|topic| [b"\x01", topic.as_bytes()].concat())
            .collect();
        while !wanted.is_empty() {
            let said = self.socket.recv_bytes(0).unwrap();
            wanted.retain(|topic| *topic != said);
        }
    }

    fn send(&self, message: &[Vec<u8>]) {
        self.socket.send_multipart(message, 0).unwrap();
    }
}

/// The same message with another number, of another source.
fn numbered(message: &[Vec<u8>], number: u32, source: u32) -> Vec<Vec<u8>> {
    let mut message = message.to_vec();
    message[0][28..32].copy_from_slice(&number.to_be_bytes());
    message[0][32..36].copy_from_slice(&source.to_le_bytes());
    message
}

fn flows(collector: &Collector) -> Vec<Value> {
    let answer = collector.ask(&["query", "flows", "--limit", "1000", "--from", "2020-01-01T00:00:00Z"]);
    let flows = answer["flows"].as_array().or(answer.as_array()).unwrap_or_else(|| panic!("{answer}"));
    flows.clone()
}

/// Every row is one of nfdump's flows, and every one is there so often.
fn assert_rows_are_nfdumps(collector: &Collector, times: usize) {
    let truth = truth::read();
    let flows = flows(collector);
    assert_eq!(flows.len(), truth.len() * times);
    let mut seen = std::collections::BTreeMap::new();
    for flow in &flows {
        let number = |name: &str| flow[name].as_u64();
        let address = |name: &str| flow[name].as_str().unwrap().parse().unwrap();
        let port = |name: &str| number(name).unwrap() as u16;
        let key = (
            address("source_ip_address"),
            port("source_transport_port"),
            address("destination_ip_address"),
            port("destination_transport_port"),
            number("protocol_identifier").unwrap() as u8,
        );
        let known = &truth[&key];
        let counts = (number("packet_delta_count").unwrap(), number("octet_delta_count").unwrap());
        assert_eq!(counts, (known.packets, known.octets), "{flow}");
        assert_eq!(number("tcp_control_bits"), known.flags.map(u64::from), "{flow}");
        assert_eq!(number("vlan_id"), known.vlan.map(u64::from), "{flow}");
        assert_eq!(flow["flow_end_reason"], "not_told");
        *seen.entry(key).or_insert(0) += 1;
    }
    assert!(seen.len() == truth.len() && seen.values().all(|count| *count == times));
}

fn publisher(ledger: &Value, source: u32) -> (Value, Value) {
    let epochs = ledger["epochs"].as_array().unwrap();
    let is = |epoch: &&Value| epoch["message"]["publisher"]["source"] == source;
    let epoch = epochs.iter().find(is).unwrap_or_else(|| panic!("no source {source}: {ledger:#}"));
    (epoch.clone(), epoch["message"]["publisher"].clone())
}

fn ledger_of_store(store: &Path, words: &[&str]) -> (Option<i32>, Value) {
    let program = env!("CARGO_BIN_EXE_gannet-collector");
    let output = std::process::Command::new(program)
        .args(["ledger", "--check", "--format", "json", "--store"])
        .arg(store)
        .args(words)
        .output()
        .unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn what_netflow2ng_sent_is_stored_and_the_books_close_at_the_stop() {
    for format in ["tlv", "json", "jcompress"] {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        let foreign = Foreign::bind();
        let collector = Collector::start(&store, &[&foreign.url]);
        foreign.wait_for_subscriber();
        for message in frames::read(&format!("netflow2ng/{format}.frames")) {
            foreign.send(&message);
        }
        wait_until("all is stored", || collector.rows() == 80);
        assert_rows_are_nfdumps(&collector, 1);
        assert!(collector.log().contains("none of ours"), "{}", collector.log());
        // It says its source in network order, which is read as it lies.
        let (epoch, terms) = publisher(&collector.ask(&["ledger"]), 7 << 24);
        assert_eq!(
            (&epoch["state"], &epoch["residual"]["packets"]),
            (&"open".into(), &0.into()),
            "{epoch:#}"
        );
        assert_eq!((&terms["messages"], &terms["numbered"]), (&80.into(), &80.into()), "{format}: {terms}");
        assert_eq!((&terms["missed_messages"], &terms["records_refused"]), (&0.into(), &0.into()));
        let text = String::from_utf8(collector.run(&["ledger"]).stdout).unwrap();
        assert!(text.contains("numbered 80 = messages 80 + missed_messages 0"), "{text}");
        assert!(text.contains("records_read 80 = sealed 80 + records_refused 0"), "{text}");
        assert!(text.contains("none of ours, so at most once"), "{text}");
        assert_eq!(collector.stop(), Some(0));
        let (code, ledger) = ledger_of_store(&store, &["--max-loss", "0"]);
        assert_eq!((code, &ledger["verdict"]), (Some(0), &"balanced".into()), "{format}: {ledger:#}");
    }
}

#[test]
fn what_did_not_come_is_the_publishers_loss_and_what_is_broken_loses_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let foreign = Foreign::bind();
    let collector = Collector::start(&store, &[&foreign.url]);
    foreign.wait_for_subscriber();
    let messages = frames::read("netflow2ng/tlv.frames");
    let (mut number, mut sent) = (100, 0);
    for (at, message) in messages.iter().enumerate() {
        number += 1;
        match at {
            // Three that the network keeps.
            10..13 => continue,
            20 => {
                let cut = message[1].len() / 2;
                foreign.send(&numbered(&[message[0].clone(), message[1][..cut].to_vec()], number, 7));
            }
            30 => foreign.send(&[b"flow".to_vec(), message[1].clone()]),
            40 => {
                // Started again.
                number = 0;
                foreign.send(&numbered(message, number, 7));
                sent += 1;
            }
            _ => {
                foreign.send(&numbered(message, number, 7));
                sent += 1;
            }
        }
    }
    // A message that comes again cannot be told from another one.
    foreign.send(&numbered(&messages[0], number + 1, 7));
    // And one of somebody else, whose numbers are none of the first's.
    foreign.send(&numbered(&messages[1], 5, 8));
    let mut event = numbered(&messages[0], number + 2, 7);
    event[0][..16].copy_from_slice(b"event\0\0\0\0\0\0\0\0\0\0\0");
    event[0][17] = 0;
    for (at, drops) in (0..).zip([40, 45]) {
        event[1] = format!(r#"{{"packet_drops":{drops},"probe":{{"version":"nProbe v.10"}}}}"#).into_bytes();
        foreign.send(&numbered(&event, number + 2 + at, 7));
    }
    wait_until("all is stored", || collector.rows() == sent + 2);
    wait_until("the event is in the books", || {
        publisher(&collector.ask(&["ledger"]), 7).1["told"]["packet_drops"] == 5
    });
    let ledger = collector.ask(&["ledger", "--check"]);
    let (epoch, terms) = publisher(&ledger, 7);
    assert_eq!(
        (&ledger["verdict"], &ledger["residual"]["packets"]),
        (&"open".into(), &0.into()),
        "{ledger:#}"
    );
    // The header of message 30 said nothing, so its number is missing as well.
    assert_eq!((&terms["missed_messages"], &terms["restarts"]), (&4.into(), &1.into()), "{terms:#}");
    assert_eq!((&terms["refused_messages"], &terms["program"]), (&1.into(), &"nProbe v.10".into()));
    assert_eq!(ledger["refused"], serde_json::json!({"publisher": 2}));
    assert_eq!(
        (&epoch["lost"]["publisher_messages"], &epoch["lost"]["publisher_told"]),
        (&4.into(), &5.into())
    );
    let (_, other) = publisher(&ledger, 8);
    assert_eq!((&other["messages"], &other["missed_messages"]), (&1.into(), &0.into()));
    assert_eq!(collector.stop(), Some(0));
    let code = |most: &str| ledger_of_store(&store, &["--max-loss", most]).0;
    assert_eq!((code("8"), code("9")), (Some(4), Some(0)), "four messages, five packets by its word");
}

#[test]
fn a_collector_that_binds_reads_somebody_else_who_connects() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let collector = Collector::start(&directory.path().join("store"), &[&format!("zmq://127.0.0.1:{port}c")]);
    let foreign = Foreign::connect(port);
    foreign.wait_for_subscriber();
    frames::read("netflow2ng/jcompress.frames").iter().for_each(|message| foreign.send(message));
    wait_until("all is stored", || collector.rows() == 80);
    assert_rows_are_nfdumps(&collector, 1);
}

#[test]
fn a_flood_of_hostile_messages_is_refused_and_the_next_sound_one_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = Foreign::bind();
    let collector = Collector::start(&directory.path().join("store"), &[&foreign.url]);
    foreign.wait_for_subscriber();
    let messages = frames::read("netflow2ng/tlv.frames");
    for (at, message) in messages.iter().enumerate() {
        let mut broken = message.clone();
        let length = broken[1].len();
        broken[1][at % length] ^= 0xff;
        foreign.send(&[vec![b'f'; at], broken[1].clone()]);
        foreign.send(&[message[0].clone()]);
        foreign.send(&[message[0].clone(), message[1].clone(), Vec::new(), Vec::new(), Vec::new()]);
        foreign.send(&numbered(&[message[0].clone(), vec![1; 100_000]], at as u32, 9));
    }
    foreign.send(&messages[0]);
    wait_until("it is stored", || collector.rows() == 1);
    let ledger = collector.ask(&["ledger", "--check"]);
    assert_eq!(ledger["residual"]["packets"], 0, "{ledger:#}");
    let (_, terms) = publisher(&ledger, 9);
    assert_eq!((&terms["messages"], terms["records_read"] == terms["records_refused"]), (&80.into(), true));
}
