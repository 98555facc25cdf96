//! Octets of a packet of the mix. `craft` makes any packet, with several allocations each; here millions are made.
//!
//! All payload is 0, so it adds nothing to a checksum.

use std::net::{IpAddr, SocketAddr};

use super::flow::{FRAME_LEAST_OCTETS, Header, Packet};
use super::key::Key;
use crate::craft::{Ethernet, Tag, checksum};

/// Longest transport header.
const TRANSPORT_OCTETS: usize = 20;

/// Link headers of a mix: from client to server, and back.
#[derive(Clone, Debug)]
pub(super) struct Links {
    /// Up to the ethertype.
    octets: [Vec<u8>; 2],
}

impl Links {
    pub(super) fn new(vlan: Option<u16>) -> Self {
        let there = Ethernet { tags: vlan.map(Tag::customer).into_iter().collect(), ..Ethernet::default() };
        let back =
            Ethernet { source: there.destination, destination: there.source, tags: there.tags.clone() };
        let without_type = |ethernet: &Ethernet| {
            let mut octets = ethernet.frame_of(0, &[]);
            octets.truncate(octets.len() - 2);
            octets
        };
        Self { octets: [without_type(&there), without_type(&back)] }
    }

    /// Octets before IP.
    pub(super) fn octets(&self) -> usize {
        self.octets[0].len() + 2
    }

    /// Appends the frame; answers how many octets its IP packet has.
    pub(super) fn write(&self, key: Key, packet: &Packet, out: &mut Vec<u8>) -> u64 {
        let start = out.len();
        let (client, server) = key.ends();
        let (source, destination) = if packet.forward { (client, server) } else { (server, client) };
        let (mut transport, octets) = transport(packet, key.ipv6, source.port(), destination.port());
        let headers = self.octets() + if key.ipv6 { 40 } else { 20 } + octets;
        let payload = if packet.is_data { packet.frame_octets.saturating_sub(headers) } else { 0 };
        seal(&mut transport[..octets], payload, key, source, destination);
        out.extend_from_slice(&self.octets[usize::from(!packet.forward)]);
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let length = (20 + octets + payload) as u16;
                ip4(key.protocol_identifier(), length, [source.octets(), destination.octets()], out);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let length = (octets + payload) as u16;
                ip6(key.protocol_identifier(), length, [source.octets(), destination.octets()], out);
            }
            _ => unreachable!("both ends of a key have one version"),
        }
        out.extend_from_slice(&transport[..octets]);
        out.resize(start + FRAME_LEAST_OCTETS.max(headers + payload), 0);
        (headers + payload - self.octets()) as u64
    }
}

fn ip4(protocol: u8, length: u16, addresses: [[u8; 4]; 2], out: &mut Vec<u8>) {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[8] = 64;
    header[9] = protocol;
    header[12..16].copy_from_slice(&addresses[0]);
    header[16..20].copy_from_slice(&addresses[1]);
    let sum = checksum::internet(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    out.extend_from_slice(&[8, 0]);
    out.extend_from_slice(&header);
}

fn ip6(protocol: u8, payload: u16, addresses: [[u8; 16]; 2], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
    out.extend_from_slice(&payload.to_be_bytes());
    out.extend_from_slice(&[protocol, 64]);
    out.extend_from_slice(&addresses[0]);
    out.extend_from_slice(&addresses[1]);
}

/// The transport header without its checksum, and UDP's length, and how many octets it has.
fn transport(
    packet: &Packet,
    ipv6: bool,
    source_port: u16,
    destination_port: u16,
) -> ([u8; TRANSPORT_OCTETS], usize) {
    let mut bytes = [0; TRANSPORT_OCTETS];
    if !matches!(packet.header, Header::Echo { .. }) {
        bytes[..2].copy_from_slice(&source_port.to_be_bytes());
        bytes[2..4].copy_from_slice(&destination_port.to_be_bytes());
    }
    let octets = match packet.header {
        Header::Tcp { flags, sequence, acknowledgement } => {
            bytes[4..8].copy_from_slice(&sequence.to_be_bytes());
            bytes[8..12].copy_from_slice(&acknowledgement.to_be_bytes());
            bytes[12..16].copy_from_slice(&[5 << 4, flags, 0xff, 0xff]);
            20
        }
        Header::Udp => 8,
        Header::Echo { identifier, sequence } => {
            // Echo and echo reply: 8 and 0 (RFC 792), 128 and 129 (RFC 4443).
            bytes[0] = match (ipv6, packet.forward) {
                (false, true) => 8,
                (false, false) => 0,
                (true, true) => 128,
                (true, false) => 129,
            };
            bytes[4..6].copy_from_slice(&identifier.to_be_bytes());
            bytes[6..8].copy_from_slice(&sequence.to_be_bytes());
            8
        }
    };
    (bytes, octets)
}

/// Fills in the checksum, and UDP's length.
fn seal(bytes: &mut [u8], payload: usize, key: Key, source: SocketAddr, destination: SocketAddr) {
    let length = (bytes.len() + payload) as u32;
    let protocol = key.protocol_identifier();
    let at = match protocol {
        6 => 16,
        17 => {
            bytes[4..6].copy_from_slice(&(length as u16).to_be_bytes());
            6
        }
        _ => 2,
    };
    let mut sum = match (source.ip(), destination.ip()) {
        (IpAddr::V4(_), _) if protocol == 1 => checksum::internet(&[bytes]),
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let tail = tail(length, protocol);
            checksum::internet(&[&source.octets(), &destination.octets(), &tail, bytes])
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let tail = tail(length, protocol);
            checksum::internet(&[&source.octets(), &destination.octets(), &tail, bytes])
        }
        _ => unreachable!("both ends of a key have one version"),
    };
    // 0 would say that there is none (RFC 768).
    if protocol == 17 && sum == 0 {
        sum = 0xffff;
    }
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// What the pseudo header has behind the addresses (RFC 9293 section 3.1, RFC 8200 section 8.1).
fn tail(length: u32, protocol: u8) -> [u8; 8] {
    let [a, b, c, d] = length.to_be_bytes();
    [a, b, c, d, 0, 0, 0, protocol]
}

#[cfg(test)]
mod tests {
    use super::super::key::Protocol;
    use super::*;
    use crate::craft::{self, flag};

    const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Echo];

    /// The same packet by `craft`; TCP has no acknowledgement there.
    fn crafted(key: Key, packet: &Packet, payload: &[u8], vlan: Option<u16>) -> Vec<u8> {
        let (client, server) = key.ends();
        let (source, destination) = if packet.forward { (client, server) } else { (server, client) };
        let segment = match packet.header {
            Header::Tcp { flags, sequence, .. } => craft::tcp(source, destination, flags, sequence, payload),
            Header::Udp => craft::udp(source, destination, payload),
            Header::Echo { identifier, sequence } => {
                let rest = [&identifier.to_be_bytes(), &sequence.to_be_bytes(), payload].concat();
                match (key.ipv6, packet.forward) {
                    (false, there) => {
                        craft::icmp(source.ip(), destination.ip(), 8 * u8::from(there), 0, &rest)
                    }
                    (true, there) => {
                        craft::icmp6(source.ip(), destination.ip(), 129 - u8::from(there), 0, &rest)
                    }
                }
            }
        };
        let mut ethernet =
            Ethernet { tags: vlan.map(Tag::customer).into_iter().collect(), ..Ethernet::default() };
        if !packet.forward {
            std::mem::swap(&mut ethernet.source, &mut ethernet.destination);
        }
        let mut frame = ethernet.frame(&craft::packet(&segment));
        frame.resize(frame.len().max(60), 0);
        frame
    }

    fn header(protocol: Protocol) -> Header {
        match protocol {
            Protocol::Tcp => Header::Tcp { flags: flag::SYN, sequence: 0x0102_0304, acknowledgement: 0 },
            Protocol::Udp => Header::Udp,
            Protocol::Echo => Header::Echo { identifier: 0x4321, sequence: 7 },
        }
    }

    #[test]
    fn frames_are_those_that_craft_makes() {
        for (number, protocol) in PROTOCOLS.into_iter().cycle().take(24).enumerate() {
            let (ipv6, forward) = (number / 3 % 2 == 1, number / 6 % 2 == 1);
            let vlan = (number >= 12).then_some(7);
            let ports = if protocol == Protocol::Echo { [0, 0] } else { [40_000, 443] };
            let key = Key::new(5, [3, 9], ports, protocol, ipv6);
            let links = Links::new(vlan);
            for (frame_octets, is_data) in [(60, false), (60, true), (591, true), (1514, true)] {
                let packet = Packet { forward, header: header(protocol), frame_octets, is_data };
                let mut frame = Vec::new();
                let octets = links.write(key, &packet, &mut frame) as usize;
                let headers = links.octets()
                    + if ipv6 { 40 } else { 20 }
                    + if protocol == Protocol::Tcp { 20 } else { 8 };
                let payload = vec![0; links.octets() + octets - headers];
                assert_eq!(frame, crafted(key, &packet, &payload, vlan), "{key:?} {packet:?}");
                let length = if is_data { frame_octets.max(headers) } else { headers.max(60) };
                assert_eq!(frame.len(), length, "{key:?} {packet:?}");
            }
        }
    }
}
