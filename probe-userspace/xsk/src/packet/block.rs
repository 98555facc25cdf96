//! Walking a block: safe code over its bytes; every offset in it is checked, whoever wrote it.

use super::filter::LEFT_OUT_OCTETS;
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
    /// Whether a [`super::Filter`] did not select it: nothing of it was captured but the octet that had to be.
    #[must_use]
    pub const fn is_left_out(&self) -> bool {
        self.bytes.len() == LEFT_OUT_OCTETS as usize && self.original_octets > LEFT_OUT_OCTETS
    }

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: usize = 1024;

    fn put(block: &mut [u8], offset: usize, value: u32) {
        block[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
    }

    /// A block of `packets` packets of 60 bytes, the n-th filled with n.
    fn block(packets: u32) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK];
        put(&mut bytes, block::PACKETS, packets);
        put(&mut bytes, block::FIRST, 48);
        put(&mut bytes, block::LENGTH, 48 + packets * 144);
        for number in 0..packets as usize {
            let at = 48 + number * 144;
            put(&mut bytes, at + packet::NEXT, 144);
            put(&mut bytes, at + packet::SECONDS, 2);
            put(&mut bytes, at + packet::NANOSECONDS, 5);
            put(&mut bytes, at + packet::CAPTURED, 60);
            put(&mut bytes, at + packet::OCTETS, 1_500);
            put(&mut bytes, at + packet::MAC, 82);
            bytes[at + 82..at + 142].fill(number as u8);
        }
        bytes
    }

    fn walk(block: &[u8]) -> Vec<Packet<'_>> {
        let Some(mut cursor) = Cursor::new(block) else { return Vec::new() };
        std::iter::from_fn(|| cursor.next(block)).collect()
    }

    #[test]
    fn every_packet_of_a_block_is_read() {
        let block = block(3);
        let packets = walk(&block);
        assert_eq!(
            packets.iter().map(|packet| packet.bytes).collect::<Vec<_>>(),
            [[0; 60], [1; 60], [2; 60]]
        );
        assert_eq!((packets[0].original_octets, packets[0].vlan), (1_500, None));
        assert_eq!(packets[0].timestamp, Timestamp { nanoseconds: 2_000_000_005, of_device: false });
    }

    #[test]
    fn a_tag_without_its_tpid_is_8021q() {
        let mut block = block(1);
        put(&mut block, 48 + packet::STATUS, status::VLAN_VALID);
        put(&mut block, 48 + packet::VLAN_TCI, 0x2064);
        assert_eq!(walk(&block)[0].vlan, Some(Vlan { tci: 0x2064, tpid: 0x8100 }));
        assert_eq!(walk(&block)[0].original_octets, 1_504);
    }

    #[test]
    fn a_packet_that_would_run_over_the_blocks_end_is_not_read() {
        let mut block = block(2);
        put(&mut block, 48 + 144 + packet::CAPTURED, 2_000);
        assert_eq!(walk(&block).len(), 1);
        put(&mut block, 48 + packet::CAPTURED, u32::MAX);
        assert_eq!(walk(&block).len(), 0);
    }

    #[test]
    fn a_block_that_points_backwards_ends() {
        let mut block = block(2);
        put(&mut block, 48 + packet::NEXT, 0);
        assert!(walk(&block).len() < 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 8 } else { 256 }, failure_persistence: None, ..ProptestConfig::default()
        })]

        /// Whatever is in a block, what is read of it lies in it, and reading it ends.
        #[test]
        fn no_block_is_read_outside(
            changes in prop::collection::vec((0..BLOCK - 4, any::<u32>()), 0..8),
            packets in 0..6_u32,
        ) {
            let mut bytes = block(packets);
            changes.iter().for_each(|(offset, value)| put(&mut bytes, *offset, *value));
            let range = bytes.as_ptr_range();
            let Some(mut cursor) = Cursor::new(&bytes) else { return Ok(()) };
            let mut read = 0;
            while let Some(packet) = cursor.next(&bytes) {
                let inside = packet.bytes.as_ptr_range();
                prop_assert!(range.start <= inside.start && inside.end <= range.end);
                read += 1;
                prop_assert!(read <= BLOCK);
            }
        }
    }
}
