//! The block format (draft-ietf-opsawg-pcapng): sections, each with its byte order and its interfaces.
//!
//! ```text
//! block: type u32 | total length u32 | body | total length u32       every length a multiple of four
//! ```
//! Packet blocks and interface descriptions must fit into the window; any other block is passed over, however long.

use super::decoder::{ByteOrder, MAXIMUM_CAPTURED_OCTETS, Malformed, Packet, Step};
use super::interface::Interface;
use super::window::CAPACITY;
use crate::source::LinkLayer;

/// The type of a section header, a palindrome: readable before the byte order is known.
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Type and total length before a body, total length behind it.
const BLOCK_HEADER_OCTETS: usize = 8;
const BLOCK_TRAILER_OCTETS: usize = 4;
/// Type, length, byte-order magic and version of a section header: what of it is read.
const SECTION_PREFIX_OCTETS: usize = 16;
const SECTION_MINIMUM_OCTETS: u32 = 28;
/// Interfaces of a section that are remembered, 24 octets each: more than a host has, and a bound for a broken file.
const MAXIMUM_INTERFACES: usize = 65_536;

/// Decodes blocks.
pub(super) struct Decoder {
    order: ByteOrder,
    interfaces: Vec<Interface>,
}

/// Where a packet block has its numbers, from the begin of its body.
struct PacketLayout {
    interface: u32,
    timestamp_at: usize,
    lengths_at: usize,
    data_at: usize,
}

impl Decoder {
    pub(super) fn new() -> Self {
        // The first block is a section header, which sets the order.
        Self { order: ByteOrder::Little, interfaces: Vec::new() }
    }

    pub(super) fn first_link_layer(&self) -> Option<LinkLayer> {
        self.interfaces.first().map(|interface| interface.link_layer)
    }

    pub(super) fn step(&mut self, unread: &[u8]) -> Result<Step, Malformed> {
        if unread.len() < BLOCK_HEADER_OCTETS {
            return Ok(Step::More);
        }
        let block_type = self.order.u32(unread, 0);
        if block_type == SECTION_HEADER {
            return self.section(unread);
        }
        let octets = self.order.u32(unread, 4);
        if !octets.is_multiple_of(4) || (octets as usize) < BLOCK_HEADER_OCTETS + BLOCK_TRAILER_OCTETS {
            return Err(Malformed::BlockLength { block_type, octets });
        }
        match block_type {
            INTERFACE_DESCRIPTION | OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {
                self.block_in_window(unread, block_type, octets)
            }
            _ => Ok(Step::Skip(u64::from(octets))),
        }
    }

    /// A new section: its byte order, and no interfaces yet. Its options are passed over.
    fn section(&mut self, unread: &[u8]) -> Result<Step, Malformed> {
        if unread.len() < SECTION_PREFIX_OCTETS {
            return Ok(Step::More);
        }
        let magic = [unread[8], unread[9], unread[10], unread[11]];
        self.order = match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
            (BYTE_ORDER_MAGIC, _) => ByteOrder::Little,
            (_, BYTE_ORDER_MAGIC) => ByteOrder::Big,
            (_, magic) => return Err(Malformed::ByteOrderMagic { magic }),
        };
        let octets = self.order.u32(unread, 4);
        if octets < SECTION_MINIMUM_OCTETS || !octets.is_multiple_of(4) {
            return Err(Malformed::BlockLength { block_type: SECTION_HEADER, octets });
        }
        let (major, minor) = (self.order.u16(unread, 12), self.order.u16(unread, 14));
        if major != 1 {
            return Err(Malformed::PcapngVersion { major, minor });
        }
        self.interfaces.clear();
        Ok(Step::Skip(u64::from(octets)))
    }

    fn block_in_window(&mut self, unread: &[u8], block_type: u32, octets: u32) -> Result<Step, Malformed> {
        let length = octets as usize;
        if length > CAPACITY {
            return Err(Malformed::BlockLength { block_type, octets });
        }
        let Some(block) = unread.get(..length) else {
            return Ok(Step::More);
        };
        let second = self.order.u32(block, length - BLOCK_TRAILER_OCTETS);
        if second != octets {
            return Err(Malformed::BlockLengthsDiffer { block_type, first: octets, second });
        }
        let body = &block[BLOCK_HEADER_OCTETS..length - BLOCK_TRAILER_OCTETS];
        match block_type {
            INTERFACE_DESCRIPTION => self.interface(body, octets),
            SIMPLE_PACKET => self.simple_packet(body, octets),
            _ => self.packet(body, block_type, octets),
        }
    }

    fn interface(&mut self, body: &[u8], octets: u32) -> Result<Step, Malformed> {
        if self.interfaces.len() == MAXIMUM_INTERFACES {
            return Err(Malformed::TooManyInterfaces { maximum: MAXIMUM_INTERFACES });
        }
        let interface = Interface::parse(body, self.order)
            .ok_or(Malformed::BlockLength { block_type: INTERFACE_DESCRIPTION, octets })?;
        self.interfaces.push(interface);
        Ok(Step::Skip(u64::from(octets)))
    }

    /// A packet without a time, of the first interface; as much of it is there as that interface's snap length and
    /// the block have room for.
    fn simple_packet(&self, body: &[u8], octets: u32) -> Result<Step, Malformed> {
        const DATA_AT: usize = 4;
        if body.len() < DATA_AT {
            return Err(Malformed::BlockLength { block_type: SIMPLE_PACKET, octets });
        }
        let interface = self.interface_of(0)?;
        let original = self.order.u32(body, 0);
        let captured = original.min(interface.snap_length);
        self.check_captured(captured, body.len() - DATA_AT)?;
        Ok(Step::Packet(Packet {
            record_octets: octets as usize,
            data_offset: BLOCK_HEADER_OCTETS + DATA_AT,
            captured_octets: captured,
            original_octets: original,
            timestamp_nanoseconds: None,
            link_layer: interface.link_layer,
        }))
    }

    fn packet(&self, body: &[u8], block_type: u32, octets: u32) -> Result<Step, Malformed> {
        const LAYOUT_OCTETS: usize = 20;
        if body.len() < LAYOUT_OCTETS {
            return Err(Malformed::BlockLength { block_type, octets });
        }
        // Both kinds have time, lengths and data in the same places; the obsolete one has a drop count beside a
        // shorter interface number.
        let interface = if block_type == ENHANCED_PACKET {
            self.order.u32(body, 0)
        } else {
            self.order.u16(body, 0).into()
        };
        let layout = PacketLayout { interface, timestamp_at: 4, lengths_at: 12, data_at: LAYOUT_OCTETS };
        let interface = self.interface_of(layout.interface)?;
        let captured = self.order.u32(body, layout.lengths_at);
        self.check_captured(captured, body.len() - layout.data_at)?;
        let (high, low) =
            (self.order.u32(body, layout.timestamp_at), self.order.u32(body, layout.timestamp_at + 4));
        Ok(Step::Packet(Packet {
            record_octets: octets as usize,
            data_offset: BLOCK_HEADER_OCTETS + layout.data_at,
            captured_octets: captured,
            original_octets: self.order.u32(body, layout.lengths_at + 4),
            timestamp_nanoseconds: Some(interface.nanoseconds(u64::from(high) << 32 | u64::from(low))),
            link_layer: interface.link_layer,
        }))
    }

    fn interface_of(&self, interface: u32) -> Result<&Interface, Malformed> {
        let count = self.interfaces.len();
        self.interfaces.get(interface as usize).ok_or(Malformed::UnknownInterface { interface, count })
    }

    fn check_captured(&self, captured: u32, room: usize) -> Result<(), Malformed> {
        if captured > MAXIMUM_CAPTURED_OCTETS {
            return Err(Malformed::PacketLength { octets: captured });
        }
        if captured as usize > room {
            return Err(Malformed::PacketBeyondBlock { octets: captured });
        }
        Ok(())
    }
}
