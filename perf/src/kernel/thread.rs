//! Which CPU, priority and network namespace a thread has, and how long it ran.
#![expect(
    unsafe_code,
    reason = "unshare(2), setns(2), the scheduler's calls and a thread's clock have no safe wrapper in the standard library"
)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Duration;

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
    pin_thread(0, cpu)
}

/// Keeps a thread, of whatever process, on one CPU; 0 is the calling one.
///
/// # Errors
/// As [`pin`]; when there is no such thread.
pub fn pin_thread(thread: u32, cpu: usize) -> Result<(), Error> {
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
    // SAFETY: the kernel reads the mask, of the length that is said.
    if unsafe { libc::sched_setaffinity(thread.cast_signed(), size_of_val(&set), &raw const set) } != 0 {
        return Err(Error::last(format!("sched_setaffinity(CPU {cpu})")));
    }
    Ok(())
}

/// Lets a thread run before all ordinary ones (SCHED_FIFO, the least priority of those), or as an ordinary one again.
///
/// # Errors
/// Without CAP_SYS_NICE; when there is no such thread.
pub fn set_fifo(thread: u32, fifo: bool) -> Result<(), Error> {
    let policy = if fifo { libc::SCHED_FIFO } else { libc::SCHED_OTHER };
    let parameter = libc::sched_param { sched_priority: i32::from(fifo) };
    // SAFETY: the kernel reads one `sched_param`.
    if unsafe { libc::sched_setscheduler(thread.cast_signed(), policy, &raw const parameter) } != 0 {
        return Err(Error::last(format!("sched_setscheduler(thread {thread})")));
    }
    Ok(())
}

/// How long the calling thread has run on a CPU.
#[must_use]
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`; this clock is there since Linux 2.6.12.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}
