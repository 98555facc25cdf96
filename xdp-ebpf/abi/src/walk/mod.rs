//! The header walk: from the link layer to the ports, over any [`Bytes`].
//!
//! ```text
//! Link ─► Ethernet ─► VLAN tags ─► IPv4 ──────────────► TCP, UDP, SCTP: ports ─► Headers
//!           │            │         IPv6 ─► extensions ─► ICMP: type and code
//!           └────────────┴───────► not IP ─► Unmetered::NonFlow      cut off or broken ─► Unmetered::Undecodable
//! ```
//!
//! Everything is `inline(always)`: the XDP program has no stack for copies of [`Headers`] between functions,
//! and LLVM then drops what the program does not read.

mod end;
mod ipv4;
mod ipv6;
mod packet;
mod transport;

use crate::bytes::Bytes;
use crate::headers::{Headers, NonFlow, Undecodable, Unmetered};
use crate::key::{VLAN_ID_MASK, VLAN_PRESENT, VlanTag};
use crate::protocol::ethertype;

/// How many VLAN tags are followed. Two is what QinQ has and the key keeps; double that is met in practice
/// only where a provider tags what its customer tagged twice.
pub const VLAN_TAGS_MAX: usize = 4;

/// How many IPv6 extension headers are followed. RFC 8200 (4.1) knows eight kinds, most of them once; the verifier
/// follows each step, so that a bound has to be.
pub const EXTENSIONS_MAX: usize = 8;

/// No header is read that begins behind this octet. The XDP program reaches only the first buffer of a frame, which
/// is at least this long in every driver that has multi-buffer support; the bound makes both sides judge alike.
pub const HEADERS_OCTETS_MAX: usize = 2048;

const ETHERNET_OCTETS: usize = 14;
const TAG_OCTETS: usize = 4;

/// Where the walk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// An IP header of the version that its first four bits say, at the frame's first octet.
    RawIp,
    /// The payload of another link layer (Linux cooked, null/loopback): what an Ethernet frame of this type carries,
    /// tags and non-IP included.
    Ip {
        /// What begins there.
        ethertype: u16,
        /// Where it begins.
        offset: u16,
    },
}

/// The VLAN tags of a frame, the outer two of them, and what comes behind all of them.
struct Tagged {
    vlan: VlanTag,
    customer_vlan: VlanTag,
    ethertype: u16,
    at: usize,
}

/// Walks the headers of one frame.
///
/// A transport header counts as there when it reaches as far as what a flow needs of it (ports; TCP flags; ICMP
/// code). Octets behind the end that the IP header gives (total length, payload length) are the link layer's padding
/// and never read as a header; a length of 0, as segmentation offload and jumbograms write it, gives no end.
#[inline(always)]
pub fn walk<B: Bytes + ?Sized>(frame: &B, link: Link) -> Result<Headers, Unmetered> {
    match link {
        Link::Ethernet => {
            let header = frame.octets::<ETHERNET_OCTETS>(0).ok_or(Undecodable::LinkTruncated)?;
            payload(frame, u16::from_be_bytes([header[12], header[13]]), ETHERNET_OCTETS)
        }
        Link::RawIp => {
            let first = frame.u8(0).ok_or(Undecodable::LinkTruncated)?;
            match first >> 4 {
                4 => Ok(ipv4::walk(frame, &untagged(ethertype::IPV4, 0))?),
                6 => Ok(ipv6::walk(frame, &untagged(ethertype::IPV6, 0))?),
                _ => Err(Undecodable::IpVersion.into()),
            }
        }
        Link::Ip { ethertype, offset } => payload(frame, ethertype, usize::from(offset)),
    }
}

#[inline(always)]
fn payload<B: Bytes + ?Sized>(frame: &B, ethertype: u16, at: usize) -> Result<Headers, Unmetered> {
    let tagged = tags(frame, ethertype, at)?;
    match tagged.ethertype {
        ethertype::IPV4 => Ok(ipv4::walk(frame, &tagged)?),
        ethertype::IPV6 => Ok(ipv6::walk(frame, &tagged)?),
        other => Err(Unmetered::NonFlow(non_flow(other))),
    }
}

#[inline(always)]
fn untagged(ethertype: u16, at: usize) -> Tagged {
    Tagged { vlan: 0, customer_vlan: 0, ethertype, at }
}

/// Follows the tags (IEEE 802.1Q, 9.3: 16 bits of control, then the next type).
#[inline(always)]
fn tags<B: Bytes + ?Sized>(frame: &B, ethertype: u16, at: usize) -> Result<Tagged, Undecodable> {
    let mut tagged = untagged(ethertype, at);
    let mut count = 0;
    while is_tag(tagged.ethertype) {
        if count == VLAN_TAGS_MAX {
            return Err(Undecodable::VlanTooMany);
        }
        let [control_high, control_low, type_high, type_low] =
            frame.octets::<TAG_OCTETS>(tagged.at).ok_or(Undecodable::VlanTruncated)?;
        let tag = VLAN_PRESENT | u16::from_be_bytes([control_high, control_low]) & VLAN_ID_MASK;
        match count {
            0 => tagged.vlan = tag,
            1 => tagged.customer_vlan = tag,
            _ => {}
        }
        tagged.ethertype = u16::from_be_bytes([type_high, type_low]);
        tagged.at += TAG_OCTETS;
        count += 1;
    }
    Ok(tagged)
}

#[inline(always)]
fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, ethertype::VLAN | ethertype::SERVICE_VLAN | ethertype::SERVICE_VLAN_OLD)
}

#[inline(always)]
fn non_flow(ethertype: u16) -> NonFlow {
    match ethertype {
        ethertype::ARP | ethertype::RARP => NonFlow::Arp,
        ethertype::LLDP => NonFlow::Lldp,
        ethertype::MPLS | ethertype::MPLS_MULTICAST => NonFlow::Mpls,
        ethertype::PPPOE_DISCOVERY | ethertype::PPPOE_SESSION => NonFlow::Pppoe,
        length if length < ethertype::FIRST => NonFlow::Llc,
        _ => NonFlow::OtherEthertype,
    }
}
