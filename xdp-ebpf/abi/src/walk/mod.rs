//! The header walk: from the link layer to the ports, over any [`Bytes`].
//!
//! ```text
//! Link ─► Ethernet ─► VLAN tags ─► IPv4 ──────────────► TCP, UDP, SCTP: ports ─► Headers
//!           │            │         IPv6 ─► extensions ─► ICMP: type and code
//!           └────────────┴───────► not IP ─► Unmetered::NonFlow      cut off or broken ─► Unmetered::Undecodable
//! ```
//!
//! How it is cut into functions serves the verifier too. The steps (tags, each IP version, an extension header, the
//! transport header) are functions of their own in the program, all else is inlined: inlined as a whole, LLVM copies
//! the path behind each number of tags, and the verifier follows a million instructions. And the steps fill in what
//! was `EMPTY` before instead of returning `Ok(what they found)`: registers that mean nothing after an `Err` are no
//! harm to a CPU, but the verifier refuses a program that touches them.

mod end;
mod ipv4;
mod ipv6;
mod packet;
mod plain;
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
    let mut headers = Headers::EMPTY;
    walk_into(frame, link, &mut headers)?;
    Ok(headers)
}

/// The same into a place where anything may lie; after an error it means nothing.
#[inline(always)]
pub fn walk_into<B: Bytes + ?Sized>(frame: &B, link: Link, headers: &mut Headers) -> Result<(), Unmetered> {
    if link == Link::Ethernet && walk_plain(frame, headers) {
        return Ok(());
    }
    *headers = Headers::EMPTY;
    walk_other(frame, link, headers)
}

/// The first half of [`walk_into`], of an Ethernet frame: fills in all headers of a plain packet, which most are. `false` = it is not
/// one, and nothing was touched.
#[inline(always)]
pub fn walk_plain<B: Bytes + ?Sized>(frame: &B, headers: &mut Headers) -> bool {
    plain::walk(frame, headers)
}

/// The second half: the headers of any frame, into what was [`Headers::EMPTY`].
#[inline(always)]
pub fn walk_other<B: Bytes + ?Sized>(frame: &B, link: Link, headers: &mut Headers) -> Result<(), Unmetered> {
    match link {
        Link::Ethernet => {
            let header = frame.octets::<ETHERNET_OCTETS>(0).ok_or(Undecodable::LinkTruncated)?;
            payload(frame, u16::from_be_bytes([header[12], header[13]]), ETHERNET_OCTETS, headers)
        }
        Link::RawIp => {
            let first = frame.u8(0).ok_or(Undecodable::LinkTruncated)?;
            match first >> 4 {
                4 => Ok(ipv4::walk(frame, &untagged(ethertype::IPV4, 0), headers)?),
                6 => Ok(ipv6::walk(frame, &untagged(ethertype::IPV6, 0), headers)?),
                _ => Err(Undecodable::IpVersion.into()),
            }
        }
        Link::Ip { ethertype, offset } => payload(frame, ethertype, usize::from(offset), headers),
    }
}

#[inline(always)]
fn payload<B: Bytes + ?Sized>(
    frame: &B,
    ethertype: u16,
    at: usize,
    headers: &mut Headers,
) -> Result<(), Unmetered> {
    let mut tagged = untagged(ethertype, at);
    tags(frame, &mut tagged)?;
    match tagged.ethertype {
        ethertype::IPV4 => Ok(ipv4::walk(frame, &tagged, headers)?),
        ethertype::IPV6 => Ok(ipv6::walk(frame, &tagged, headers)?),
        other => Err(Unmetered::NonFlow(non_flow(other))),
    }
}

#[inline(always)]
fn untagged(ethertype: u16, at: usize) -> Tagged {
    Tagged { vlan: 0, customer_vlan: 0, ethertype, at }
}

/// Follows the tags (IEEE 802.1Q, 9.3: 16 bits of control, then the next type).
#[cfg_attr(target_arch = "bpf", inline(never))]
fn tags<B: Bytes + ?Sized>(frame: &B, tagged: &mut Tagged) -> Result<(), Undecodable> {
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
    tagged.at = frame.opaque(tagged.at);
    Ok(())
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
