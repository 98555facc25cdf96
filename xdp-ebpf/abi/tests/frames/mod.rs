//! Builds frames octet by octet, from the RFCs and not from the walk.
#![allow(dead_code, unreachable_pub, reason = "shared by several test crates, each of which uses its part")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const MAC_A: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0a];
pub const MAC_B: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0b];

pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    ethernet_between(MAC_A, MAC_B, ethertype, payload)
}

pub fn ethernet_between(source: [u8; 6], destination: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&destination[..], &source[..], &ethertype.to_be_bytes(), payload].concat()
}

/// Control field and next type, as they stand behind a tag's own type.
pub fn tag(control: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&control.to_be_bytes()[..], &ethertype.to_be_bytes(), payload].concat()
}

#[derive(Clone, Copy)]
pub struct Ipv4 {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub protocol: u8,
    pub options_words: usize,
    pub identification: u16,
    /// Flags and offset, as on the wire.
    pub fragment: u16,
    /// `None` = what it really is.
    pub total_octets: Option<u16>,
}

impl Ipv4 {
    pub fn of(protocol: u8) -> Self {
        Self {
            source: Ipv4Addr::new(10, 0, 0, 1),
            destination: Ipv4Addr::new(192, 168, 7, 9),
            protocol,
            options_words: 0,
            identification: 0x1234,
            fragment: 0,
            total_octets: None,
        }
    }

    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let header_octets = 20 + self.options_words * 4;
        let total = self.total_octets.unwrap_or((header_octets + payload.len()) as u16);
        let mut packet = vec![0x40 | (header_octets / 4) as u8, 0x2e];
        packet.extend(total.to_be_bytes());
        packet.extend(self.identification.to_be_bytes());
        packet.extend(self.fragment.to_be_bytes());
        packet.extend([63, self.protocol, 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(vec![1; self.options_words * 4]);
        packet.extend(payload);
        packet
    }
}

pub fn source_v6() -> Ipv6Addr {
    "2001:db8::1".parse().unwrap()
}

pub fn destination_v6() -> Ipv6Addr {
    "2001:db8:0:1::2".parse().unwrap()
}

pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    ipv6_between(source_v6(), destination_v6(), next, payload.len() as u16, payload)
}

pub fn ipv6_between(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    next: u8,
    octets: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x6a, 0xb0, 0, 0];
    packet.extend(octets.to_be_bytes());
    packet.extend([next, 61]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// An extension header of `8 * (units + 1)` octets.
pub fn extension(next: u8, units: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![next, units];
    header.resize(8 * (usize::from(units) + 1), 0);
    header.extend(payload);
    header
}

pub fn fragment_header(next: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let word = offset << 3 | u16::from(more);
    let mut header = vec![next, 0];
    header.extend(word.to_be_bytes());
    header.extend(0xdead_beef_u32.to_be_bytes());
    header.extend(payload);
    header
}

pub fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut header = ports(source, destination);
    header.extend([0, 0, 0, 1, 0, 0, 0, 2, 5 << 4, flags, 0x10, 0, 0, 0, 0, 0]);
    header
}

pub fn udp(source: u16, destination: u16) -> Vec<u8> {
    let mut header = ports(source, destination);
    header.extend([0, 8, 0, 0]);
    header
}

pub fn sctp(source: u16, destination: u16) -> Vec<u8> {
    let mut header = ports(source, destination);
    header.extend([0; 8]);
    header
}

pub fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes()].concat()
}

/// The address as the key holds it.
pub fn in_key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&v4.octets());
            octets
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}
