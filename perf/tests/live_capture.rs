//! A live capture finds what a capture file of the same frames holds: packets and octets per flow, and nothing is left
//! over. One, two and four queues; one worker, and two on one queue; AF_XDP and the packet socket.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;
#[path = "live/traffic.rs"]
mod traffic;

use live::{BOUND, Books, Room};
use perf::flows;
use perf::kernel::signal::Signal;
use perf::netns::{End, Wire};
use perf::process::Program;

/// What of the ledger must be the same, however packets came.
const SAME: [&str; 6] = [
    "/seen/packets",
    "/seen/octets",
    "/metered/packets",
    "/metered/octets",
    "/excepted/non_flow/arp/packets",
    "/fragments_without_first",
];

fn assert_same(case: &str, offline: &Books, live: &Books) {
    live.assert_balanced(case);
    let differences = flows::differences(&offline.flows, &live.flows);
    assert_eq!(differences, Vec::<String>::new(), "{case}");
    for pointer in SAME {
        // A reason that never happened is absent from both.
        let [live, offline] = [live, offline].map(|books| books.ledger["total"].pointer(pointer));
        assert_eq!(live, offline, "{case}: {pointer}");
    }
    assert_eq!(live.total("/lost/packets"), 0, "{case}");
}

/// The mixed capture through a probe with these arguments, held against the same file read offline.
fn compare(queues: u32, arguments: &str) -> Books {
    let case = format!("{queues} queues, {arguments}");
    let room = Room::new(queues, 9000);
    let capture = room.path("capture.pcap");
    let frames = traffic::write(&capture);
    let offline = room.offline(&capture);
    offline.assert_balanced("offline");
    assert_eq!(offline.total("/seen/packets"), frames);

    let probe = room.probe(arguments);
    let report = room.send(&format!("--by packet-socket --capture {}", capture.display()));
    assert_eq!(report["arrived"]["packets"], frames, "{case}");
    let live = room.stop(probe);
    assert_same(&case, &offline, &live);
    live
}

#[test]
fn xdp_on_one_queue_finds_what_is_there() {
    compare(1, "--capture xdp --workers 1");
}

#[test]
fn xdp_on_one_queue_with_two_workers_hands_fragments_to_the_worker_of_their_flow() {
    let live = compare(1, "--capture xdp --workers 2");
    assert!(live.total("/handed_over/packets") > 0, "{:#}", live.ledger["workers"]);
    for worker in live.ledger["workers"].as_array().unwrap() {
        assert!(worker["received"]["packets"].as_u64().unwrap() > 0, "{worker}");
    }
}

#[test]
fn xdp_on_two_queues_finds_what_is_there_by_one_worker_and_by_two() {
    compare(2, "--capture xdp --workers 1");
    compare(2, "--capture xdp --workers 2");
}

#[test]
fn xdp_on_four_queues_finds_what_is_there_by_one_worker_and_by_two() {
    compare(4, "--capture xdp --workers 1");
    let live = compare(4, "--capture xdp --workers 2");
    let queues = live.ledger["queues"].as_array().unwrap();
    assert_eq!(queues.len(), 4);
}

#[test]
fn xdp_in_generic_mode_finds_what_is_there() {
    compare(1, "--capture xdp --xdp-mode generic");
}

/// Two workers on one queue hand packets to each other, awake or asleep.
#[test]
fn however_a_worker_waits_it_finds_what_is_there() {
    for wait in ["nap", "poll", "spin", "adaptive"] {
        compare(1, &format!("--capture xdp --workers 1 --wait {wait}"));
        compare(1, &format!("--capture xdp --workers 2 --wait {wait}"));
        compare(1, &format!("--capture packet --workers 1 --wait {wait}"));
    }
}

#[test]
fn a_packet_socket_finds_what_is_there_by_one_worker_and_by_two() {
    compare(1, "--capture packet --workers 1");
    compare(1, "--capture packet --workers 2");
    compare(4, "--capture packet --workers 2");
}

#[test]
fn an_interface_without_an_address_is_captured_by_xdp_and_one_with_an_address_is_not() {
    let room = Room::new(1, 1500);
    let probe = room.probe("");
    let books = room.stop(probe);
    assert!(books.finished.stderr.contains("capturing by AF_XDP"), "{}", books.finished.stderr);
    room.right.address("in", "10.9.9.1/24").unwrap();
    let probe = room.probe("");
    let books = room.stop(probe);
    assert!(books.finished.stderr.contains("listening by packet socket"), "{}", books.finished.stderr);
    assert!(books.finished.stderr.contains("10.9.9.1"), "{}", books.finished.stderr);
}

#[test]
fn frames_longer_than_a_buffer_are_metered_whole() {
    for arguments in ["--capture xdp", "--capture xdp --frame-size 4096", "--capture packet"] {
        let room = Room::new(1, 9000);
        let probe = room.probe(arguments);
        let report = room.send("--by packet-socket --flows 10 --packets-per-flow 10 --frame-size 8000");
        let books = room.stop(probe);
        books.assert_balanced(arguments);
        assert_eq!(books.total("/metered/packets"), 100, "{arguments}");
        assert_eq!(report["arrived"]["octets"], books.total("/metered/octets"), "{arguments}");
    }
}

/// Traffic before the start and beyond the end: no packet is between the books.
#[test]
fn a_run_in_the_midst_of_traffic_is_closed_exactly() {
    for (queues, arguments) in [
        (1, "--capture xdp --workers 2"),
        (2, "--capture xdp --workers 2"),
        (1, "--capture packet --workers 1"),
    ] {
        let room = Room::new(queues, 1500);
        let mut sender = room
            .sender("--by packet-socket --flows 500 --packets-per-flow 10 --rate 100000 --seconds 30")
            .start()
            .unwrap();
        for _ in 0..3 {
            let probe = room.probe(arguments);
            let books = room.stop(probe);
            books.assert_balanced(arguments);
            assert!(books.total("/seen/packets") > 0, "{arguments}");
        }
        assert!(!sender.ended(), "the traffic goes on");
        sender.stop(Signal::Interrupt, BOUND).unwrap();
    }
}

/// A ring that is too small for what comes: the loss is in the books, by its reason, and is no residual.
#[test]
fn what_a_full_ring_loses_is_counted_and_max_loss_is_held_against_it() {
    let room = Room::new(1, 1500);
    let probe = room.probe("--capture xdp --ring-size 64 --max-loss 10");
    room.send("--flows 1000 --packets-per-flow 300");
    let books = room.stop(probe);
    let lost = books.total("/lost/packets");
    assert_eq!(books.total("/residual"), 0, "{:#}", books.ledger["identities"]);
    assert_eq!(books.total("/seen/packets"), books.total("/metered/packets") + lost);
    let code = if lost > 10 { 4 } else { 0 };
    assert_eq!(books.finished.code(), code, "{}", books.finished.stderr);
    assert!(lost > 10, "a ring of 64 frames outlasts no burst of 300,000");
}

#[test]
fn a_capture_filter_selects_the_same_in_the_kernel_in_the_probe_and_offline() {
    let room = Room::new(1, 9000);
    let capture = room.path("capture.pcap");
    let frames = traffic::write(&capture);
    let rule = ["--capture-filter", "port 443 not host 10.0.3.1"];
    let mut passed = Vec::new();
    let offline = room.offline_with(&capture, &rule);
    for arguments in ["--capture xdp", "--capture packet --workers 2"] {
        let probe = room.probe_with(arguments, &rule);
        room.send(&format!("--by packet-socket --capture {}", capture.display()));
        let live = room.stop(probe);
        assert_same(arguments, &offline, &live);
        assert_eq!(live.total("/seen/packets"), frames);
        passed.push(live.total("/passed/filter/packets"));
    }
    let expected = offline.total("/passed/filter/packets");
    assert!(expected > 0 && expected < frames);
    assert_eq!(passed, [expected; 2]);
}

#[test]
fn two_interfaces_share_the_workers_each_in_its_own_mode() {
    let room = Room::new(2, 1500);
    Wire::default().lay(End::new(&room.left, "out2"), End::new(&room.right, "in2")).unwrap();
    room.right.address("in2", "10.9.5.1/24").unwrap();
    let probe = room.probe("-i in2 --workers 2");
    let said = probe.stderr();
    assert!(said.contains("in has no address") && said.contains("in2 has the address"), "{said}");
    room.send("--by packet-socket --flows 100");
    let second = "send --interface out2 --by packet-socket --flows 100 --seed 2";
    let sender = Program::ours_in(&room.left, "gannet-replay").unwrap().args(second.split_whitespace());
    assert_eq!(sender.run(BOUND).unwrap().code(), 0);
    let books = room.stop(probe);
    books.assert_balanced("both modes");
    let interfaces = books.ledger["interfaces"].as_array().unwrap();
    let seen = |name: &str| {
        let of = interfaces.iter().find(|one| one["interface"] == name).unwrap();
        of["seen"]["packets"].as_u64().unwrap()
    };
    assert_eq!((seen("in"), seen("in2")), (1000, 1000));
    assert_eq!((books.flows.len(), books.total("/metered/packets")), (200, 2000));
}
