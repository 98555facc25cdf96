//! A thread that gives up capabilities, as a service does after its start.
#![expect(unsafe_code, reason = "capset has no safe face")]

pub const NET_ADMIN: u32 = 12;
pub const NET_RAW: u32 = 13;

/// linux/capability.h, version 3.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    process: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The calling thread keeps `kept` (numbers below 32) and nothing else.
pub fn drop_all_but(kept: &[u32]) {
    let header = Header { version: VERSION, process: 0 };
    let kept = kept.iter().fold(0, |kept, number| kept | 1 << number);
    let sets = [Sets { effective: kept, permitted: kept, inheritable: 0 }, Sets::default()];
    // SAFETY: header and both sets of version 3 live through the call; process 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) };
    assert_eq!(result, 0, "capset: {}", std::io::Error::last_os_error());
}

/// Lowers the process's limit of locked memory; of no effect on threads that have CAP_IPC_LOCK.
pub fn limit_locked_memory(octets: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit`, then reads it.
    let result = unsafe {
        libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit);
        limit.rlim_cur = octets;
        libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit)
    };
    assert_eq!(result, 0, "setrlimit: {}", std::io::Error::last_os_error());
}
