//! Which CPU and which network namespace a thread is in.
#![expect(
    unsafe_code,
    reason = "unshare(2), setns(2) and sched_setaffinity(2) have no safe wrapper in the standard library"
)]

use std::fs::File;
use std::os::fd::AsRawFd;

use super::Error;

/// Runs `work` on a thread in a new network namespace; with its answer comes what keeps the namespace alive.
///
/// # Errors
/// Without CAP_SYS_ADMIN.
pub(super) fn in_new_network<T: Send>(work: impl FnOnce() -> T + Send) -> Result<(File, T), Error> {
    let enter = || {
        // SAFETY: unshare(2) takes an integer; CLONE_NEWNET changes only the calling thread, which ends right after.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return Err(Error::last("unshare(CLONE_NEWNET)"));
        }
        let path = "/proc/thread-self/ns/net";
        let namespace =
            File::open(path).map_err(|source| Error { call: format!("open {path}"), source, mend: "" })?;
        Ok((namespace, work()))
    };
    std::thread::scope(|scope| scope.spawn(enter).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs `work` on a thread in a named network namespace (`ip netns`). Sockets that it makes stay there, whoever uses them.
///
/// # Errors
/// Without CAP_SYS_ADMIN, or when there is no such namespace.
pub fn in_network<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    let path = format!("/run/netns/{name}");
    let namespace =
        File::open(&path).map_err(|source| Error { call: format!("open {path}"), source, mend: "" })?;
    let enter = || {
        // SAFETY: setns(2) takes a descriptor, open through the call, and an integer; it changes only the calling
        // thread, which ends right after.
        if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
            return Err(Error::last(format!("setns({path})")));
        }
        Ok(work())
    };
    std::thread::scope(|scope| scope.spawn(enter).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Keeps the calling thread on one CPU.
///
/// # Errors
/// When there is no such CPU, or this process may not use it.
pub fn pin(cpu: usize) -> Result<(), Error> {
    let limit = libc::CPU_SETSIZE as usize;
    if cpu >= limit {
        let source = std::io::Error::from_raw_os_error(libc::EINVAL);
        return Err(Error { call: format!("sched_setaffinity(CPU {cpu})"), source, mend: "" });
    }
    // SAFETY: a cpu_set_t is a bit mask: all zero is valid. CPU_SET writes a bit below CPU_SETSIZE, checked above.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        set
    };
    // SAFETY: 0 is the calling thread; the kernel reads the mask, of the length that is said.
    if unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } != 0 {
        return Err(Error::last(format!("sched_setaffinity(CPU {cpu})")));
    }
    Ok(())
}
