//! What can go wrong when a socket is set up: the thing, the value, and what to do about it.

use std::io;

/// A refusal, with the mend in its message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no interface of that name in this network namespace.
    #[error("interface {name}: {source}; `ip link` lists the interfaces of this network namespace")]
    Interface {
        /// As it was asked for.
        name: String,
        /// What if_nametoindex(3) said.
        source: io::Error,
    },
    /// An option has a value that the kernel would refuse, or that would make no sense.
    #[error("{what} is {value}: {mend}")]
    Invalid {
        /// The option.
        what: &'static str,
        /// Its value.
        value: u64,
        /// What it may be.
        mend: &'static str,
    },
    /// The UMEM has no free frame left to give to a queue.
    #[error(
        "no free frame of {frames} is left for {thing}; give the UMEM more frames (one fill ring's worth a queue)"
    )]
    NoFrames {
        /// Interface and queue.
        thing: String,
        /// Frames of the UMEM.
        frames: u32,
    },
    /// The kernel refused a call.
    #[error("{call} for {thing}: {source}; {mend}")]
    Kernel {
        /// System call and option.
        call: &'static str,
        /// Interface, queue, flags, sizes.
        thing: String,
        /// The kernel's answer.
        source: io::Error,
        /// What to do about it.
        mend: String,
    },
}

impl Error {
    /// The kernel's error number, where the kernel was asked.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Kernel { source, .. } | Self::Interface { source, .. } => source.raw_os_error(),
            Self::Invalid { .. } | Self::NoFrames { .. } => None,
        }
    }

    /// A refusal of `call`, with the mend that its error number calls for.
    pub(crate) fn kernel(call: &'static str, thing: impl Into<String>, source: io::Error) -> Self {
        let mend = mend(call, source.raw_os_error().unwrap_or(0));
        Self::Kernel { call, thing: thing.into(), source, mend }
    }

    /// Says better what to do.
    #[cfg(not(loom))]
    pub(crate) fn set_mend(&mut self, better: String) {
        if let Self::Kernel { mend, .. } = self {
            *mend = better;
        }
    }
}

/// What helps against `errno` from `call`. Sources: net/xdp/xsk.c, net/xdp/xsk_buff_pool.c, net/packet/af_packet.c.
fn mend(call: &str, errno: i32) -> String {
    match errno {
        libc::EPERM | libc::EACCES => capability(call),
        libc::EBUSY => "another AF_XDP socket has the queue, or its last owner is still being torn down; \
                        `ss --xdp -ap` may show who, stop it or take another queue"
            .into(),
        libc::ENOBUFS | libc::ENOMEM => memory_lock(),
        libc::EOPNOTSUPP => "the driver has not got this mode: allow copy mode, or generic mode".into(),
        libc::ENODEV => "the interface is gone or not in this network namespace".into(),
        libc::ENETDOWN => "bring the interface up: `ip link set IF up`".into(),
        libc::EINVAL if call.starts_with("bind") => {
            "the queue may not exist (`ethtool -l IF` lists them), or the MTU needs multi-buffer".into()
        }
        libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT => {
            "this kernel was built without that socket family (CONFIG_XDP_SOCKETS, CONFIG_PACKET)".into()
        }
        _ => "see the kernel's log: `dmesg | tail`".into(),
    }
}

/// Which capability a refused call wanted.
fn capability(call: &str) -> String {
    let wanted = if call.starts_with("socket") {
        "CAP_NET_RAW"
    } else if call.contains("UMEM") {
        "CAP_IPC_LOCK (the UMEM is larger than RLIMIT_MEMLOCK)"
    } else {
        "CAP_NET_ADMIN"
    };
    format!("it needs {wanted}: run as root, or `setcap` / AmbientCapabilities= for the binary")
}

/// The lock limit in words: an UMEM counts against it unless the process has CAP_IPC_LOCK.
fn memory_lock() -> String {
    let limit = crate::syscall::memory_lock_limit()
        .map_or_else(|| "without limit".to_owned(), |bytes| format!("{} KiB", bytes / 1024));
    format!(
        "memory is short: RLIMIT_MEMLOCK is {limit}; raise it (`ulimit -l`, LimitMEMLOCK=), grant CAP_IPC_LOCK, or use smaller rings"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(call: &'static str, errno: i32) -> String {
        Error::kernel(call, "interface eth9 queue 3 (XDP_COPY)", io::Error::from_raw_os_error(errno))
            .to_string()
    }

    #[test]
    fn a_refused_socket_names_the_capability() {
        assert!(message("socket(AF_XDP)", libc::EPERM).contains("CAP_NET_RAW"));
        assert!(message("setsockopt(SO_BUSY_POLL)", libc::EPERM).contains("CAP_NET_ADMIN"));
    }

    #[test]
    fn a_busy_queue_is_named_with_the_command_that_shows_its_owner() {
        let message = message("bind(AF_XDP)", libc::EBUSY);
        assert!(message.contains("eth9 queue 3 (XDP_COPY)") && message.contains("ss --xdp"), "{message}");
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel for its limit")]
    fn a_umem_that_does_not_fit_names_the_lock_limit() {
        assert!(message("setsockopt(XDP_UMEM_REG)", libc::ENOBUFS).contains("RLIMIT_MEMLOCK"));
    }
}
