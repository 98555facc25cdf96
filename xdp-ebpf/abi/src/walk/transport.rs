//! What a flow needs of the transport header.

use crate::bytes::Bytes;
use crate::headers::{Fragment, Headers, Undecodable};
use crate::protocol::{ICMP, ICMPV6, SCTP, TCP, UDP};

/// RFC 9293, 3.1: flags are the 14th octet, the data offset the upper half of the 13th.
const TCP_OCTETS: usize = 14;
pub(super) const TCP_DATA_OFFSET_MIN: u8 = 5;
/// Source and destination port, in UDP (RFC 768) and SCTP (RFC 9260, 3.1) too.
const PORTS_OCTETS: usize = 4;
/// RFC 792, RFC 4443: type and code.
const ICMP_OCTETS: usize = 2;

/// Source and destination port as they stand in the packet.
#[derive(Clone, Copy)]
pub(super) struct Ports {
    pub(super) source: u16,
    pub(super) destination: u16,
}

const NO_PORTS: Ports = Ports { source: 0, destination: 0 };

/// Fills in protocol, flags, type and code; the ports go into the key in its order, by [`super::end`].
#[inline(always)]
pub(super) fn walk<B: Bytes>(
    packet: &B,
    at: usize,
    protocol: u8,
    headers: &mut Headers,
) -> Result<Ports, Undecodable> {
    headers.key.protocol = protocol;
    if let Fragment::Later(_) = headers.fragment {
        return Ok(NO_PORTS);
    }
    match protocol {
        TCP => tcp(packet, at, headers),
        UDP => ports(packet, at, Undecodable::UdpTruncated),
        SCTP => ports(packet, at, Undecodable::SctpTruncated),
        ICMP | ICMPV6 => icmp(packet, at, headers),
        _ => Ok(NO_PORTS),
    }
}

#[inline(always)]
fn tcp<B: Bytes>(packet: &B, at: usize, headers: &mut Headers) -> Result<Ports, Undecodable> {
    let header = packet.octets::<TCP_OCTETS>(at).ok_or(Undecodable::TcpTruncated)?;
    if header[12] >> 4 < TCP_DATA_OFFSET_MIN {
        return Err(Undecodable::TcpDataOffset);
    }
    headers.tcp_flags = header[13];
    Ok(Ports {
        source: u16::from_be_bytes([header[0], header[1]]),
        destination: u16::from_be_bytes([header[2], header[3]]),
    })
}

#[inline(always)]
fn ports<B: Bytes>(packet: &B, at: usize, truncated: Undecodable) -> Result<Ports, Undecodable> {
    let header = packet.octets::<PORTS_OCTETS>(at).ok_or(truncated)?;
    Ok(Ports {
        source: u16::from_be_bytes([header[0], header[1]]),
        destination: u16::from_be_bytes([header[2], header[3]]),
    })
}

#[inline(always)]
fn icmp<B: Bytes>(packet: &B, at: usize, headers: &mut Headers) -> Result<Ports, Undecodable> {
    let [icmp_type, icmp_code] = packet.octets::<ICMP_OCTETS>(at).ok_or(Undecodable::IcmpTruncated)?;
    headers.icmp_type = icmp_type;
    headers.icmp_code = icmp_code;
    Ok(NO_PORTS)
}
