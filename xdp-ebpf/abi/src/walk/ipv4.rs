//! IPv4 (RFC 791, 3.1).

use super::end::{Address, set_key};
use super::packet::Packet;
use super::{Tagged, transport};
use crate::bytes::Bytes;
use crate::headers::{Fragment, Headers, Undecodable};

const HEADER_OCTETS_MIN: usize = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

#[cfg_attr(target_arch = "bpf", inline(never))]
pub(super) fn walk<B: Bytes + ?Sized>(
    frame: &B,
    tagged: &Tagged,
    headers: &mut Headers,
) -> Result<(), Undecodable> {
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

    headers.fragment = fragment(&header);
    headers.tos = header[1];
    headers.ttl = header[8];
    headers.ip_octets = ip_octets;
    headers.ip_offset = ip_offset as u16;
    let packet = Packet::new(frame, ip_offset, ip_octets);
    let ports = transport::walk(&packet, ip_offset + header_octets, header[9], headers)?;
    let source = Address::v4([header[12], header[13], header[14], header[15]]);
    let destination = Address::v4([header[16], header[17], header[18], header[19]]);
    set_key(headers, source, destination, ports, tagged);
    headers.key.ip_version = 4;
    Ok(())
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
