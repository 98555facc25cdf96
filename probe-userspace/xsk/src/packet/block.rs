//! Walking a block: safe code over its bytes; every offset in it is checked, whoever wrote it.

use super::layout::{block, packet, status};

/// A packet of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What was captured of it, from the link layer on; without a tag that was stripped.
    pub bytes: &'a [u8],
    /// Octets of the frame on the wire without FCS, a stripped tag (4 octets) counted in; more than `bytes` where it was cut off.
    pub original_octets: u32,
    /// When the kernel, or the device, saw it.
    pub timestamp: Timestamp,
    /// The tag that the device or the kernel took off: the outermost.
    pub vlan: Option<Vlan>,
    /// ARPHRD_*: what `bytes` begins with; 1 = Ethernet.
    pub hardware_type: u16,
    /// PACKET_HOST (0), _BROADCAST, _MULTICAST, _OTHERHOST, _OUTGOING (4).
    pub packet_type: u8,
}

impl Packet<'_> {
    /// Fills the unused places of a burst.
    pub(super) const NONE: Packet<'static> = Packet {
        bytes: &[],
        original_octets: 0,
        timestamp: Timestamp { nanoseconds: 0, of_device: false },
        vlan: None,
        hardware_type: 0,
        packet_type: 0,
    };
}

/// A time since the UNIX epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Nanoseconds.
    pub nanoseconds: u64,
    /// True where the device's clock gave it (TP_STATUS_TS_RAW_HARDWARE): not comparable with the host's unless it is disciplined.
    pub of_device: bool,
}

/// A stripped VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vlan {
    /// Tag control information: priority, DEI, VLAN id.
    pub tci: u16,
    /// Tag protocol identifier: 0x8100, or 0x88a8 for a service tag.
    pub tpid: u16,
}

/// TPID of an IEEE 802.1Q tag, which kernels before 3.15 did not write down.
const TPID_8021Q: u16 = 0x8100;
/// Octets of a tag.
const TAG_OCTETS: u32 = 4;

/// Where the next packet of a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    offset: usize,
    left: u32,
    length: usize,
}

impl Cursor {
    /// Behind the last packet of any block.
    pub(super) const FINISHED: Self = Self { offset: 0, left: 0, length: 0 };

    /// Leaves out what is left.
    pub(super) const fn abandon(&mut self) {
        self.left = 0;
    }

    /// Before the first packet of the block in `bytes`.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let (offset, left) = (word(bytes, block::FIRST)?, word(bytes, block::PACKETS)?);
        let length = (word(bytes, block::LENGTH)? as usize).min(bytes.len());
        Some(Self { offset: offset as usize, left, length })
    }

    /// Packets that are left.
    pub(super) const fn left(&self) -> u32 {
        self.left
    }

    /// The next packet; none where an offset of it does not lie in the block, after which the rest of the block is not to be believed.
    pub(super) fn next<'a>(&mut self, block: &'a [u8]) -> Option<Packet<'a>> {
        self.left = self.left.checked_sub(1)?;
        let packet = self.packet(block);
        if packet.is_some() && self.left > 0 {
            let next = word(block, self.offset + packet::NEXT)? as usize;
            // Forwards only, or a block could be walked for ever.
            if next < packet::HEADER {
                return None;
            }
            self.offset = self.offset.checked_add(next)?;
        }
        packet
    }

    fn packet<'a>(&self, block: &'a [u8]) -> Option<Packet<'a>> {
        if self.offset < block::HEADER {
            return None;
        }
        let header = block.get(self.offset..self.length)?;
        let header_end = packet::WITH_ADDRESS;
        let mac = usize::from(half(header, packet::MAC)?);
        if mac < header_end {
            return None;
        }
        let captured = word(header, packet::CAPTURED)? as usize;
        let bytes = header.get(mac..mac.checked_add(captured)?)?;
        let status = word(header, packet::STATUS)?;
        let vlan = vlan(header, status)?;
        let tag = if vlan.is_some() { TAG_OCTETS } else { 0 };
        Some(Packet {
            bytes,
            original_octets: word(header, packet::OCTETS)?.saturating_add(tag),
            timestamp: timestamp(header, status)?,
            vlan,
            hardware_type: half(header, packet::HARDWARE_TYPE)?,
            packet_type: *header.get(packet::PACKET_TYPE)?,
        })
    }
}

fn vlan(header: &[u8], status: u32) -> Option<Option<Vlan>> {
    if status & status::VLAN_VALID == 0 {
        return Some(None);
    }
    // The header has 32 bits for it, the tag 16.
    let tci = word(header, packet::VLAN_TCI)? as u16;
    let has_tpid = status & status::VLAN_TPID_VALID != 0;
    let tpid = if has_tpid { half(header, packet::VLAN_TPID)? } else { TPID_8021Q };
    Some(Some(Vlan { tci, tpid }))
}

fn timestamp(header: &[u8], status: u32) -> Option<Timestamp> {
    let seconds = u64::from(word(header, packet::SECONDS)?);
    let nanoseconds = u64::from(word(header, packet::NANOSECONDS)?);
    let of_device = status & status::TS_RAW_HARDWARE != 0 && status & status::TS_SOFTWARE == 0;
    Some(Timestamp { nanoseconds: seconds * 1_000_000_000 + nanoseconds, of_device })
}

/// A 32-bit word in the host's order.
fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let word = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))
}

/// A 16-bit word in the host's order.
fn half(bytes: &[u8], offset: usize) -> Option<u16> {
    let half = bytes.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_ne_bytes([half[0], half[1]]))
}
