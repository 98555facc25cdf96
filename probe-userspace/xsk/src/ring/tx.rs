//! TX ring: descriptors of what is to be sent.

use super::cursor::Producer;
use super::{CONTINUED, Descriptor};
use crate::umem::{Frame, Umem};

/// The user's end of a TX ring.
#[derive(Debug)]
pub struct Tx {
    umem: Umem,
    ring: Producer<Descriptor>,
}

impl Tx {
    pub(crate) const fn new(umem: Umem, ring: Producer<Descriptor>) -> Self {
        Self { umem, ring }
    }

    /// Slots of the ring.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.ring.size()
    }

    /// How many of `wanted` descriptors fit.
    pub fn room(&mut self, wanted: u32) -> u32 {
        self.ring.room(wanted)
    }

    /// Lends the first `octets` bytes of `frame` to the kernel for sending; `continued` where the packet goes on in the next frame.
    /// The kernel sees it after [`Self::publish`]. A full ring, or more octets than a frame has, gives the frame back.
    pub fn send(&mut self, frame: Frame, octets: u32, continued: bool) -> Result<(), Frame> {
        if octets > self.umem.frame_size() || self.ring.room(1) == 0 {
            return Err(frame);
        }
        let options = if continued { CONTINUED } else { 0 };
        self.ring.write(Descriptor { address: self.umem.lend(frame), octets, options });
        Ok(())
    }

    /// Shows the kernel what was written.
    pub fn publish(&mut self) {
        self.ring.publish();
    }

    /// Published and not yet read by the kernel.
    pub fn outstanding(&mut self) -> u32 {
        self.ring.outstanding()
    }

    /// The kernel sends nothing until it is called.
    #[must_use]
    pub fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}
