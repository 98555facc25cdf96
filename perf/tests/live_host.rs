//! A capture does no harm to the host that it runs on: a TCP session of the host goes on through start, run, stop and
//! kill -9 of the probe, whichever way it captures.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod live;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use live::Room;
use live::lasting::Lasting;
use perf::kernel::thread::in_network;
use perf::netns::{End, Netns, Wire};
use perf::process::Program;

/// A segment that was lost is sent again within seconds; a session that is cut off gets nothing for as long as this.
const PATIENCE: Duration = Duration::from_secs(20);
/// Octets of an exchange: several segments each way.
const MESSAGE: usize = 20_000;

/// A host (the probe's end, its only interface) and somebody who talks to it. The program of a killed probe stays there.
struct Session {
    lasting: Lasting,
    host: TcpStream,
    peer: TcpStream,
}

impl Session {
    fn new() -> Self {
        let lasting = Lasting::new();
        let room = &lasting.room;
        room.left.address("out", "10.9.2.1/24").unwrap();
        room.right.address("in", "10.9.2.2/24").unwrap();
        let listener = in_network(room.right.name(), || TcpListener::bind("10.9.2.2:0")).unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        let peer = in_network(room.left.name(), || TcpStream::connect(address)).unwrap().unwrap();
        let (host, _) = listener.accept().unwrap();
        for stream in [&host, &peer] {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
        }
        Self { lasting, host, peer }
    }

    /// A message each way.
    fn exchange(&self, when: &str) {
        for (mut from, mut to) in [(&self.peer, &self.host), (&self.host, &self.peer)] {
            let message = vec![7; MESSAGE];
            from.write_all(&message).unwrap_or_else(|error| panic!("{when}: cannot send: {error}"));
            let mut received = vec![0; MESSAGE];
            to.read_exact(&mut received).unwrap_or_else(|error| panic!("{when}: nothing arrives: {error}"));
            assert_eq!(received, message, "{when}");
        }
    }

    /// Start, run, stop; start, run, kill; and once more, for what the killed one may have left behind.
    fn survives(&self, arguments: &str) {
        self.exchange("before the probe");
        let probe = self.lasting.probe(arguments);
        self.exchange("while the probe runs");
        let books = self.lasting.room.stop(probe);
        books.assert_balanced(arguments);
        assert!(books.total("/seen/packets") > 0, "{arguments}: it saw nothing");
        self.exchange("after the stop");

        let probe = self.lasting.probe(arguments);
        self.exchange("while the second probe runs");
        probe.kill().unwrap();
        self.exchange("after kill -9");

        let probe = self.lasting.probe(arguments);
        self.exchange("while the third probe runs");
        self.lasting.room.stop(probe).assert_balanced(arguments);
        self.exchange("at the end");
    }
}

#[test]
fn a_session_survives_a_probe_that_was_told_nothing_but_the_interface() {
    Session::new().survives("");
}

#[test]
fn a_session_survives_a_packet_socket() {
    Session::new().survives("--capture packet --workers 2");
}

#[test]
fn a_session_survives_af_xdp() {
    Session::new().survives("--capture xdp");
}

#[test]
fn a_session_survives_af_xdp_in_generic_mode() {
    Session::new().survives("--capture xdp --xdp-mode generic --workers 2");
}

#[test]
fn a_session_survives_the_shunt() {
    Session::new().survives("--capture xdp --shunt 64");
}

#[test]
fn an_interface_is_as_before_after_a_probe_that_was_killed() {
    let room = Room::new(1, 1500);
    let state = || room.right.ip(&["-d", "-j", "link", "show", "dev", "in"]).unwrap();
    let shown = |field: &str| {
        let links: serde_json::Value = serde_json::from_str(&state()).unwrap();
        links[0][field].clone()
    };
    assert_eq!((shown("promiscuity"), shown("xdp")), (0.into(), serde_json::Value::Null));
    let probe = room.probe("--capture xdp");
    assert_eq!(shown("promiscuity"), 1);
    assert_ne!(shown("xdp"), serde_json::Value::Null);
    probe.kill().unwrap();
    perf::wait::wait_until("promiscuous mode and program are gone", PATIENCE, || {
        (shown("promiscuity"), shown("xdp")) == (0.into(), serde_json::Value::Null)
    })
    .unwrap();
}

#[test]
fn a_probe_has_given_its_rights_up_once_it_meters() {
    let room = Room::new(1, 1500);
    let of = |pid: u32, field: &str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_string()
    };
    for mode in ["xdp", "packet"] {
        let probe = room.probe(&format!("--capture {mode}"));
        assert_eq!(of(probe.pid(), "Uid:"), "65534", "{mode}");
        for capabilities in ["CapEff:", "CapPrm:"] {
            assert_eq!(of(probe.pid(), capabilities).trim_matches('0'), "", "{mode}: {capabilities}");
        }
        room.send("--by packet-socket --flows 10");
        let books = room.stop(probe);
        books.assert_balanced(mode);
        assert_eq!(books.total("/metered/packets"), 100);
    }
    let probe = room.probe("--capture packet --user root");
    assert_eq!(of(probe.pid(), "Uid:"), "0");
    room.stop(probe);
}

#[test]
fn an_interface_that_was_down_is_captured_again_when_it_is_up() {
    for mode in ["xdp", "xdp --busy-poll 50", "packet"] {
        let room = Room::new(1, 1500);
        let probe = room.probe(&format!("--capture {mode}"));
        room.send("--by packet-socket --flows 10");
        room.right.ip(&["link", "set", "in", "down"]).unwrap();
        room.right.ip(&["link", "set", "in", "up"]).unwrap();
        perf::wait::wait_until("the wire carries again", PATIENCE, || {
            room.left.ip(&["link", "show", "dev", "out"]).unwrap().contains("LOWER_UP")
        })
        .unwrap();
        room.send("--by packet-socket --flows 10 --seed 2");
        let books = room.stop(probe);
        books.assert_balanced(mode);
        assert_eq!(books.total("/metered/packets"), 200, "{mode}");
    }
}

#[test]
fn a_probe_whose_only_interface_is_gone_drains_and_fails() {
    for mode in ["xdp", "packet"] {
        let room = Room::new(1, 1500);
        let probe = room.probe(&format!("--capture {mode}"));
        room.send("--by packet-socket --flows 10");
        room.right.ip(&["link", "delete", "in"]).unwrap();
        let books = room.ended(probe);
        assert_eq!(books.finished.code(), 1, "{mode}: {}", books.finished.stderr);
        assert!(
            books.finished.stderr.contains("no interface is left (in gone)"),
            "{}",
            books.finished.stderr
        );
        assert_eq!((books.total("/metered/packets"), books.total("/residual")), (100, 0), "{mode}");
    }
}

#[test]
fn one_interface_of_two_that_goes_is_named_and_the_other_goes_on() {
    for mode in ["xdp", "packet"] {
        let room = Room::new(1, 1500);
        Wire::default().lay(End::new(&room.left, "out2"), End::new(&room.right, "in2")).unwrap();
        let mut probe = room.probe(&format!("-i in2 --capture {mode}"));
        room.right.ip(&["link", "delete", "in2"]).unwrap();
        probe.wait_for_line("in2 is gone", PATIENCE).unwrap();
        room.send("--by packet-socket --flows 10");
        let books = room.stop(probe);
        books.assert_balanced(mode);
        assert_eq!(books.total("/metered/packets"), 100, "{mode}");
    }
}

#[test]
fn an_interface_that_gets_an_address_while_it_is_captured_becomes_reachable() {
    let room = Room::new(1, 1500);
    let mut probe = room.probe("--capture xdp");
    room.left.address("out", "10.9.3.1/24").unwrap();
    room.right.address("in", "10.9.3.2/24").unwrap();
    probe.wait_for_line("its own frames pass to the host", PATIENCE).unwrap();
    room.left.run("ping", &["-q", "-c", "1", "-W", "5", "10.9.3.2"]).unwrap();
    let books = room.stop(probe);
    books.assert_balanced("xdp");
    assert!(books.total("/passed/own/packets") >= 1);
}

#[test]
fn an_interface_that_the_host_uses_otherwise_is_only_listened_to() {
    let room = Room::new(1, 1500);
    let says = |words: &str| {
        let books = room.stop(room.probe(""));
        assert!(books.finished.stderr.contains(words), "{words:?} in\n{}", books.finished.stderr);
    };
    says("capturing by AF_XDP");
    room.right.ip(&["route", "add", "10.9.4.0/24", "dev", "in"]).unwrap();
    says("in has a route: listening by packet socket");
    room.right.ip(&["route", "delete", "10.9.4.0/24", "dev", "in"]).unwrap();
    room.right.ip(&["link", "add", "bridge0", "type", "bridge"]).unwrap();
    room.right.ip(&["link", "set", "in", "master", "bridge0"]).unwrap();
    says("in carries bridge0: listening by packet socket");
}

#[test]
fn an_interface_that_carries_a_container_is_only_listened_to() {
    let room = Room::new(1, 1500);
    let container = Netns::new("container").unwrap();
    room.right.ip(&["link", "add", "child", "link", "in", "type", "macvlan", "mode", "bridge"]).unwrap();
    room.right.ip(&["link", "set", "child", "netns", container.name()]).unwrap();
    container.address("child", "10.9.5.2/24").unwrap();
    container.ip(&["link", "set", "child", "up"]).unwrap();
    room.left.address("out", "10.9.5.1/24").unwrap();
    let probe = room.probe("");
    room.left.run("ping", &["-q", "-c", "1", "-W", "5", "10.9.5.2"]).unwrap();
    let books = room.stop(probe);
    books.assert_balanced("container");
    assert!(
        books.finished.stderr.contains("perhaps of a container): listening"),
        "{}",
        books.finished.stderr
    );
}

#[test]
fn a_host_that_refuses_af_xdp_is_listened_to_by_packet_socket_unless_af_xdp_was_asked_for() {
    let room = Room::new(1, 1500);
    // CAP_NET_RAW alone: packet sockets, and no program.
    let probe = |mode: &str| {
        let binary = perf::process::path("gannet-probe").unwrap();
        Program::foreign("gannet-probe", room.right.command("setpriv"))
            .args(["--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw"])
            .args([&*binary])
            .args(["-i", "in", "--user", "root", "--capture", mode])
            .args([std::path::Path::new("--ledger"), &room.path("ledger")])
            .args([std::path::Path::new("--flows"), &room.path("flows")])
            .start()
            .unwrap()
    };
    let mut listening = probe("auto");
    listening.wait_for_line("ready:", PATIENCE).unwrap();
    room.send("--by packet-socket --flows 10");
    let books = room.stop(listening);
    books.assert_balanced("fallen back");
    assert_eq!(books.total("/metered/packets"), 100);
    for words in ["CAP_BPF", "listening by packet socket instead"] {
        assert!(books.finished.stderr.contains(words), "{words}: {}", books.finished.stderr);
    }
    let refused = probe("xdp").wait(PATIENCE).unwrap();
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
}
