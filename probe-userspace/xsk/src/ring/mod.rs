//! The four rings between a socket and the kernel, and the one cursor logic that they share.
//!
//! ```text
//!            producer ──►                      fill        user → kernel   chunks to receive into
//!   ┌────┬────┬────┬────┬────┬────┬────┬────┐  rx          kernel → user   descriptors of what came
//!   │    │ C  │ .. │ .. │ P  │    │    │    │  tx          user → kernel   descriptors to send
//!   └────┴────┴────┴────┴────┴────┴────┴────┘  completion  kernel → user   chunks that were sent
//!          ▲ consumer ──►
//! ```
//!
//! Cursors are free-running 32-bit counters (net/xdp/xsk_queue.h): the slot is `cursor & (size - 1)`, what lies between consumer and
//! producer is `producer - consumer` in wrapping arithmetic, and each side writes one of them only, with Release after its slots.
//!
//! - [`cursor`]: [`Producer`](cursor::Producer) and [`Consumer`](cursor::Consumer) over any ring memory.
//! - [`fill`], [`rx`], [`tx`], [`completion`]: the four, in terms of frames.
//! - [`testing`]: rings in plain memory with both their ends; no socket, no root.

pub(crate) mod area;
pub mod completion;
pub mod cursor;
pub mod fill;
pub mod rx;
pub mod testing;
pub mod tx;

pub use completion::Completion;
pub use fill::Fill;
pub use rx::Rx;
pub use tx::Tx;

/// A descriptor of an RX or TX ring, as the kernel lays it out (linux/if_xdp.h, `struct xdp_desc`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Descriptor {
    /// Offset of the first byte from the start of the UMEM.
    pub address: u64,
    /// Bytes in this buffer.
    pub octets: u32,
    /// [`CONTINUED`] or nothing; what else a later kernel may put there is ignored.
    pub options: u32,
}

const _: () = assert!(size_of::<Descriptor>() == size_of::<libc::xdp_desc>());

/// The packet goes on in the next descriptor (XDP_PKT_CONTD).
pub const CONTINUED: u32 = libc::XDP_PKT_CONTD;

impl Descriptor {
    /// True where the packet goes on in the next descriptor.
    #[must_use]
    pub const fn is_continued(self) -> bool {
        self.options & CONTINUED != 0
    }
}

/// Smallest ring: one burst fits, so that a burst never has to be split for a ring's sake.
pub const SIZE_MIN: u32 = 64;
/// Largest ring: a fill ring of this size with 2 kB chunks is 2 GiB, more than any queue can use.
pub const SIZE_MAX: u32 = 1 << 20;

#[cfg(not(loom))]
/// The size, where the kernel takes it: a power of two within the bounds.
pub(crate) fn checked_size(what: &'static str, size: u32) -> Result<u32, crate::Error> {
    if size.is_power_of_two() && (SIZE_MIN..=SIZE_MAX).contains(&size) {
        return Ok(size);
    }
    Err(crate::Error::Invalid { what, value: size.into(), mend: "a power of two from 64 to 1048576" })
}
