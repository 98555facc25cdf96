//! IPv4 and IPv6 packets around a segment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum;
use super::transport::Segment;

/// A whole packet of the version that the segment's addresses have, everything else at its default.
#[must_use]
pub fn packet(segment: &Segment) -> Vec<u8> {
    match segment.source {
        IpAddr::V4(_) => Ip4::default().packet(segment),
        IpAddr::V6(_) => Ip6::default().packet(segment),
    }
}

/// An IPv4 header (RFC 791) apart from addresses and protocol.
#[derive(Clone, Debug)]
pub struct Ip4 {
    /// Type of service.
    pub tos: u8,
    /// Time to live.
    pub ttl: u8,
    /// Identification: what fragments of one packet share.
    pub identification: u16,
    /// Fragment offset, in units of 8 octets.
    pub fragment_offset: u16,
    /// More fragments follow.
    pub more_fragments: bool,
    /// Options; padded to 32 bits.
    pub options: Vec<u8>,
    /// Total length to write instead of the right one.
    pub total_length: Option<u16>,
}

impl Default for Ip4 {
    fn default() -> Self {
        Self {
            tos: 0,
            ttl: 64,
            identification: 0,
            fragment_offset: 0,
            more_fragments: false,
            options: Vec::new(),
            total_length: None,
        }
    }
}

fn ip4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(address) => panic!("an IPv4 packet was asked for, with the address {address}"),
    }
}

fn ip6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(address) => address,
        IpAddr::V4(address) => panic!("an IPv6 packet was asked for, with the address {address}"),
    }
}

impl Ip4 {
    /// The packet.
    ///
    /// # Panics
    /// When the segment's addresses are not IPv4.
    #[must_use]
    pub fn packet(&self, segment: &Segment) -> Vec<u8> {
        let header = 20 + self.options.len().next_multiple_of(4);
        let length = u16::try_from(header + segment.bytes.len()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(header + segment.bytes.len());
        bytes.extend([0x40 | (header / 4) as u8, self.tos]);
        bytes.extend(self.total_length.unwrap_or(length).to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend((u16::from(self.more_fragments) << 13 | self.fragment_offset).to_be_bytes());
        bytes.extend([self.ttl, segment.protocol, 0, 0]);
        bytes.extend(ip4(segment.source).octets());
        bytes.extend(ip4(segment.destination).octets());
        bytes.extend(&self.options);
        bytes.resize(header, 0);
        let sum = checksum::internet(&[&bytes]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(&segment.bytes);
        bytes
    }
}

/// An IPv6 extension header: its own number, and what follows its next-header octet.
#[derive(Clone, Debug)]
pub struct Extension {
    /// IANA protocol number of this header.
    pub number: u8,
    /// Everything after the next-header octet, its length octet included.
    pub body: Vec<u8>,
}

impl Extension {
    /// An options header (0 hop-by-hop, 60 destination) of `8 * units` octets, filled with PadN.
    #[must_use]
    pub fn options(number: u8, units: u8) -> Self {
        let length = usize::from(units) * 8;
        let mut body = vec![units - 1, 1, (length - 4) as u8];
        body.resize(length - 1, 0);
        Self { number, body }
    }

    /// A fragment header (RFC 8200 section 4.5); `offset` in units of 8 octets.
    #[must_use]
    pub fn fragment(offset: u16, more: bool, identification: u32) -> Self {
        let mut body = vec![0];
        body.extend((offset << 3 | u16::from(more)).to_be_bytes());
        body.extend(identification.to_be_bytes());
        Self { number: 44, body }
    }

    /// An authentication header (RFC 4302) with a check value of 12 octets: its length counts in units of 4.
    #[must_use]
    pub fn authentication() -> Self {
        let mut body = vec![4];
        body.resize(23, 0);
        Self { number: 51, body }
    }
}

/// An IPv6 header (RFC 8200) apart from addresses.
#[derive(Clone, Debug)]
pub struct Ip6 {
    /// Traffic class.
    pub traffic_class: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Extension headers in their order.
    pub extensions: Vec<Extension>,
    /// Payload length to write instead of the right one.
    pub payload_length: Option<u16>,
}

impl Default for Ip6 {
    fn default() -> Self {
        Self { traffic_class: 0, hop_limit: 64, extensions: Vec::new(), payload_length: None }
    }
}

impl Ip6 {
    /// The packet.
    ///
    /// # Panics
    /// When the segment's addresses are not IPv6.
    #[must_use]
    pub fn packet(&self, segment: &Segment) -> Vec<u8> {
        let mut numbers: Vec<u8> = self.extensions.iter().map(|extension| extension.number).collect();
        numbers.push(segment.protocol);
        let mut payload = Vec::new();
        for (extension, next) in self.extensions.iter().zip(&numbers[1..]) {
            payload.push(*next);
            payload.extend(&extension.body);
        }
        payload.extend(&segment.bytes);
        let length = u16::try_from(payload.len()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(40 + payload.len());
        bytes.extend((6u32 << 28 | u32::from(self.traffic_class) << 20).to_be_bytes());
        bytes.extend(self.payload_length.unwrap_or(length).to_be_bytes());
        bytes.extend([numbers[0], self.hop_limit]);
        bytes.extend(ip6(segment.source).octets());
        bytes.extend(ip6(segment.destination).octets());
        bytes.extend(payload);
        bytes
    }
}
