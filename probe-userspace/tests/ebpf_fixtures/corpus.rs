//! Frames of every kind that the walk tells apart, then the same ones broken, always the same ones.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::frames::*;
use xdp_abi::protocol::{ICMP, ICMPV6, SCTP, TCP, UDP, ethertype};

/// Below this BPF_PROG_TEST_RUN refuses (net/bpf/test_run.c, `bpf_test_init`).
const FRAME_OCTETS_MIN: usize = 14;
/// Conversations of which each has all kinds.
const CONVERSATIONS: usize = 24;
/// Broken variants of each frame.
const VARIANTS: usize = 2;

pub(crate) fn frames() -> Vec<Vec<u8>> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut frames = Vec::new();
    for _ in 0..CONVERSATIONS {
        for (ethertype, payload) in payloads(&mut random) {
            let (source, destination) = (random.mac_address(), random.mac_address());
            frames.push(ethernet_between(source, destination, ethertype, &payload));
        }
    }
    let broken: Vec<_> = frames.iter().flat_map(|frame| variants(frame, &mut random)).collect();
    frames.extend(broken);
    frames
}

/// One of each kind, untagged and tagged.
fn payloads(random: &mut Random) -> Vec<(u16, Vec<u8>)> {
    let mut payloads: Vec<(u16, Vec<u8>)> =
        [ethertype::ARP, ethertype::LLDP, ethertype::MPLS, 0x0040, 0x9999]
            .map(|ethertype| (ethertype, vec![0; 30]))
            .into();
    let transports = transports(random);
    for (protocol, header) in &transports {
        for (options_words, fragment) in [(0, 0), (3, 0), (0, 0x2000), (0, 0x0123)] {
            let ip = Ipv4 {
                source: Ipv4Addr::from(0x0a00_0000 | random.next() as u32 & 0x00ff_ffff),
                destination: Ipv4Addr::from(random.next() as u32),
                options_words,
                fragment,
                ..Ipv4::of(*protocol)
            };
            payloads.push((ethertype::IPV4, ip.packet(header)));
        }
        for (next, payload) in chains(*protocol, header) {
            payloads.push((ethertype::IPV6, random.ipv6(next, &payload)));
        }
    }
    let tagged: Vec<_> =
        payloads.iter().map(|(ethertype, payload)| nest(*ethertype, payload, random)).collect();
    payloads.extend(tagged);
    payloads
}

fn transports(random: &mut Random) -> Vec<(u8, Vec<u8>)> {
    let (a, b) = (random.next() as u16, random.next() as u16);
    vec![
        (TCP, tcp(a, b, 0x18)),
        (TCP, tcp(b, 80, 0x02)),
        (UDP, udp(a, b)),
        (SCTP, sctp(a, b)),
        (ICMP, vec![8, 0, 1, 2]),
        (ICMPV6, vec![128, 0, 1, 2]),
        (47, vec![0; 8]),
        (UDP, ports(a, 53)),
        (TCP, tcp(a, b, 0)[..13].to_vec()),
    ]
}

/// The extension headers of IPv6, alone and in a row, one too many too.
fn chains(protocol: u8, header: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut authentication = vec![protocol, 4];
    authentication.resize(24, 0);
    authentication.extend(header);
    let mut long = extension(protocol, 0, header);
    let mut chains = vec![
        (protocol, header.to_vec()),
        (0, extension(60, 1, &extension(protocol, 0, header))),
        (43, extension(44, 2, &fragment_header(protocol, 0, false, header))),
        (44, fragment_header(protocol, 0, true, header)),
        (44, fragment_header(protocol, 77, false, header)),
        (51, authentication),
        (60, extension(protocol, 100, header)),
        (59, vec![]),
    ];
    for count in 2..=9 {
        long = extension(135, 0, &long);
        if count >= 7 {
            chains.push((135, long.clone()));
        }
    }
    chains
}

/// Puts one to five VLAN tags before it: the last is one too many.
fn nest(ethertype: u16, payload: &[u8], random: &mut Random) -> (u16, Vec<u8>) {
    let mut tagged = (ethertype, payload.to_vec());
    for _ in 0..=random.next() % 5 {
        let kind = [ethertype::VLAN, ethertype::SERVICE_VLAN, ethertype::SERVICE_VLAN_OLD];
        tagged = (kind[random.next() as usize % 3], tag(random.next() as u16, tagged.0, &tagged.1));
    }
    tagged
}

/// Cut somewhere; a few octets changed.
fn variants(frame: &[u8], random: &mut Random) -> Vec<Vec<u8>> {
    (0..VARIANTS)
        .map(|variant| {
            let mut frame = frame.to_vec();
            if variant == 0 {
                frame.truncate(
                    FRAME_OCTETS_MIN + random.next() as usize % (frame.len() - FRAME_OCTETS_MIN + 1),
                );
            } else {
                for _ in 0..=random.next() % 3 {
                    let at = random.next() as usize % frame.len();
                    frame[at] = random.next() as u8;
                }
            }
            frame
        })
        .collect()
}

/// xorshift64*: the same corpus on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn mac_address(&mut self) -> [u8; 6] {
        let [_, _, octets @ ..] = self.next().to_be_bytes();
        octets
    }

    fn ipv6(&mut self, next: u8, payload: &[u8]) -> Vec<u8> {
        let half = u128::from(self.next()) << 64;
        let source = Ipv6Addr::from(0x2001_0db8_u128 << 96 | half | u128::from(self.next()));
        let destination = Ipv6Addr::from(u128::from(self.next()) << 80 | u128::from(self.next()));
        ipv6_between(source, destination, next, payload.len() as u16, payload)
    }
}
