//! The token for one chunk: who has it may read and write the chunk; there is never more than one.
#![expect(unsafe_code, reason = "a frame's bytes lie in memory that the kernel shares")]

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::memory::Memory;

/// Frames dropped instead of given back, in this process.
static LEAKED: AtomicU64 = AtomicU64::new(0);

/// How many frames were dropped instead of given back, in this process since its start. Each is a chunk that its UMEM never gets
/// back; it stays in [`super::Books::held`]. Debug builds panic at the drop.
#[must_use]
pub fn leaked() -> u64 {
    LEAKED.load(Ordering::Relaxed)
}

/// A chunk of a UMEM. It cannot be cloned or made up; it is lent to a ring, given back to the UMEM, or kept, but not dropped.
#[must_use = "a frame that is dropped is lost to its UMEM"]
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    chunk: u32,
    umem: u32,
}

impl Frame {
    /// The caller has just become the chunk's owner in the table.
    pub(super) const fn new(chunk: u32, umem: u32) -> Self {
        Self { chunk, umem }
    }

    /// The chunk's number.
    #[must_use]
    pub const fn chunk(&self) -> u32 {
        self.chunk
    }

    /// The chunk's number, for the UMEM that it belongs to.
    pub(super) fn chunk_of(&self, umem: u32) -> u32 {
        assert_eq!(self.umem, umem, "frame {} is of another UMEM", self.chunk);
        self.chunk
    }

    /// Ends the token: the caller passes the chunk on.
    pub(super) fn into_chunk_of(self, umem: u32) -> u32 {
        ManuallyDrop::new(self).chunk_of(umem)
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        LEAKED.fetch_add(1, Ordering::Relaxed);
        debug_assert!(std::thread::panicking(), "frame {} was dropped instead of given back", self.chunk);
    }
}

/// First byte of a chunk.
pub(super) fn chunk_start(memory: &Memory, chunk: u32, shift: u32) -> NonNull<u8> {
    let offset = (chunk as usize) << shift;
    assert!(offset < memory.length(), "chunk {chunk} lies outside the UMEM");
    // SAFETY: within the memory, as just checked.
    unsafe { memory.start().add(offset) }
}

/// The bytes of `frame`, whose chunk is at `start` and has `length` bytes.
pub(super) fn bytes(start: NonNull<u8>, length: u32, _frame: &Frame) -> &[u8] {
    // SAFETY: the chunk's bytes are initialised (zeroed pages, then written by the kernel) and live as long as the UMEM, which the
    // caller ties to the same lifetime. The token is borrowed, so nobody writes them: the kernel does not own the chunk.
    unsafe { std::slice::from_raw_parts(start.as_ptr(), length as usize) }
}

/// The bytes of `frame` for writing.
pub(super) fn bytes_mut(start: NonNull<u8>, length: u32, _frame: &mut Frame) -> &mut [u8] {
    // SAFETY: as `bytes`; the token is borrowed mutably and is the only one, so nobody else reads or writes the chunk.
    unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), length as usize) }
}

/// Writes into a chunk as the kernel does.
///
/// # Safety
/// The chunk, at `start`, is the kernel's: there is no token for it, and whoever calls plays the kernel alone. `offset` and the length of
/// `bytes` lie within it.
pub(super) unsafe fn write_as_kernel(start: NonNull<u8>, offset: usize, bytes: &[u8]) {
    // SAFETY: within the chunk, and nobody else touches it, as the caller says. `bytes` is not in it: no token, no borrow.
    unsafe { start.add(offset).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
}
