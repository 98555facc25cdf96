//! Where packets come from. A source lends a burst of frames to a closure; nothing is copied, nothing allocated.
//!
//! ```text
//! AF_XDP ring ────┐
//! packet socket ──┼─► receive(now, lend) ─► lend(&[Frame; <= 64]) ─► packet
//! capture file ───┘
//! ```

use std::os::fd::BorrowedFd;
use std::time::Duration;

use flow_wire::ledger::QueueTerms;

pub mod bpf;
pub mod capture_file;
pub mod filtered;
mod frame;
pub mod packet;
pub mod selection;
pub mod xdp;
pub mod xsk;

use frame::NO_FRAME;
pub use frame::{Frame, LinkLayer};

/// Frames in a burst at most: enough to hide a cache miss behind the others, few enough that their headers and
/// their buckets stay in the first-level cache together.
pub const BURST_CAPACITY: usize = 64;

/// What a call of [`Source::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A burst was lent; there may be more.
    Some,
    /// Nothing now; wait.
    Idle,
    /// Nothing ever again (the end of a file). The closure was not called.
    Ended,
}

/// Where a source observes (RFC 7011: the observation point): an interface, or a capture file, and its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservationPoint {
    /// Name of the interface, or path of the file.
    pub interface: String,
    /// Kernel index of the interface (IPFIX 10); 0 for a file.
    pub ingress_interface: u32,
    /// Receive queue; 0 for a file.
    pub queue: u32,
}

/// A place that frames are received from: one socket of one queue, or one file.
pub trait Source: Send {
    /// Where it observes.
    fn observation_point(&self) -> &ObservationPoint;

    /// Lends the next burst (1 to [`BURST_CAPACITY`] frames) to `lend`, at most once, and gives the frames back to where
    /// they came from when it returns. Never waits, but for a file whose reads block.
    ///
    /// `now_nanoseconds` is the caller's clock at the burst, since the UNIX epoch: live sources stamp their frames with
    /// it, files have their own stamps.
    ///
    /// # Errors
    /// The source is broken (a socket error, a malformed file) and yields nothing more; what it lent before counts.
    fn receive(&mut self, now_nanoseconds: u64, lend: &mut dyn FnMut(&[Frame<'_>])) -> Result<State, Error>;

    /// To be called before sleeping on [`Source::descriptor`]: what the source keeps back for the next burst (frames that
    /// wait for a shared ring) goes to the kernel now, for it may be all that the kernel lacks.
    fn before_sleep(&mut self) {}

    /// Sleeps until a frame may be there, or until the time-out. A file returns at once.
    ///
    /// # Errors
    /// As [`Source::receive`].
    fn wait(&mut self, timeout: Duration) -> Result<(), Error>;

    /// What `poll` may watch, so that a worker can wait for several sources at once; `None` = always ready.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Its cumulative terms: `received` (what was lent), and those of the kernel's that belong to this socket (or
    /// `seen`, for a file or a packet socket). Several sources of one queue are summed by `books`.
    ///
    /// # Errors
    /// The kernel refused its statistics.
    fn terms(&mut self) -> Result<QueueTerms, Error>;

    /// Once nothing new can come in (the XDP program redirects no more, the packet socket's gate is closed): whether all
    /// that came before has been received. A block of a packet socket's ring is handed over some time after its last packet.
    ///
    /// # Errors
    /// The kernel refused its statistics.
    fn is_drained(&mut self) -> Result<bool, Error> {
        Ok(true)
    }

    /// What a person should know once the source has ended (a file that was cut off in a record).
    fn notice(&self) -> Option<String> {
        None
    }
}

/// A source that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A capture file.
    #[error(transparent)]
    CaptureFile(#[from] capture_file::Error),
    /// A system call failed.
    #[error("{operation} on {interface}: {error}")]
    System {
        /// Interface or file.
        interface: String,
        /// What was tried, with the name of the system call.
        operation: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
}
