//! A broker that stands still while flows go on coming: what waits is the sink's affair, and no worker's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;
mod whole;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use live::{BOUND, Books, Room, STOP_BOUND};
use perf::kernel::signal::Signal;
use perf::kernel::thread::in_network;
use perf::process::{Program, Running};
use perf::wait::wait_until;
use serde_json::Value;
use whole::Collector;
use whole::broker::Broker;

/// Flows that end while the broker stands still.
const FLOWS: u64 = 3_000;
const PACKETS: u64 = 10;

/// A probe on the room's wire; ready.
fn start(room: &Room, url: &str) -> Running {
    let mut probe = Program::ours_in(&room.right, "gannet-probe")
        .unwrap()
        .args(["-i", "in", "--capture", "xdp", "-d", "1", "--ntopng", url, "--http", "127.0.0.1:0"])
        .args([Path::new("--state-dir"), &room.path("state")])
        .args([Path::new("--flows"), &room.path("flows")])
        .args([Path::new("--ledger"), &room.path("ledger")])
        .start()
        .unwrap();
    probe.wait_for_line("ready:", BOUND).unwrap();
    probe
}

/// A counter of the probe's metrics, summed over its labels.
fn metric(probe: &Running, name: &str) -> u64 {
    let said = probe.stderr();
    let address = said.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).unwrap();
    let of_it = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    of_it.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

fn load(room: &Room, flows: u64) -> u64 {
    let report =
        room.send(&format!("--by packet-socket --flows {flows} --packets-per-flow {PACKETS} --rate 10000"));
    report.pointer("/arrived/packets").and_then(Value::as_u64).unwrap()
}

/// No worker has lost a packet, nor waited for anybody: each that arrived was metered and sealed.
fn assert_no_loss(books: &Books, arrived: u64) {
    books.assert_balanced("paused broker");
    assert_eq!(books.total("/lost/packets"), 0, "{:#}", books.ledger["total"]);
    assert_eq!(books.total("/seen/packets"), arrived);
    assert_eq!(books.total("/in_records/packets"), arrived);
}

/// The first flows are stored; then the broker stands still, and what comes goes through the workers and is sealed while the sink gets no
/// answer. Packets that arrived.
fn hold_up(room: &Room, broker: &Broker, collector: &Collector, probe: &Running) -> u64 {
    let first = load(room, 100);
    wait_until("the first flows are stored", BOUND, || collector.rows() >= 100).unwrap();
    broker.pause();
    let held_up = load(room, FLOWS);
    wait_until("all flows wait for the broker", BOUND, || {
        metric(probe, "probe_sink_waiting_records") >= FLOWS
    })
    .unwrap();
    first + held_up
}

#[test]
fn a_broker_that_stands_still_costs_no_packet() {
    let room = Room::new(1, 1500);
    in_network(room.right.name(), || {
        let broker = Broker::own();
        let collector = Collector::start(&room.path("store"), None, &["-i", &broker.url()]);
        let probe = start(&room, &broker.url());
        let arrived = hold_up(&room, &broker, &collector, &probe);
        assert_eq!(metric(&probe, "probe_worker_metered_packets_total"), arrived);
        assert_eq!(metric(&probe, "probe_source_dropped_packets_total"), 0);
        assert_eq!(metric(&probe, "probe_export_discarded_packets_total"), 0);
        wait_until("it is said", BOUND, || probe.stderr().contains("the broker has not answered for"))
            .unwrap();
        broker.resume();

        wait_until("nothing waits", BOUND, || metric(&probe, "probe_sink_waiting_records") == 0).unwrap();
        let books = room.stop(probe);
        assert_no_loss(&books, arrived);
        let (code, ledger) = collector.check();
        assert_eq!((code, &ledger["verdict"]), (0, &"balanced".into()), "{ledger:#}");
        assert_eq!(ledger["epochs"][0]["total"]["stored"]["packets"], arrived, "{ledger:#}");
    })
    .unwrap();
}

/// A commit may be under way whose answer nobody waits for any more: the next start reads from the broker what became of it.
#[test]
fn a_stop_under_a_broker_that_stands_still_takes_its_time_and_says_what_is_left() {
    let room = Room::new(1, 1500);
    in_network(room.right.name(), || {
        let broker = Broker::own();
        let collector = Collector::start(&room.path("store"), None, &["-i", &broker.url()]);
        let probe = start(&room, &broker.url());
        let arrived = hold_up(&room, &broker, &collector, &probe);
        let stopped = probe.stop(Signal::Terminate, STOP_BOUND).unwrap();
        assert_eq!(stopped.code(), 0, "{}", stopped.stderr);
        let left = format!("records wait for {}", broker.url());
        let line = stopped.stderr.lines().find(|line| line.contains("in spool") && line.contains(&left));
        assert!(line.is_some(), "{}", stopped.stderr);
        assert!(!stopped.stderr.contains("drain_timeout"), "{}", stopped.stderr);

        broker.resume();
        let next = start(&room, &broker.url());
        wait_until("what was left is stored", BOUND, || collector.rows() >= 100 + FLOWS).unwrap();
        room.stop(next).assert_balanced("the next start");
        let (code, ledger) = collector.check();
        assert_eq!((code, &ledger["verdict"]), (0, &"balanced".into()), "{ledger:#}");
        let epochs = ledger["epochs"].as_array().unwrap().iter();
        let stored = epochs.filter_map(|epoch| epoch["total"]["stored"]["packets"].as_u64());
        assert_eq!(stored.sum::<u64>(), arrived, "{ledger:#}");
    })
    .unwrap();
}
