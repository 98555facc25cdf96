//! UMEM: one stretch of memory in chunks of equal size, which this process and the kernel lend to each other chunk by chunk.
//!
//! ```text
//!   chunk 0                  chunk 1                  chunk 2
//!   ├──────────┬─────────────┼──────────┬─────────────┼──────────┬──
//!   │ headroom │ packet ...  │ headroom │ packet ...  │          │
//!   └──────────┴─────────────┴──────────┴─────────────┴──────────┴──
//!    256 (XDP) + options.headroom
//! ```
//!
//! A chunk has exactly one owner: the pool, a [`Frame`] token that somebody holds, or the kernel. The table of owners is what makes a
//! chunk that the kernel returns twice, or never had, a counted error and not two owners of the same bytes.

#![expect(unsafe_code, reason = "plays the kernel's part for rings in plain memory")]

mod frame;
mod options;
mod owner;

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32 as Counter, Ordering as CounterOrdering};

use crate::Error;
use crate::memory::Memory;
use crate::sync::Mutex;

pub use frame::{Frame, leaked};
pub use options::{FrameSize, Options, Pages};
pub use owner::{BadDescriptors, BadReason, Books};
use owner::{Owner, Owners};

/// What the kernel keeps free before a packet in every chunk, for the XDP program to grow into (XDP_PACKET_HEADROOM).
pub const XDP_HEADROOM: u32 = 256;

/// Tells UMEMs of one process apart, so that a frame of one is never read through another.
static NEXT_ID: Counter = Counter::new(0);

/// A UMEM. Clones are handles to the same one; the memory goes when the last handle, socket and burst are gone.
#[derive(Debug, Clone)]
pub struct Umem {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    id: u32,
    memory: Memory,
    frame_shift: u32,
    frames: u32,
    headroom: u32,
    pages: Pages,
    hugepages_refused: Option<std::io::Error>,
    owners: Owners,
    /// Chunks that nobody holds: touched at start-up, when a socket closes and by senders, never on the way of a received packet.
    pool: Mutex<Vec<u32>>,
    #[cfg(not(loom))]
    registry: crate::socket::Registry,
}

impl Umem {
    /// Maps the memory (mmap(2), populated; with hugepages where asked for and to be had, else in ordinary pages, which
    /// [`Self::pages`] tells). Needs no capability. The kernel hears of it when the first socket binds.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a number of frames or a headroom that no kernel takes; [`Error::Kernel`] where there is no memory.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let length = options.checked_length()?;
        let (memory, pages, refused) = options::map(options, length)
            .map_err(|source| Error::kernel("mmap(UMEM)", format!("{length} bytes"), source))?;
        Ok(Self::over(memory, options, pages, refused))
    }

    /// The same in memory of the allocator: for tests over [`crate::ring::testing`], without system calls.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn in_plain_memory(options: &Options) -> Result<Self, Error> {
        let length = options.checked_length()?;
        let memory = Memory::allocated(length)
            .map_err(|source| Error::kernel("alloc(UMEM)", format!("{length} bytes"), source))?;
        Ok(Self::over(memory, options, Pages::Ordinary, None))
    }

    fn over(memory: Memory, options: &Options, pages: Pages, refused: Option<std::io::Error>) -> Self {
        let shared = Shared {
            id: NEXT_ID.fetch_add(1, CounterOrdering::Relaxed),
            memory,
            frame_shift: options.frame_size.octets().trailing_zeros(),
            frames: options.frames,
            headroom: options.headroom,
            pages,
            hugepages_refused: refused,
            owners: Owners::new(options.frames),
            pool: Mutex::new((0..options.frames).rev().collect()),
            #[cfg(not(loom))]
            registry: crate::socket::Registry::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Chunks.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.shared.frames
    }

    /// Bytes of a chunk.
    #[must_use]
    pub fn frame_size(&self) -> u32 {
        1 << self.shared.frame_shift
    }

    /// Bytes that are left free before each packet, beyond the kernel's own [`XDP_HEADROOM`].
    #[must_use]
    pub fn headroom(&self) -> u32 {
        self.shared.headroom
    }

    /// Bytes of a chunk that one buffer of a packet can have.
    #[must_use]
    pub fn packet_room(&self) -> u32 {
        self.frame_size() - XDP_HEADROOM - self.headroom()
    }

    /// The pages it lies in.
    #[must_use]
    pub fn pages(&self) -> Pages {
        self.shared.pages
    }

    /// Why there are no hugepages although they were asked for.
    #[must_use]
    pub fn hugepages_refused(&self) -> Option<&std::io::Error> {
        self.shared.hugepages_refused.as_ref()
    }

    /// True where both are handles to one UMEM.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.shared.id == other.shared.id
    }

    /// Takes up to `count` free chunks.
    #[must_use]
    pub fn allocate(&self, count: u32) -> Vec<Frame> {
        let mut pool = lock(&self.shared.pool);
        let left = pool.len().saturating_sub(count as usize);
        pool.drain(left..).map(|chunk| self.hold(chunk)).collect()
    }

    /// Takes one free chunk.
    #[must_use]
    pub fn allocate_one(&self) -> Option<Frame> {
        lock(&self.shared.pool).pop().map(|chunk| self.hold(chunk))
    }

    fn hold(&self, chunk: u32) -> Frame {
        self.shared.owners.set(chunk, Owner::Token);
        Frame::new(chunk, self.shared.id)
    }

    /// Gives frames back that are not needed any more.
    ///
    /// # Panics
    /// Where a frame is of another UMEM.
    pub fn free(&self, frames: impl IntoIterator<Item = Frame>) {
        let mut pool = lock(&self.shared.pool);
        for frame in frames {
            let chunk = self.redeem(frame);
            self.shared.owners.set(chunk, Owner::Pool);
            pool.push(chunk);
        }
    }

    /// Who has how many chunks. Walks the table: for tests, barriers and the end, not for every burst.
    #[must_use]
    pub fn books(&self) -> Books {
        self.shared.owners.books()
    }

    /// The bytes of a frame.
    ///
    /// # Panics
    /// Where the frame is of another UMEM.
    #[must_use]
    pub fn bytes<'a>(&'a self, frame: &'a Frame) -> &'a [u8] {
        frame::bytes(self.chunk_start(frame), self.frame_size(), frame)
    }

    /// The bytes of a frame, to be written.
    ///
    /// # Panics
    /// Where the frame is of another UMEM.
    #[must_use]
    pub fn bytes_mut<'a>(&'a self, frame: &'a mut Frame) -> &'a mut [u8] {
        frame::bytes_mut(self.chunk_start(frame), self.frame_size(), frame)
    }

    /// First byte of the frame's chunk.
    fn chunk_start(&self, frame: &Frame) -> NonNull<u8> {
        frame::chunk_start(&self.shared.memory, frame.chunk_of(self.shared.id), self.shared.frame_shift)
    }

    /// The token's chunk; the token is no more.
    fn redeem(&self, frame: Frame) -> u32 {
        frame.into_chunk_of(self.shared.id)
    }

    /// Hands a frame to the kernel: its address in the UMEM.
    ///
    /// # Panics
    /// Where the frame is of another UMEM.
    pub(crate) fn lend(&self, frame: Frame) -> u64 {
        let chunk = self.redeem(frame);
        self.shared.owners.set(chunk, Owner::Kernel);
        u64::from(chunk) << self.shared.frame_shift
    }

    /// Where a frame starts in the UMEM.
    #[cfg(not(loom))]
    pub(crate) fn address(&self, frame: &Frame) -> u64 {
        u64::from(frame.chunk_of(self.shared.id)) << self.shared.frame_shift
    }

    /// Takes a frame back at any address within its chunk, if the kernel had it.
    pub(crate) fn take_back(&self, address: u64) -> Result<Frame, BadReason> {
        let chunk = address >> self.shared.frame_shift;
        if chunk >= u64::from(self.shared.frames) {
            return Err(BadReason::OutsideUmem);
        }
        let chunk = chunk as u32;
        if self.shared.owners.get(chunk) != Owner::Kernel {
            return Err(BadReason::NotLent);
        }
        Ok(self.hold(chunk))
    }

    /// Writes `bytes` at `address`, as the kernel does into a chunk that it has: for the kernel's end in plain memory.
    ///
    /// # Panics
    /// Where the kernel has not got that chunk, or the bytes do not fit in it.
    pub(crate) fn write_as_kernel(&self, address: u64, bytes: &[u8]) {
        let chunk = (address >> self.shared.frame_shift) as u32;
        let offset = self.offset_in_chunk(address);
        assert_eq!(self.shared.owners.get(chunk), Owner::Kernel, "the kernel has not got chunk {chunk}");
        assert!(bytes.len() <= (self.frame_size() - offset) as usize, "{} bytes do not fit", bytes.len());
        let start = frame::chunk_start(&self.shared.memory, chunk, self.shared.frame_shift);
        // SAFETY: the kernel's chunk and within it, as just checked; the caller plays the kernel, see `ring::testing`.
        unsafe { frame::write_as_kernel(start, offset as usize, bytes) };
    }

    /// Where `address` lies within its chunk.
    pub(crate) fn offset_in_chunk(&self, address: u64) -> u32 {
        address as u32 & (self.frame_size() - 1)
    }

    /// First byte and length, as XDP_UMEM_REG wants them: whole chunks.
    #[cfg(not(loom))]
    pub(crate) fn registration(&self) -> libc::xdp_umem_reg {
        libc::xdp_umem_reg {
            addr: self.shared.memory.start().as_ptr() as u64,
            len: u64::from(self.shared.frames) << self.shared.frame_shift,
            chunk_size: self.frame_size(),
            headroom: self.shared.headroom,
            flags: 0,
            tx_metadata_len: 0,
        }
    }

    /// The queues that are bound to this UMEM.
    #[cfg(not(loom))]
    pub(crate) fn registry(&self) -> &crate::socket::Registry {
        &self.shared.registry
    }
}

/// The pool is a list of numbers: whoever panicked while holding it left it whole.
fn lock<T>(mutex: &Mutex<T>) -> impl std::ops::DerefMut<Target = T> + '_ {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::burst::Burst;
    use crate::ring::testing;

    fn umem() -> Umem {
        let options = Options { frames: 8, frame_size: FrameSize::Two, headroom: 0, hugepages: false };
        Umem::in_plain_memory(&options).expect("memory")
    }

    #[test]
    fn a_dropped_frame_is_counted_and_stays_held() {
        let umem = umem();
        let frame = umem.allocate_one().expect("a frame");
        let before = leaked();
        let dropped = std::panic::catch_unwind(|| drop(frame));
        assert_eq!(dropped.is_err(), cfg!(debug_assertions), "debug builds panic at the drop");
        assert!(leaked() > before, "other tests leak while they panic");
        assert_eq!(umem.books(), Books { free: 7, held: 1, lent: 0 });
    }

    #[test]
    #[should_panic(expected = "is of another UMEM")]
    fn a_frame_of_another_umem_is_not_read() {
        let frame = umem().allocate_one().expect("a frame");
        let _refused = umem().bytes(&frame);
    }

    #[test]
    #[should_panic(expected = "is of another UMEM")]
    fn a_frame_of_another_umem_is_not_freed() {
        umem().free(umem().allocate_one());
    }

    #[test]
    fn frames_do_not_overlap() {
        let umem = umem();
        let mut frames = umem.allocate(8);
        for (number, frame) in frames.iter_mut().enumerate() {
            umem.bytes_mut(frame).fill(number as u8);
        }
        for (number, frame) in frames.iter().enumerate() {
            assert_eq!(umem.bytes(frame), [number as u8; 2048]);
        }
        assert!(umem.allocate_one().is_none(), "all are held");
        umem.free(frames);
    }

    #[test]
    fn frames_go_back_in_the_order_in_which_they_came_however_many_at_a_time() {
        let umem = umem();
        // SAFETY: one socket over this UMEM, so every chunk goes to one user.
        let (mut user, mut kernel) = unsafe { testing::socket(&umem, 8, 0) };
        assert_eq!(user.fill.give(&mut umem.allocate(8)), 8);
        let lent = |kernel: &mut testing::Kernel| -> Vec<u64> {
            assert_eq!(kernel.fill.available(8), 8);
            (0..8).map(|index| kernel.fill.read(index)).collect()
        };
        let (mut order, mut burst) = (lent(&mut kernel), Burst::new(&umem));
        for count in [3, 1, 5, 2] {
            (0..count).for_each(|_| assert!(kernel.receive(b"a packet")));
            assert_eq!(user.rx.receive(&mut burst), count);
            user.fill.give(&mut burst.take_frames().collect());
            order.rotate_left(count);
            assert_eq!(lent(&mut kernel), order);
        }
    }

    #[test]
    fn a_burst_that_is_dropped_full_loses_no_frame() {
        let umem = umem();
        // SAFETY: one socket over this UMEM, so every chunk goes to one user.
        let (mut user, mut kernel) = unsafe { testing::socket(&umem, 8, 0) };
        user.fill.give(&mut umem.allocate(8));
        (0..3).for_each(|number| assert!(kernel.receive(&[number; 100])));
        let mut burst = Burst::new(&umem);
        assert_eq!(user.rx.receive(&mut burst), 3);
        assert_eq!(umem.books(), Books { free: 0, held: 3, lent: 5 });
        drop(burst);
        assert_eq!(umem.books(), Books { free: 3, held: 0, lent: 5 });
    }

    #[test]
    #[should_panic(expected = "were not given back")]
    fn a_burst_is_not_filled_twice() {
        let umem = umem();
        // SAFETY: one socket over this UMEM, so every chunk goes to one user.
        let (mut user, mut kernel) = unsafe { testing::socket(&umem, 8, 0) };
        user.fill.give(&mut umem.allocate(8));
        assert!(kernel.receive(&[0; 100]));
        let mut burst = Burst::new(&umem);
        assert_eq!(user.rx.receive(&mut burst), 1);
        user.rx.receive(&mut burst);
    }

    #[test]
    fn options_that_no_kernel_takes_are_refused_by_name() {
        let none = Options { frames: 0, ..Options::default() };
        let refused = Umem::new(&none).expect_err("no frames").to_string();
        assert_eq!(refused, "number of UMEM frames is 0: from 1 to 1048576 frames");
        let headroom = Options { headroom: 1_537, frame_size: FrameSize::Two, ..Options::default() };
        assert!(Umem::new(&headroom).is_err());
        let most = Options { headroom: 1_536, frames: 1, hugepages: false, frame_size: FrameSize::Two };
        assert_eq!(Umem::in_plain_memory(&most).expect("memory").packet_room(), 256);
    }
}
