//! Where the walk begins, for every link layer.

use xdp_abi::bytes::Bytes;
use xdp_abi::headers::{NonFlow, Undecodable, Unmetered};
use xdp_abi::protocol::ethertype;
use xdp_abi::walk::Link;

use crate::source::LinkLayer;

/// LINKTYPE_LINUX_SLL: packet type, ARPHRD type, address length, address (8), protocol.
const COOKED_V1_OCTETS: u16 = 16;
const COOKED_V1_HARDWARE_AT: usize = 2;
const COOKED_V1_PROTOCOL_AT: usize = 14;
/// LINKTYPE_LINUX_SLL2: protocol, reserved, interface, ARPHRD type, packet type, address length, address (8).
const COOKED_V2_OCTETS: u16 = 20;
const COOKED_V2_HARDWARE_AT: usize = 8;
const COOKED_V2_PROTOCOL_AT: usize = 0;
/// ARPHRD types whose protocol field is not an ethertype (the tcpdump group's page of LINKTYPE_LINUX_SLL).
const ARPHRD_FRAD: u16 = 770;
const ARPHRD_IEEE80211_RADIOTAP: u16 = 803;
const ARPHRD_NETLINK: u16 = 824;

/// Octets of the address family of LINKTYPE_NULL and LINKTYPE_LOOP.
const FAMILY_OCTETS: u16 = 4;
const AF_INET: u32 = 2;
/// AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin: the file does not say whose number it has.
const AF_INET6: [u32; 4] = [10, 24, 28, 30];

/// Where the walk begins in a frame of this link layer.
#[inline]
pub(super) fn resolve(frame: &[u8], link_layer: LinkLayer) -> Result<Link, Unmetered> {
    match link_layer {
        LinkLayer::Ethernet => Ok(Link::Ethernet),
        LinkLayer::Ip => Ok(Link::RawIp),
        LinkLayer::Ipv4 => Ok(Link::Ip { ethertype: ethertype::IPV4, offset: 0 }),
        LinkLayer::Ipv6 => Ok(Link::Ip { ethertype: ethertype::IPV6, offset: 0 }),
        LinkLayer::LinuxCookedV1 => {
            cooked(frame, COOKED_V1_HARDWARE_AT, COOKED_V1_PROTOCOL_AT, COOKED_V1_OCTETS)
        }
        LinkLayer::LinuxCookedV2 => {
            cooked(frame, COOKED_V2_HARDWARE_AT, COOKED_V2_PROTOCOL_AT, COOKED_V2_OCTETS)
        }
        LinkLayer::Null | LinkLayer::Loop => family(frame),
        LinkLayer::Other(_) => Err(Unmetered::NonFlow(NonFlow::LinkType)),
    }
}

fn cooked(frame: &[u8], hardware_at: usize, protocol_at: usize, octets: u16) -> Result<Link, Unmetered> {
    if frame.len() < usize::from(octets) {
        return Err(Undecodable::LinkTruncated.into());
    }
    let hardware = frame.u16(hardware_at).ok_or(Undecodable::LinkTruncated)?;
    if matches!(hardware, ARPHRD_FRAD | ARPHRD_IEEE80211_RADIOTAP | ARPHRD_NETLINK) {
        return Err(Unmetered::NonFlow(NonFlow::OtherEthertype));
    }
    let ethertype = frame.u16(protocol_at).ok_or(Undecodable::LinkTruncated)?;
    Ok(Link::Ip { ethertype, offset: octets })
}

/// The family is in the byte order of the capturing host, which the file does not say: every known one fits into
/// 16 bits, so that the order that makes it small is the right one.
fn family(frame: &[u8]) -> Result<Link, Unmetered> {
    let octets = frame.octets(0).ok_or(Undecodable::LinkTruncated)?;
    let family = u32::from_le_bytes(octets).min(u32::from_be_bytes(octets));
    let ethertype = match family {
        AF_INET => ethertype::IPV4,
        family if AF_INET6.contains(&family) => ethertype::IPV6,
        _ => return Err(Unmetered::NonFlow(NonFlow::OtherFamily)),
    };
    Ok(Link::Ip { ethertype, offset: FAMILY_OCTETS })
}
