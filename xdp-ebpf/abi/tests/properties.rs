//! What holds for every frame, sound or broken.
#![allow(clippy::unwrap_used, missing_docs)]

mod frames;

use frames::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use xdp_abi::headers::{Fragment, Headers};
use xdp_abi::key::Direction;
use xdp_abi::protocol::{ICMP, SCTP, TCP, UDP, ethertype};
use xdp_abi::spread::{of_headers, of_key, spread, worker};
use xdp_abi::walk::{Link, walk};

/// A packet of one conversation, from its first to its second end or back.
fn packet(ends: &Ends, protocol: u8, back: bool) -> Vec<u8> {
    let ((source, source_port), (destination, destination_port)) =
        if back { (ends.1, ends.0) } else { (ends.0, ends.1) };
    let payload = match protocol {
        TCP => tcp(source_port, destination_port, 0x10),
        UDP => udp(source_port, destination_port),
        SCTP => sctp(source_port, destination_port),
        _ => vec![if back { 0 } else { 8 }, 0, 0, 0],
    };
    if ends.2 {
        let (source, destination) = (Ipv6Addr::from(source), Ipv6Addr::from(destination));
        let length = payload.len() as u16;
        return ethernet(ethertype::IPV6, &ipv6_between(source, destination, protocol, length, &payload));
    }
    let (source, destination) = (Ipv4Addr::from(source as u32), Ipv4Addr::from(destination as u32));
    ethernet(ethertype::IPV4, &Ipv4 { source, destination, ..Ipv4::of(protocol) }.packet(&payload))
}

/// Two ends, and whether they speak IPv6.
type Ends = ((u128, u16), (u128, u16), bool);

fn protocols() -> impl Strategy<Value = u8> {
    prop_oneof![Just(TCP), Just(UDP), Just(SCTP), Just(ICMP)]
}

fn walked(frame: &[u8]) -> Headers {
    walk(frame, Link::Ethernet).unwrap()
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::LowToHigh => Direction::HighToLow,
        Direction::HighToLow => Direction::LowToHigh,
    }
}

proptest! {
    #[test]
    fn both_directions_have_one_key_and_opposite_directions(ends: Ends, protocol in protocols()) {
        let mask = if ends.2 { u128::MAX } else { u128::from(u32::MAX) };
        let ends = ((ends.0.0 & mask, ends.0.1), (ends.1.0 & mask, ends.1.1), ends.2);
        let (there, back) = (walked(&packet(&ends, protocol, false)), walked(&packet(&ends, protocol, true)));
        prop_assert_eq!(there.key, back.key);
        prop_assert_eq!(there.key.hash(), back.key.hash());
        prop_assert!((there.key.low_address, there.key.low_port) <= (there.key.high_address, there.key.high_port));
        let differ = (there.key.low_address, there.key.low_port) != (there.key.high_address, there.key.high_port);
        let expected = if differ { opposite(there.direction) } else { there.direction };
        prop_assert_eq!(back.direction, expected);
    }

    #[test]
    fn one_host_talking_to_itself_has_one_key(address: u32, ports: (u16, u16)) {
        let ends = ((u128::from(address), ports.0), (u128::from(address), ports.1), false);
        let (there, back) = (walked(&packet(&ends, UDP, false)), walked(&packet(&ends, UDP, true)));
        prop_assert_eq!(there.key, back.key);
        prop_assert_eq!(there.direction == back.direction, ports.0 == ports.1);
    }

    #[test]
    fn no_octets_make_the_walk_panic(octets in vec(any::<u8>(), 0..200), ethertype: u16, offset in 0u16..300) {
        for link in [Link::Ethernet, Link::RawIp, Link::Ip { ethertype, offset }] {
            let walked = walk(&octets[..], link);
            let _ = spread(&octets[..], link, &walked);
        }
    }

    #[test]
    fn a_broken_packet_does_not_make_the_walk_panic(
        ends: Ends, protocol in protocols(), flips in vec((0usize..100, any::<u8>()), 0..6), cut in 0usize..100,
    ) {
        let mut frame = packet(&ends, protocol, false);
        for (at, octet) in flips {
            if let Some(place) = frame.get_mut(at) {
                *place = octet;
            }
        }
        frame.truncate(cut);
        if let Ok(headers) = walk(&frame[..], Link::Ethernet) {
            prop_assert!(usize::from(headers.ip_offset) + 20 <= frame.len());
            prop_assert_eq!(headers.key.zero, [0; 2]);
        }
    }

    #[test]
    fn a_plain_packet_is_what_the_general_walk_finds(
        ends: Ends,
        one_end in prop::bool::weighted(0.1),
        protocol in prop_oneof![Just(TCP), Just(UDP)],
        behind in vec(any::<u8>(), 0..40),
        changes in vec((12usize..60, any::<u8>()), 0..3),
    ) {
        let other = if one_end { ends.0 } else { ends.1 };
        let mut frame = packet(&(ends.0, other, false), protocol, false);
        // Its own length grows with it: a UDP packet of eight octets is too short to be plain.
        let octets = 20 + (frame.len() - 34) + behind.len();
        frame[16..18].copy_from_slice(&(octets as u16).to_be_bytes());
        frame.extend(behind);
        for (at, octet) in changes {
            if let Some(place) = frame.get_mut(at) {
                *place = octet;
            }
        }
        let ethertype = u16::from_be_bytes([frame[12], frame[13]]);
        let general = walk(frame.as_slice(), Link::Ip { ethertype, offset: 14 });
        prop_assert_eq!(walk(frame.as_slice(), Link::Ethernet), general);
    }

    #[test]
    fn all_fragments_and_both_directions_of_them_spread_alike(ends: Ends, identification: u16) {
        let spreads: HashSet<u32> = [(0x2000, false), (0x2010, false), (0x0020, false), (0x0020, true)]
            .map(|(fragment, back)| {
                let (source, destination) = if back { (ends.1, ends.0) } else { (ends.0, ends.1) };
                let (source, destination) = (Ipv4Addr::from(source.0 as u32), Ipv4Addr::from(destination.0 as u32));
                let ip = Ipv4 { source, destination, identification, fragment, ..Ipv4::of(UDP) };
                of_headers(&walked(&ethernet(ethertype::IPV4, &ip.packet(&udp(ends.0.1, ends.1.1)))))
            })
            .into();
        prop_assert_eq!(spreads.len(), 1);
    }

    #[test]
    fn a_frame_that_is_not_ip_spreads_alike_in_both_directions(a: [u8; 6], b: [u8; 6]) {
        let spread = |source, destination| {
            let frame = ethernet_between(source, destination, ethertype::ARP, &[]);
            spread(&frame[..], Link::Ethernet, &walk(&frame[..], Link::Ethernet))
        };
        prop_assert_eq!(spread(a, b), spread(b, a));
    }

    #[test]
    fn the_worker_is_one_of_them(spread: u32, workers in 1u32..=64) {
        prop_assert!(worker(spread, workers) < workers);
    }
}

/// Consecutive addresses and ports, as scans and load tests have them, are the hard case for a weak hash.
#[test]
fn consecutive_flows_spread_evenly() {
    const FLOWS: u32 = 40_000;
    for workers in [2u32, 3, 4, 7, 16] {
        let mut flows_of = vec![0u32; workers as usize];
        for flow in 0..FLOWS {
            let ends = (
                (0x0a00_0001, 1024 + (flow % 200) as u16),
                (0x0a01_0000 + u128::from(flow / 200), 443),
                false,
            );
            flows_of[worker(of_key(&walked(&packet(&ends, TCP, false)).key), workers) as usize] += 1;
        }
        let even = f64::from(FLOWS / workers);
        for flows in flows_of {
            assert!(
                (f64::from(flows) - even).abs() < even * 0.08,
                "{flows} of {even} with {workers} workers"
            );
        }
    }
}

#[test]
fn consecutive_flows_rarely_share_the_lower_half_of_the_hash() {
    const FLOWS: u32 = 40_000;
    let hashes: HashSet<u32> = (0..FLOWS)
        .map(|flow| {
            let ends = (
                (0x0a00_0001, 1024 + (flow % 200) as u16),
                (0x0a01_0000 + u128::from(flow / 200), 443),
                false,
            );
            walked(&packet(&ends, TCP, false)).key.hash() as u32
        })
        .collect();
    // 40,000 random numbers of 32 bits: 0.2 collisions expected.
    assert!(hashes.len() as u32 >= FLOWS - 4, "{} collisions", FLOWS - hashes.len() as u32);
}

#[test]
fn a_whole_packet_spreads_by_its_key() {
    let headers = walked(&packet(&((1, 2), (3, 4), false), UDP, false));
    assert_eq!(headers.fragment, Fragment::Whole);
    assert_eq!(of_headers(&headers), of_key(&headers.key));
}
