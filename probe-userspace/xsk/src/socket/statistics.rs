//! The kernel's counters of a socket.

use std::io;
use std::os::fd::BorrowedFd;

use crate::syscall;

/// XDP_STATISTICS (linux/if_xdp.h), cumulative since the socket was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Dropped for other reasons than a full ring: no frame in the fill ring, or more than one buffer without multi-buffer.
    pub rx_dropped: u64,
    /// Fill ring entries that were refused.
    pub rx_invalid_descriptors: u64,
    /// TX ring descriptors that were refused.
    pub tx_invalid_descriptors: u64,
    /// Dropped since the RX ring was full: the application was too slow.
    pub rx_ring_full: u64,
    /// The fill ring was found empty. Explains [`Self::rx_dropped`] and is no further loss; every socket of a queue reports all of
    /// the queue's.
    pub rx_fill_ring_empty: u64,
    /// The TX ring was found empty.
    pub tx_ring_empty: u64,
}

/// Kernels before 5.9 write the first three only; the others are 0 there.
pub(super) fn read(fd: BorrowedFd<'_>) -> io::Result<Statistics> {
    let (raw, _) = syscall::get_option::<libc::xdp_statistics>(fd, libc::SOL_XDP, libc::XDP_STATISTICS)?;
    Ok(Statistics {
        rx_dropped: raw.rx_dropped,
        rx_invalid_descriptors: raw.rx_invalid_descs,
        tx_invalid_descriptors: raw.tx_invalid_descs,
        rx_ring_full: raw.rx_ring_full,
        rx_fill_ring_empty: raw.rx_fill_ring_empty_descs,
        tx_ring_empty: raw.tx_ring_empty_descs,
    })
}
