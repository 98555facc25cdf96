//! The mapped ring of blocks: whose each is, and its bytes while it is ours.
#![expect(unsafe_code, reason = "blocks lie in memory that the kernel shares")]

use std::sync::atomic::{AtomicU32, Ordering};

use super::layout::{block, status};
use crate::memory::Memory;

/// The blocks.
#[derive(Debug)]
pub(super) struct Ring {
    memory: Memory,
    block_size: usize,
    blocks: usize,
}

impl Ring {
    /// None where the memory is not as large as its blocks, or they have no room for a header or are not aligned.
    pub(super) fn new(memory: Memory, block_size: usize, blocks: usize) -> Option<Self> {
        let sound = block_size >= block::HEADER
            && block_size.is_multiple_of(align_of::<u64>())
            && blocks > 0
            && block_size.checked_mul(blocks)? == memory.length();
        sound.then_some(Self { memory, block_size, blocks })
    }

    /// How many.
    pub(super) const fn blocks(&self) -> usize {
        self.blocks
    }

    /// The bytes of block `index` where it is ours. Acquire: the kernel has written them before it said so.
    pub(super) fn block(&self, index: usize) -> Option<&[u8]> {
        if self.status(index).load(Ordering::Acquire) & status::USER == 0 {
            return None;
        }
        // SAFETY: within the memory (`status` checks the index). The block is ours, so the kernel does not write it, until
        // `give_back`, which takes `&mut self` and so ends this borrow.
        Some(unsafe { std::slice::from_raw_parts(self.start(index), self.block_size) })
    }

    /// Returns block `index` to the kernel. Release: we have read it.
    pub(super) fn give_back(&mut self, index: usize) {
        self.status(index).store(status::KERNEL, Ordering::Release);
    }

    fn status(&self, index: usize) -> &AtomicU32 {
        assert!(index < self.blocks, "block {index} of {}", self.blocks);
        // SAFETY: within the block, which lies within the memory; aligned, since blocks are; the kernel, too, accesses it whole.
        unsafe { &*self.start(index).add(block::STATUS).cast::<AtomicU32>() }
    }

    /// First byte of block `index`, which the callers have checked.
    fn start(&self, index: usize) -> *mut u8 {
        // SAFETY: index < blocks, and blocks * block_size is the memory's length.
        unsafe { self.memory.start().as_ptr().add(index * self.block_size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_only_while_it_is_ours() {
        let mut ring = Ring::new(Memory::allocated(4096).expect("memory"), 2048, 2).expect("ring");
        assert!(ring.block(0).is_none() && ring.block(1).is_none(), "new blocks are the kernel's");
        ring.status(1).store(status::USER, Ordering::Release);
        assert!(ring.block(0).is_none());
        assert_eq!(ring.block(1).expect("ours").len(), 2048);
        ring.give_back(1);
        assert!(ring.block(1).is_none());
    }

    #[test]
    fn memory_that_its_blocks_do_not_fill_is_refused() {
        let ring = |size, blocks| Ring::new(Memory::allocated(4096).expect("memory"), size, blocks);
        assert!(ring(2048, 3).is_none() && ring(4, 1024).is_none() && ring(1023, 4).is_none());
        assert!(ring(2048, 0).is_none() && ring(usize::MAX, 2).is_none());
    }
}
