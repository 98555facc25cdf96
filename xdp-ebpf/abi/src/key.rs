//! The direction-neutral flow key: both directions of a conversation have the same one.

/// Which end of the [`FlowKey`] sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// From `key.low` to `key.high`.
    LowToHigh = 0,
    /// From `key.high` to `key.low`.
    HighToLow = 1,
}

/// A VLAN tag in the key: 0 = untagged, else `0x1000 | vlan id`, so that VLAN 0 (a priority tag) and no tag differ.
pub type VlanTag = u16;

/// The bit that says a tag was there.
pub const VLAN_PRESENT: u16 = 0x1000;

/// The bits of a tag's control field that are the VLAN id (IEEE 802.1Q, 9.6).
pub const VLAN_ID_MASK: u16 = 0x0fff;

/// One flow, whatever the direction. IPv4 addresses are in the first four octets, the rest is zero.
/// `(low_address, low_port) <= (high_address, high_port)` in byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// Address of the lower end, network order.
    pub low_address: [u8; 16],
    /// Address of the higher end, network order.
    pub high_address: [u8; 16],
    /// Port of the lower end; 0 where the protocol has none.
    pub low_port: u16,
    /// Port of the higher end.
    pub high_port: u16,
    /// Outer VLAN tag (802.1Q, or the service tag of QinQ).
    pub vlan: VlanTag,
    /// Inner (customer) VLAN tag of QinQ.
    pub customer_vlan: VlanTag,
    /// IANA protocol number.
    pub protocol: u8,
    /// 4 or 6.
    pub ip_version: u8,
    /// Always zero: no padding that could differ.
    pub zero: [u8; 2],
}

impl FlowKey {
    /// All zero: no packet has it, for its version is 4 or 6.
    pub const EMPTY: Self = Self {
        low_address: [0; 16],
        high_address: [0; 16],
        low_port: 0,
        high_port: 0,
        vlan: 0,
        customer_vlan: 0,
        protocol: 0,
        ip_version: 0,
        zero: [0; 2],
    };

    /// As `==`, word by word and without a branch between the fields: what a flow cache asks for each packet.
    #[inline(always)]
    pub fn is_same(&self, other: &Self) -> bool {
        let low = u128::from_ne_bytes(self.low_address) ^ u128::from_ne_bytes(other.low_address);
        let high = u128::from_ne_bytes(self.high_address) ^ u128::from_ne_bytes(other.high_address);
        let ([ports, kind], [other_ports, other_kind]) = (self.rest(), other.rest());
        (low | high | u128::from(ports ^ other_ports | kind ^ other_kind)) == 0
    }

    /// What is not an address, in the order in which it lies in memory: two loads.
    #[inline(always)]
    fn rest(&self) -> [u64; 2] {
        let first = u64::from(self.low_port) | u64::from(self.high_port) << 16;
        let first = first | u64::from(self.vlan) << 32 | u64::from(self.customer_vlan) << 48;
        [first, u64::from(self.protocol) | u64::from(self.ip_version) << 8]
    }

    /// All of it as words: what a map holds that is compared word by word.
    #[inline(always)]
    pub fn words(&self) -> [u64; 6] {
        let halves = |octets: &[u8; 16]| {
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *octets;
            [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
        };
        let ([a, b], [c, d], [e, f]) = (halves(&self.low_address), halves(&self.high_address), self.rest());
        [a, b, c, d, e, f]
    }

    /// Puts back the outer tag that a device or the kernel took off the frame: what the walk found as outer tag becomes
    /// the inner one. `control` is the tag's control field; only the VLAN id of it is kept.
    #[inline]
    pub fn put_back_tag(&mut self, control: u16) {
        self.customer_vlan = self.vlan;
        self.vlan = VLAN_PRESENT | control & VLAN_ID_MASK;
    }
}

const _: () = assert!(size_of::<FlowKey>() == 44 && align_of::<FlowKey>() == 2);
