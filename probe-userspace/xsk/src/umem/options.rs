//! What a UMEM is made of, and how its pages are had.

use std::io;

use super::XDP_HEADROOM;
use crate::Error;
use crate::memory::{HUGEPAGE_BYTES, Memory};

/// Most frames of one UMEM: 4 GiB in chunks of 4 kB, 32 times the default.
const FRAMES_MAX: u32 = 1 << 20;
/// What a packet's first buffer must have room for: the headers that a meter reads (Ethernet, two VLAN tags, IPv6 with extension
/// headers, TCP with options).
const PACKET_ROOM_MIN: u32 = 256;

/// Bytes of a chunk. Kernels take a power of two from 2048 to the page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameSize {
    /// 2048: a packet of 1514 bytes and its headroom fit in one, half the memory.
    Two,
    /// 4096: a frame of up to 3840 bytes in one buffer.
    #[default]
    Four,
}

impl FrameSize {
    /// Bytes.
    #[must_use]
    pub const fn octets(self) -> u32 {
        match self {
            Self::Two => 2048,
            Self::Four => 4096,
        }
    }
}

/// How to make a UMEM.
#[derive(Debug, Clone)]
pub struct Options {
    /// Chunks: one fill ring's worth per queue, and what senders keep in flight.
    pub frames: u32,
    /// Bytes of each.
    pub frame_size: FrameSize,
    /// Bytes to leave free before each packet, beyond the kernel's own.
    pub headroom: u32,
    /// Try hugepages first; fewer TLB misses where the administrator has reserved some.
    pub hugepages: bool,
}

impl Default for Options {
    /// The ring depth that lost nothing at 1 Mpps takes 32768 frames (fill ring = 2 x RX ring of 16384).
    fn default() -> Self {
        Self { frames: 32768, frame_size: FrameSize::Four, headroom: 0, hugepages: true }
    }
}

impl Options {
    /// Bytes of the UMEM, where the options make sense.
    pub(super) fn checked_length(&self) -> Result<usize, Error> {
        if self.frames == 0 || self.frames > FRAMES_MAX {
            let mend = "from 1 to 1048576 frames";
            return Err(Error::Invalid { what: "number of UMEM frames", value: self.frames.into(), mend });
        }
        if self.headroom > self.frame_size.octets() - XDP_HEADROOM - PACKET_ROOM_MIN {
            let mend = "frame size less 512 at most: the kernel keeps 256 bytes, a packet's headers need 256";
            return Err(Error::Invalid { what: "UMEM headroom", value: self.headroom.into(), mend });
        }
        Ok(self.frames as usize * self.frame_size.octets() as usize)
    }
}

/// The pages that a UMEM lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// The page size of the machine.
    Ordinary,
    /// Hugepages of 2 MiB.
    Huge,
}

/// The memory; where hugepages were asked for and refused, ordinary pages and the refusal.
pub(super) fn map(options: &Options, length: usize) -> io::Result<(Memory, Pages, Option<io::Error>)> {
    if !options.hugepages {
        return Ok((Memory::pages(length)?, Pages::Ordinary, None));
    }
    match Memory::hugepages(length.next_multiple_of(HUGEPAGE_BYTES)) {
        Ok(memory) => Ok((memory, Pages::Huge, None)),
        Err(refused) => Ok((Memory::pages(length)?, Pages::Ordinary, Some(refused))),
    }
}
