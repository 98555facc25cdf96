//! What the walk finds in a frame.

use crate::key::{Direction, FlowKey};

/// A frame's headers, as far as flows need them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// The direction-neutral key. A later fragment has ports 0 here until the worker resolves them.
    pub key: FlowKey,
    /// Which end of the key sent it.
    pub direction: Direction,
    /// Whole packet, or which part of one.
    pub fragment: Fragment,
    /// TCP flags as on the wire (FIN 0x01, SYN 0x02, RST 0x04, ..., CWR 0x80); 0 for other protocols.
    pub tcp_flags: u8,
    /// IPv4 type of service, IPv6 traffic class.
    pub tos: u8,
    /// IPv4 time to live, IPv6 hop limit.
    pub ttl: u8,
    /// ICMP or ICMPv6 type; 0 for other protocols and for later fragments.
    pub icmp_type: u8,
    /// ICMP or ICMPv6 code.
    pub icmp_code: u8,
    /// Octets of the IP packet by its own header: IPv4 total length; IPv6 payload length + 40. 0 where the
    /// header says 0 (TSO, jumbogram): the caller then takes the octets of the frame from `ip_offset` on.
    pub ip_octets: u32,
    /// Where the IP header begins in the frame.
    pub ip_offset: u16,
}

impl Headers {
    /// Nothing found yet: every octet has a value, which the verifier wants of what the walk fills in.
    pub const EMPTY: Self = Self {
        key: FlowKey::EMPTY,
        direction: Direction::LowToHigh,
        fragment: Fragment::Whole,
        tcp_flags: 0,
        tos: 0,
        ttl: 0,
        icmp_type: 0,
        icmp_code: 0,
        ip_octets: 0,
        ip_offset: 0,
    };
}

/// Whether a packet is a fragment, with the identification that its siblings share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// Not fragmented (an IPv6 atomic fragment too).
    Whole,
    /// Offset 0, more follow: it has the transport header.
    First(u32),
    /// A later part: no ports of its own.
    Later(u32),
}

/// Why a frame is in no flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmetered {
    /// Sound, but not IP.
    NonFlow(NonFlow),
    /// Broken or cut off.
    Undecodable(Undecodable),
}

impl From<Undecodable> for Unmetered {
    #[inline(always)]
    fn from(reason: Undecodable) -> Self {
        Self::Undecodable(reason)
    }
}

/// Sound frames that are not IP, by kind. Names are the reasons of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum NonFlow {
    /// ARP and RARP.
    Arp = 0,
    /// LLDP.
    Lldp = 1,
    /// MPLS, unicast or multicast: not looked into.
    Mpls = 2,
    /// PPPoE discovery and session: not looked into.
    Pppoe = 3,
    /// IEEE 802.3 length field: LLC, SNAP, spanning tree.
    Llc = 4,
    /// Another ethertype.
    OtherEthertype = 5,
    /// A protocol family of the null/loopback link type that is not IP.
    OtherFamily = 6,
    /// A link type that is not read (capture files only).
    LinkType = 7,
}

/// What is broken in a frame. Names are the reasons of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Undecodable {
    /// Shorter than its link-layer header.
    LinkTruncated = 0,
    /// A VLAN tag is cut off.
    VlanTruncated = 1,
    /// More VLAN tags than the walk follows.
    VlanTooMany = 2,
    /// The version field of the IP header is not the one the link layer announced, or neither 4 nor 6.
    IpVersion = 3,
    /// An IPv4 header (with its options) is cut off.
    Ipv4Truncated = 4,
    /// IPv4 header length below 20 octets.
    Ipv4HeaderLength = 5,
    /// IPv4 total length is below the header length (and not 0, which TSO writes).
    Ipv4TotalLength = 6,
    /// An IPv6 header is cut off.
    Ipv6Truncated = 7,
    /// An IPv6 extension header is cut off.
    Ipv6ExtensionTruncated = 8,
    /// More IPv6 extension headers than the walk follows.
    Ipv6ExtensionTooMany = 9,
    /// A TCP header is cut off.
    TcpTruncated = 10,
    /// TCP data offset below 20 octets.
    TcpDataOffset = 11,
    /// A UDP header is cut off.
    UdpTruncated = 12,
    /// An SCTP header is cut off.
    SctpTruncated = 13,
    /// An ICMP or ICMPv6 header is cut off.
    IcmpTruncated = 14,
}
