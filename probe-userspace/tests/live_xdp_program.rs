//! The XDP program on a real device (veth): its modes, its sockets, and that it harms nobody, however its process ends.
//! Needs root, and fails without.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../xdp-ebpf/abi/tests/frames/mod.rs"]
mod frames;
#[path = "live_xdp_program/hosts.rs"]
mod hosts;
#[path = "../xsk/tests/support/sender.rs"]
#[allow(unreachable_pub, reason = "shared with the xsk crate's tests")]
mod sender;
#[path = "live_xdp_program/session.rs"]
mod session;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use frames::*;
use hosts::{Hosts, Side, WIRE};
use probe::source::xdp::{Error, Host, Mode, Program, Settings, Wanted};
use sender::Sender;
use session::Session;
use xdp_abi::outcome::Outcome;
use xdp_abi::protocol::{UDP, ethertype};
use xdp_abi::spread::{spread, worker};
use xdp_abi::walk::{Link, walk};
use xsk::socket::Options;
use xsk::umem::{self, FrameSize};
use xsk::{Interface, QueueId, Socket, Umem};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// How long one poll() may sleep before its loop looks at the limit.
const NAP: Duration = Duration::from_millis(50);
/// Set: this process is the one that is going to be killed.
const HOLD: &str = "GANNET_TEST_HOLD";

fn wire() -> Interface {
    Interface::by_name(WIRE).unwrap()
}

fn load(settings: &Settings) -> Program {
    Program::load(settings).unwrap_or_else(|error| panic!("{error}"))
}

/// A socket on queue 0 of the wire; several share a UMEM.
fn socket(umem: &Umem) -> Socket {
    let options = Options { rx_slots: 1024, fill_slots: 2048, ..Options::receiver(&wire(), QueueId(0)) };
    Socket::bind(umem, &options).unwrap()
}

fn umem() -> Umem {
    let options = umem::Options { frames: 4096, frame_size: FrameSize::Two, headroom: 0, hugepages: false };
    Umem::new(&options).unwrap()
}

fn wait_until(description: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < until, "{description}: not within {LIMIT:?}");
        std::thread::yield_now();
    }
}

#[test]
fn native_mode_is_taken_where_the_driver_has_it_and_generic_on_request() {
    let hosts = Hosts::new(1);
    hosts.on(Side::Left, || {
        let mut program = load(&Settings { sockets_of_queue: vec![1], ..Settings::default() });
        let attached = program.attach(WIRE, wire().index(), Wanted::Best).unwrap();
        assert_eq!((attached.mode, attached.native_refused), (Mode::Native, None));
        assert!(hosts.show(Side::Left).contains("prog/xdp "), "{}", hosts.show(Side::Left));
        let attached = program.attach(WIRE, wire().index(), Wanted::Generic).unwrap();
        assert_eq!(attached.mode, Mode::Generic);
        assert!(hosts.show(Side::Left).contains("prog/xdp "), "{}", hosts.show(Side::Left));
        program.detach();
        assert!(!hosts.show(Side::Left).contains("xdp"), "{}", hosts.show(Side::Left));
    });
}

#[test]
fn where_native_mode_is_refused_generic_is_taken_and_the_reason_kept() {
    let hosts = Hosts::new(1);
    // drivers/net/veth.c, veth_xdp_set: the peer may not send on more queues than this side receives on.
    let (left, right) = ("narrow0", "broad0");
    let end = |name, queues| ["name", name, "numrxqueues", queues, "numtxqueues", queues];
    let pair = [&["link", "add"][..], &end(left, "1"), &["type", "veth", "peer"], &end(right, "2")].concat();
    hosts.ip(Side::Left, &pair);
    hosts.ip(Side::Left, &["link", "set", left, "up"]);
    hosts.on(Side::Left, || {
        let mut program = load(&Settings { sockets_of_queue: vec![1], ..Settings::default() });
        let index = Interface::by_name(left).unwrap().index();
        let refused = program.attach(left, index, Wanted::Native).unwrap_err();
        assert!(matches!(&refused, Error::Refused { generic, .. } if generic == "not tried"), "{refused}");
        let attached = program.attach(left, index, Wanted::Best).unwrap();
        assert_eq!(attached.mode, Mode::Generic);
        assert!(attached.native_refused.is_some_and(|reason| !reason.is_empty()));
    });
}

#[test]
fn an_interface_that_has_a_program_is_busy() {
    let hosts = Hosts::new(1);
    hosts.on(Side::Left, || {
        let settings = Settings { sockets_of_queue: vec![1], ..Settings::default() };
        let (mut first, mut second) = (load(&settings), load(&settings));
        first.attach(WIRE, wire().index(), Wanted::Best).unwrap();
        for wanted in [Wanted::Best, Wanted::Native, Wanted::Generic] {
            let refused = second.attach(WIRE, wire().index(), wanted).unwrap_err();
            assert!(matches!(&refused, Error::Busy { interface } if interface == WIRE), "{refused}");
        }
        drop(first);
        second.attach(WIRE, wire().index(), Wanted::Best).unwrap();
    });
}

#[test]
fn a_process_without_capabilities_is_told_which_it_lacks() {
    if std::env::var_os(HOLD).is_some() {
        let refused = Program::load(&Settings::default()).map(drop).unwrap_err();
        println!("refused: {refused}");
        return;
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(std::env::current_exe().unwrap());
    let output =
        as_role(&mut command, "a_process_without_capabilities_is_told_which_it_lacks").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("refused: ") && said.contains("CAP_BPF"), "{said}");
}

/// One queue, two workers: every frame arrives where the probe computes, and is counted once.
#[test]
fn frames_arrive_at_the_worker_that_they_spread_to() {
    const FLOWS: u16 = 64;
    const WORKERS: u32 = 2;
    let hosts = Hosts::new(1);
    let frames: Vec<_> = (0..FLOWS)
        .map(|flow| ethernet(ethertype::IPV4, &Ipv4::of(UDP).packet(&[udp(flow, 53), vec![0; 30]].concat())))
        .collect();
    let (mut program, mut sockets) = hosts.on(Side::Left, || {
        let mut program = load(&Settings { sockets_of_queue: vec![WORKERS], ..Settings::default() });
        let umem = umem();
        let sockets: Vec<Socket> = (0..WORKERS).map(|_| socket(&umem)).collect();
        for (worker, socket) in (0..).zip(&sockets) {
            program.set_socket(0, worker, socket.as_fd()).unwrap();
        }
        program.attach(WIRE, wire().index(), Wanted::Native).unwrap();
        (program, sockets)
    });
    let sender = hosts.on(Side::Right, || Sender::new(&wire()));
    frames.iter().for_each(|frame| sender.send(frame));
    let mut received: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    wait_until("all frames", || {
        for (worker, socket) in (0..).zip(&mut sockets) {
            socket.wait(Some(NAP)).unwrap();
            let mut burst = socket.burst();
            socket.receive(&mut burst);
            for packet in burst.iter() {
                assert_eq!(received.insert(packet.bytes().to_vec(), worker), None, "came twice");
            }
            socket.give_back(&mut burst);
        }
        received.len() == frames.len()
    });
    for frame in &frames {
        let walked = walk(&frame[..], Link::Ethernet);
        assert_eq!(received[frame], worker(spread(&frame[..], Link::Ethernet, &walked), WORKERS));
    }
    program.clear_sockets().unwrap();
    frames.iter().for_each(|frame| sender.send(frame));
    wait_until("all frames passed", || passed(&mut program) == u64::from(FLOWS));
    program.detach();
    let counters = program.counters().unwrap()[0];
    let octets = frames.iter().map(|frame| frame.len() as u64).sum::<u64>();
    for (outcome, times) in [(Outcome::Redirected, 1), (Outcome::PassedNoSocket, 1), (Outcome::Seen, 2)] {
        let amount = counters.of(outcome);
        assert_eq!(
            (amount.packets, amount.octets),
            (times * u64::from(FLOWS), times * octets),
            "{outcome:?}"
        );
    }
}

fn passed(program: &mut Program) -> u64 {
    program.counters().unwrap()[0].of(Outcome::PassedNoSocket).packets
}

/// Loads and attaches on an interface with an address, with a socket in place: the host's own frames must pass.
fn capture_on_an_addressed_interface() -> (Program, Socket) {
    let settings = Settings {
        host: Host { mac_address: wire_mac_address(), has_address: true },
        sockets_of_queue: vec![1],
        ..Settings::default()
    };
    let mut program = load(&settings);
    let socket = socket(&umem());
    program.set_socket(0, 0, socket.as_fd()).unwrap();
    program.attach(WIRE, wire().index(), Wanted::Best).unwrap();
    (program, socket)
}

/// By `ip`, for /sys belongs to another namespace here.
fn wire_mac_address() -> [u8; 6] {
    let output = Command::new("ip").args(["-o", "link", "show", "dev", WIRE]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = text.split_once("link/ether ").unwrap();
    let mut octets = rest[..17].split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap());
    std::array::from_fn(|_| octets.next().unwrap())
}

#[test]
fn a_session_of_the_host_survives_attach_run_and_detach() {
    let hosts = Hosts::new(1);
    let mut session = Session::new(&hosts);
    session.talk("before");
    let (mut program, socket) = hosts.on(Side::Left, capture_on_an_addressed_interface);
    session.talk("attached");
    program.clear_sockets().unwrap();
    session.talk("cleared");
    program.detach();
    session.talk("detached");
    drop(socket);
    let counters = program.counters().unwrap()[0];
    assert!(counters.of(Outcome::PassedOwn).packets >= 400, "the program did not see the session");
    assert_eq!(counters.of(Outcome::Redirected).packets, 0);
}

#[test]
fn a_killed_process_leaves_no_program_and_the_session_lives() {
    if std::env::var_os(HOLD).is_some() {
        let _held = capture_on_an_addressed_interface();
        println!("held");
        let _end = std::io::stdin().lines().next();
        return;
    }
    let hosts = Hosts::new(1);
    let mut session = Session::new(&hosts);
    let mut command = hosts.command(Side::Left, std::env::current_exe().unwrap());
    let mut child = as_role(&mut command, "a_killed_process_leaves_no_program_and_the_session_lives")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_line(&mut child, "held");
    assert!(hosts.show(Side::Left).contains("prog/xdp "), "{}", hosts.show(Side::Left));
    session.talk("attached");
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the program is gone", || !hosts.show(Side::Left).contains("xdp"));
    session.talk("killed");
}

/// This very test again, in another process that plays the other part.
fn as_role<'a>(command: &'a mut Command, test: &str) -> &'a mut Command {
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(HOLD, "1")
}

fn wait_for_line(child: &mut Child, words: &str) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|line| line.contains(words));
    assert!(found, "the child ended without saying '{words}'");
}
