//! Other addresses in a frame: each loop over a capture then has flows of its own, as by `tcpreplay --unique-ip`.
//!
//! An address becomes another by a permutation that depends on the loop alone. So both directions of a conversation
//! stay one, different hosts stay different, and the network that an address says (the first octet of IPv4, the first
//! 64 bits of IPv6) stays as well. Checksums change by the difference (RFC 1624): a right one stays right, a wrong one
//! wrong. What a packet quotes (ICMP errors) or carries (tunnels, ARP) is left as it is.

use super::random::{finish, spread};

/// Gives the IP packet in an Ethernet frame the addresses that it has in loop `number`; in loop 0 its own.
pub(super) fn other_addresses(frame: &mut [u8], number: u64) {
    if number == 0 {
        return;
    }
    let mut at = 12;
    while let Some([0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00]) = frame.get(at..at + 2) {
        at += 4;
    }
    let key = spread(number, 0);
    match frame.get(at..at + 2) {
        Some([0x08, 0x00]) => ip4(&mut frame[at + 2..], key),
        Some([0x86, 0xdd]) => ip6(&mut frame[at + 2..], key),
        _ => {}
    }
}

fn ip4(packet: &mut [u8], key: u64) {
    if packet.len() < 20 || packet[0] >> 4 != 4 {
        return;
    }
    let mut change = Change::default();
    for at in [12, 16] {
        let old = [packet[at], packet[at + 1], packet[at + 2], packet[at + 3]];
        let new = ip4_address(old, key);
        packet[at..at + 4].copy_from_slice(&new);
        change.add(&old, &new);
    }
    change.apply(packet, 10);
    let is_first = u16::from_be_bytes([packet[6], packet[7]]) & 0x1fff == 0;
    let header = usize::from(packet[0] & 15) * 4;
    if let Some(at) = checksum_offset(packet[9]).filter(|_| is_first) {
        change.apply_transport(packet, header + at, packet[9]);
    }
}

fn ip6(packet: &mut [u8], key: u64) {
    if packet.len() < 40 || packet[0] >> 4 != 6 {
        return;
    }
    let transport = transport_of_ip6(packet);
    let mut change = Change::default();
    for (at, counts) in [(8, true), (24, transport.is_none_or(|transport| transport.is_at_its_destination))] {
        let (mut net, mut host) = ([0; 8], [0; 8]);
        net.copy_from_slice(&packet[at..at + 8]);
        host.copy_from_slice(&packet[at + 8..at + 16]);
        let new = ip6_host(net, host, key);
        packet[at + 8..at + 16].copy_from_slice(&new);
        if counts {
            change.add(&host, &new);
        }
    }
    let Some(transport) = transport else { return };
    let is_icmp = transport.protocol == 58;
    let within = if is_icmp { Some(2) } else { checksum_offset(transport.protocol) };
    if let Some(within) = within {
        change.apply_transport(packet, transport.offset + within, transport.protocol);
    }
}

/// Where a transport header has its checksum, if the addresses are in it: TCP, UDP, DCCP, UDP-Lite.
fn checksum_offset(protocol: u8) -> Option<usize> {
    match protocol {
        6 => Some(16),
        17 | 33 | 136 => Some(6),
        _ => None,
    }
}

/// A transport header behind IPv6's extension headers.
#[derive(Clone, Copy)]
struct Transport {
    protocol: u8,
    offset: usize,
    /// Else the pseudo header has the last address of the routing header (RFC 8200 section 8.1).
    is_at_its_destination: bool,
}

/// `None`: there is none in this packet.
fn transport_of_ip6(packet: &[u8]) -> Option<Transport> {
    let (mut next, mut offset, mut is_at_its_destination) = (packet[6], 40, true);
    loop {
        let octets = match next {
            0 | 60 => (usize::from(*packet.get(offset + 1)?) + 1) * 8,
            43 => {
                is_at_its_destination &= *packet.get(offset + 3)? == 0;
                (usize::from(*packet.get(offset + 1)?) + 1) * 8
            }
            44 => {
                let fragment = u16::from_be_bytes([*packet.get(offset + 2)?, *packet.get(offset + 3)?]);
                if fragment >> 3 != 0 {
                    return None;
                }
                8
            }
            51 => (usize::from(*packet.get(offset + 1)?) + 2) * 4,
            protocol => return Some(Transport { protocol, offset, is_at_its_destination }),
        };
        next = *packet.get(offset)?;
        offset += octets;
    }
}

/// Stays what it is where the first octet says that it is no host of the network: unspecified, loopback, multicast,
/// broadcast.
fn ip4_address(address: [u8; 4], key: u64) -> [u8; 4] {
    let [net, a, b, c] = address;
    if matches!(net, 0 | 127 | 224..) {
        return address;
    }
    let [_, a, b, c] = permute(u32::from_be_bytes([0, a, b, c]), key).to_be_bytes();
    [net, a, b, c]
}

/// A permutation of 24 bits: each step of it can be undone.
fn permute(mut value: u32, key: u64) -> u32 {
    const MASK: u32 = (1 << 24) - 1;
    for round in 0..3 {
        value = (value ^ (key >> (20 * round)) as u32).wrapping_mul(0x9e_3779) & MASK;
        value ^= value >> 12;
    }
    value
}

/// The last 64 bits of an IPv6 address; those of multicast, link-local, unspecified and loopback stay.
fn ip6_host(net: [u8; 8], host: [u8; 8], key: u64) -> [u8; 8] {
    let stays = net[0] == 0xff || net[0] == 0xfe && net[1] & 0xc0 == 0x80 || net == [0; 8];
    if stays { host } else { finish(u64::from_be_bytes(host) ^ key).to_be_bytes() }
}

/// By how much the one's complement sum of a packet has changed.
#[derive(Clone, Copy, Default)]
struct Change {
    sum: u32,
}

impl Change {
    fn add(&mut self, old: &[u8], new: &[u8]) {
        for (old, new) in old.chunks_exact(2).zip(new.chunks_exact(2)) {
            self.sum += u32::from(!u16::from_be_bytes([old[0], old[1]]));
            self.sum += u32::from(u16::from_be_bytes([new[0], new[1]]));
        }
    }

    /// RFC 1624, equation 3. Nothing where the packet was cut off before its checksum.
    fn apply(self, packet: &mut [u8], at: usize) {
        let Some([high, low]) = packet.get_mut(at..at + 2) else { return };
        let mut sum = self.sum + u32::from(!u16::from_be_bytes([*high, *low]));
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        [*high, *low] = (!(sum as u16)).to_be_bytes();
    }

    /// The same for a transport header: UDP without a checksum stays so, and 0 would say that it has none (RFC 768).
    fn apply_transport(self, packet: &mut [u8], at: usize, protocol: u8) {
        const UDP: u8 = 17;
        if protocol == UDP && packet.get(at..at + 2) == Some(&[0, 0]) {
            return;
        }
        self.apply(packet, at);
        if protocol == UDP && packet.get(at..at + 2) == Some(&[0, 0]) {
            packet[at..at + 2].copy_from_slice(&[0xff, 0xff]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::SocketAddr;

    use super::*;
    use crate::craft::{self, Ethernet, Extension, Ip6, Segment, Tag, flag};

    type Make = fn(SocketAddr, SocketAddr) -> Segment;

    fn ethernet() -> Ethernet {
        Ethernet { tags: vec![Tag::service(5), Tag::customer(6)], ..Ethernet::default() }
    }

    fn rewritten(end: SocketAddr, number: u64) -> SocketAddr {
        let probe = craft::udp(end, end, &[]);
        let mut frame = ethernet().frame(&craft::packet(&probe));
        other_addresses(&mut frame, number);
        let octets = &frame[22..];
        let address = match end {
            SocketAddr::V4(_) => <[u8; 4]>::try_from(&octets[12..16]).unwrap().into(),
            SocketAddr::V6(_) => <[u8; 16]>::try_from(&octets[8..24]).unwrap().into(),
        };
        SocketAddr::new(address, end.port())
    }

    #[test]
    fn a_packet_with_other_addresses_is_the_one_that_is_made_with_them() {
        let segments: [Make; 4] = [
            |a, b| craft::tcp(a, b, flag::ACK, 77, b"some data"),
            |a, b| craft::udp(a, b, b"some data"),
            |a, b| craft::icmp6(a.ip(), b.ip(), 128, 0, &[1; 9]),
            |a, b| craft::sctp(a, b, &[1; 8]),
        ];
        for ends in [["192.0.2.1:1", "198.51.100.2:2"], ["[2001:db8::1]:1", "[2001:db8:9::2]:2"]] {
            let [a, b]: [SocketAddr; 2] = ends.map(|end| end.parse().unwrap());
            for (make, number) in segments.iter().flat_map(|make| (1..200).map(move |n| (make, n))) {
                if a.is_ipv4() && make(a, b).protocol == 58 {
                    continue;
                }
                let mut frame = ethernet().frame(&craft::packet(&make(a, b)));
                other_addresses(&mut frame, number);
                let [c, d] = [a, b].map(|end| rewritten(end, number));
                assert!(c != a && d != b);
                assert_eq!(frame, ethernet().frame(&craft::packet(&make(c, d))), "{ends:?} {number}");
            }
        }
    }

    #[test]
    fn extension_headers_are_walked_and_later_fragments_have_no_checksum() {
        let [a, b]: [SocketAddr; 2] = ["[2001:db8::1]:1", "[2001:db8::2]:2"].map(|end| end.parse().unwrap());
        let [c, d] = [a, b].map(|end| rewritten(end, 3));
        for last in [Extension::authentication(), Extension::fragment(0, true, 9)] {
            let extensions = vec![Extension::options(0, 1), Extension::options(60, 2), last];
            let whole = Ip6 { extensions, ..Ip6::default() };
            let mut frame = Ethernet::default().frame(&whole.packet(&craft::udp(a, b, b"data")));
            other_addresses(&mut frame, 3);
            assert_eq!(frame, Ethernet::default().frame(&whole.packet(&craft::udp(c, d, b"data"))));
        }
        let later = Ip6 { extensions: vec![Extension::fragment(1, false, 9)], ..Ip6::default() };
        let part = |a: SocketAddr, b: SocketAddr| Segment::raw(17, a.ip(), b.ip(), vec![5; 16]);
        let mut frame = Ethernet::default().frame(&later.packet(&part(a, b)));
        other_addresses(&mut frame, 3);
        assert_eq!(frame, Ethernet::default().frame(&later.packet(&part(c, d))));
    }

    #[test]
    fn hosts_stay_different_and_no_loop_has_the_conversations_of_another() {
        let ends = |host: u32| ip4_address((10 << 24 | host).to_be_bytes(), spread(3, 0));
        let addresses: BTreeSet<_> = (0..100_000).map(ends).collect();
        assert_eq!(addresses.len(), 100_000);
        let host = |n: u8, number| ip4_address([10, 0, 0, n], spread(number, 0));
        let conversations: BTreeSet<_> = (1..500)
            .flat_map(|number| (0..20).map(move |n| (host(n, number), host(n + 1, number))))
            .collect();
        assert_eq!(conversations.len(), 499 * 20);
    }

    #[test]
    fn what_is_no_host_stays_and_any_frame_is_taken() {
        for address in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 251], [255; 4]] {
            assert_eq!(ip4_address(address, 12345), address);
        }
        let [a, b]: [SocketAddr; 2] = ["[2001:db8::1]:1", "[2001:db8::2]:2"].map(|end| end.parse().unwrap());
        let extended = Ip6 { extensions: vec![Extension::options(0, 1)], ..Ip6::default() };
        let four = craft::udp("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap(), &[1; 9]);
        for frame in [
            ethernet().frame(&extended.packet(&craft::udp(a, b, &[]))),
            ethernet().frame(&craft::packet(&four)),
        ] {
            (0..frame.len()).for_each(|kept| other_addresses(&mut frame[..kept].to_vec(), 1));
        }
    }
}
