//! The gate before a packet socket's ring: a classic BPF program of one instruction that takes all, the start of each packet, or nothing.
//!
//! Closed while a group of sockets is being made: a socket that is bound but has not joined its group would see every packet of the
//! others once more. Closed again before the end, so that the kernel's count stands still while the ring is drained.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::{Error, Interface, syscall};

/// BPF_RET | BPF_K: as many octets of the packet are captured as the constant says; 0 = it is not for this socket.
const RETURN: u16 = 0x06;

/// The gate of a socket, for who does not have the socket: it is read by one thread and stopped by another.
#[derive(Debug)]
pub struct Gate {
    descriptor: OwnedFd,
    interface: Interface,
    snap_octets: Option<u32>,
}

impl Gate {
    pub(super) fn of(
        fd: BorrowedFd<'_>,
        interface: &Interface,
        snap_octets: Option<u32>,
    ) -> io::Result<Self> {
        Ok(Self { descriptor: fd.try_clone_to_owned()?, interface: interface.clone(), snap_octets })
    }

    /// As [`super::Socket::start`].
    ///
    /// # Errors
    /// [`Error::Kernel`] as setsockopt(2).
    pub fn open(&self) -> Result<(), Error> {
        open(self.descriptor.as_fd(), self.snap_octets).map_err(|source| self.refused(source))
    }

    /// As [`super::Socket::stop`]. Packets that are on their way through it still come.
    ///
    /// # Errors
    /// [`Error::Kernel`] as setsockopt(2).
    pub fn close(&self) -> Result<(), Error> {
        close(self.descriptor.as_fd()).map_err(|source| self.refused(source))
    }

    fn refused(&self, source: io::Error) -> Error {
        Error::kernel("setsockopt(SO_ATTACH_FILTER)", format!("interface {}", self.interface), source)
    }
}

/// Captures nothing from now on.
pub(super) fn close(fd: BorrowedFd<'_>) -> io::Result<()> {
    set(fd, 0)
}

/// Captures `octets` of each packet from now on; none = all.
pub(super) fn open(fd: BorrowedFd<'_>, octets: Option<u32>) -> io::Result<()> {
    set(fd, octets.unwrap_or(u32::MAX))
}

fn set(fd: BorrowedFd<'_>, octets: u32) -> io::Result<()> {
    let program = [libc::sock_filter { code: RETURN, jt: 0, jf: 0, k: octets }];
    syscall::attach_filter(fd, &program)
}
