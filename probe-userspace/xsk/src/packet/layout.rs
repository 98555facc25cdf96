//! Layout and constants of linux/if_packet.h, which libc has only in part for this target.
#![expect(unsafe_code, reason = "says which structures the kernel may write")]

/// Socket options of SOL_PACKET.
pub(super) mod option {
    pub(crate) const RX_RING: i32 = 5;
    pub(crate) const STATISTICS: i32 = 6;
    pub(crate) const VERSION: i32 = 10;
    pub(crate) const TIMESTAMP: i32 = 17;
    pub(crate) const FANOUT: i32 = 18;
    pub(crate) const FANOUT_DATA: i32 = 22;
    pub(crate) const IGNORE_OUTGOING: i32 = 23;
}

/// TPACKET_V3.
pub(super) const VERSION_3: i32 = 2;
/// SOF_TIMESTAMPING_RAW_HARDWARE (linux/net_tstamp.h).
pub(super) const RAW_HARDWARE: i32 = 1 << 6;

/// Status of a block or a packet.
pub(super) mod status {
    /// The block is the kernel's.
    pub(crate) const KERNEL: u32 = 0;
    /// The block is ours.
    pub(crate) const USER: u32 = 1 << 0;
    /// A VLAN tag was stripped; its TCI is in the header.
    pub(crate) const VLAN_VALID: u32 = 1 << 4;
    /// So is its TPID.
    pub(crate) const VLAN_TPID_VALID: u32 = 1 << 6;
    /// The time is that of the kernel's software.
    pub(crate) const TS_SOFTWARE: u32 = 1 << 29;
    /// The time is that of the device.
    pub(crate) const TS_RAW_HARDWARE: u32 = 1 << 31;
}

/// Offsets in `struct tpacket_block_desc`, at the start of a block.
pub(super) mod block {
    pub(crate) const STATUS: usize = 8;
    pub(crate) const PACKETS: usize = 12;
    pub(crate) const FIRST: usize = 16;
    pub(crate) const LENGTH: usize = 20;
    pub(crate) const HEADER: usize = 48;
}

/// Offsets in `struct tpacket3_hdr`, at the start of a packet, and of the `sockaddr_ll` behind it.
pub(super) mod packet {
    pub(crate) const NEXT: usize = 0;
    pub(crate) const SECONDS: usize = 4;
    pub(crate) const NANOSECONDS: usize = 8;
    pub(crate) const CAPTURED: usize = 12;
    pub(crate) const OCTETS: usize = 16;
    pub(crate) const STATUS: usize = 20;
    pub(crate) const MAC: usize = 24;
    pub(crate) const VLAN_TCI: usize = 32;
    pub(crate) const VLAN_TPID: usize = 36;
    pub(crate) const HEADER: usize = 48;
    pub(crate) const HARDWARE_TYPE: usize = HEADER + 8;
    pub(crate) const PACKET_TYPE: usize = HEADER + 10;
    pub(crate) const WITH_ADDRESS: usize = HEADER + 20;
}

/// `struct tpacket_req3`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct RingRequest {
    pub(super) block_size: u32,
    pub(super) blocks: u32,
    pub(super) frame_size: u32,
    pub(super) frames: u32,
    pub(super) retire_milliseconds: u32,
    pub(super) private_size: u32,
    pub(super) features: u32,
}

/// `struct tpacket_stats_v3`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct RawStatistics {
    pub(super) packets: u32,
    pub(super) drops: u32,
    pub(super) freezes: u32,
}

const _: () = assert!(size_of::<RingRequest>() == 28 && size_of::<RawStatistics>() == 12);
const _: () = assert!(size_of::<libc::sockaddr_ll>() == packet::WITH_ADDRESS - packet::HEADER);

crate::syscall::plain!(RingRequest, RawStatistics);
