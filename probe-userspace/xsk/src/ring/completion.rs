//! Completion ring: chunks that the kernel has sent.

use super::cursor::Consumer;
use crate::umem::{BadDescriptors, Frame, Umem};

/// The user's end of a completion ring.
#[derive(Debug)]
pub struct Completion {
    umem: Umem,
    ring: Consumer<u64>,
    bad: BadDescriptors,
}

impl Completion {
    pub(crate) const fn new(umem: Umem, ring: Consumer<u64>) -> Self {
        Self { umem, ring, bad: BadDescriptors::NONE }
    }

    /// Takes back what was sent, as far as `frames` has capacity for it. Returns how many frames came back.
    pub fn take(&mut self, frames: &mut Vec<Frame>) -> usize {
        let before = frames.len();
        let room = u32::try_from(frames.capacity() - before).unwrap_or(u32::MAX);
        let count = self.ring.available(room);
        for index in 0..count {
            match self.umem.take_back(self.ring.read(index)) {
                Ok(frame) => frames.push(frame),
                Err(reason) => self.bad.count(reason),
            }
        }
        self.ring.release(count);
        frames.len() - before
    }

    /// Descriptors of the kernel that could not be believed.
    #[must_use]
    pub const fn bad_descriptors(&self) -> BadDescriptors {
        self.bad
    }
}
