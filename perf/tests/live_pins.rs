//! The program of a killed probe goes on, lets everything pass, and what it counted is in the books.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;

use live::BOUND;
use live::lasting::{DONE, Lasting, PROBE, packets};
use perf::process::Running;
use perf::wait::wait_until;
use serde_json::Value;

/// Sent while a probe is killed and another one starts: 4 s, at a rate that loses nothing in rings that are read.
const FLOOD: &str = "--by packet-socket --flows 200 --packets-per-flow 200 --rate 10000";
const FLOOD_PACKETS: u64 = 40_000;

/// What a start says of the kernel side that a killed one left.
#[derive(Debug, PartialEq, Eq)]
struct Side {
    seen: u64,
    passed: u64,
    lost: u64,
}

fn side(stderr: &str) -> Option<Side> {
    let line = stderr.lines().find(|line| line.contains("its program saw"))?;
    let said = line.split("its program saw").nth(1)?;
    let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let &[seen, passed, lost] = &*numbers else { panic!("{line}") };
    Some(Side { seen, passed, lost })
}

/// Whether the kernel has a program on the interface.
fn has_program(lasting: &Lasting) -> bool {
    let links = lasting.room.right.ip(&["-json", "link", "show", "in"]).unwrap();
    serde_json::from_str::<Value>(&links).unwrap()[0]["xdp"].is_object()
}

/// A probe that has metered 500 packets and is killed when nothing comes any more.
fn killed_at_rest(lasting: &Lasting, arguments: &str) {
    let probe = lasting.probe(arguments);
    lasting.room.send("--by packet-socket --flows 50");
    lasting.wait_for_metered(&probe, 500);
    probe.kill().unwrap();
}

#[test]
fn the_program_of_a_killed_probe_goes_on_and_counts() {
    let lasting = Lasting::new();
    killed_at_rest(&lasting, "--capture xdp --workers 2");
    assert!(has_program(&lasting));
    lasting.room.send("--by packet-socket --flows 30 --seed 2");

    let books = lasting.successor("--capture xdp --workers 2");
    books.assert_balanced("successor");
    let said = &books.finished.stderr;
    assert!(said.contains("in the place of a killed probe's"), "{said}");
    assert_eq!(side(said), Some(Side { seen: 800, passed: 300, lost: 0 }), "{said}");
    assert_eq!((books.total("/inherited/packets"), books.total("/seen/packets")), (500, 0));
    assert_eq!((lasting.pins(), has_program(&lasting)), (vec![], false));
}

#[test]
fn no_frame_comes_between_two_programs() {
    let lasting = Lasting::new();
    let probe = lasting.probe("--capture xdp");
    let sender = lasting.room.sender(FLOOD).start().unwrap();
    let carried = || lasting.room.right.counters("in").unwrap().rx_packets;
    wait_until("it meters", BOUND, || carried() > FLOOD_PACKETS / 4).unwrap();
    probe.kill().unwrap();
    let at_kill = carried();
    wait_until("nobody meters", BOUND, || carried() > at_kill + FLOOD_PACKETS / 8).unwrap();
    let successor = lasting.probe("--capture xdp");
    let sent = sender.wait(BOUND).unwrap();
    let report: Value = serde_json::from_str(&sent.stdout).unwrap();
    assert_eq!(report["arrived"]["packets"].as_u64(), Some(FLOOD_PACKETS), "{report}");

    let books = lasting.room.stop(successor);
    books.assert_balanced("successor");
    let killed = side(&books.finished.stderr).unwrap();
    let seen = books.total("/seen/packets");
    assert_eq!(killed.seen + seen, FLOOD_PACKETS, "{killed:?} and {seen}");
    assert!(killed.passed > 0 && seen > 0, "{killed:?} and {seen}");
    // Each packet is in a flow, or passed while nobody metered, or lay in the ring.
    let stored = packets(&lasting.lines());
    assert_eq!(stored + killed.passed + killed.lost, FLOOD_PACKETS, "{stored} and {killed:?}");
}

#[test]
fn a_successor_that_captures_otherwise_takes_the_program_off() {
    for (mode, takes) in [
        ("--capture xdp --xdp-mode generic", "XDP program attached, generic mode"),
        ("--capture packet", "ready: metering in"),
        ("--capture xdp --no-recovery", "in the place of a killed probe's"),
    ] {
        let lasting = Lasting::new();
        killed_at_rest(&lasting, "--capture xdp");
        let successor = lasting.probe(mode);
        if !mode.contains("--no-recovery") {
            wait_for_side(&successor);
        }
        let books = lasting.room.stop(successor);
        books.assert_balanced(mode);
        let said = &books.finished.stderr;
        assert!(said.contains(takes), "{mode}: {said}");
        assert!(!has_program(&lasting), "{mode}");
        if mode.contains("--no-recovery") {
            // Its books are for a start that closes them.
            let books = lasting.successor("--capture xdp");
            let side = side(&books.finished.stderr);
            assert_eq!(side, Some(Side { seen: 500, passed: 0, lost: 0 }), "{}", books.finished.stderr);
        } else {
            assert_eq!(side(said), Some(Side { seen: 500, passed: 0, lost: 0 }), "{mode}: {said}");
        }
        assert!(lasting.pins().is_empty(), "{mode}: {:?}", lasting.pins());
    }
}

fn wait_for_side(probe: &Running) {
    wait_until("the killed run is exported", BOUND, || side(&probe.stderr()).is_some()).unwrap();
}

#[test]
fn a_killed_successor_leaves_both_epochs_to_the_next() {
    let lasting = Lasting::new();
    killed_at_rest(&lasting, "--capture xdp");
    let second = lasting.probe("--capture xdp");
    wait_for_side(&second);
    lasting.room.send("--by packet-socket --flows 20 --seed 3");
    lasting.wait_for_metered(&second, 200);
    second.kill().unwrap();
    let books = lasting.successor("--capture xdp");
    books.assert_balanced("third");
    let side = side(&books.finished.stderr);
    assert_eq!(side, Some(Side { seen: 200, passed: 0, lost: 0 }), "{}", books.finished.stderr);
    assert!(lasting.pins().is_empty() && !has_program(&lasting));
}

/// A start that is killed as soon as its program is in place may leave a flow cache with nothing in it: both have then gone out before the
/// third start's program is in place and the kernel's side of them known.
#[test]
fn a_successor_that_is_killed_at_once_costs_the_first_none_of_its_books() {
    const ALONE: &str = "--capture xdp --workers 1";
    let lasting = Lasting::new();
    killed_at_rest(&lasting, ALONE);
    let mut second = lasting.start(ALONE).start().unwrap();
    second.wait_for_line("in the place of a killed probe's", BOUND).unwrap();
    second.kill().unwrap();
    let third = lasting.probe(ALONE);
    let exported = || third.stderr().matches(DONE).count();
    wait_until("what both left is exported", BOUND, || exported() == 2).unwrap();
    let books = lasting.room.stop(third);
    books.assert_balanced("third");
    let said = &books.finished.stderr;
    assert_eq!(side(said), Some(Side { seen: 500, passed: 0, lost: 0 }), "{said}");
    assert!(lasting.pins().is_empty() && !has_program(&lasting));
}

#[test]
fn a_probe_of_another_identity_takes_the_interface_and_leaves_the_counters() {
    let lasting = Lasting::new();
    killed_at_rest(&lasting, "--capture xdp");
    let stranger = lasting.probe_of("99999999-2222-4333-8444-555555555555", "--capture xdp");
    lasting.room.send("--by packet-socket --flows 10 --seed 2");
    let books = lasting.room.stop(stranger);
    books.assert_balanced("stranger");
    assert_eq!((books.total("/seen/packets"), books.total("/inherited/packets")), (100, 0));
    let said = lasting.successor("--capture xdp").finished.stderr;
    assert_eq!(side(&said), Some(Side { seen: 500, passed: 0, lost: 0 }), "{said}");
}

#[test]
fn a_file_that_is_missing_makes_the_books_a_bound() {
    let lasting = Lasting::new();
    killed_at_rest(&lasting, "--capture xdp --workers 2");
    std::fs::remove_file(lasting.files().pop().unwrap()).unwrap();
    let books = lasting.successor("--capture xdp --workers 2");
    books.assert_balanced("successor");
    assert_eq!(side(&books.finished.stderr), None, "{}", books.finished.stderr);
    assert_eq!((lasting.pins(), has_program(&lasting)), (vec![], false));
}

#[test]
fn an_orderly_stop_leaves_nothing_in_the_kernel() {
    for user in ["root", "nobody"] {
        let lasting = Lasting::new();
        let probe = lasting.probe(&format!("--capture xdp --user {user}"));
        assert_eq!(lasting.pins().len(), 2, "{user}: {:?}", lasting.pins());
        lasting.room.stop(probe).assert_balanced(user);
        assert_eq!((lasting.pins(), has_program(&lasting)), (vec![], false), "{user}");
        // Who cannot walk there any more leaves an empty directory, for one start.
        let of_epochs = |lasting: &Lasting| lasting.epochs().len();
        assert_eq!(of_epochs(&lasting), usize::from(user == "nobody"), "{user}");
        lasting.room.stop(lasting.probe("--capture xdp --user root"));
        assert_eq!(of_epochs(&lasting), 0, "{user}");
    }
}

#[test]
fn a_start_that_fails_leaves_nothing_pinned() {
    let lasting = Lasting::new();
    let probe = lasting.probe("--capture xdp");
    let finished = lasting.start("--capture xdp --user root").run(BOUND).unwrap();
    assert_ne!(finished.code(), 0, "{}", finished.stderr);
    assert_eq!((lasting.pins().len(), lasting.epochs().len()), (2, 1), "those of the one that runs");
    lasting.room.stop(probe).assert_balanced("the one that runs");
}

#[test]
fn without_a_bpf_file_system_the_program_ends_with_its_probe_and_that_is_said() {
    let lasting = Lasting::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let (flows, bpf) = (lasting.place.path().display(), elsewhere.path().display());
    let arguments = format!("--capture xdp --probe-id {PROBE} --recovery-dir {flows} --bpf-dir {bpf}");
    let probe = lasting.room.probe(&arguments);
    assert!(probe.stderr().contains("is not on a BPF file system"), "{}", probe.stderr());
    probe.kill().unwrap();
    assert!(!has_program(&lasting));
}
