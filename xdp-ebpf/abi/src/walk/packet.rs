//! An IP packet within its frame.

use crate::bytes::Bytes;

/// The frame, read no further than the packet's own length says.
pub(super) struct Packet<'a, B: Bytes + ?Sized> {
    frame: &'a B,
    end: usize,
}

impl<'a, B: Bytes + ?Sized> Packet<'a, B> {
    /// `octets` from `ip_offset` on; 0 = the header does not say, only the frame bounds it.
    #[inline(always)]
    pub(super) fn new(frame: &'a B, ip_offset: usize, octets: u32) -> Self {
        let end = if octets == 0 { usize::MAX } else { ip_offset + octets as usize };
        Self { frame, end }
    }
}

impl<B: Bytes + ?Sized> Bytes for Packet<'_, B> {
    #[inline(always)]
    fn octets<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset + N > self.end {
            return None;
        }
        self.frame.octets(offset)
    }

    #[inline(always)]
    fn opaque(&self, offset: usize) -> usize {
        self.frame.opaque(offset)
    }
}
