//! IPv6 and its extension headers (RFC 8200, 3 and 4).

use super::end::{Address, set_key};
use super::packet::Packet;
use super::{EXTENSIONS_MAX, HEADERS_OCTETS_MAX, Tagged, transport};
use crate::bytes::Bytes;
use crate::headers::{Fragment, Headers, Undecodable};

const HEADER_OCTETS: usize = 40;
const FRAGMENT_OCTETS: usize = 8;

/// Numbers of the extension headers that are stepped over. ESP (50) and "no next header" (59) end the chain like a
/// transport protocol: nothing readable follows.
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
}

/// Where the chain of extension headers has got to.
struct Chain {
    protocol: u8,
    at: usize,
}

#[cfg_attr(target_arch = "bpf", inline(never))]
pub(super) fn walk<B: Bytes + ?Sized>(
    frame: &B,
    tagged: &Tagged,
    headers: &mut Headers,
) -> Result<(), Undecodable> {
    let ip_offset = tagged.at;
    let start = frame.octets::<8>(ip_offset).ok_or(Undecodable::Ipv6Truncated)?;
    if start[0] >> 4 != 6 {
        return Err(Undecodable::IpVersion);
    }
    frame.u8(ip_offset + HEADER_OCTETS - 1).ok_or(Undecodable::Ipv6Truncated)?;
    let payload_octets = u32::from(u16::from_be_bytes([start[4], start[5]]));
    let ip_octets = if payload_octets == 0 { 0 } else { payload_octets + HEADER_OCTETS as u32 };

    headers.tos = start[0] << 4 | start[1] >> 4;
    headers.ttl = start[7];
    headers.ip_octets = ip_octets;
    headers.ip_offset = ip_offset as u16;
    let packet = Packet::new(frame, ip_offset, ip_octets);
    let mut chain = Chain { protocol: start[6], at: ip_offset + HEADER_OCTETS };
    extensions(&packet, &mut chain, &mut headers.fragment)?;
    let ports = transport::walk(&packet, chain.at, chain.protocol, headers)?;
    let source = address(frame, ip_offset + 8)?;
    let destination = address(frame, ip_offset + 24)?;
    set_key(headers, source, destination, ports, tagged);
    headers.key.ip_version = 6;
    Ok(())
}

#[inline(always)]
fn address<B: Bytes + ?Sized>(frame: &B, at: usize) -> Result<Address, Undecodable> {
    let high = frame.octets(at).ok_or(Undecodable::Ipv6Truncated)?;
    let low = frame.octets(at + 8).ok_or(Undecodable::Ipv6Truncated)?;
    Ok(Address::v6(high, low))
}

/// Steps over the extension headers up to the first header that is none. A later fragment ends the chain: what
/// follows is the middle of something.
#[inline(always)]
fn extensions<B: Bytes>(packet: &B, chain: &mut Chain, found: &mut Fragment) -> Result<(), Undecodable> {
    let mut count = 0;
    while is_extension(chain.protocol) {
        if count == EXTENSIONS_MAX {
            return Err(Undecodable::Ipv6ExtensionTooMany);
        }
        step(packet, chain, found)?;
        if chain.at > HEADERS_OCTETS_MAX {
            return Err(Undecodable::Ipv6ExtensionTooMany);
        }
        if let Fragment::Later(_) = found {
            break;
        }
        count += 1;
    }
    Ok(())
}

#[cfg_attr(target_arch = "bpf", inline(never))]
fn step<B: Bytes>(packet: &B, chain: &mut Chain, found: &mut Fragment) -> Result<(), Undecodable> {
    let [next, length] = packet.octets(chain.at).ok_or(Undecodable::Ipv6ExtensionTruncated)?;
    let octets = match chain.protocol {
        extension::FRAGMENT => {
            fragment(packet, chain.at, found)?;
            FRAGMENT_OCTETS
        }
        // RFC 4302, 2.2: in units of four octets, less two.
        extension::AUTHENTICATION => (usize::from(length) + 2) * 4,
        // RFC 8200, 4.3: in units of eight octets, the first not counted.
        _ => (usize::from(length) + 1) * 8,
    };
    packet.u8(chain.at + octets - 1).ok_or(Undecodable::Ipv6ExtensionTruncated)?;
    chain.protocol = next;
    chain.at = packet.opaque(chain.at + octets);
    Ok(())
}

/// RFC 8200, 4.5. Offset 0 and no more to come is an atomic fragment (RFC 6946): a whole packet. A second fragment
/// header in one packet is not legal; an atomic one does not undo what the first said.
#[inline(always)]
fn fragment<B: Bytes>(packet: &B, at: usize, found: &mut Fragment) -> Result<(), Undecodable> {
    let header = packet.octets::<FRAGMENT_OCTETS>(at).ok_or(Undecodable::Ipv6ExtensionTruncated)?;
    let word = u16::from_be_bytes([header[2], header[3]]);
    let identification = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    if word >> 3 != 0 {
        *found = Fragment::Later(identification);
    } else if word & 1 != 0 {
        *found = Fragment::First(identification);
    }
    Ok(())
}

#[inline(always)]
fn is_extension(protocol: u8) -> bool {
    matches!(
        protocol,
        extension::HOP_BY_HOP
            | extension::ROUTING
            | extension::FRAGMENT
            | extension::AUTHENTICATION
            | extension::DESTINATION
            | extension::MOBILITY
    )
}
