//! SIGINT, SIGTERM and SIGHUP (read the configuration anew, or a terminal that was closed) as something to wait for,
//! instead of handlers that interrupt.
#![expect(unsafe_code, reason = "signalfd(2) and sigprocmask(2) have no safe form")]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd};

/// SIGHUP as [`Signals::take`] names it.
pub const HANG_UP: &str = "SIGHUP";

/// The signals that stop a run, or change it.
pub struct Signals {
    descriptor: File,
}

impl Signals {
    /// Blocks them for this thread and those it will make: call it before any thread is made.
    ///
    /// # Errors
    /// The kernel's: out of descriptors or memory.
    pub fn block() -> io::Result<Self> {
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises the set that the other calls read; all pointers live through their calls.
        let raw = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            libc::sigaddset(set.as_mut_ptr(), libc::SIGHUP);
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that signalfd has just made, owned by nobody else.
        Ok(Self { descriptor: unsafe { File::from_raw_fd(raw) } })
    }

    /// Takes a signal that has come, if any.
    pub fn take(&mut self) -> Option<&'static str> {
        // struct signalfd_siginfo is 128 octets; its first word is the number.
        let mut info = [0_u8; 128];
        self.descriptor.read_exact(&mut info).ok()?;
        match u32::from_ne_bytes([info[0], info[1], info[2], info[3]]) as i32 {
            libc::SIGINT => Some("SIGINT"),
            libc::SIGHUP => Some(HANG_UP),
            _ => Some("SIGTERM"),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
