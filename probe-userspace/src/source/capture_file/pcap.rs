//! The classic format (draft-ietf-opsawg-pcap): one header, then records.
//!
//! ```text
//! header:  magic u32 | major u16 | minor u16 | reserved u32 x 2 | snaplen u32 | FCS, link type u32
//! record:  seconds u32 | fraction u32 | captured u32 | original u32 | captured octets
//! ```

use super::decoder::{ByteOrder, MAXIMUM_CAPTURED_OCTETS, Malformed, Packet, Step};
use super::link_type::link_layer;
use crate::source::LinkLayer;

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Kuznetsov's variant of old Linux distributions: the record header has eight more octets.
const MAGIC_MODIFIED: u32 = 0xa1b2_cd34;

/// Octets of the file header.
pub(super) const HEADER_OCTETS: usize = 24;
const RECORD_HEADER_OCTETS: usize = 16;
const MODIFIED_RECORD_HEADER_OCTETS: usize = 24;
/// The upper bits of the link-type field describe the FCS (draft, section 4).
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;

/// Decodes the records behind the header.
pub(super) struct Decoder {
    order: ByteOrder,
    nanoseconds_per_unit: u64,
    record_header_octets: usize,
    lengths: Lengths,
    link_layer: LinkLayer,
}

/// Which of a record's two lengths comes first. The draft's order holds since version 2.4; 2.3 was written both ways,
/// and earlier versions the other way round (libpcap, `sf-pcap.c`).
#[derive(Clone, Copy)]
enum Lengths {
    CapturedFirst,
    SmallerIsCaptured,
    OriginalFirst,
}

impl Decoder {
    /// Whether a file that begins so is in this format.
    pub(super) fn recognises(magic: [u8; 4]) -> bool {
        format(magic).is_some()
    }

    /// From a whole file header.
    pub(super) fn new(header: &[u8; HEADER_OCTETS]) -> Result<Self, Malformed> {
        let magic = [header[0], header[1], header[2], header[3]];
        let Some((order, number)) = format(magic) else {
            return Err(Malformed::ByteOrderMagic { magic: u32::from_be_bytes(magic) });
        };
        let (major, minor) = (order.u16(header, 4), order.u16(header, 6));
        if major != 2 {
            return Err(Malformed::PcapVersion { major, minor });
        }
        Ok(Self {
            order,
            nanoseconds_per_unit: if number == MAGIC_NANOSECONDS { 1 } else { 1_000 },
            record_header_octets: if number == MAGIC_MODIFIED {
                MODIFIED_RECORD_HEADER_OCTETS
            } else {
                RECORD_HEADER_OCTETS
            },
            lengths: match minor {
                0..=2 => Lengths::OriginalFirst,
                3 => Lengths::SmallerIsCaptured,
                _ => Lengths::CapturedFirst,
            },
            link_layer: link_layer(order.u32(header, 20) & LINK_TYPE_MASK),
        })
    }

    pub(super) fn link_layer(&self) -> LinkLayer {
        self.link_layer
    }

    pub(super) fn step(&self, unread: &[u8]) -> Result<Step, Malformed> {
        if let Some(packet) = self.record(unread) {
            return Ok(Step::Packet(packet));
        }
        // The first words of both kinds of header are the same.
        let Some(header) = unread.first_chunk() else { return Ok(Step::More) };
        match self.lengths(header) {
            (captured, _) if captured > MAXIMUM_CAPTURED_OCTETS => {
                Err(Malformed::PacketLength { octets: captured })
            }
            _ => Ok(Step::More),
        }
    }

    /// The record at the first octet, if it is whole and sound; [`Self::step`] says what is the matter otherwise.
    #[inline]
    pub(super) fn record(&self, unread: &[u8]) -> Option<Packet> {
        let header: &[u8; RECORD_HEADER_OCTETS] = unread.first_chunk()?;
        let (captured, original) = self.lengths(header);
        let record_octets = self.record_header_octets + captured as usize;
        if captured > MAXIMUM_CAPTURED_OCTETS || unread.len() < record_octets {
            return None;
        }
        let seconds = u64::from(self.order.u32(header, 0));
        let fraction = u64::from(self.order.u32(header, 4));
        Some(Packet {
            record_octets,
            data_offset: self.record_header_octets,
            captured_octets: captured,
            original_octets: original,
            timestamp_nanoseconds: Some(seconds * 1_000_000_000 + fraction * self.nanoseconds_per_unit),
            link_layer: self.link_layer,
        })
    }

    /// Captured and original octets of a record.
    #[inline]
    fn lengths(&self, record: &[u8; RECORD_HEADER_OCTETS]) -> (u32, u32) {
        let (first, second) = (self.order.u32(record, 8), self.order.u32(record, 12));
        match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::OriginalFirst => (second, first),
            Lengths::SmallerIsCaptured => (first.min(second), first.max(second)),
        }
    }
}

fn format(magic: [u8; 4]) -> Option<(ByteOrder, u32)> {
    let known = |number: &u32| matches!(*number, MAGIC_MICROSECONDS | MAGIC_NANOSECONDS | MAGIC_MODIFIED);
    let little = Some(u32::from_le_bytes(magic)).filter(known).map(|number| (ByteOrder::Little, number));
    little.or_else(|| Some(u32::from_be_bytes(magic)).filter(known).map(|number| (ByteOrder::Big, number)))
}
