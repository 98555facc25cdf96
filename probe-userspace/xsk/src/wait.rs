//! Sleeping until a socket has packets or another thread calls.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::syscall;

/// Most descriptors that one call waits for: a socket on each of 256 queues, which no device has more of, and a [`Wake`].
pub const DESCRIPTORS: usize = 257;

/// Sleeps until one of `descriptors` is readable (ppoll(2)), a signal comes, or `timeout` (none: for ever) is over. True where one is
/// readable. For AF_XDP sockets this also wakes a driver that sleeps (need-wakeup).
///
/// Settle the sockets' fill rings first ([`crate::Socket::settle`]).
///
/// # Errors
/// As ppoll(2); EINVAL for more than [`DESCRIPTORS`].
pub fn until_readable(descriptors: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<bool> {
    let mut polled = [libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 }; DESCRIPTORS];
    let Some(polled) = polled.get_mut(..descriptors.len()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    for (slot, descriptor) in polled.iter_mut().zip(descriptors) {
        slot.fd = descriptor.as_raw_fd();
    }
    Ok(syscall::poll(polled, timeout)? > 0)
}

/// Wakes a thread that sleeps in [`until_readable`] (eventfd(2)). Clones wake the same thread.
#[derive(Debug, Clone)]
pub struct Wake(Arc<OwnedFd>);

impl Wake {
    /// A new one.
    ///
    /// # Errors
    /// As eventfd(2): too many open files.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(syscall::eventfd()?)))
    }

    /// Makes it readable. Never waits.
    pub fn wake(&self) {
        syscall::eventfd_add(self.as_fd());
    }

    /// Makes it unreadable; true where somebody had called.
    #[must_use]
    pub fn take(&self) -> bool {
        syscall::eventfd_take(self.as_fd())
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
