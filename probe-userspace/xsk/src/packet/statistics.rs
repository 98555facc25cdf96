//! The kernel's books of a packet socket. Reading them resets them (packet(7)), so they are added up here.

use super::layout::RawStatistics;

/// PACKET_STATISTICS, accumulated since the socket was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Packets that were for this socket, those dropped included (`tp_packets`).
    pub packets: u64,
    /// Packets that found no free block (`tp_drops`).
    pub drops: u64,
    /// How often the ring stood still for want of a free block.
    pub freezes: u64,
}

impl Statistics {
    /// net/packet/af_packet.c, packet_getsockopt: `tp_packets` has `tp_drops` added to it.
    pub(super) fn add(&mut self, since: RawStatistics) {
        self.packets += u64::from(since.packets);
        self.drops += u64::from(since.drops);
        self.freezes += u64::from(since.freezes);
    }
}
