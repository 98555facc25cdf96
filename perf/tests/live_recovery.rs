//! A probe that is killed loses nothing that it had metered: the next start exports it, marked, once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;

use live::BOUND;
use live::lasting::{DONE, Lasting, PROBE, origins, packets};

#[test]
fn open_flows_of_a_killed_probe_are_exported_by_the_next_one_and_not_by_the_one_after() {
    for mode in ["--capture packet --workers 2", "--capture xdp --workers 2"] {
        let lasting = Lasting::new();
        let probe = lasting.probe(mode);
        lasting.room.send("--by packet-socket --flows 50");
        lasting.wait_for_metered(&probe, 500);
        probe.kill().unwrap();
        assert_eq!(packets(&lasting.lines()), 0, "{mode}: all flows were open");

        let books = lasting.successor(mode);
        books.assert_balanced(mode);
        assert_eq!((books.total("/inherited/packets"), books.total("/metered/packets")), (500, 0), "{mode}");
        let lines = lasting.lines();
        assert_eq!((lines.len(), packets(&lines)), (50, 500), "{mode}");
        let origins = origins(&lines);
        assert!(origins.len() == 1 && !origins.contains(&None), "{mode}: {origins:?}");
        assert!(lines.iter().all(|line| line["flow_end_reason"] == "forced_end"), "{mode}");
        // The probe is nobody by then: an empty file may keep its name until the next start.
        let books = lasting.room.stop(lasting.probe(mode));
        books.assert_balanced(mode);
        assert_eq!(books.total("/exported/packets"), 0, "{mode}: it was exported twice");
    }
}

#[test]
fn a_start_that_shunts_exports_what_a_killed_run_without_a_shunt_left_and_the_other_way_round() {
    let (without, with) = ("--capture xdp", "--capture xdp --shunt 64");
    for (first, second) in [(without, with), (with, without)] {
        let lasting = Lasting::new();
        let probe = lasting.probe(first);
        lasting.room.send("--by packet-socket --flows 50");
        lasting.wait_for_metered(&probe, 500);
        probe.kill().unwrap();
        let mut probe = lasting.probe(second);
        probe.wait_for_line(DONE, BOUND).unwrap();
        lasting.room.send("--by packet-socket --flows 5 --packets-per-flow 400 --seed 2");
        let books = lasting.room.stop(probe);
        books.assert_balanced(second);
        assert_eq!(books.total("/inherited/packets"), 500, "{second}");
        assert_eq!(packets(&lasting.lines()), 2_500, "{second}");
        assert_eq!(books.total("/shunts"), if second == with { 5 } else { 0 }, "{second}");
    }
}

#[test]
fn a_stop_leaves_nothing_to_recover() {
    let lasting = Lasting::new();
    let probe = lasting.probe("--capture packet --user root");
    assert_eq!(lasting.files().len(), 1);
    lasting.room.send("--by packet-socket --flows 50");
    lasting.wait_for_metered(&probe, 500);
    lasting.room.stop(probe).assert_balanced("first");
    assert_eq!((packets(&lasting.lines()), lasting.files().len()), (500, 0));
}

#[test]
fn without_recovery_nothing_is_kept_and_that_is_as_it_was_asked_for() {
    let lasting = Lasting::new();
    let probe = lasting.probe("--capture packet --no-recovery");
    lasting.room.send("--by packet-socket --flows 50");
    lasting.wait_for_metered(&probe, 500);
    probe.kill().unwrap();
    assert_eq!(std::fs::read_dir(lasting.place.path()).unwrap().count(), 0);
    let books = lasting.room.stop(lasting.probe("--capture packet"));
    books.assert_balanced("second");
    assert_eq!(books.total("/exported/packets"), 0);
}

#[test]
fn a_place_on_a_disk_is_refused_and_the_probe_runs_all_the_same() {
    let lasting = Lasting::new();
    let disk = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let arguments = format!("--capture packet --probe-id {PROBE} --recovery-dir {}", disk.path().display());
    let books = lasting.room.stop(lasting.room.probe(&arguments));
    books.assert_balanced("disk");
    assert!(books.finished.stderr.contains("is not on tmpfs or hugetlbfs"), "{}", books.finished.stderr);
}
