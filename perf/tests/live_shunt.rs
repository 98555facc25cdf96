//! The shunt: flows that the XDP program counts itself have every packet and every octet that the generator knows of, whatever
//! ends them; and the books balance.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;

use live::{BOUND, Books, Room};
use perf::flows::{self, Flows};
use perf::kernel::signal::Signal;
use perf::netns::{End, Wire};
use perf::process::Program;
use perf::wait::wait_for;
use serde_json::Value;

/// Few flows with many packets, spread over some seconds.
const ELEPHANTS: &str = "--flows 40 --packets-per-flow 4000 --burst 4 --rate 40000";

fn number(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {report}"))
}

/// Sends, and gives the report and the truth per flow.
fn send(room: &Room, generator: &str) -> (Value, Flows) {
    let truth = room.path("truth");
    let report = room.send(&format!("{generator} --truth {}", truth.display()));
    (report, flows::read(&std::fs::read_to_string(truth).unwrap()).unwrap())
}

/// Waits until so many records are written.
fn records(room: &Room, count: usize) {
    wait_for("records", BOUND, || {
        let lines = std::fs::read_to_string(room.path("flows")).ok()?.lines().count();
        (lines >= count).then_some(())
    })
    .unwrap();
}

/// A probe, one load, and nothing lost: every flow is whole.
fn exact(room: &Room, probe: &str, generator: &str) -> Books {
    let case = format!("{probe}: {generator}");
    // Deep enough for most of a second, in which a busy machine may not come to the worker.
    let running = room.probe(&format!("--capture xdp --ring-size 32768 {probe}"));
    let (report, truth) = send(room, generator);
    let books = room.stop(running);
    books.assert_balanced(&case);
    // The grace period is had without any rights.
    assert!(!books.finished.stderr.contains("map of maps"), "{case}: {}", books.finished.stderr);
    assert_eq!(books.total("/lost/packets"), 0, "{case}: {:#}", books.ledger["total"]);
    assert_eq!(books.total("/seen/packets"), number(&report, "/arrived/packets"), "{case}");
    assert_eq!(books.total("/seen/octets"), number(&report, "/arrived/octets"), "{case}");
    assert_eq!(flows::differences(&truth, &books.flows), Vec::<String>::new(), "{case}");
    books
}

/// Packets that the program counted; as many as the workers have put into flows.
fn shunted(books: &Books) -> u64 {
    let shunted = books.total("/shunted/packets");
    assert_eq!(shunted, books.total("/shunt_merged/packets"));
    shunted
}

#[test]
fn elephants_are_exact_to_the_packet_and_the_octet() {
    for generator in [
        "",
        "--ipv6 --transport tcp --frame-size 300",
        "--vlan 7 --frame-size 1500 --one-way",
        "--frame-size 590 --transport tcp",
    ] {
        let room = Room::new(1, 1500);
        let books = exact(&room, "--shunt 64", &format!("{ELEPHANTS} {generator}"));
        let (shunted, seen) = (shunted(&books), books.total("/seen/packets"));
        assert!(shunted > seen / 2, "{generator}: only {shunted} of {seen} were shunted");
        // Two flows may have one place in the table; the second is metered as ever.
        let refused =
            books.ledger.pointer("/total/unshunted/place_taken").and_then(Value::as_u64).unwrap_or(0);
        assert_eq!(books.total("/shunts") + refused, 40, "{generator}");
        assert_eq!(books.total("/shunted_flows"), 0, "{generator}");
    }
}

/// The mix of the figures: each packet that the XDP program makes a flow of is of the flow that the generator says.
#[test]
fn elephants_among_small_flows_that_come_and_go_are_exact() {
    let mix = "--elephants 50 --elephant-share 90 --flows 200 --packets-per-flow 10 --rate 60000";
    for by in ["live-frames", "packet-socket"] {
        let room = Room::new(1, 1500);
        let books = exact(&room, "--shunt 64", &format!("{mix} --count 120000 --by {by}"));
        assert!(books.flows.len() > 1200, "{} flows", books.flows.len());
        let (shunted, seen) = (shunted(&books), books.total("/seen/packets"));
        // Nine tenths are of elephants, but for the first 64 packets of each and one a second.
        assert!(shunted * 10 > seen * 8, "{by}: only {shunted} of {seen} were shunted");
        let refused =
            books.ledger.pointer("/total/unshunted/place_taken").and_then(Value::as_u64).unwrap_or(0);
        assert_eq!(books.total("/shunts") + refused, 50, "{by}");
    }
}

#[test]
fn without_the_option_nothing_is_shunted() {
    let room = Room::new(1, 1500);
    let books = exact(&room, "", "--flows 40 --packets-per-flow 400 --rate 50000");
    assert_eq!((shunted(&books), books.total("/shunts")), (0, 0));
}

#[test]
fn several_workers_and_queues_share_the_table() {
    for (queues, probe, by) in [
        (1, "--workers 2", "live-frames"),
        (2, "--workers 2", "live-frames"),
        (2, "--workers 1", "packet-socket"),
        // It has no NAPI that would take live frames.
        (1, "--xdp-mode generic", "packet-socket"),
    ] {
        let room = Room::new(queues, 1500);
        let books = exact(&room, &format!("--shunt 64 {probe}"), &format!("{ELEPHANTS} --by {by}"));
        assert!(shunted(&books) > 0, "{probe}");
    }
}

#[test]
fn a_flow_may_come_in_by_two_interfaces() {
    let room = Room::new(1, 1500);
    Wire::default().lay(End::new(&room.left, "out2"), End::new(&room.right, "in2")).unwrap();
    let running = room.probe("-i in2 --capture xdp --shunt 64");
    let (_, truth) = send(&room, ELEPHANTS);
    let second = format!("send --interface out2 {ELEPHANTS}");
    let sender = Program::ours_in(&room.left, "gannet-replay").unwrap().args(second.split_whitespace());
    assert_eq!(sender.run(BOUND).unwrap().code(), 0);
    let books = room.stop(running);
    books.assert_balanced("two interfaces");
    assert_eq!(books.total("/lost/packets"), 0);
    assert_twice(&books.flows, &truth);
    let shunted = |interface: &Value| number(interface, "/shunted/packets");
    assert!(books.ledger["interfaces"].as_array().unwrap().iter().all(|interface| shunted(interface) > 0));
}

fn assert_twice(found: &Flows, once: &Flows) {
    assert_eq!(found.len(), once.len());
    for (key, once) in once {
        let found = &found[key];
        for (found, once) in [(found.upward, once.upward), (found.downward, once.downward)] {
            assert_eq!((found.packets, found.octets), (2 * once.packets, 2 * once.octets), "{key:?}");
        }
    }
}

/// Handshakes, ends by FIN and by RST, and records that are cut by every time-out there is.
#[test]
fn connections_that_end_and_records_that_are_cut_are_exact() {
    let room = Room::new(1, 1514);
    let mix =
        "--mix --flows 2000 --flows-per-second 1000 --alpha 0.8 --packets-max 5000 --resets 30 --duration 1";
    let books = exact(&room, "--shunt 64 -t 1 -d 1", &format!("{mix} --seconds 8 --rate 60000"));
    assert!(shunted(&books) > 0, "{:#}", books.ledger["total"]);
    assert!(books.total("/records") > books.flows.len() as u64, "no record was cut");
}

/// The same keys again, some time-outs later.
#[test]
fn a_flow_that_comes_again_is_exact() {
    let room = Room::new(1, 1500);
    let running = room.probe("--capture xdp --shunt 64 -d 1");
    let (_, first) = send(&room, ELEPHANTS);
    records(&room, first.len());
    let (_, second) = send(&room, ELEPHANTS);
    assert_eq!(first.len(), second.len());
    let books = room.stop(running);
    books.assert_balanced("again");
    assert_eq!(books.total("/lost/packets"), 0);
    assert_twice(&books.flows, &first);
    assert!(books.total("/shunts") >= 80, "each flow is shunted twice");
}

#[test]
fn a_cache_that_is_full_of_elephants_is_exact() {
    let room = Room::new(1, 1500);
    // Each becomes one before it is pushed out.
    let elephants = "--flows 300 --packets-per-flow 800 --burst 100 --rate 60000";
    let books = exact(&room, "--shunt 64 -M 128", elephants);
    assert!(books.total("/evicted_flows") > 0);
    assert!(shunted(&books) > 0, "{:#}", books.ledger["workers"]);
}

/// More than the ring takes: what is lost is counted, what is shunted is not lost, and no flow has more than was sent.
#[test]
fn under_full_load_the_books_balance_while_records_are_cut_and_merged() {
    let room = Room::new(1, 1500);
    let running = room.probe("--capture xdp --shunt 64 -t 1 --ring-size 64");
    let (report, truth) = send(&room, "--flows 500 --packets-per-flow 1000 --burst 16 --seconds 4");
    let books = room.stop(running);
    books.assert_balanced("full load");
    let arrived = number(&report, "/arrived/packets");
    assert_eq!(books.total("/seen/packets"), arrived, "{report}");
    let kept = books.total("/metered/packets") + shunted(&books);
    assert_eq!(kept + books.total("/lost/packets"), arrived, "{:#}", books.ledger["total"]);
    assert!(shunted(&books) > arrived / 2, "{:#}", books.ledger["total"]);
    let mut short = 0;
    for (key, sent) in &truth {
        let found = books.flows.get(key).copied().unwrap_or_default();
        for (found, sent) in [(found.upward, sent.upward), (found.downward, sent.downward)] {
            assert!(found.packets <= sent.packets, "{key:?}: {found:?} of {sent:?}");
            short += sent.packets - found.packets;
        }
    }
    assert_eq!(short, books.total("/lost/packets"), "the flows lack as much as the ledger says was lost");
}

/// Elephants before the start and beyond the end.
#[test]
fn a_stop_in_the_midst_of_elephants_is_exact() {
    let room = Room::new(1, 1500);
    let generator = "--flows 40 --packets-per-flow 100 --by packet-socket --rate 60000 --seconds 60";
    let mut sender = room.sender(generator).start().unwrap();
    for _ in 0..3 {
        let running = room.probe("--capture xdp --shunt 64 -t 1");
        records(&room, 40);
        let books = room.stop(running);
        books.assert_balanced("in the midst");
        assert!(shunted(&books) > 0, "{:#}", books.ledger["total"]);
        let kept = books.total("/metered/packets") + shunted(&books);
        assert_eq!(books.total("/in_records/packets"), kept);
    }
    assert!(!sender.ended(), "the traffic goes on");
    sender.stop(Signal::Interrupt, BOUND).unwrap();
}

#[test]
fn elsewhere_it_is_said_that_there_is_no_shunt() {
    let room = Room::new(1, 1500);
    let running = room.probe("--capture packet --shunt 64");
    let (_, truth) = send(&room, "--flows 5 --packets-per-flow 500 --rate 20000 --by packet-socket");
    let books = room.stop(running);
    books.assert_balanced("packet socket");
    assert!(books.finished.stderr.contains("--shunt is for AF_XDP"), "{}", books.finished.stderr);
    assert_eq!(flows::differences(&truth, &books.flows), Vec::<String>::new());
}
