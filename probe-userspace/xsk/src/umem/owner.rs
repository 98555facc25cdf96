//! Who has each chunk, and what came back from the kernel that it cannot have had.

use crate::sync::{AtomicU8, Ordering};

/// The owner of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Owner {
    /// The UMEM's pool.
    Pool = 0,
    /// Somebody who holds the [`super::Frame`].
    Token = 1,
    /// The kernel: in one of its rings, or on its way through it.
    Kernel = 2,
}

/// One byte a chunk. Each is written by the chunk's owner only, at the moment it passes it on; what orders the accesses of two
/// owners is the ring (or the pool's lock) that the chunk goes through, so they need no ordering of their own.
#[derive(Debug)]
pub(super) struct Owners(Box<[AtomicU8]>);

impl Owners {
    pub(super) fn new(frames: u32) -> Self {
        Self((0..frames).map(|_| AtomicU8::new(Owner::Pool as u8)).collect())
    }

    pub(super) fn get(&self, chunk: u32) -> Owner {
        match self.0[chunk as usize].load(Ordering::Relaxed) {
            0 => Owner::Pool,
            2 => Owner::Kernel,
            _ => Owner::Token,
        }
    }

    pub(super) fn set(&self, chunk: u32, owner: Owner) {
        self.0[chunk as usize].store(owner as u8, Ordering::Relaxed);
    }

    pub(super) fn books(&self) -> Books {
        let mut books = Books::default();
        for chunk in 0..self.0.len() as u32 {
            match self.get(chunk) {
                Owner::Pool => books.free += 1,
                Owner::Token => books.held += 1,
                Owner::Kernel => books.lent += 1,
            }
        }
        books
    }
}

/// Who has how many chunks of a UMEM; they add up to its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Books {
    /// In the pool.
    pub free: u32,
    /// Held as tokens: in bursts, in stashes, with senders, or leaked.
    pub held: u32,
    /// With the kernel.
    pub lent: u32,
}

/// Why a descriptor of the kernel is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadReason {
    /// Its address lies outside the UMEM.
    OutsideUmem,
    /// Its bytes run over the end of the chunk.
    BeyondChunk,
    /// The kernel did not have that chunk: returned twice, or never lent.
    NotLent,
}

/// Descriptors of the kernel that were not believed, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BadDescriptors {
    /// See [`BadReason::OutsideUmem`].
    pub outside_umem: u64,
    /// See [`BadReason::BeyondChunk`].
    pub beyond_chunk: u64,
    /// See [`BadReason::NotLent`].
    pub not_lent: u64,
}

impl BadDescriptors {
    /// None so far.
    pub(crate) const NONE: Self = Self { outside_umem: 0, beyond_chunk: 0, not_lent: 0 };

    pub(crate) const fn count(&mut self, reason: BadReason) {
        match reason {
            BadReason::OutsideUmem => self.outside_umem += 1,
            BadReason::BeyondChunk => self.beyond_chunk += 1,
            BadReason::NotLent => self.not_lent += 1,
        }
    }

    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.outside_umem + self.beyond_chunk + self.not_lent
    }
}
