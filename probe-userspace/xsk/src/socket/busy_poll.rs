//! Busy polling: the application's calls run the device's queue instead of interrupts (Documentation/networking/af_xdp.rst).

use std::io;
use std::os::fd::BorrowedFd;

use crate::syscall;

/// include/uapi/asm-generic/socket.h; not in libc for this target.
const SO_BUSY_POLL: i32 = 46;
/// As above.
const SO_PREFER_BUSY_POLL: i32 = 69;
/// As above.
const SO_BUSY_POLL_BUDGET: i32 = 70;

/// How to poll. Effective only with `napi_defer_hard_irqs` and `gro_flush_timeout` set on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusyPoll {
    /// How long one call polls, in microseconds (SO_BUSY_POLL).
    pub microseconds: u32,
    /// Packets that one call takes at most (SO_BUSY_POLL_BUDGET); above 64 needs CAP_NET_ADMIN.
    pub budget: u32,
}

impl Default for BusyPoll {
    /// What the kernel's own example uses: 20 us, 64 packets.
    fn default() -> Self {
        Self { microseconds: 20, budget: 64 }
    }
}

/// Sets the three options.
pub(super) fn enable(fd: BorrowedFd<'_>, busy_poll: BusyPoll) -> io::Result<()> {
    syscall::set_option(fd, libc::SOL_SOCKET, SO_PREFER_BUSY_POLL, &1_u32)?;
    syscall::set_option(fd, libc::SOL_SOCKET, SO_BUSY_POLL, &busy_poll.microseconds)?;
    syscall::set_option(fd, libc::SOL_SOCKET, SO_BUSY_POLL_BUDGET, &busy_poll.budget)
}
