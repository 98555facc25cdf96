//! The way back: frames of read packets return to the fill ring, which all sockets of a queue share.
//!
//! A fill ring has one producer. Several workers are made one by a lock that a worker only *tries*, once a burst: whoever finds it
//! taken keeps the frames in its own stash and brings them along with the next burst. Nobody waits while packets come. Before a worker
//! sleeps it settles, waiting for the lock if need be: a stash that slept could be all that the kernel lacks.

use std::sync::{Arc, TryLockError};

use crate::burst::Burst;
use crate::ring::Fill;
use crate::sync::Mutex;
use crate::umem::{Frame, Umem};

/// One worker's way back to a queue's fill ring.
#[derive(Debug)]
pub struct Refill {
    umem: Umem,
    fill: Arc<Mutex<Fill>>,
    /// Has room for every frame of the UMEM, so that it can neither overflow nor allocate.
    stash: Vec<Frame>,
    contended: u64,
    wakeup_needed: bool,
}

impl Refill {
    /// A way back to `fill`, whose frames are of `umem`.
    #[must_use]
    pub fn new(umem: &Umem, fill: &Shared) -> Self {
        Self {
            umem: umem.clone(),
            fill: Arc::clone(&fill.0),
            stash: Vec::with_capacity(umem.frames() as usize),
            contended: 0,
            wakeup_needed: false,
        }
    }

    /// Gives a burst's frames back; the burst is empty afterwards. Where another socket of the queue is refilling just now, or the
    /// fill ring is full, they wait in the stash for the next call.
    ///
    /// # Panics
    /// Where the burst is of another UMEM.
    pub fn give_back(&mut self, burst: &mut Burst) {
        assert!(burst.umem().is_same_as(&self.umem), "burst and fill ring are of different UMEMs");
        self.stash.extend(burst.take_frames());
        self.wakeup_needed = false;
        if self.stash.is_empty() {
            return;
        }
        let mut fill = match self.fill.try_lock() {
            Ok(fill) => fill,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.contended += 1;
                return;
            }
        };
        fill.give(&mut self.stash);
        self.wakeup_needed = fill.needs_wakeup();
    }

    /// Gives back what waits, waiting for the lock: before sleeping and before the end. What the fill ring has no room for stays.
    pub fn settle(&mut self) {
        if !self.stash.is_empty() {
            let mut fill = self.fill.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            fill.give(&mut self.stash);
            self.wakeup_needed = fill.needs_wakeup();
        }
    }

    /// Frames that wait in the stash.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.stash.len()
    }

    /// How often another socket held the fill ring.
    #[must_use]
    pub const fn contended(&self) -> u64 {
        self.contended
    }

    /// The driver slept, when last seen: it must be called to look at the fill ring.
    #[must_use]
    pub const fn wakeup_needed(&self) -> bool {
        self.wakeup_needed
    }
}

impl Drop for Refill {
    /// What waited goes to the UMEM's pool.
    fn drop(&mut self) {
        self.umem.free(self.stash.drain(..));
    }
}

/// A fill ring that several sockets of a queue refill.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Mutex<Fill>>);

impl Shared {
    /// Shares `fill`.
    #[must_use]
    pub fn new(fill: Fill) -> Self {
        Self(Arc::new(Mutex::new(fill)))
    }

    /// Lends frames to the kernel from the front of `frames` until one of both is exhausted; returns how many. Waits for the lock: for the
    /// start.
    pub fn give(&self, frames: &mut Vec<Frame>) -> u32 {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).give(frames)
    }
}
