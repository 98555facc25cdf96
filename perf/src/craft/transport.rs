//! Transport headers with their payload.

use std::net::{IpAddr, SocketAddr};

use super::checksum;

/// TCP flags as on the wire.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// Acknowledgement field is valid.
    pub const ACK: u8 = 0x10;
}

/// What an IP packet carries, with the addresses its checksum was made for.
#[derive(Clone, Debug)]
pub struct Segment {
    /// IANA protocol number.
    pub protocol: u8,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Header and payload.
    pub bytes: Vec<u8>,
}

impl Segment {
    /// A segment of any protocol, as it is.
    #[must_use]
    pub fn raw(protocol: u8, source: IpAddr, destination: IpAddr, bytes: Vec<u8>) -> Self {
        Self { protocol, source, destination, bytes }
    }

    /// Fills the checksum in at `offset`.
    fn sealed(mut self, offset: usize) -> Self {
        let sum = checksum::transport(self.source, self.destination, self.protocol, &self.bytes);
        self.bytes[offset..offset + 2].copy_from_slice(&sum.to_be_bytes());
        self
    }
}

/// UDP (RFC 768).
#[must_use]
pub fn udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Segment {
    let length = u16::try_from(8 + payload.len()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(8 + payload.len());
    bytes.extend(source.port().to_be_bytes());
    bytes.extend(destination.port().to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    Segment::raw(17, source.ip(), destination.ip(), bytes).sealed(6)
}

/// TCP (RFC 9293) without options.
#[must_use]
pub fn tcp(source: SocketAddr, destination: SocketAddr, flags: u8, sequence: u32, payload: &[u8]) -> Segment {
    let mut bytes = Vec::with_capacity(20 + payload.len());
    bytes.extend(source.port().to_be_bytes());
    bytes.extend(destination.port().to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(0u32.to_be_bytes());
    bytes.extend([5 << 4, flags]);
    bytes.extend(0xffffu16.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    Segment::raw(6, source.ip(), destination.ip(), bytes).sealed(16)
}

/// SCTP (RFC 9260): the common header; its CRC32c stays 0, no meter looks at it.
#[must_use]
pub fn sctp(source: SocketAddr, destination: SocketAddr, chunks: &[u8]) -> Segment {
    let mut bytes = Vec::with_capacity(12 + chunks.len());
    bytes.extend(source.port().to_be_bytes());
    bytes.extend(destination.port().to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend(chunks);
    Segment::raw(132, source.ip(), destination.ip(), bytes)
}

/// ICMP (RFC 792).
#[must_use]
pub fn icmp(source: IpAddr, destination: IpAddr, kind: u8, code: u8, rest: &[u8]) -> Segment {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(rest);
    let sum = checksum::internet(&[&bytes]);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    Segment::raw(1, source, destination, bytes)
}

/// ICMPv6 (RFC 4443).
#[must_use]
pub fn icmp6(source: IpAddr, destination: IpAddr, kind: u8, code: u8, rest: &[u8]) -> Segment {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(rest);
    Segment::raw(58, source, destination, bytes).sealed(2)
}
