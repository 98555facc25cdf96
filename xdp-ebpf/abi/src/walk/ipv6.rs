//! IPv6 and its extension headers (RFC 8200, 3 and 4).

use super::end::{Address, key};
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

/// The end of the chain of extension headers.
struct Chain {
    protocol: u8,
    at: usize,
    fragment: Fragment,
}

#[inline(always)]
pub(super) fn walk<B: Bytes + ?Sized>(frame: &B, tagged: &Tagged) -> Result<Headers, Undecodable> {
    let ip_offset = tagged.at;
    let start = frame.octets::<8>(ip_offset).ok_or(Undecodable::Ipv6Truncated)?;
    if start[0] >> 4 != 6 {
        return Err(Undecodable::IpVersion);
    }
    let source = address(frame, ip_offset + 8)?;
    let destination = address(frame, ip_offset + 24)?;
    let payload_octets = u32::from(u16::from_be_bytes([start[4], start[5]]));
    let ip_octets = if payload_octets == 0 { 0 } else { payload_octets + HEADER_OCTETS as u32 };

    let packet = Packet::new(frame, ip_offset, ip_octets);
    let chain = extensions(&packet, start[6], ip_offset + HEADER_OCTETS)?;
    let transport = transport::walk(&packet, chain.at, chain.protocol, chain.fragment)?;
    let (key, direction) = key(source, destination, &transport, 6, tagged);
    Ok(Headers {
        key,
        direction,
        fragment: chain.fragment,
        tcp_flags: transport.tcp_flags,
        tos: start[0] << 4 | start[1] >> 4,
        ttl: start[7],
        icmp_type: transport.icmp_type,
        icmp_code: transport.icmp_code,
        ip_octets,
        ip_offset: ip_offset as u16,
    })
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
fn extensions<B: Bytes>(packet: &B, protocol: u8, at: usize) -> Result<Chain, Undecodable> {
    let mut chain = Chain { protocol, at, fragment: Fragment::Whole };
    let mut count = 0;
    while is_extension(chain.protocol) {
        if count == EXTENSIONS_MAX {
            return Err(Undecodable::Ipv6ExtensionTooMany);
        }
        step(packet, &mut chain)?;
        if chain.at > HEADERS_OCTETS_MAX {
            return Err(Undecodable::Ipv6ExtensionTooMany);
        }
        if let Fragment::Later(_) = chain.fragment {
            break;
        }
        count += 1;
    }
    Ok(chain)
}

#[inline(always)]
fn step<B: Bytes>(packet: &B, chain: &mut Chain) -> Result<(), Undecodable> {
    let [next, length] = packet.octets(chain.at).ok_or(Undecodable::Ipv6ExtensionTruncated)?;
    let octets = match chain.protocol {
        extension::FRAGMENT => {
            chain.fragment = merge(chain.fragment, fragment(packet, chain.at)?);
            FRAGMENT_OCTETS
        }
        // RFC 4302, 2.2: in units of four octets, less two.
        extension::AUTHENTICATION => (usize::from(length) + 2) * 4,
        // RFC 8200, 4.3: in units of eight octets, the first not counted.
        _ => (usize::from(length) + 1) * 8,
    };
    packet.u8(chain.at + octets - 1).ok_or(Undecodable::Ipv6ExtensionTruncated)?;
    chain.protocol = next;
    chain.at += octets;
    Ok(())
}

/// RFC 8200, 4.5. Offset 0 and no more to come is an atomic fragment (RFC 6946): a whole packet.
#[inline(always)]
fn fragment<B: Bytes>(packet: &B, at: usize) -> Result<Fragment, Undecodable> {
    let header = packet.octets::<FRAGMENT_OCTETS>(at).ok_or(Undecodable::Ipv6ExtensionTruncated)?;
    let word = u16::from_be_bytes([header[2], header[3]]);
    let identification = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    Ok(match (word >> 3, word & 1) {
        (0, 0) => Fragment::Whole,
        (0, _) => Fragment::First(identification),
        _ => Fragment::Later(identification),
    })
}

/// A second fragment header in one packet is not legal; an atomic one does not undo what the first said.
#[inline(always)]
fn merge(known: Fragment, found: Fragment) -> Fragment {
    if let Fragment::Whole = found { known } else { found }
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
