//! `gannet-replay` knows exactly what arrived: the receiving interface's own counters are the witness.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use perf::craft::{self, Ethernet, LinkType, Pcap, Record};
use perf::flows;
use perf::netns::{End, Netns, Wire};
use perf::process::{Finished, Program};
use perf::wait::wait_until;
use serde_json::Value;

const BOUND: Duration = Duration::from_secs(60);

/// A wire with a sender on its left and a receiver on its right.
struct Room {
    left: Netns,
    right: Netns,
}

impl Room {
    fn new(queues: u32) -> Self {
        let [left, right] = ["replay", "replay"].map(|label| Netns::new(label).unwrap());
        Wire { queues, mtu: 1500 }.lay(End::new(&left, "out"), End::new(&right, "in")).unwrap();
        Self { left, right }
    }

    /// With a NAPI behind the receiving end, which GRO brings.
    fn with_napi(queues: u32) -> Self {
        let room = Self::new(queues);
        room.right.offload("in", &["gro", "on"]).unwrap();
        room
    }

    fn replay(&self, arguments: &str) -> Finished {
        let arguments = format!("send --interface out {arguments}");
        Program::ours_in(&self.left, "gannet-replay")
            .unwrap()
            .args(arguments.split_whitespace())
            .run(BOUND)
            .unwrap()
    }

    /// Sends, and gives the report with what the receiving interface counted meanwhile.
    fn received(&self, arguments: &str) -> (Value, u64, u64) {
        let before = self.right.counters("in").unwrap();
        let finished = self.replay(arguments);
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
        let after = self.right.counters("in").unwrap();
        let report = serde_json::from_str(&finished.stdout).unwrap();
        (report, after.rx_packets - before.rx_packets, after.rx_bytes - before.rx_bytes)
    }
}

#[test]
fn live_frames_arrive_as_reported() {
    let room = Room::with_napi(1);
    for arguments in ["--flows 10 --packets-per-flow 100", "--flows 3 --packets-per-flow 7 --frame-size 1514"]
    {
        let (report, packets, octets) = room.received(arguments);
        assert_eq!(report["arrived"]["packets"], packets, "{report}");
        assert_eq!(report["arrived"]["octets"], octets, "{report}");
        let sent = report["sent"]["packets"].as_u64().unwrap();
        assert_eq!(sent, packets + report["errors"].as_u64().unwrap(), "{report}");
        assert_eq!(report["vanished"], 0);
    }
}

#[test]
fn live_frames_flat_out_overrun_the_ring_and_are_still_known_exactly() {
    let room = Room::with_napi(1);
    // The receiving side in a kernel thread of its own, else it runs in the sender's call and nothing overruns.
    room.right.run("sh", &["-c", "echo 1 > /sys/class/net/in/threaded"]).unwrap();
    let (report, packets, _) = room.received("--flows 100 --packets-per-flow 20000");
    assert_eq!(report["sent"]["packets"], 2_000_000);
    assert_eq!(report["arrived"]["packets"], packets, "{report}");
    assert_eq!(packets + report["errors"].as_u64().unwrap(), 2_000_000, "{report}");
}

#[test]
fn a_packet_socket_reports_what_arrived() {
    let room = Room::with_napi(4);
    let (report, packets, octets) = room.received(
        "--by packet-socket --flows 200 --packets-per-flow 10 --ipv6 --transport tcp --frame-size 80",
    );
    assert_eq!(report["arrived"]["packets"], packets, "{report}");
    assert_eq!(report["arrived"]["octets"], octets, "{report}");
    assert_eq!(packets, 2000);
}

#[test]
fn a_peer_without_napi_is_refused_with_the_mend() {
    let finished = Room::new(1).replay("--flows 1");
    assert_eq!(finished.code(), 1, "{finished:?}");
    for words in ["no NAPI", "gro on", "packet-socket"] {
        assert!(finished.stderr.contains(words), "{}", finished.stderr);
    }
    assert_eq!(finished.stdout, "");
}

#[test]
fn truth_adds_up_to_what_arrived() {
    let room = Room::with_napi(1);
    let folder = tempfile::tempdir().unwrap();
    let truth = folder.path().join("truth");
    let (_, packets, octets) = room
        .received(&format!("--flows 50 --packets-per-flow 9 --vlan 7 --seed 3 --truth {}", truth.display()));
    let flows = flows::read(&std::fs::read_to_string(&truth).unwrap()).unwrap();
    let total = flows::total(&flows);
    assert_eq!((flows.len(), total.packets, total.layer2_octets), (50, packets, octets));
    assert_eq!(total.octets, octets - 18 * packets);
    assert!(flows.keys().all(|key| key.vlan == Some(7)));
}

#[test]
fn count_bounds_a_loop_without_end_and_the_rate_is_kept() {
    let room = Room::with_napi(1);
    for by in ["live-frames", "packet-socket"] {
        let (report, packets, _) = room.received(&format!("--by {by} --flows 3 --count 3000 --rate 10000"));
        assert_eq!(packets, 3000, "{report}");
        let seconds = report["seconds"].as_f64().unwrap();
        // 3000 frames from the first to the last are 2999 intervals; a busy machine may be late, never early.
        assert!(seconds >= 0.2999, "{report}");
    }
}

fn capture(path: &Path) -> Vec<Vec<u8>> {
    let end = |port: u16| format!("192.0.2.1:{port}").parse().unwrap();
    let frame = |n: u16| {
        Ethernet::default().frame(&craft::packet(&craft::udp(end(n), end(9), &vec![0; 100 + usize::from(n)])))
    };
    let frames: Vec<Vec<u8>> = (1..=20).map(frame).collect();
    let records: Vec<Record> = (0..).zip(&frames).map(|(n, frame)| Record::whole(n, frame.clone())).collect();
    std::fs::write(path, Pcap::new(LinkType::Ethernet).file(&records)).unwrap();
    frames
}

#[test]
fn a_capture_is_sent_bit_by_bit_as_often_as_asked() {
    let room = Room::with_napi(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture.pcap");
    let octets: usize = capture(&path).iter().map(Vec::len).sum();
    for by in ["live-frames", "packet-socket"] {
        let (report, packets, received) =
            room.received(&format!("--by {by} --capture {} --loops 5", path.display()));
        assert_eq!((packets, received), (100, 5 * octets as u64), "{report}");
    }
}

/// Addresses and ports of every packet that tcpdump shows of the receiving end, checksums checked.
fn conversations(room: &Room, arguments: &str) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seen.pcap");
    let capture = room.right.command("tcpdump");
    let capture = Program::foreign("tcpdump", capture)
        .args(["-i", "in", "-Z", "root", "-U", "-w"])
        .args([&path])
        .start()
        .unwrap();
    wait_until("tcpdump listens", BOUND, || path.exists()).unwrap();
    let (_, packets, _) = room.received(arguments);
    let rows = || {
        let fields = ["ip.src", "ip.dst", "udp.srcport", "ip.checksum.status", "udp.checksum.status"];
        let mut shark = Command::new("tshark");
        shark.arg("-r").arg(&path).args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]);
        shark.args(["-T", "fields"]).args(fields.iter().flat_map(|field| ["-e", field]));
        let text = String::from_utf8(shark.output().unwrap().stdout).unwrap();
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect::<Vec<_>>()
    };
    wait_until("tcpdump has written all", BOUND, || rows().len() as u64 == packets).unwrap();
    drop(capture);
    rows()
}

#[test]
fn each_loop_over_a_capture_has_other_addresses_and_right_checksums() {
    let room = Room::with_napi(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture.pcap");
    let frames = capture(&path).len();
    let send = format!("--by packet-socket --capture {} --loops 3 --unique-ip", path.display());
    let rows = conversations(&room, &send);
    assert_eq!(rows.len(), 3 * frames);
    assert!(rows.iter().all(|row| row[3] == "1" && row[4] == "1"), "a checksum is not good: {rows:?}");
    let hosts: BTreeSet<_> = rows.iter().map(|row| (&row[0], &row[1])).collect();
    assert_eq!(hosts.len(), 3, "{hosts:?}");
    assert!(rows[..frames].iter().all(|row| row[0] == "192.0.2.1"), "the first loop is the capture as it is");
}

#[test]
fn the_truth_of_a_mix_is_what_arrived_by_live_frames_and_by_packet_socket() {
    let room = Room::with_napi(1);
    // The receiving side in a kernel thread of its own, else it runs in the sender's call and nothing overruns.
    room.right.run("sh", &["-c", "echo 1 > /sys/class/net/in/threaded"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let truth = folder.path().join("truth");
    for by in ["live-frames", "packet-socket"] {
        let mix = "--mix --flows 3000 --packets-max 1000 --frame-size imix --ipv6-share 20 --clients 100";
        let (report, packets, octets) =
            room.received(&format!("--by {by} {mix} --truth {}", truth.display()));
        let total = flows::total(&flows::read(&std::fs::read_to_string(&truth).unwrap()).unwrap());
        assert_eq!((total.packets, total.layer2_octets), (packets, octets), "{report}");
        let errors = report["errors"].as_u64().unwrap();
        assert_eq!(report["sent"]["packets"], packets + errors, "{report}");
    }
}

/// Flat out, into a receiver that is too slow: which of the copies of a frame arrived is still known.
#[test]
fn the_truth_of_elephants_is_what_arrived_flat_out_and_by_packet_socket() {
    let room = Room::with_napi(1);
    room.right.run("sh", &["-c", "echo 1 > /sys/class/net/in/threaded"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let truth = folder.path().join("truth");
    for (by, least) in [("live-frames", 300_000), ("packet-socket", 3_000)] {
        let herd = "--elephants 20 --elephant-share 80 --flows 100 --packets-per-flow 5 --frame-size 100";
        let send = format!("--by {by} {herd} --truth {} --count {least}", truth.display());
        let (report, packets, octets) = room.received(&send);
        let flows = flows::read(&std::fs::read_to_string(&truth).unwrap()).unwrap();
        let total = flows::total(&flows);
        assert_eq!((total.packets, total.layer2_octets), (packets, octets), "{report}");
        assert_eq!(report["sent"]["packets"], least, "{report}");
        let errors = report["errors"].as_u64().unwrap();
        assert_eq!(packets + errors, least, "{report}");
        assert!(
            flows.len() as u64 > 20 + least / 5 / 5 / 2,
            "{} flows: small ones do not change",
            flows.len()
        );
    }
}

#[test]
fn elephants_that_the_kernel_makes_have_right_checksums() {
    let room = Room::with_napi(1);
    let rows = conversations(
        &room,
        "--elephants 3 --elephant-share 50 --flows 100 --packets-per-flow 2 --rate 2000",
    );
    assert_eq!(rows.len(), 400);
    assert!(rows.iter().all(|row| row[3] == "1"), "a checksum is not good: {rows:?}");
    let hosts: BTreeSet<_> = rows.iter().map(|row| &row[0]).collect();
    assert_eq!(hosts.len(), 103);
}

#[test]
fn a_timed_mix_takes_as_long_as_its_times_say() {
    let room = Room::with_napi(1);
    let mix = "--mix --flows 1000 --sizes fixed --packets-per-flow 1 --flows-per-second 2000 --timed";
    let (report, packets, _) = room.received(&format!("--by packet-socket {mix}"));
    assert_eq!(packets, 1000, "{report}");
    // By this seed the last flow begins after about half a second; a busy machine may be late, never early.
    assert!(report["seconds"].as_f64().unwrap() >= 0.45, "{report}");
}

#[test]
fn the_model_is_written_as_a_capture_that_tshark_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (out, truth) = (folder.path().join("out.pcap"), folder.path().join("truth"));
    let finished = Program::ours("gannet-replay")
        .unwrap()
        .args(["write", "--flows", "20", "--packets-per-flow", "6", "--transport", "tcp"])
        .args([Path::new("--out"), &out, Path::new("--truth"), &truth])
        .run(BOUND)
        .unwrap();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    let shark =
        Command::new("tshark").arg("-r").arg(&out).args(["-T", "fields", "-e", "ip.len"]).output().unwrap();
    let lengths = String::from_utf8(shark.stdout).unwrap();
    let total = flows::total(&flows::read(&std::fs::read_to_string(&truth).unwrap()).unwrap());
    assert_eq!(lengths.lines().count() as u64, total.packets);
    assert_eq!(lengths.lines().map(|line| line.parse::<u64>().unwrap()).sum::<u64>(), total.octets);
}

#[test]
fn what_cannot_be_sent_is_wrong_usage() {
    let room = Room::with_napi(1);
    for (arguments, words) in [
        ("--frame-size 41", "at least"),
        ("--frame-size 60 --ipv6 --transport tcp", "74"),
        ("--frame-size 9000", "MTU 1500"),
        ("--vlan 4095", "4094"),
        ("--capture x --flows 3", "cannot be used with"),
        ("--capture x --mix", "cannot be used with"),
        ("--unique-ip", "--capture"),
        ("--timed", "--mix"),
        ("--mix --frame-size 9000", "MTU 1500"),
        ("--elephants 3 --mix", "cannot be used with"),
        ("--elephants 3 --elephant-share 101", "from 0 to 100"),
        ("--elephants 3 --truth x --burst 17", "from 1 to 16"),
        ("--elephant-share 90", "--elephants"),
    ] {
        let finished = room.replay(arguments);
        assert_eq!(finished.code(), 2, "{arguments}: {}", finished.stderr);
        assert!(finished.stderr.contains(words), "{arguments}: {}", finished.stderr);
    }
}
