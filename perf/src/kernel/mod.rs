//! System calls that the standard library does not wrap. All unsafe code of the crate is here, one concern a file.

/// bpf(2): a redirect program, and frames put through it.
pub mod bpf;
mod bpf_map;
/// Interface index, MTU and the driver's own counters.
pub mod device;
/// XDP_DROP on a device, counted.
pub mod discard;
/// Frames through an AF_PACKET socket, many a call.
pub mod packet_socket;
/// Signals to processes, and from the kernel to this one.
pub mod signal;
/// Which CPU, priority and network namespace a thread has, and how long it ran.
pub mod thread;
/// What differs between the copies of a live frame.
pub mod vary;

/// The effective user of this process.
#[must_use]
pub fn effective_user() -> u32 {
    signal::effective_user()
}

/// A system call that failed: its name, what it was for, and what mends it where that is known.
#[derive(Debug, thiserror::Error)]
#[error("{call}: {source}{mend}")]
pub struct Error {
    /// The call and its object.
    pub call: String,
    /// Why it failed.
    pub source: std::io::Error,
    /// Empty, or `; <what to do>`.
    pub mend: &'static str,
}

impl Error {
    /// The error that the last system call of this thread left.
    fn last(call: impl Into<String>) -> Self {
        let source = std::io::Error::last_os_error();
        let mend = match source.raw_os_error() {
            Some(libc::EPERM) => "; run as root, or with CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF",
            Some(libc::ENODEV) => "; `ip link` lists the interfaces of this namespace",
            Some(libc::ENETDOWN) => "; `ip link set IF up` takes it up",
            _ => "",
        };
        Self { call: call.into(), source, mend }
    }
}
