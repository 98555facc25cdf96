//! What both file formats have in common: one step of decoding, over octets that may not be all there yet.

use crate::source::LinkLayer;

use super::{pcap, pcapng};

/// The longest packet that is read: libpcap's `MAXIMUM_SNAPLEN`. A length above it is not a packet but a broken file.
pub(super) const MAXIMUM_CAPTURED_OCTETS: u32 = 262_144;

/// A decoder, by what the file begins with.
pub(super) enum Decoder {
    Pcap(pcap::Decoder),
    Pcapng(pcapng::Decoder),
}

impl Decoder {
    /// The link layer of its packets, or of its first interface; `None` = it has not come to one.
    pub(super) fn first_link_layer(&self) -> Option<LinkLayer> {
        match self {
            Self::Pcap(decoder) => Some(decoder.link_layer()),
            Self::Pcapng(decoder) => decoder.first_link_layer(),
        }
    }

    /// The next step from the first octet of `unread`.
    pub(super) fn step(&mut self, unread: &[u8]) -> Result<Step, Malformed> {
        match self {
            Self::Pcap(decoder) => decoder.step(unread),
            Self::Pcapng(decoder) => decoder.step(unread),
        }
    }

    /// A packet that is whole at the first octet, where that can be told without a step: most octets of most files are such.
    #[inline]
    pub(super) fn record(&self, unread: &[u8]) -> Option<Packet> {
        match self {
            Self::Pcap(decoder) => decoder.record(unread),
            Self::Pcapng(_) => None,
        }
    }
}

/// What stands at the first unread octet.
#[derive(Debug)]
pub(super) enum Step {
    /// A packet whose octets are all there.
    Packet(Packet),
    /// Nothing of use: pass over so many octets.
    Skip(u64),
    /// More octets are needed to tell.
    More,
}

/// A packet in the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    /// Octets of its record, header included: where the next one begins.
    pub(super) record_octets: usize,
    /// Where its captured octets begin, from the first unread octet.
    pub(super) data_offset: usize,
    pub(super) captured_octets: u32,
    pub(super) original_octets: u32,
    /// `None` in a simple packet block, which has no time.
    pub(super) timestamp_nanoseconds: Option<u64>,
    pub(super) link_layer: LinkLayer,
}

/// Why a file cannot be read on; the message goes behind the path and the offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// See the message.
    #[error("a packet of {octets} captured octets (the longest that is read has {MAXIMUM_CAPTURED_OCTETS})")]
    PacketLength {
        /// What the record says.
        octets: u32,
    },
    /// See the message.
    #[error("pcap version {major}.{minor} (only 2.x is read)")]
    PcapVersion {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// See the message.
    #[error("block type {block_type:#010x} with a length of {octets} octets, which no such block can have")]
    BlockLength {
        /// Its type.
        block_type: u32,
        /// Its total length.
        octets: u32,
    },
    /// See the message.
    #[error("block type {block_type:#010x} begins with length {first} and ends with length {second}")]
    BlockLengthsDiffer {
        /// Its type.
        block_type: u32,
        /// Length before the body.
        first: u32,
        /// Length behind the body.
        second: u32,
    },
    /// See the message.
    #[error("a section with byte-order magic {magic:#010x} (expected 0x1a2b3c4d in either order)")]
    ByteOrderMagic {
        /// What stands there.
        magic: u32,
    },
    /// See the message.
    #[error("pcapng version {major}.{minor} (only 1.x is read)")]
    PcapngVersion {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// See the message.
    #[error("a packet of interface {interface}, of which there are {count} in this section")]
    UnknownInterface {
        /// Which one.
        interface: u32,
        /// How many were described.
        count: usize,
    },
    /// See the message.
    #[error("more than {maximum} interfaces in one section")]
    TooManyInterfaces {
        /// The bound.
        maximum: usize,
    },
    /// See the message.
    #[error("a packet block whose {octets} captured octets do not fit into its length")]
    PacketBeyondBlock {
        /// Captured octets by its header.
        octets: u32,
    },
}

/// Order of the octets of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// The 16-bit number at `offset`; the caller has made sure that it is there.
    #[inline]
    pub(super) fn u16(self, octets: &[u8], offset: usize) -> u16 {
        let at = [octets[offset], octets[offset + 1]];
        match self {
            Self::Little => u16::from_le_bytes(at),
            Self::Big => u16::from_be_bytes(at),
        }
    }

    /// The 32-bit number at `offset`; the caller has made sure that it is there.
    #[inline]
    pub(super) fn u32(self, octets: &[u8], offset: usize) -> u32 {
        // One check for the four of them.
        let mut at = [0; 4];
        at.copy_from_slice(&octets[offset..offset + 4]);
        match self {
            Self::Little => u32::from_le_bytes(at),
            Self::Big => u32::from_be_bytes(at),
        }
    }
}
