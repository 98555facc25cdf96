//! IPv4 (RFC 791, 3.1).

use super::end::{Address, key};
use super::packet::Packet;
use super::{Tagged, transport};
use crate::bytes::Bytes;
use crate::headers::{Fragment, Headers, Undecodable};

const HEADER_OCTETS_MIN: usize = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

#[inline(always)]
pub(super) fn walk<B: Bytes + ?Sized>(frame: &B, tagged: &Tagged) -> Result<Headers, Undecodable> {
    let ip_offset = tagged.at;
    let header = frame.octets::<HEADER_OCTETS_MIN>(ip_offset).ok_or(Undecodable::Ipv4Truncated)?;
    if header[0] >> 4 != 4 {
        return Err(Undecodable::IpVersion);
    }
    let header_octets = usize::from(header[0] & 0x0f) * 4;
    if header_octets < HEADER_OCTETS_MIN {
        return Err(Undecodable::Ipv4HeaderLength);
    }
    let ip_octets = u32::from(u16::from_be_bytes([header[2], header[3]]));
    if ip_octets != 0 && (ip_octets as usize) < header_octets {
        return Err(Undecodable::Ipv4TotalLength);
    }
    frame.u8(ip_offset + header_octets - 1).ok_or(Undecodable::Ipv4Truncated)?;

    let fragment = fragment(&header);
    let packet = Packet::new(frame, ip_offset, ip_octets);
    let transport = transport::walk(&packet, ip_offset + header_octets, header[9], fragment)?;
    let source = Address::v4([header[12], header[13], header[14], header[15]]);
    let destination = Address::v4([header[16], header[17], header[18], header[19]]);
    let (key, direction) = key(source, destination, &transport, 4, tagged);
    Ok(Headers {
        key,
        direction,
        fragment,
        tcp_flags: transport.tcp_flags,
        tos: header[1],
        ttl: header[8],
        icmp_type: transport.icmp_type,
        icmp_code: transport.icmp_code,
        ip_octets,
        ip_offset: ip_offset as u16,
    })
}

#[inline(always)]
fn fragment(header: &[u8; HEADER_OCTETS_MIN]) -> Fragment {
    let identification = u32::from(u16::from_be_bytes([header[4], header[5]]));
    let word = u16::from_be_bytes([header[6], header[7]]);
    if word & OFFSET_MASK != 0 {
        Fragment::Later(identification)
    } else if word & MORE_FRAGMENTS != 0 {
        Fragment::First(identification)
    } else {
        Fragment::Whole
    }
}
