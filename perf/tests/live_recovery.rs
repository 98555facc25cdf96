//! A probe that is killed loses nothing that it had metered: the next start exports it, marked, once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use live::{BOUND, Books, Room};
use perf::kernel::thread::in_network;
use perf::process::Running;
use perf::wait::wait_until;
use serde_json::Value;

const PROBE: &str = "11111111-2222-4333-8444-555555555555";
const DONE: &str = "what a killed run had left is exported";

/// A room with a place in memory.
struct Lasting {
    room: Room,
    place: tempfile::TempDir,
}

impl Lasting {
    fn new() -> Self {
        Self { room: Room::new(1, 1500), place: tempfile::tempdir_in("/dev/shm").unwrap() }
    }

    fn probe(&self, arguments: &str) -> Running {
        let place = self.place.path().display();
        self.room.probe(&format!("--probe-id {PROBE} --recovery-dir {place} --http 127.0.0.1:0 {arguments}"))
    }

    /// Until the probe's books say that so many packets are metered.
    fn wait_for_metered(&self, probe: &Running, packets: u64) {
        let said = probe.stderr();
        let address = said.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        let metered = || -> u64 {
            let connect = in_network(self.room.right.name(), || TcpStream::connect(&address));
            let mut connection = connect.unwrap().unwrap();
            connection.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
            let mut page = String::new();
            connection.read_to_string(&mut page).unwrap();
            let lines = page.lines().filter(|line| line.starts_with("probe_worker_metered_packets_total"));
            lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
        };
        wait_until("everything is metered", BOUND, || metered() == packets).unwrap();
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.room.path("flows")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.place.path().join(PROBE)).unwrap().count()
    }

    /// A next probe with these arguments, until it has exported what was left; and what it wrote.
    fn successor(&self, arguments: &str) -> Books {
        let mut probe = self.probe(arguments);
        probe.wait_for_line(DONE, BOUND).unwrap();
        self.room.stop(probe)
    }
}

fn packets(lines: &[Value]) -> u64 {
    let of = |line: &Value, key: &str| line[key].as_u64().unwrap();
    lines.iter().map(|line| of(line, "packet_delta_count") + of(line, "reverse_packet_delta_count")).sum()
}

fn origins(lines: &[Value]) -> BTreeSet<Option<&str>> {
    lines.iter().map(|line| line["recovered_from"].as_str()).collect()
}

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
fn a_stop_leaves_nothing_to_recover() {
    let lasting = Lasting::new();
    let probe = lasting.probe("--capture packet --user root");
    assert_eq!(lasting.files(), 1);
    lasting.room.send("--by packet-socket --flows 50");
    lasting.wait_for_metered(&probe, 500);
    lasting.room.stop(probe).assert_balanced("first");
    assert_eq!((packets(&lasting.lines()), lasting.files()), (500, 0));
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
