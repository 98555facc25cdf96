//! What packet socket to open.

use super::Fanout;
use crate::{Error, Interface};

/// Block of 256 KiB: some hundred full frames, so that the hand-over of a block does not count.
const BLOCK_OCTETS: u32 = 256 << 10;
/// 128 blocks, 32 MiB: about 0.7 s of small packets at the 0.33 Mpps that this path delivers.
const BLOCKS: u32 = 128;
/// A block that is not full is handed over after this: what a quiet link waits at most.
const RETIRE_MILLISECONDS: u32 = 20;
/// A block must hold the largest frame that GRO makes, 64 KiB, and its header.
const BLOCK_OCTETS_MIN: u32 = 128 << 10;
/// Order of the largest allocation that the kernel tries in one piece.
const BLOCK_OCTETS_MAX: u32 = 4 << 20;
/// 4 GiB of blocks of the least size.
const BLOCKS_MAX: u32 = 32 << 10;

/// How to open a packet socket.
#[derive(Debug, Clone)]
pub struct Options {
    /// The interface.
    pub interface: Interface,
    /// Octets of a block: a power of two.
    pub block_octets: u32,
    /// Blocks of the ring.
    pub blocks: u32,
    /// After how long a block is handed over that is not full.
    pub retire_milliseconds: u32,
    /// Octets to capture of each packet at most; none = all.
    pub snap_octets: Option<u32>,
    /// Leave out what this host sends, so that this path sees what AF_XDP sees.
    pub ignore_outgoing: bool,
    /// See frames for other hosts too. Undone by the kernel when the socket goes, however it goes.
    pub promiscuous: bool,
    /// Let the device's clock stamp the packets, where it does.
    pub device_timestamps: bool,
    /// Share the packets with other sockets of this group.
    pub fanout: Option<Fanout>,
}

impl Options {
    /// All packets that the interface receives, whole, alone.
    #[must_use]
    pub fn receiver(interface: &Interface) -> Self {
        Self {
            interface: interface.clone(),
            block_octets: BLOCK_OCTETS,
            blocks: BLOCKS,
            retire_milliseconds: RETIRE_MILLISECONDS,
            snap_octets: None,
            ignore_outgoing: true,
            promiscuous: false,
            device_timestamps: false,
            fanout: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let invalid = |what, value: u32, mend| Err(Error::Invalid { what, value: value.into(), mend });
        if !self.block_octets.is_power_of_two()
            || !(BLOCK_OCTETS_MIN..=BLOCK_OCTETS_MAX).contains(&self.block_octets)
        {
            let mend = "a power of two from 131072 to 4194304";
            return invalid("octets of a packet socket's block", self.block_octets, mend);
        }
        if !(2..=BLOCKS_MAX).contains(&self.blocks) {
            return invalid("number of a packet socket's blocks", self.blocks, "from 2 to 32768");
        }
        if self.snap_octets == Some(0) {
            return invalid("octets to capture of a packet", 0, "at least 1, or none for all");
        }
        Ok(())
    }
}
