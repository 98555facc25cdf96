//! Link-layer headers around an IP packet, and what capture files call them.

/// What the first octets of a capture's packets are (the LINKTYPE values of tcpdump.org).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LinkType {
    /// BSD loopback: protocol family in the byte order of the capturing host.
    Null = 0,
    /// Ethernet.
    Ethernet = 1,
    /// IP, version by its first nibble.
    Raw = 101,
    /// OpenBSD loopback: protocol family in network order.
    Loop = 108,
    /// Linux cooked, version 1.
    Cooked = 113,
    /// IPv4 alone.
    Ip4 = 228,
    /// IPv6 alone.
    Ip6 = 229,
    /// Linux cooked, version 2.
    Cooked2 = 276,
    /// IEEE 802.11: none that a flow meter reads.
    Wifi = 105,
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 0x8100 (802.1Q) or 0x88a8 (802.1ad service tag).
    pub protocol: u16,
    /// Priority, drop eligibility and VLAN id.
    pub control: u16,
}

impl Tag {
    /// An 802.1Q tag.
    #[must_use]
    pub fn customer(id: u16) -> Self {
        Self { protocol: 0x8100, control: id }
    }

    /// An 802.1ad service tag.
    #[must_use]
    pub fn service(id: u16) -> Self {
        Self { protocol: 0x88a8, control: id }
    }
}

/// An Ethernet header.
#[derive(Clone, Debug)]
pub struct Ethernet {
    /// Destination MAC address.
    pub destination: [u8; 6],
    /// Source MAC address.
    pub source: [u8; 6],
    /// VLAN tags, outermost first.
    pub tags: Vec<Tag>,
}

impl Default for Ethernet {
    /// From and to locally administered unicast addresses: no stack takes such a frame for its own.
    fn default() -> Self {
        Self { destination: [2, 0, 0, 0, 0, 2], source: [2, 0, 0, 0, 0, 1], tags: Vec::new() }
    }
}

/// The ethertype of an IP packet, by its version.
fn ethertype(packet: &[u8]) -> u16 {
    match packet.first().map(|octet| octet >> 4) {
        Some(6) => 0x86dd,
        _ => 0x0800,
    }
}

impl Ethernet {
    /// Frame around an IP packet; not padded to 60 octets, as a capture on the sender shows it.
    #[must_use]
    pub fn frame(&self, packet: &[u8]) -> Vec<u8> {
        self.frame_of(ethertype(packet), packet)
    }

    /// Frame around anything.
    #[must_use]
    pub fn frame_of(&self, ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(14 + 4 * self.tags.len() + payload.len());
        bytes.extend(self.destination);
        bytes.extend(self.source);
        for tag in &self.tags {
            bytes.extend(tag.protocol.to_be_bytes());
            bytes.extend(tag.control.to_be_bytes());
        }
        bytes.extend(ethertype.to_be_bytes());
        bytes.extend(payload);
        bytes
    }
}

/// Linux cooked v1 (LINKTYPE_LINUX_SLL) around an IP packet.
#[must_use]
pub fn cooked(packet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    bytes.extend(ethertype(packet).to_be_bytes());
    bytes.extend(packet);
    bytes
}

/// Linux cooked v2 (LINKTYPE_LINUX_SLL2) around an IP packet.
#[must_use]
pub fn cooked2(packet: &[u8]) -> Vec<u8> {
    let mut bytes = ethertype(packet).to_be_bytes().to_vec();
    bytes.extend([0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
    bytes.extend(packet);
    bytes
}

/// BSD loopback with the family in the byte order asked for: IPv4 is 2, IPv6 is 24, 28 or 30 by system.
#[must_use]
pub fn loopback(family: u32, big_endian: bool, packet: &[u8]) -> Vec<u8> {
    let mut bytes = if big_endian { family.to_be_bytes() } else { family.to_le_bytes() }.to_vec();
    bytes.extend(packet);
    bytes
}
