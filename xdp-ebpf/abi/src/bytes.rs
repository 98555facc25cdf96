//! Reading a frame within its bounds: slices in user space, packet pointers in the XDP program.

/// A frame that can be read at an offset, never beyond its end. Numbers are in network order.
pub trait Bytes {
    /// The `N` octets from `offset` on; `None` where the frame ends before the last of them.
    fn octets<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// The offset as it is. The XDP program hides here from the verifier how the offset came about, so that paths
    /// which meet again (one tag, two tags; each extension header) are followed once and not each to the end.
    #[inline(always)]
    fn opaque(&self, offset: usize) -> usize {
        offset
    }

    /// One octet.
    #[inline(always)]
    fn u8(&self, offset: usize) -> Option<u8> {
        self.octets::<1>(offset).map(|[octet]| octet)
    }

    /// Two octets as a number.
    #[inline(always)]
    fn u16(&self, offset: usize) -> Option<u16> {
        self.octets(offset).map(u16::from_be_bytes)
    }
}

impl Bytes for [u8] {
    #[inline(always)]
    fn octets<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk::<N>().copied()
    }
}
