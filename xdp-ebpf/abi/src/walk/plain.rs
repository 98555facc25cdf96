//! The plain packet: Ethernet without a tag, IPv4 without options, whole, TCP or UDP. Everything lies at a fixed place, so that
//! one look at the length is enough; most of what a wire carries is plain.
//!
//! It finds what the general walk finds, or nothing: `tests/properties.rs` holds the two against each other.

use super::transport::TCP_DATA_OFFSET_MIN;
use crate::bytes::Bytes;
use crate::headers::{Fragment, Headers};
use crate::key::{Direction, FlowKey};
use crate::protocol::{TCP, UDP, ethertype};

const IP_AT: usize = 14;
const TRANSPORT_AT: usize = IP_AT + 20;
/// As far as a flow reads TCP, which is further than UDP.
const OCTETS: usize = TRANSPORT_AT + 14;

/// Version 4, and five words of header.
const IPV4_WITHOUT_OPTIONS: u8 = 0x45;
/// All of the fragment word but "don't fragment" and the reserved bit.
const FRAGMENT_MASK: u16 = 0x3fff;

/// Fills in all headers of a plain packet. `false` = it is not one, and nothing was touched.
#[inline(always)]
pub(super) fn walk<B: Bytes + ?Sized>(frame: &B, headers: &mut Headers) -> bool {
    let Some(octets) = frame.octets::<OCTETS>(0) else { return false };
    let u16_at = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
    let u32_at = |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    let is_ipv4 = u16_at(12) == ethertype::IPV4 && octets[IP_AT] == IPV4_WITHOUT_OPTIONS;
    if !is_ipv4 || u16_at(IP_AT + 6) & FRAGMENT_MASK != 0 {
        return false;
    }
    let ip_octets = u16_at(IP_AT + 2);
    if usize::from(ip_octets) < OCTETS - IP_AT {
        return false;
    }
    let protocol = octets[IP_AT + 9];
    let tcp_flags = match protocol {
        TCP if octets[TRANSPORT_AT + 12] >> 4 >= TCP_DATA_OFFSET_MIN => octets[TRANSPORT_AT + 13],
        UDP => 0,
        _ => return false,
    };
    let end = |address: usize, port: usize| u64::from(u32_at(address)) << 16 | u64::from(u16_at(port));
    let source = end(IP_AT + 12, TRANSPORT_AT);
    let destination = end(IP_AT + 16, TRANSPORT_AT + 2);
    *headers = Headers {
        key: key(source.min(destination), source.max(destination), protocol),
        direction: if source <= destination { Direction::LowToHigh } else { Direction::HighToLow },
        fragment: Fragment::Whole,
        tcp_flags,
        tos: octets[IP_AT + 1],
        ttl: octets[IP_AT + 8],
        icmp_type: 0,
        icmp_code: 0,
        ip_octets: ip_octets.into(),
        ip_offset: IP_AT as u16,
    };
    true
}

/// Of ends that are an address and a port each: as one number they compare as the key's ends do.
#[inline(always)]
fn key(low: u64, high: u64, protocol: u8) -> FlowKey {
    FlowKey {
        low_address: address(low),
        high_address: address(high),
        low_port: low as u16,
        high_port: high as u16,
        protocol,
        ip_version: 4,
        ..FlowKey::EMPTY
    }
}

#[inline(always)]
fn address(end: u64) -> [u8; 16] {
    let [a, b, c, d] = ((end >> 16) as u32).to_be_bytes();
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}
