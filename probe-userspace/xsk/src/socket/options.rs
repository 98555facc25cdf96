//! How to bind an AF_XDP socket.

use std::time::Duration;

use super::BusyPoll;
use crate::ring::checked_size;
use crate::{Error, Interface, QueueId};

/// How the kernel hands packets over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The device writes into the UMEM (XDP_ZEROCOPY).
    ZeroCopy,
    /// The kernel copies each packet into the UMEM (XDP_COPY). Works with every driver.
    Copy,
}

impl Mode {
    /// The mode as the kernel's documentation writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZeroCopy => "zero-copy",
            Self::Copy => "copy",
        }
    }

    pub(super) const fn flag(self) -> u16 {
        match self {
            Self::ZeroCopy => libc::XDP_ZEROCOPY,
            Self::Copy => libc::XDP_COPY,
        }
    }
}

/// What to bind to and how. The first socket of a queue decides for the others of that queue; the first of a UMEM decides on mode,
/// need-wakeup and multi-buffer for all queues of it (net/xdp/xsk.c: XDP_SHARED_UMEM takes no other flag).
#[derive(Debug, Clone)]
pub struct Options {
    /// The interface.
    pub interface: Interface,
    /// Its queue. Packets of other queues never come here.
    pub queue: QueueId,
    /// Slots of the RX ring. Its depth decides how long a worker may be away without loss.
    pub rx_slots: u32,
    /// Slots of the TX ring; 0 = this socket does not send.
    pub tx_slots: u32,
    /// Slots of the queue's fill ring, which is filled from the UMEM's pool: twice the RX rings of all sockets of the queue, so that
    /// a socket whose reader stands still cannot hold the frames of the others.
    pub fill_slots: u32,
    /// Slots of the queue's completion ring.
    pub completion_slots: u32,
    /// The modes to try, in order.
    pub modes: Vec<Mode>,
    /// Let the driver sleep until it is called (XDP_USE_NEED_WAKEUP).
    pub need_wakeup: bool,
    /// Take packets of several buffers (XDP_USE_SG); the XDP program must have been loaded with frags.
    pub multi_buffer: bool,
    /// Poll the device's queue from this socket's calls instead of by interrupts.
    pub busy_poll: Option<BusyPoll>,
    /// How long to try again while the queue is busy.
    pub busy_retry: Duration,
}

/// RX ring of 16384: lost nothing at 1 Mpps in most runs where 8192 lost 0.1 %.
const RX_SLOTS: u32 = 16384;
/// A receiver's completion ring is never used, but the kernel wants one.
const COMPLETION_SLOTS: u32 = 64;
/// A queue whose owner was killed is free again within some tens of milliseconds, but a kernel worker frees it, and behind a real-time thread
/// (a NAPI thread under load) that one has waited for more than four seconds.
const BUSY_RETRY: Duration = Duration::from_secs(10);

impl Options {
    /// A receiver on a queue: zero-copy or else copy, need-wakeup, multi-buffer, a fill ring of twice the RX ring.
    #[must_use]
    pub fn receiver(interface: &Interface, queue: QueueId) -> Self {
        Self {
            interface: interface.clone(),
            queue,
            rx_slots: RX_SLOTS,
            tx_slots: 0,
            fill_slots: 2 * RX_SLOTS,
            completion_slots: COMPLETION_SLOTS,
            modes: vec![Mode::ZeroCopy, Mode::Copy],
            need_wakeup: true,
            multi_buffer: true,
            busy_poll: None,
            busy_retry: BUSY_RETRY,
        }
    }

    /// Refuses ring sizes that the kernel would refuse without saying which.
    pub(super) fn check(&self) -> Result<(), Error> {
        checked_size("number of RX ring slots", self.rx_slots)?;
        if self.tx_slots != 0 {
            checked_size("number of TX ring slots", self.tx_slots)?;
        }
        checked_size("number of fill ring slots", self.fill_slots)?;
        checked_size("number of completion ring slots", self.completion_slots)?;
        if self.modes.is_empty() {
            let mend = "name zero-copy, copy, or both";
            return Err(Error::Invalid { what: "number of modes to try", value: 0, mend });
        }
        Ok(())
    }
}
