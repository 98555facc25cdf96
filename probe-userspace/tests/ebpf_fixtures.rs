//! The XDP object by BPF_PROG_TEST_RUN: frames in; return code, counters and chosen socket out. And for a corpus of
//! frames, sound and broken: what the program answers is what the same code answers natively.
//!
//! Needs root, and fails without. `GANNET_XDP_OBJECT=FILE` puts another object to the same tests
//! (`xdp-ebpf/check.sh` does, where a build is not byte-identical).
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "ebpf_fixtures/bench.rs"]
mod bench;
#[path = "ebpf_fixtures/corpus.rs"]
mod corpus;
#[path = "../../xdp-ebpf/abi/tests/frames/mod.rs"]
mod frames;

use std::time::Duration;

use bench::{Bench, Verdict};
use frames::*;
use probe::source::xdp::{CaptureFilter, Error, Host, Settings};
use xdp_abi::filter::selects;
use xdp_abi::outcome::Outcome;
use xdp_abi::protocol::{ICMP, TCP, UDP, ethertype};
use xdp_abi::spread::{spread, worker};
use xdp_abi::walk::{Link, walk};

const ADDRESSED: Host = Host { mac_address: MAC_B, has_address: true };

fn http() -> Vec<u8> {
    ethernet(ethertype::IPV4, &Ipv4::of(TCP).packet(&tcp(51000, 80, 0x18)))
}

fn filtered(rules: &[&str]) -> Settings {
    Settings {
        sockets_of_queue: vec![1],
        filter: CaptureFilter::parse(rules).unwrap(),
        ..Settings::default()
    }
}

#[test]
fn a_frame_goes_to_its_socket_and_is_counted_once() {
    let mut bench = Bench::new(&Settings { sockets_of_queue: vec![1], ..Settings::default() });
    bench.fill(0);
    let frame = http();
    assert_eq!(bench.run(&frame), Verdict::Redirect);
    assert_eq!(bench.run(&frame), Verdict::Redirect);
    bench.expect(&[(Outcome::Redirected, 2, 2 * frame.len() as u64)]);
}

#[test]
fn an_empty_slot_passes_the_frame_and_counts_it() {
    let mut bench = Bench::new(&Settings { sockets_of_queue: vec![1], ..Settings::default() });
    assert_eq!(bench.run(&http()), Verdict::Pass);
    bench.expect(&[(Outcome::PassedNoSocket, 1, 54)]);
}

#[test]
fn a_queue_without_sockets_passes_its_frames() {
    let mut bench = Bench::new(&Settings { sockets_of_queue: vec![0, 1], ..Settings::default() });
    bench.program().set_socket(1, 0, Bench::socket()).unwrap();
    assert_eq!(bench.run(&http()), Verdict::Pass);
    bench.expect(&[(Outcome::PassedNoSocket, 1, 54)]);
}

#[test]
fn cleared_sockets_pass_their_frames() {
    let mut bench = Bench::new(&Settings { sockets_of_queue: vec![3], ..Settings::default() });
    (0..3).for_each(|slot| bench.fill(slot));
    assert_eq!(bench.run(&http()), Verdict::Redirect);
    bench.program().clear_sockets().unwrap();
    assert_eq!(bench.run(&http()), Verdict::Pass);
    bench.program().clear_sockets().unwrap();
    bench.expect(&[(Outcome::Redirected, 1, 54), (Outcome::PassedNoSocket, 1, 54)]);
}

#[test]
fn a_frame_that_the_walk_cannot_read_is_redirected_all_the_same() {
    let mut bench = Bench::new(&Settings { sockets_of_queue: vec![1], ..Settings::default() });
    bench.fill(0);
    let mut broken = http();
    broken[14] = 0x41;
    assert_eq!(bench.run(&broken), Verdict::Redirect);
    assert_eq!(bench.run(&ethernet(ethertype::ARP, &[0; 28])), Verdict::Redirect);
    assert_eq!(bench.run(&ethernet(ethertype::VLAN, &[])), Verdict::Redirect);
    bench.expect(&[(Outcome::Redirected, 3, 54 + 42 + 14)]);
}

#[test]
fn octets_of_all_buffers_are_counted() {
    let mut bench = Bench::new(&Settings { sockets_of_queue: vec![1], ..Settings::default() });
    bench.fill(0);
    let mut payload = tcp(1, 2, 0x10);
    payload.resize(8940, 7);
    let jumbo = ethernet(ethertype::IPV4, &Ipv4::of(TCP).packet(&payload));
    assert_eq!(bench.run(&jumbo), Verdict::Redirect);
    bench.expect(&[(Outcome::Redirected, 1, 14 + 20 + 8940)]);
}

#[test]
fn own_traffic_passes_where_the_interface_has_an_address() {
    let mut bench =
        Bench::new(&Settings { host: ADDRESSED, sockets_of_queue: vec![1], ..Settings::default() });
    bench.fill(0);
    let arp = |destination| ethernet_between(MAC_A, destination, ethertype::ARP, &[0; 28]);
    for own in [arp(MAC_B), arp([0xff; 6]), arp([0x33, 0x33, 0, 0, 0, 1]), http()] {
        assert_eq!(bench.run(&own), Verdict::Pass);
    }
    let foreign = arp([0x02, 0, 0, 0, 0, 0x0c]);
    assert_eq!(bench.run(&foreign), Verdict::Redirect);
    bench.expect(&[(Outcome::PassedOwn, 4, 3 * 42 + 54), (Outcome::Redirected, 1, 42)]);
}

#[test]
fn own_traffic_is_captured_where_the_interface_has_no_address() {
    let host = Host { has_address: false, ..ADDRESSED };
    let mut bench = Bench::new(&Settings { host, sockets_of_queue: vec![1], ..Settings::default() });
    bench.fill(0);
    assert_eq!(bench.run(&http()), Verdict::Redirect);
    bench.program().set_host(ADDRESSED).unwrap();
    assert_eq!(bench.run(&http()), Verdict::Pass);
    bench.expect(&[(Outcome::Redirected, 1, 54), (Outcome::PassedOwn, 1, 54)]);
}

#[test]
fn a_filter_passes_what_it_does_not_select() {
    let mut bench = Bench::new(&filtered(&["port 443"]));
    bench.fill(0);
    let https = ethernet(ethertype::IPV4, &Ipv4::of(TCP).packet(&tcp(51000, 443, 0x18)));
    let ping = ethernet(ethertype::IPV4, &Ipv4::of(ICMP).packet(&[8, 0, 0, 0]));
    let later = ethernet(ethertype::IPV4, &Ipv4 { fragment: 0x0010, ..Ipv4::of(UDP) }.packet(&[0; 8]));
    assert_eq!(bench.run(&https), Verdict::Redirect);
    assert_eq!(bench.run(&http()), Verdict::Pass);
    assert_eq!(bench.run(&ping), Verdict::Pass);
    assert_eq!(bench.run(&later), Verdict::Redirect);
    assert_eq!(bench.run(&ethernet(ethertype::ARP, &[0; 28])), Verdict::Pass);
    bench.expect(&[(Outcome::Redirected, 2, 54 + 42), (Outcome::PassedFilter, 3, 54 + 38 + 42)]);
}

#[test]
fn filters_take_each_others_place_at_run_time() {
    let mut bench = Bench::new(&filtered(&["net 10.0.0.0/8"]));
    bench.fill(0);
    assert_eq!(bench.run(&http()), Verdict::Redirect);
    for (rules, verdict) in [
        (&["net 172.16.0.0/12"][..], Verdict::Pass),
        (&["host 192.168.7.9 proto tcp port 80"], Verdict::Redirect),
        (&["not host 192.168.7.9"], Verdict::Pass),
        (&["net 2001:db8::/32"], Verdict::Pass),
        (&["proto udp"], Verdict::Pass),
        (&[], Verdict::Redirect),
        (&["not port 80"], Verdict::Pass),
        (&["not port 443"], Verdict::Redirect),
    ] {
        bench.program().set_filter(&CaptureFilter::parse(rules).unwrap()).unwrap();
        assert_eq!(bench.run(&http()), verdict, "{rules:?}");
    }
}

#[test]
fn own_traffic_is_not_the_filters_business() {
    let mut bench = Bench::new(&Settings { host: ADDRESSED, ..filtered(&["port 443"]) });
    bench.fill(0);
    assert_eq!(bench.run(&http()), Verdict::Pass);
    bench.expect(&[(Outcome::PassedOwn, 1, 54)]);
}

/// Sixteen workers, one socket at a time: a frame is redirected exactly when that socket is the one it spreads to.
#[test]
fn the_program_chooses_the_socket_that_the_probe_computes() {
    const WORKERS: u32 = 16;
    let frames = corpus::frames();
    let expected: Vec<u32> = frames
        .iter()
        .map(|frame| worker(spread(&frame[..], Link::Ethernet, &walk(&frame[..], Link::Ethernet)), WORKERS))
        .collect();
    let mut bench = Bench::new(&Settings { sockets_of_queue: vec![WORKERS], ..Settings::default() });
    for slot in 0..WORKERS {
        bench.program().clear_sockets().unwrap();
        bench.fill(slot);
        for (frame, expected) in frames.iter().zip(&expected) {
            let verdict = if *expected == slot { Verdict::Redirect } else { Verdict::Pass };
            assert_eq!(bench.run(frame), verdict, "slot {slot}, expected {expected}: {frame:02x?}");
        }
    }
    let taken: std::collections::BTreeSet<u32> = expected.into_iter().collect();
    assert_eq!(taken.len(), WORKERS as usize, "the corpus does not reach every worker");
}

#[test]
fn the_program_selects_what_the_filter_selects_in_user_space() {
    let frames = corpus::frames();
    for rules in [
        &["net 10.0.0.0/8"][..],
        &["not net 10.0.0.0/8"],
        &["net 10.0.0.0/8 not net 10.128.0.0/9 net 10.128.0.0/16"],
        &["net 2001:db8::/32 not net 2001:db8:8000::/33"],
        &["port 0-1023"],
        &["not port 0-32767"],
        &["proto tcp,icmp"],
        &["not proto udp port 1024-65535"],
        &["net 10.0.0.0/9 port 0-40000 proto tcp,udp not port 80"],
    ] {
        let filter = CaptureFilter::parse(rules).unwrap();
        let mut bench = Bench::new(&filtered(rules));
        bench.fill(0);
        let mut selected = 0;
        for frame in &frames {
            let expected = selects(&filter, &walk(&frame[..], Link::Ethernet));
            let verdict = if expected { Verdict::Redirect } else { Verdict::Pass };
            assert_eq!(bench.run(frame), verdict, "{rules:?}: {frame:02x?}");
            selected += usize::from(expected);
        }
        assert!(selected > 0 && selected < frames.len(), "{rules:?} does not tell the corpus apart");
    }
}

#[test]
fn every_frame_of_the_corpus_has_exactly_one_outcome() {
    let mut bench = Bench::new(&Settings { host: ADDRESSED, ..filtered(&["port 0-32767"]) });
    bench.fill(0);
    let frames = corpus::frames();
    for frame in &frames {
        bench.run(frame);
    }
    let counters = bench.program().counters().unwrap();
    let sum = |outcomes: &[Outcome]| -> (u64, u64) {
        let amounts = outcomes.iter().map(|outcome| counters[0].of(*outcome));
        amounts.fold((0, 0), |sum, amount| (sum.0 + amount.packets, sum.1 + amount.octets))
    };
    let octets = frames.iter().map(|frame| frame.len() as u64).sum();
    assert_eq!(sum(&[Outcome::Seen]), (frames.len() as u64, octets));
    assert_eq!(sum(&Outcome::ALL[..Outcome::COUNT - 1]), sum(&[Outcome::Seen]));
}

#[test]
fn more_queues_or_sockets_than_the_program_has_are_refused() {
    let load = |sockets_of_queue| bench::load(&Settings { sockets_of_queue, ..Settings::default() });
    assert!(matches!(load(vec![1; 257]), Err(Error::TooManyQueues { queues: 257, most: 256 })));
    assert!(matches!(load(vec![17; 256]), Err(Error::TooManySockets { sockets: 4352, most: 4096 })));
    let mut bench = Bench::new(&Settings { sockets_of_queue: vec![2], ..Settings::default() });
    let refused = bench.program().set_socket(0, 2, Bench::socket());
    assert!(matches!(refused, Err(Error::NoSuchSlot { queue: 0, worker: 2, sockets: 2 })));
}

/// The kernel gives up at a million (`BPF_COMPLEXITY_LIMIT_INSNS`), and other versions of it count more for the same
/// program: a tenth is the margin.
#[test]
fn the_verifier_follows_the_program_with_a_wide_margin() {
    let mut bench = Bench::new(&Settings { sockets_of_queue: vec![1], ..Settings::default() });
    let followed = bench.program().xdp().unwrap().info().unwrap().verified_instruction_count().unwrap();
    assert!(followed < 100_000, "{followed} instructions");
}

/// A program that counts the flow of this frame.
fn shunting(settings: Settings, frame: &[u8]) -> (Bench, probe::source::xdp::shunt::Table, usize) {
    let mut bench = Bench::new(&Settings { shunts: true, ..settings });
    let table = bench.program().shunt().unwrap().clone();
    let key = walk(frame, Link::Ethernet).unwrap().key;
    let place = xdp_abi::shunt::index(key.hash()) as usize;
    table.set_idle(Duration::from_secs(1_000));
    table.put_in(place, &key, monotonic(), [true; 2]);
    (bench, table, place)
}

fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn one_queue() -> Settings {
    Settings { sockets_of_queue: vec![1], ..Settings::default() }
}

const DROP: Verdict = Verdict::Other(1);

#[test]
fn a_shunted_flow_is_counted_by_direction_and_dropped() {
    let frame = http();
    let (mut bench, table, place) = shunting(one_queue(), &frame);
    bench.fill(0);
    let back = ethernet(
        ethertype::IPV4,
        &Ipv4 { source: Ipv4::of(TCP).destination, destination: Ipv4::of(TCP).source, ..Ipv4::of(TCP) }
            .packet(&[tcp(80, 51000, 0x10), vec![0; 100]].concat()),
    );
    let runs = [&frame, &back, &back].map(|frame| bench.run(frame));
    assert_eq!(runs, [DROP; 3]);
    bench.expect(&[(Outcome::Shunted, 3, 54 + 2 * 154)]);
    let mut counts = [probe::source::xdp::shunt::Counts::default(); 2];
    table.counted().add_counts(place, &mut counts);
    let direction = walk(&frame[..], Link::Ethernet).unwrap().direction as usize;
    let (forward, reverse) = (counts[direction], counts[1 - direction]);
    assert_eq!(
        (forward.packets, forward.octets, forward.layer2_octets, forward.tcp_flags),
        (1, 40, 54, 0x18)
    );
    assert_eq!(
        (reverse.packets, reverse.octets, reverse.layer2_octets, reverse.tcp_flags),
        (2, 280, 308, 0x10)
    );
    assert_eq!((table.total().packets, table.total().octets), (3, 54 + 2 * 154));
    table.take_out(place);
    assert_eq!(bench.run(&frame), Verdict::Redirect);
}

#[test]
fn octets_of_all_buffers_of_a_shunted_packet_are_counted() {
    let mut payload = tcp(51000, 80, 0x10);
    payload.resize(8940, 7);
    let mut jumbo = ethernet(ethertype::IPV4, &Ipv4::of(TCP).packet(&payload));
    // As segmentation offload writes it.
    (jumbo[16], jumbo[17]) = (0, 0);
    let (mut bench, table, place) = shunting(one_queue(), &jumbo);
    assert_eq!(bench.run(&jumbo), DROP);
    let mut counts = [probe::source::xdp::shunt::Counts::default(); 2];
    table.counted().add_counts(place, &mut counts);
    let octets = counts[0].octets + counts[1].octets;
    assert_eq!((octets, table.total().octets), (20 + 8940, 14 + 20 + 8940));
}

#[test]
fn ends_beginnings_and_other_flows_come_up() {
    for flags in [0x01, 0x11, 0x02, 0x12, 0x04] {
        let (mut bench, table, place) = shunting(one_queue(), &http());
        bench.fill(0);
        let end = ethernet(ethertype::IPV4, &Ipv4::of(TCP).packet(&tcp(51000, 80, flags)));
        assert_eq!(bench.run(&http()), DROP);
        assert_eq!(bench.run(&end), Verdict::Redirect, "{flags:#x}");
        assert!(table.is_stopped(place));
        assert_eq!(bench.run(&http()), Verdict::Redirect, "{flags:#x}: it has been stopped");
    }
    let (mut bench, _, _) = shunting(one_queue(), &http());
    bench.fill(0);
    let other = ethernet(ethertype::IPV4, &Ipv4::of(TCP).packet(&tcp(51001, 80, 0x18)));
    assert_eq!((bench.run(&other), bench.run(&http())), (Verdict::Redirect, DROP));
}

#[test]
fn fragments_of_a_shunted_flow_come_up() {
    let (mut bench, _, _) = shunting(one_queue(), &http());
    bench.fill(0);
    let first =
        ethernet(ethertype::IPV4, &Ipv4 { fragment: 0x2000, ..Ipv4::of(TCP) }.packet(&tcp(51000, 80, 0x18)));
    assert_eq!((bench.run(&first), bench.run(&http())), (Verdict::Redirect, DROP));
}

#[test]
fn a_sample_a_second_comes_up_and_ends_the_shunt_where_nobody_listens() {
    let (mut bench, table, place) = shunting(one_queue(), &http());
    bench.fill(0);
    let key = walk(&http()[..], Link::Ethernet).unwrap().key;
    table.take_out(place);
    table.put_in(place, &key, monotonic(), [false; 2]);
    assert_eq!([bench.run(&http()), bench.run(&http())], [Verdict::Redirect, DROP]);
    assert!(!table.is_stopped(place));
    bench.program().clear_sockets().unwrap();
    table.take_out(place);
    table.put_in(place, &key, monotonic(), [false; 2]);
    assert_eq!([bench.run(&http()), bench.run(&http())], [Verdict::Pass; 2]);
    assert!(table.is_stopped(place));
}

#[test]
fn silence_ends_a_shunt() {
    let (mut bench, table, place) = shunting(one_queue(), &http());
    bench.fill(0);
    let key = walk(&http()[..], Link::Ethernet).unwrap().key;
    table.take_out(place);
    table.put_in(place, &key, monotonic().saturating_sub(1_100_000_000_000), [true; 2]);
    table.set_idle(Duration::from_secs(1));
    assert_eq!([bench.run(&http()), bench.run(&http())], [Verdict::Redirect; 2]);
    assert!(table.is_stopped(place));
}

#[test]
fn own_traffic_and_what_is_not_selected_is_not_shunted() {
    let (mut bench, table, _) = shunting(Settings { host: ADDRESSED, ..one_queue() }, &http());
    assert_eq!(bench.run(&http()), Verdict::Pass);
    bench.program().set_host(Host::default()).unwrap();
    assert_eq!(bench.run(&http()), DROP);
    bench.program().set_filter(&CaptureFilter::parse(&["port 443"]).unwrap()).unwrap();
    assert_eq!(bench.run(&http()), Verdict::Pass);
    assert_eq!(table.total().packets, 1);
}
