//! Numbers from the IANA registries that the walk and the capture filter know.

/// Internet Control Message Protocol.
pub const ICMP: u8 = 1;
/// Transmission Control Protocol.
pub const TCP: u8 = 6;
/// User Datagram Protocol.
pub const UDP: u8 = 17;
/// ICMP for IPv6.
pub const ICMPV6: u8 = 58;
/// Stream Control Transmission Protocol.
pub const SCTP: u8 = 132;

/// IEEE 802 numbers, as in the type field of an Ethernet frame.
pub mod ethertype {
    /// Below this the field is an IEEE 802.3 length.
    pub const FIRST: u16 = 0x0600;
    /// Internet Protocol version 4.
    pub const IPV4: u16 = 0x0800;
    /// Address resolution.
    pub const ARP: u16 = 0x0806;
    /// Reverse address resolution.
    pub const RARP: u16 = 0x8035;
    /// IEEE 802.1Q customer tag.
    pub const VLAN: u16 = 0x8100;
    /// Internet Protocol version 6.
    pub const IPV6: u16 = 0x86dd;
    /// MPLS, unicast.
    pub const MPLS: u16 = 0x8847;
    /// MPLS, multicast (RFC 5332: upstream-assigned label).
    pub const MPLS_MULTICAST: u16 = 0x8848;
    /// PPPoE discovery (RFC 2516).
    pub const PPPOE_DISCOVERY: u16 = 0x8863;
    /// PPPoE session.
    pub const PPPOE_SESSION: u16 = 0x8864;
    /// IEEE 802.1ad service tag (QinQ).
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// Link Layer Discovery Protocol.
    pub const LLDP: u16 = 0x88cc;
    /// Service tag of equipment older than 802.1ad.
    pub const SERVICE_VLAN_OLD: u16 = 0x9100;
}
