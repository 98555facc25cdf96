//! Fill ring: chunks for the kernel to receive into.

use super::cursor::Producer;
use crate::umem::{Frame, Umem};

/// The user's end of a fill ring.
#[derive(Debug)]
pub struct Fill {
    umem: Umem,
    ring: Producer<u64>,
}

impl Fill {
    pub(crate) const fn new(umem: Umem, ring: Producer<u64>) -> Self {
        Self { umem, ring }
    }

    /// Slots of the ring.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.ring.size()
    }

    /// How many of `wanted` frames fit.
    pub fn room(&mut self, wanted: u32) -> u32 {
        self.ring.room(wanted)
    }

    /// Lends frames to the kernel from the front of `frames` until one of both is exhausted, and publishes them. Returns how many.
    ///
    /// In the order in which they came: the kernel then writes through the UMEM from one end to the other, and the caches see it
    /// coming. Given from the back, each burst is turned round, and after some time no frame lies beside the one before it.
    pub fn give(&mut self, frames: &mut Vec<Frame>) -> u32 {
        let wanted = u32::try_from(frames.len()).unwrap_or(u32::MAX);
        let count = self.ring.room(wanted);
        for frame in frames.drain(..count as usize) {
            self.ring.write(self.umem.lend(frame));
        }
        self.ring.publish();
        count
    }

    /// The driver sleeps until it is called: it had found this ring empty.
    #[must_use]
    pub fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }

    /// How often the kernel's cursor was impossible.
    #[must_use]
    pub const fn impossible(&self) -> u64 {
        self.ring.impossible()
    }
}
