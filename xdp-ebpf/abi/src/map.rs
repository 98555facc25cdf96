//! The maps between the XDP program and user space: names, sizes and layouts.
//!
//! ```text
//! GANNET_CONFIG    [1]      Config            which frames are the host's own, which filter is in force
//! GANNET_QUEUES    [256]    QueueSockets      RX queue ─► its range of slots ┐
//! GANNET_SOCKETS   [4096]   AF_XDP socket     slot ◄─────────────────────────┘ first_slot + worker
//! GANNET_COUNTERS  [256]    QueueCounts       RX queue ─► one counter per outcome, each CPU its own
//! GANNET_PREFIXES  trie     u32               (bank, version, address) ─► verdict     ┐
//! GANNET_PORTS     [2·1024] FilterBits        (bank, port / 64) ─► a bit per port     │ capture filter, in two
//! GANNET_PROTOCOLS [2·4]    FilterBits        (bank, protocol / 64) ─► a bit each     │ banks: one in force, one
//! GANNET_KINDS     [2]      u32               bank ─► which kinds of words there are  ┘ free to be written
//!
//! GANNET_SHUNT        [1]           Head    how many flows are shunted, which places are taken    ┐ user space maps
//! GANNET_SHUNT_KEYS   [8192]        Place   index ─► key and state                                │ these into its own
//! GANNET_SHUNT_COUNTS [CPUs · 8192] Row     CPU · 8192 + index ─► what was counted                ┘ memory
//! ```

use crate::outcome::{Count, Outcome};

/// One [`Config`].
pub const CONFIG: &str = "GANNET_CONFIG";
/// [`QueueSockets`] by RX queue.
pub const QUEUES: &str = "GANNET_QUEUES";
/// AF_XDP sockets by slot.
pub const SOCKETS: &str = "GANNET_SOCKETS";
/// [`QueueCounts`] by RX queue, per CPU.
pub const COUNTERS: &str = "GANNET_COUNTERS";
/// Verdicts of the capture filter by [`Prefix`].
pub const PREFIXES: &str = "GANNET_PREFIXES";
/// [`FilterBits`] of ports.
pub const PORTS: &str = "GANNET_PORTS";
/// [`FilterBits`] of protocols.
pub const PROTOCOLS: &str = "GANNET_PROTOCOLS";
/// [`crate::filter::Kinds`] by bank.
pub const KINDS: &str = "GANNET_KINDS";

/// One [`crate::shunt::Head`].
pub const SHUNT: &str = "GANNET_SHUNT";
/// [`crate::shunt::Place`] by [`crate::shunt::index`].
pub const SHUNT_KEYS: &str = "GANNET_SHUNT_KEYS";
/// [`crate::shunt::Row`] by CPU and [`crate::shunt::index`]. The object has those of one CPU; the loader makes more.
pub const SHUNT_COUNTS: &str = "GANNET_SHUNT_COUNTS";

/// Name of the program in the object.
pub const PROGRAM: &str = "gannet";

/// RX queues of an interface. More than any NIC driver of Linux 6.18 creates for one port by default (one a CPU); the
/// counters take 28 KiB a CPU at this size. The loader refuses a device with more.
pub const QUEUES_MAX: u32 = 256;
/// Sockets of all queues together: sixteen workers on each of the most queues there may be.
pub const SOCKETS_MAX: u32 = 4096;
/// Prefixes of a capture filter, both banks together.
pub const PREFIXES_MAX: u32 = 2 * PREFIXES_A_FILTER_MAX;
/// Prefixes of one capture filter: a list of a provider's customers, not a routing table.
pub const PREFIXES_A_FILTER_MAX: u32 = 16_384;

/// Banks of the capture filter.
pub const BANKS: u32 = 2;
/// Words of [`FilterBits`] that hold all ports.
pub const PORT_WORDS: u32 = 65_536 / 64;
/// Words of [`FilterBits`] that hold all protocols.
pub const PROTOCOL_WORDS: u32 = 256 / 64;

/// What the program has to know of the interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// The device's own MAC address.
    pub mac_address: [u8; 6],
    /// 1 = the interface has an address: frames to its MAC address and group frames pass to the stack. 0 = none.
    pub has_address: u8,
    /// 0 = everything is selected; else the bank in force, plus one.
    pub filter: u8,
}

impl Config {
    /// As the map holds it.
    pub const fn to_octets(self) -> [u8; 8] {
        let [a, b, c, d, e, f] = self.mac_address;
        [a, b, c, d, e, f, self.has_address, self.filter]
    }
}

/// The sockets of one RX queue: slots `first_slot .. first_slot + sockets`, one per worker of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct QueueSockets {
    /// First slot in [`SOCKETS`].
    pub first_slot: u32,
    /// How many; 0 = the queue is not captured, its frames pass as `no_socket`.
    pub sockets: u32,
}

/// All counters of one RX queue on one CPU, by [`Outcome`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct QueueCounts {
    /// Index = [`Outcome`].
    pub outcomes: [Count; Outcome::COUNT],
}

/// The octets of a key of [`PREFIXES`], behind its length in bits. The length counts [`Prefix::HEAD_BITS`] too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Prefix {
    /// Bank of the filter.
    pub bank: u8,
    /// 4 or 6.
    pub ip_version: u8,
    /// Always zero.
    pub zero: [u8; 2],
    /// Network order; IPv4 in the first four octets.
    pub address: [u8; 16],
}

impl Prefix {
    /// As the map holds it.
    pub fn to_octets(self) -> [u8; 20] {
        let mut octets = [0; 20];
        octets[0] = self.bank;
        octets[1] = self.ip_version;
        octets[4..].copy_from_slice(&self.address);
        octets
    }

    /// Bits before the address.
    pub const HEAD_BITS: u32 = 32;

    /// Bits of a whole address of this version, head included.
    #[inline(always)]
    pub const fn host_bits(ip_version: u8) -> u32 {
        Self::HEAD_BITS + if ip_version == 4 { 32 } else { 128 }
    }
}

/// 64 ports or protocols: a bit each for what is selected and for what is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FilterBits {
    /// Named without `not`.
    pub include: u64,
    /// Named with `not`.
    pub exclude: u64,
}

const _: () = {
    assert!(size_of::<Config>() == 8 && align_of::<Config>() == 1);
    assert!(size_of::<QueueSockets>() == 8);
    assert!(size_of::<Count>() == 16);
    assert!(size_of::<QueueCounts>() == 16 * Outcome::COUNT);
    assert!(size_of::<Prefix>() == 20 && align_of::<Prefix>() == 1);
    assert!(size_of::<FilterBits>() == 16);
};
