//! AF_XDP sockets: one per worker and queue.

mod attempt;
mod bind;
mod busy_poll;
mod holder;
mod options;
mod queue;
mod rings;
mod statistics;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::Duration;

pub use busy_poll::BusyPoll;
pub use options::{Mode, Options};
pub use queue::Registry;
pub use statistics::Statistics;

use crate::burst::Burst;
use crate::refill::Refill;
use crate::ring::rx::Counters;
use crate::ring::{Rx, Tx};
use crate::umem::{BadDescriptors, Frame, Umem};
use crate::{Error, Interface, QueueId, syscall, wait};
use queue::Queue;

/// A bound AF_XDP socket. It belongs to one thread at a time; the sockets of a queue share its fill and completion ring.
///
/// Before one of a queue's sockets is dropped its XSKMAP slot must be emptied: the queue, and with it the socket's end in the kernel,
/// lives on until the last one is gone.
#[derive(Debug)]
pub struct Socket {
    umem: Umem,
    queue: Arc<Queue>,
    descriptor: Arc<std::os::fd::OwnedFd>,
    rx: Rx,
    tx: Option<Tx>,
    refill: Refill,
    /// Frames that came back from sending, for the next ones.
    sent: Vec<Frame>,
    busy_poll_refused: Option<io::Error>,
}

impl Socket {
    /// Opens a socket on a queue of an interface and binds it.
    ///
    /// The first socket of a UMEM registers it, the first one on a queue makes the queue's fill and completion ring and fills it
    /// from the UMEM's pool, further ones on that queue share them, and inherit mode and flags: bind the same queue as often as
    /// there are workers for it.
    ///
    /// System calls: socket(AF_XDP), setsockopt (XDP_UMEM_REG, the ring sizes, busy polling), getsockopt (XDP_MMAP_OFFSETS,
    /// XDP_OPTIONS), mmap for each ring, bind. Capabilities: CAP_NET_RAW for the socket, CAP_IPC_LOCK for a UMEM beyond
    /// RLIMIT_MEMLOCK, CAP_NET_ADMIN for busy polling. After this the socket works without any.
    ///
    /// The modes of [`Options::modes`] are tried in order, with multi-buffer and, where that is refused, without; [`Self::mode`] and
    /// [`Self::is_multi_buffer`] tell which it is. EBUSY is retried for
    /// [`Options::busy_retry`], since a queue stays busy for a moment after its last owner has gone.
    ///
    /// # Errors
    /// [`Error::Invalid`] for ring sizes; [`Error::NoFrames`] where the pool is empty; [`Error::Kernel`] naming interface, queue,
    /// flags and mend where a call is refused. A refused busy poll is no error: [`Self::busy_poll_refused`].
    pub fn bind(umem: &Umem, options: &Options) -> Result<Self, Error> {
        bind::bind(umem, options)
    }

    /// An empty burst for this socket's UMEM.
    #[must_use]
    pub fn burst(&self) -> Burst {
        Burst::new(&self.umem)
    }

    /// Reads up to [`crate::burst::PACKETS`] packets into `burst` and returns how many. No system call, lock or allocation.
    ///
    /// # Panics
    /// Where `burst` is of another UMEM or has not been given back.
    pub fn receive(&mut self, burst: &mut Burst) -> usize {
        self.rx.receive(burst)
    }

    /// Gives the burst's frames back to the kernel; the burst is empty afterwards. Once a burst a lock is tried, and where the driver
    /// sleeps for want of frames (need-wakeup) it is called.
    ///
    /// # Panics
    /// Where `burst` is of another UMEM.
    pub fn give_back(&mut self, burst: &mut Burst) {
        self.refill.give_back(burst);
        if self.refill.wakeup_needed() {
            let _comes_again_with_the_next_burst = self.kick_receive();
        }
    }

    /// Gives back all that waits, waiting for the queue's lock: to be called before sleeping.
    pub fn settle(&mut self) {
        self.refill.settle();
    }

    /// Settles, then sleeps until there are packets, a signal comes or `timeout` (none: for ever) is over. True where there are
    /// packets. For several sockets, or to be woken by others: [`wait::until_readable`].
    ///
    /// # Errors
    /// As ppoll(2).
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.settle();
        wait::until_readable(&[self.as_fd()], timeout)
    }

    /// Calls the driver: it looks at its fill ring, and polls its queue where busy polling is on (recvfrom(2) of nothing).
    ///
    /// # Errors
    /// As recvfrom(2), but EAGAIN, EBUSY and ENOBUFS, which mean that it has enough to do.
    pub fn kick_receive(&self) -> io::Result<()> {
        tolerate_busy(syscall::kick_receive(self.as_fd()))
    }

    /// A frame to be sent: one that was sent before, else one of the UMEM's pool. None where all are in flight.
    #[must_use]
    pub fn frame_to_send(&mut self) -> Option<Frame> {
        self.sent.pop().or_else(|| self.umem.allocate_one())
    }

    /// Puts the first `octets` bytes of `frame` on the TX ring; `continued` where the packet goes on in the next frame. Nothing
    /// leaves before [`Self::flush`].
    ///
    /// # Errors
    /// The frame, where the ring is full, or absent, or `octets` are more than a frame has.
    pub fn send(&mut self, frame: Frame, octets: u32, continued: bool) -> Result<(), Frame> {
        match &mut self.tx {
            Some(tx) => tx.send(frame, octets, continued),
            None => Err(frame),
        }
    }

    /// Shows the kernel what is on the TX ring and calls it where it sleeps (sendto(2) of nothing). Copy mode sends a few dozen frames a
    /// call: returns how many are still to be sent, for which to call again.
    ///
    /// # Errors
    /// As sendto(2), but EAGAIN, EBUSY and ENOBUFS, which mean that it has enough to do.
    pub fn flush(&mut self) -> io::Result<u32> {
        let Some(tx) = &mut self.tx else { return Ok(0) };
        tx.publish();
        if tx.needs_wakeup() {
            tolerate_busy(syscall::kick_send(self.descriptor.as_fd()))?;
        }
        Ok(self.tx.as_mut().map_or(0, Tx::outstanding))
    }

    /// Takes back frames that were sent, for [`Self::frame_to_send`]; where another socket of the queue is at it, none. Returns how
    /// many. A frame of a further socket on this queue may come back here: frames are alike.
    pub fn take_sent(&mut self) -> usize {
        let mut completion = match self.queue.completion.try_lock() {
            Ok(completion) => completion,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return 0,
        };
        completion.take(&mut self.sent)
    }

    /// What came through this socket, and what could not be believed.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.rx.counters()
    }

    /// Bad descriptors of the queue's completion ring.
    #[must_use]
    pub fn bad_completions(&self) -> BadDescriptors {
        self.queue.completion.lock().unwrap_or_else(PoisonError::into_inner).bad_descriptors()
    }

    /// The kernel's counters of this socket (getsockopt XDP_STATISTICS), cumulative. They go with the socket: read them before.
    ///
    /// # Errors
    /// [`Error::Kernel`] as getsockopt(2).
    pub fn statistics(&self) -> Result<Statistics, Error> {
        statistics::read(self.as_fd())
            .map_err(|source| Error::kernel("getsockopt(XDP_STATISTICS)", self.queue.thing(), source))
    }

    /// The mode that the kernel serves it in (getsockopt XDP_OPTIONS).
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.queue.mode
    }

    /// The other modes that were refused before that, and why.
    #[must_use]
    pub fn refused_modes(&self) -> &[(Mode, io::Error)] {
        &self.queue.refused_modes
    }

    /// True where the driver is called only when it asks for it.
    #[must_use]
    pub fn needs_wakeup(&self) -> bool {
        self.queue.need_wakeup
    }

    /// True where packets of several buffers come (XDP_USE_SG); false where they are dropped, and counted in
    /// [`Statistics::rx_dropped`].
    #[must_use]
    pub fn is_multi_buffer(&self) -> bool {
        self.queue.multi_buffer
    }

    /// Why busy polling was refused although it was asked for. Accepted does not mean effective: veth accepts it.
    #[must_use]
    pub const fn busy_poll_refused(&self) -> Option<&io::Error> {
        self.busy_poll_refused.as_ref()
    }

    /// The interface it is bound to.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.queue.interface
    }

    /// The queue it is bound to.
    #[must_use]
    pub fn queue(&self) -> QueueId {
        self.queue.queue
    }

    /// The UMEM that its packets lie in.
    #[must_use]
    pub const fn umem(&self) -> &Umem {
        &self.umem
    }

    /// Frames that wait for the fill ring's lock or for room in it.
    #[must_use]
    pub const fn stashed(&self) -> usize {
        self.refill.waiting()
    }

    /// How often another socket of the queue held the fill ring.
    #[must_use]
    pub const fn contended(&self) -> u64 {
        self.refill.contended()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Socket {
    /// For the XSKMAP.
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

impl Drop for Socket {
    /// What was sent and came back goes to the UMEM's pool.
    fn drop(&mut self) {
        self.umem.free(self.sent.drain(..));
    }
}

/// The kernel has enough to do, or nothing: a kick has done its duty all the same.
fn tolerate_busy(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS)) => {
            Ok(())
        }
        other => other,
    }
}
