//! A packet, record or batch that vanishes or comes twice at one hop of a live probe, and is in nobody's count: the probe's
//! books and the collector's check must both exit with 3, and name that hop. AF_XDP and packet socket, on a veth.
//!
//! Not here: the kernel's hop of a packet socket, whose one counter says both what it saw and what it was to hand over; the
//! device's hop, for veth has no counter that is exact (`flow_wire::fault` says why); what lies behind the probe
//! (`kafka_faults`).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;
mod whole;

use std::path::Path;

use live::{BOUND, Books, Room};
use perf::kernel::thread::in_network;
use perf::process::Running;
use serde_json::Value;
use whole::{Collector, faulty, hop_named_by, with_fault};

/// In a namespace of the room's own every port is free.
const BUS: &str = "zmq://127.0.0.1:1234";
/// Some bursts, far below what a ring holds.
const TRAFFIC: &str = "--by packet-socket --flows 2 --packets-per-flow 150";
const PACKETS: u64 = 300;
/// So that a worker has found the elephants long before they have ended: two seconds.
const SLOWLY: &str = "--rate 150";

/// A probe with a fault on the room's wire; ready, and heard by its collector.
fn start(room: &Room, arguments: &str, fault: &str) -> Running {
    let state = room.path("state");
    let mut probe = with_fault("gannet-probe", room.right.command(faulty("gannet-probe")), fault)
        .args(["-i", "in", "--ntopng", BUS, "--capture"])
        .args(arguments.split_whitespace())
        .args([Path::new("--state-dir"), &state])
        .args([Path::new("--flows"), &room.path("flows")])
        .args([Path::new("--ledger"), &room.path("ledger")])
        .start()
        .unwrap();
    for words in ["ready:", "a subscriber came"] {
        probe.wait_for_line(words, BOUND).unwrap();
    }
    probe
}

/// Known traffic through it: its books, the exit code of the collector's check, and what that says.
fn run(mode: &str, fault: &str) -> (Books, i32, Value) {
    let room = Room::new(1, 1500);
    in_network(room.right.name(), || {
        let collector = Collector::start(&room.path("store"), None, &["-i", BUS]);
        let probe = start(&room, mode, fault);
        let pace = if mode.contains("--shunt") { SLOWLY } else { "" };
        assert_eq!(room.send(&format!("{TRAFFIC} {pace}"))["arrived"]["packets"], PACKETS);
        let books = room.stop(probe);
        let (code, ledger) = collector.check();
        (books, code, ledger)
    })
    .unwrap()
}

fn assert_balanced(mode: &str) {
    // A hop that is none of the probe's.
    let (books, code, ledger) = run(mode, "store:lose");
    books.assert_balanced(mode);
    assert_eq!((code, &ledger["verdict"]), (0, &"balanced".into()), "{mode}: {ledger:#}");
    let total = &ledger["epochs"][0]["total"];
    assert_eq!([&total["seen"]["packets"], &total["stored"]["packets"]], [PACKETS; 2], "{mode}: {total:#}");
}

fn assert_named(mode: &str, fault: &str) {
    let (hop, _) = fault.split_once(':').unwrap();
    let (books, code, ledger) = run(mode, fault);
    let probe = &books.finished;
    assert_eq!((probe.code(), hop_named_by(probe)), (3, hop), "{mode}, {fault}: {}", probe.stderr);
    let identities = books.ledger["identities"].as_array().unwrap();
    let mut broken = identities.iter().filter(|identity| identity["holds"] == false);
    assert!(broken.all(|identity| identity["hop"] == hop), "{mode}, {fault}: {identities:#?}");
    assert_eq!((code, &ledger["hops"][0]), (3, &hop.into()), "{mode}, {fault}: {ledger:#}");
}

#[test]
fn a_fault_that_hits_nothing_leaves_the_books_balanced() {
    assert_balanced("xdp");
    assert_balanced("xdp --shunt 64");
    assert_balanced("packet");
}

macro_rules! named {
    ($($test:ident: $mode:literal, $fault:literal;)*) => {$(
        #[test]
        fn $test() {
            assert_named($mode, $fault);
        }
    )*};
}

named! {
    a_frame_lost_in_the_xdp_program_is_named: "xdp", "kernel:lose";
    a_frame_doubled_in_the_xdp_program_is_named: "xdp", "kernel:double";
    a_frame_lost_before_the_worker_of_an_xdp_socket_is_named: "xdp", "receive:lose";
    a_frame_doubled_before_the_worker_of_an_xdp_socket_is_named: "xdp", "receive:double";
    a_frame_lost_before_the_worker_of_a_packet_socket_is_named: "packet", "receive:lose";
    a_frame_doubled_before_the_worker_of_a_packet_socket_is_named: "packet", "receive:double";
    a_packet_lost_by_the_meter_of_a_live_probe_is_named: "xdp", "meter:lose";
    a_packet_doubled_by_the_meter_of_a_live_probe_is_named: "xdp", "meter:double";
    a_packet_lost_between_the_shunt_and_its_flow_is_named: "xdp --shunt 64", "shunt:lose";
    a_packet_doubled_between_the_shunt_and_its_flow_is_named: "xdp --shunt 64", "shunt:double";
    a_record_lost_by_the_exporter_of_a_live_probe_is_named: "xdp", "export:lose";
    a_record_doubled_by_the_exporter_of_a_live_probe_is_named: "xdp", "export:double";
    a_batch_lost_before_the_outbox_of_a_live_probe_is_named: "xdp", "batch:lose";
    a_batch_doubled_before_the_outbox_of_a_live_probe_is_named: "xdp", "batch:double";
}
