//! `-f` on interfaces: the same packets as offline, wherever it runs, and not a packet without a place in the books.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;
#[path = "live/traffic.rs"]
mod traffic;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use live::{BOUND, Books, Room};
use perf::kernel::signal::Signal;

const PACKETS: u64 = 1_000;

/// What was seen, what of it was put into flows or had a reason, and what the expression left out, in packets and octets.
fn counted(books: &Books) -> [u64; 6] {
    let term =
        |name: String| books.ledger["total"].pointer(&name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let both = |name: &str| ["packets", "octets"].map(|unit| term(format!("{name}/{unit}")));
    let [seen, passed, not_selected] = ["/seen", "/passed/filter", "/not_selected"].map(both);
    let out = [0, 1].map(|unit| passed[unit] + not_selected[unit]);
    let metered = both("/metered");
    [seen[0], seen[1], metered[0], metered[1], out[0], out[1]]
}

#[test]
fn an_expression_selects_the_same_in_every_mode_and_offline() {
    for expression in ["tcp port 443", "not tcp", "ip host 10.0.3.1 or vlan", "vlan and udp", "len > 500"] {
        let room = Room::new(1, 9000);
        let capture = room.path("capture.pcap");
        let frames = traffic::write(&capture);
        let offline = room.offline_with(&capture, &["-f", expression]);
        let expected = counted(&offline);
        assert_eq!(expected[0], frames, "{expression}");
        assert!(expected[4] > 0, "{expression} leaves something out");
        for arguments in
            ["--capture xdp", "--capture xdp --workers 2", "--capture packet", "--capture packet --workers 2"]
        {
            let probe = room.probe_with(arguments, &["-f", expression]);
            room.send(&format!("--by packet-socket --capture {}", capture.display()));
            let books = room.stop(probe);
            books.assert_balanced(&format!("{arguments} -f '{expression}'"));
            // A packet socket's kernel counts no octets of what it saw: they are those of what was taken.
            assert_eq!(
                counted(&books),
                expected,
                "{arguments} -f '{expression}': {:#}",
                books.ledger["total"]
            );
        }
    }
}

#[test]
fn packets_of_which_the_start_is_captured_are_metered_whole() {
    let room = Room::new(1, 9000);
    let capture = room.path("capture.pcap");
    traffic::write(&capture);
    let offline = room.offline_with(&capture, &["-f", "udp"]);
    let probe = room.probe_with("--capture packet -s 128", &["-f", "udp"]);
    room.send(&format!("--by packet-socket --capture {}", capture.display()));
    let books = room.stop(probe);
    books.assert_balanced("-s 128");
    assert_eq!(counted(&books), counted(&offline), "{:#}", books.ledger["total"]);
}

#[test]
fn what_can_be_said_in_rules_does_not_leave_the_kernel() {
    let room = Room::new(1, 1500);
    let probe = room.probe_with("--capture xdp", &["-f", "tcp"]);
    assert!(probe.stderr().contains("rules 'proto 6'"), "{}", probe.stderr());
    room.send("--by packet-socket --flows 100");
    let books = room.stop(probe);
    books.assert_balanced("rules");
    assert_eq!(books.total("/not_selected/packets"), 0, "the XDP program has left out all of it");
    assert_eq!(books.total("/passed/filter/packets"), books.total("/seen/packets"));
}

/// With a file that the probe may read after it has become nobody.
fn change_under_traffic(capture: &str) {
    let room = Room::new(1, 1500);
    fs::set_permissions(room.folder.path(), Permissions::from_mode(0o755)).unwrap();
    let file = room.path("probe.toml");
    let write = |expression: &str| {
        fs::write(&file, format!("bpf-filter = \"{expression}\"\n")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    };
    write("tcp");
    let mut probe = room.probe(&format!("--capture {capture} --workers 2 --config {}", file.display()));
    let send = format!("--by packet-socket --flows 100 --count {PACKETS} --rate 10000");
    room.send(&send);
    let traffic = room.sender("--by packet-socket --flows 100 --seconds 3 --rate 3000").start().unwrap();
    write("prot udp");
    probe.signal(Signal::HangUp);
    let refused = probe.wait_for_line("the capture filter stays -f 'tcp'", BOUND).unwrap();
    assert!(refused.contains("SIGHUP") && refused.contains("-f 'prot udp'"), "{refused}");
    write("udp");
    probe.signal(Signal::HangUp);
    probe.wait_for_line("the capture filter was -f 'tcp' and is -f 'udp'", BOUND).unwrap();
    let sent = traffic.wait(BOUND).unwrap();
    let sent: serde_json::Value = serde_json::from_str(&sent.stdout).unwrap();
    room.send(&send);
    let books = room.stop(probe);
    books.assert_balanced(capture);
    let [seen, _, metered, _, out, _] = counted(&books);
    let arrived = sent.pointer("/arrived/packets").and_then(serde_json::Value::as_u64).unwrap();
    assert_eq!(
        (seen, metered + out),
        (2 * PACKETS + arrived, seen),
        "{capture}: {:#}",
        books.ledger["total"]
    );
    assert!(out >= PACKETS, "{capture}: {out} before the change");
    assert!(metered >= PACKETS, "{capture}: {metered} after it");
}

#[test]
fn the_program_and_its_workers_take_another_expression_while_traffic_flows() {
    change_under_traffic("xdp");
}

#[test]
fn packet_sockets_take_another_expression_while_traffic_flows() {
    change_under_traffic("packet");
}
