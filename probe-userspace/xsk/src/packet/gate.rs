//! The gate before a packet socket's ring: a classic BPF program that takes all, the start of each packet, what a [`Filter`] selects, or
//! nothing.
//!
//! Closed while a group of sockets is being made: a socket that is bound but has not joined its group would see every packet of the
//! others once more. Closed again before the end, so that the kernel's count stands still while the ring is drained.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::Filter;
use crate::{Error, Interface, syscall};

/// BPF_RET | BPF_K: as many octets of the packet are captured as the constant says; 0 = it is not for this socket.
const RETURN: u16 = 0x06;

/// The gate of a socket, for who does not have the socket: it is read by one thread and stopped by another.
#[derive(Debug)]
pub struct Gate {
    descriptor: OwnedFd,
    interface: Interface,
    snap_octets: Option<u32>,
    filter: Option<Filter>,
    is_open: bool,
}

impl Gate {
    pub(super) fn of(
        fd: BorrowedFd<'_>,
        interface: &Interface,
        snap_octets: Option<u32>,
    ) -> io::Result<Self> {
        Ok(Self {
            descriptor: fd.try_clone_to_owned()?,
            interface: interface.clone(),
            snap_octets,
            filter: None,
            is_open: false,
        })
    }

    /// As [`super::Socket::start`], behind the filter.
    ///
    /// # Errors
    /// [`Error::Kernel`] as setsockopt(2).
    pub fn open(&mut self) -> Result<(), Error> {
        let opened = match &self.filter {
            None => open(self.descriptor.as_fd(), self.snap_octets),
            Some(filter) => {
                let program = filter.guarded(self.snap_octets.unwrap_or(u32::MAX));
                syscall::attach_filter(self.descriptor.as_fd(), &program)
            }
        };
        opened.map_err(|source| self.refused(source))?;
        self.is_open = true;
        Ok(())
    }

    /// Puts a filter before the ring, or takes it away; at once where the gate is open.
    ///
    /// # Errors
    /// [`Error::Kernel`] as setsockopt(2); the filter before stays.
    pub fn set_filter(&mut self, filter: Option<Filter>) -> Result<(), Error> {
        let before = std::mem::replace(&mut self.filter, filter);
        let set = if self.is_open { self.open() } else { Ok(()) };
        set.inspect_err(|_| self.filter = before)
    }

    /// As [`super::Socket::stop`]. Packets that are on their way through it still come.
    ///
    /// # Errors
    /// [`Error::Kernel`] as setsockopt(2).
    pub fn close(&mut self) -> Result<(), Error> {
        self.is_open = false;
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
