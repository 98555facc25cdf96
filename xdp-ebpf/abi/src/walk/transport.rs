//! What a flow needs of the transport header.

use crate::bytes::Bytes;
use crate::headers::{Fragment, Undecodable};
use crate::protocol::{ICMP, ICMPV6, SCTP, TCP, UDP};

/// RFC 9293, 3.1: flags are the 14th octet, the data offset the upper half of the 13th.
const TCP_OCTETS: usize = 14;
const TCP_DATA_OFFSET_MIN: u8 = 5;
/// Source and destination port, in UDP (RFC 768) and SCTP (RFC 9260, 3.1) too.
const PORTS_OCTETS: usize = 4;
/// RFC 792, RFC 4443: type and code.
const ICMP_OCTETS: usize = 2;

/// Ports, flags, type and code; what the protocol has not is 0.
pub(super) struct Transport {
    pub(super) protocol: u8,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) tcp_flags: u8,
    pub(super) icmp_type: u8,
    pub(super) icmp_code: u8,
}

#[inline(always)]
pub(super) fn walk<B: Bytes>(
    packet: &B,
    at: usize,
    protocol: u8,
    fragment: Fragment,
) -> Result<Transport, Undecodable> {
    if let Fragment::Later(_) = fragment {
        return Ok(bare(protocol));
    }
    match protocol {
        TCP => tcp(packet, at),
        UDP => ports(packet, at, protocol, Undecodable::UdpTruncated),
        SCTP => ports(packet, at, protocol, Undecodable::SctpTruncated),
        ICMP | ICMPV6 => icmp(packet, at, protocol),
        other => Ok(bare(other)),
    }
}

#[inline(always)]
fn bare(protocol: u8) -> Transport {
    Transport { protocol, source_port: 0, destination_port: 0, tcp_flags: 0, icmp_type: 0, icmp_code: 0 }
}

#[inline(always)]
fn tcp<B: Bytes>(packet: &B, at: usize) -> Result<Transport, Undecodable> {
    let header = packet.octets::<TCP_OCTETS>(at).ok_or(Undecodable::TcpTruncated)?;
    if header[12] >> 4 < TCP_DATA_OFFSET_MIN {
        return Err(Undecodable::TcpDataOffset);
    }
    Ok(Transport {
        source_port: u16::from_be_bytes([header[0], header[1]]),
        destination_port: u16::from_be_bytes([header[2], header[3]]),
        tcp_flags: header[13],
        ..bare(TCP)
    })
}

#[inline(always)]
fn ports<B: Bytes>(
    packet: &B,
    at: usize,
    protocol: u8,
    truncated: Undecodable,
) -> Result<Transport, Undecodable> {
    let header = packet.octets::<PORTS_OCTETS>(at).ok_or(truncated)?;
    Ok(Transport {
        source_port: u16::from_be_bytes([header[0], header[1]]),
        destination_port: u16::from_be_bytes([header[2], header[3]]),
        ..bare(protocol)
    })
}

#[inline(always)]
fn icmp<B: Bytes>(packet: &B, at: usize, protocol: u8) -> Result<Transport, Undecodable> {
    let [icmp_type, icmp_code] = packet.octets::<ICMP_OCTETS>(at).ok_or(Undecodable::IcmpTruncated)?;
    Ok(Transport { icmp_type, icmp_code, ..bare(protocol) })
}
