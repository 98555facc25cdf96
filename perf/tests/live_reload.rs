//! SIGHUP: another capture filter while traffic flows, and not a packet without a place in the books.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use live::{BOUND, Room};
use perf::kernel::signal::Signal;

/// Packets before, and after, the filter changes; more are on their way meanwhile.
const PACKETS: u64 = 1_000;

/// With a file that the probe may read after it has become nobody.
fn change_under_traffic(capture: &str) {
    let room = Room::new(1, 1500);
    fs::set_permissions(room.folder.path(), Permissions::from_mode(0o755)).unwrap();
    let file = room.path("probe.toml");
    let write = |rule: &str| {
        fs::write(&file, format!("capture-filter = [\"{rule}\"]\n")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    };
    write("proto tcp");
    let mut probe = room.probe(&format!("--capture {capture} --workers 2 --config {}", file.display()));
    let send = format!("--by packet-socket --flows 100 --count {PACKETS} --rate 10000");
    room.send(&send);
    let traffic = room.sender("--by packet-socket --flows 100 --seconds 3 --rate 3000").start().unwrap();
    write("prot udp");
    probe.signal(Signal::HangUp);
    let refused = probe.wait_for_line("the capture filter stays 'proto tcp'", BOUND).unwrap();
    assert!(refused.contains("SIGHUP"), "{refused}");
    write("proto udp");
    probe.signal(Signal::HangUp);
    probe.wait_for_line("the capture filter was 'proto tcp' and is 'proto udp'", BOUND).unwrap();
    let sent = traffic.wait(BOUND).unwrap();
    let sent: serde_json::Value = serde_json::from_str(&sent.stdout).unwrap();
    room.send(&send);
    let books = room.stop(probe);
    books.assert_balanced(capture);
    let (passed, metered) = (books.total("/passed/filter/packets"), books.total("/metered/packets"));
    assert!(passed >= PACKETS, "{capture}: {passed} before the change");
    assert!(metered >= PACKETS, "{capture}: {metered} after it");
    let arrived = sent.pointer("/arrived/packets").and_then(serde_json::Value::as_u64).unwrap();
    assert_eq!(passed + metered, 2 * PACKETS + arrived, "{capture}: {:#}", books.ledger["total"]);
}

#[test]
fn the_program_takes_another_filter_while_traffic_flows() {
    change_under_traffic("xdp");
}

#[test]
fn packet_sockets_take_another_filter_while_traffic_flows() {
    change_under_traffic("packet");
}
