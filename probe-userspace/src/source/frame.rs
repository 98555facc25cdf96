//! One frame, as a source lends it.

/// A frame on loan for the time of a burst.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What was captured of it, from the link layer on; of a multi-buffer frame its first buffer, which has the headers.
    pub bytes: &'a [u8],
    /// Octets that were captured behind `bytes`, in further buffers of a multi-buffer frame.
    pub further_octets: u32,
    /// Octets of the frame on the wire without FCS, whatever was captured of it: the octets of the ledger. A stripped
    /// VLAN tag is counted in.
    pub original_octets: u32,
    /// When it was captured, since the UNIX epoch.
    pub timestamp_nanoseconds: u64,
    /// What `bytes` begins with.
    pub link_layer: LinkLayer,
    /// The tag control information that the device or the kernel took off (outermost tag), to be put back.
    pub stripped_vlan: Option<u16>,
    /// The expression of `-f` does not select it: it is counted, and not looked at.
    pub left_out: bool,
}

impl<'a> Frame<'a> {
    /// An Ethernet frame in one piece, of which everything was captured.
    #[must_use]
    #[inline]
    pub const fn whole(bytes: &'a [u8], timestamp_nanoseconds: u64) -> Self {
        Self {
            bytes,
            further_octets: 0,
            original_octets: bytes.len() as u32,
            timestamp_nanoseconds,
            link_layer: LinkLayer::Ethernet,
            stripped_vlan: None,
            left_out: false,
        }
    }
}

/// What stands in the unused places of a live source's burst.
pub(super) const NO_FRAME: Frame<'static> = Frame::whole(&[], 0);

/// What a frame begins with. Live sources see Ethernet; the others are link types of capture files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLayer {
    /// Ethernet II or IEEE 802.3.
    Ethernet,
    /// An IP packet whose first octet says which version (LINKTYPE_RAW).
    Ip,
    /// An IPv4 packet (LINKTYPE_IPV4).
    Ipv4,
    /// An IPv6 packet (LINKTYPE_IPV6).
    Ipv6,
    /// Linux cooked capture (LINKTYPE_LINUX_SLL): 16 octets, the ethertype last.
    LinuxCookedV1,
    /// Linux cooked capture v2 (LINKTYPE_LINUX_SLL2): 20 octets, the ethertype first.
    LinuxCookedV2,
    /// BSD loopback (LINKTYPE_NULL): the address family in four octets, in the byte order of the capturing host.
    Null,
    /// OpenBSD loopback (LINKTYPE_LOOP): the address family in four octets, in network byte order.
    Loop,
    /// Another link type of a capture file, by its number: counted, never read.
    Other(u32),
}
