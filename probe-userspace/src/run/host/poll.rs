//! Waiting for descriptors, and waking a thread that waits.
#![expect(unsafe_code, reason = "poll(2) and eventfd(2) have no safe form")]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};
use std::time::Duration;

/// Descriptors that one call waits for at most: 64 queues and a wake-up, on the stack.
pub const DESCRIPTORS_MOST: usize = 65;

/// Waits until one of `descriptors` is readable, or for `timeout`. A signal ends it early.
///
/// # Errors
/// The kernel's, but EINTR; or more than [`DESCRIPTORS_MOST`] descriptors.
pub fn readable(descriptors: &[BorrowedFd<'_>], timeout: Duration) -> io::Result<()> {
    if descriptors.len() > DESCRIPTORS_MOST {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut watched = [libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 }; DESCRIPTORS_MOST];
    for (slot, descriptor) in watched.iter_mut().zip(descriptors) {
        slot.fd = descriptor.as_raw_fd();
    }
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: `watched` has at least `descriptors.len()` entries, whose descriptors are borrowed for the call.
    let found = unsafe {
        libc::ppoll(watched.as_mut_ptr(), descriptors.len() as libc::nfds_t, &timeout, std::ptr::null())
    };
    match found {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            error => Err(error),
        },
        _ => Ok(()),
    }
}

/// An eventfd: any thread rings it, one waits for it.
#[derive(Debug)]
pub struct Bell(File);

impl Bell {
    /// A silent one.
    ///
    /// # Errors
    /// The kernel's: out of descriptors.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that eventfd has just made, owned by nobody else.
        Ok(Self(unsafe { File::from_raw_fd(raw) }))
    }

    /// Wakes who waits. A full counter is as awake as can be.
    pub fn ring(&self) {
        let _ = (&self.0).write(&1_u64.to_ne_bytes());
    }

    /// Silences it, before looking for what it rang for.
    pub fn hush(&self) {
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_rung_bell_wakes_and_a_hushed_one_does_not() {
        let bell = Bell::new().unwrap();
        let long = Duration::from_secs(60);
        bell.ring();
        let before = Instant::now();
        readable(&[bell.as_fd()], long).unwrap();
        assert!(before.elapsed() < long);
        bell.hush();
        let short = Duration::from_millis(5);
        let before = Instant::now();
        readable(&[bell.as_fd()], short).unwrap();
        assert!(before.elapsed() >= short);
    }
}
