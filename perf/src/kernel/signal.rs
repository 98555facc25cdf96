//! Signals: to children that a test started, and from the kernel to a child whose parent died.
#![expect(
    unsafe_code,
    reason = "kill(2), geteuid(2) and prctl(2) have no safe wrapper in the standard library"
)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The signals that our programs are ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Drain and end.
    Terminate,
    /// As Ctrl-C.
    Interrupt,
    /// Read the configuration again.
    HangUp,
    /// At once, without a word.
    Kill,
    /// Freeze.
    Stop,
    /// Go on.
    Continue,
}

impl Signal {
    fn number(self) -> libc::c_int {
        match self {
            Self::Terminate => libc::SIGTERM,
            Self::Interrupt => libc::SIGINT,
            Self::HangUp => libc::SIGHUP,
            Self::Kill => libc::SIGKILL,
            Self::Stop => libc::SIGSTOP,
            Self::Continue => libc::SIGCONT,
        }
    }
}

/// Sends a signal to one process; `false` when there is none of that pid. A pid of 0 (a whole group) is refused.
pub fn send(pid: u32, signal: Signal) -> bool {
    let Ok(pid @ 1..) = libc::pid_t::try_from(pid) else { return false };
    // SAFETY: kill(2) takes two integers and touches no memory of ours; pid > 0 names exactly one process.
    unsafe { libc::kill(pid, signal.number()) == 0 }
}

/// The effective user of this process.
pub(super) fn effective_user() -> u32 {
    // SAFETY: geteuid(2) takes nothing, touches no memory and cannot fail.
    unsafe { libc::geteuid() }
}

/// Makes the kernel kill the child when the thread that starts it dies, so that a killed test leaves no process.
/// The thread, not the process: start a child from a thread that outlives it.
pub fn die_with_parent(command: &mut Command) {
    let arm = || {
        // SAFETY: prctl(PR_SET_PDEATHSIG) takes an integer and touches no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    // SAFETY: the closure runs between fork and exec; it only makes one async-signal-safe system call and allocates
    // nothing (`last_os_error` keeps the bare number).
    unsafe { command.pre_exec(arm) };
}

/// SIGINT and SIGTERM held back from this thread (and those it starts from now on): they are asked for between
/// bursts instead, since one in the middle of a burst would leave its outcome unknown.
#[derive(Debug)]
pub struct Held(());

/// Holds SIGINT and SIGTERM back.
#[must_use]
pub fn hold_termination() -> Held {
    let set = termination();
    // SAFETY: pthread_sigmask(3) reads the set and may write no old one.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    Held(())
}

impl Held {
    /// Whether one of them has come.
    #[must_use]
    pub fn pending(&self) -> bool {
        // SAFETY: a sigset_t is a bit mask: all zero is valid; sigpending(2) fills it, sigismember(3) reads it.
        unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigpending(&raw mut set) == 0
                && [libc::SIGINT, libc::SIGTERM]
                    .iter()
                    .any(|signal| libc::sigismember(&raw const set, *signal) == 1)
        }
    }
}

fn termination() -> libc::sigset_t {
    // SAFETY: a sigset_t is a bit mask: all zero is valid; sigaddset(3) writes a bit of a signal that exists.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut set, libc::SIGINT);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        set
    }
}
