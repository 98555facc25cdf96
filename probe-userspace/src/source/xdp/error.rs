//! What can go wrong between the program and the kernel, each with its mend.

use std::io;

use aya::maps::MapError;
use aya::programs::ProgramError;
use aya::sys::SyscallError;

/// Loading, attaching or talking to the XDP program failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// EPERM or EACCES.
    #[error(
        "{operation}: not permitted\n  mend: run as root, or give the program CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW (setcap cap_bpf,cap_perfmon,cap_net_admin,cap_net_raw+ep PATH); a container needs them too; or use --capture packet"
    )]
    NotPermitted {
        /// What was tried.
        operation: &'static str,
    },
    /// EBUSY or EEXIST.
    #[error(
        "{interface} already has an XDP program\n  mend: `ip link show dev {interface}` shows its id and `bpftool prog show id ID` whose it is; end that program (another probe?), take a left-over away by `ip link set dev {interface} xdp off`, or, if it is pinned (`bpftool link show`), by removing the pin"
    )]
    Busy {
        /// The interface.
        interface: String,
    },
    /// The kernel took neither native nor generic mode.
    #[error(
        "the XDP program cannot be attached to {interface}: native mode: {native}; generic mode: {generic}\n  mend: use --capture packet, which needs no XDP"
    )]
    Refused {
        /// The interface.
        interface: String,
        /// Why not native; "not tried" when generic mode was asked for.
        native: String,
        /// Why not generic; "not tried" when native mode was asked for.
        generic: String,
    },
    /// The program was attached by netlink, and would stay behind when the probe is killed.
    #[error(
        "the kernel has no XDP links: a killed probe would leave its program on {interface}\n  mend: Linux 5.18 or later, or --capture packet"
    )]
    NoLink {
        /// The interface.
        interface: String,
    },
    /// The kernel refused the program or a map of it.
    #[error(
        "the kernel does not take the XDP program: {reason}\n  mend: it needs Linux 5.18 or later with CONFIG_BPF_SYSCALL, CONFIG_XDP_SOCKETS and BTF; older ones: --capture packet"
    )]
    NotLoaded {
        /// What aya and the verifier say.
        reason: String,
    },
    /// The embedded object is not the one that this probe was built for.
    #[error("the embedded XDP object has no {name} of the expected layout: rebuild it by `make ebpf`")]
    Object {
        /// Map or program.
        name: &'static str,
    },
    /// More RX queues than the program has counters for.
    #[error(
        "the device has {queues} RX queues, the program counts {most}\n  mend: give the device fewer: ethtool -L INTERFACE combined {most}"
    )]
    TooManyQueues {
        /// Of the device.
        queues: usize,
        /// Of the program.
        most: u32,
    },
    /// More sockets than slots.
    #[error(
        "{sockets} sockets on all queues together, the program has {most} slots\n  mend: fewer workers, or fewer queues"
    )]
    TooManySockets {
        /// Asked for.
        sockets: u64,
        /// There are.
        most: u32,
    },
    /// A queue or worker that the layout has not.
    #[error("queue {queue} has {sockets} sockets in the layout, worker {worker} is none of them")]
    NoSuchSlot {
        /// RX queue.
        queue: u32,
        /// From 0.
        worker: u32,
        /// In the layout.
        sockets: u32,
    },
    /// The link of a killed probe does not take this one's program.
    #[error("the killed probe's XDP link does not take another program: {reason}")]
    NotSucceeded {
        /// What the kernel said.
        reason: String,
    },
    /// What is to outlive the process could not be pinned, or of an earlier one not be read.
    #[error("{}: {reason}\n  mend: name another --bpf-dir, or --no-recovery", path.display())]
    NotPinned {
        /// The directory.
        path: std::path::PathBuf,
        /// What the kernel said.
        reason: String,
    },
    /// The memory of a map cannot be shared.
    #[error("mmap of the map {map}: {error}\n  mend: leave --shunt out")]
    NotMapped {
        /// Which.
        map: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
    /// How many CPUs there may be is not said.
    #[error("/sys/devices/system/cpu/possible: {error}\n  mend: mount sysfs on /sys")]
    Cpus {
        /// What the system said.
        error: io::Error,
    },
    /// Reading or writing a map failed.
    #[error("{operation} the map {map}: {error}")]
    Map {
        /// Which.
        map: &'static str,
        /// "reading" or "writing".
        operation: &'static str,
        /// What the kernel said.
        error: MapError,
    },
}

/// The system's error behind one of aya's.
pub(super) fn system(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut error = Some(error);
    while let Some(inner) = error {
        if let Some(SyscallError { io_error, .. }) = inner.downcast_ref() {
            return io_error.raw_os_error();
        }
        if let Some(io_error) = inner.downcast_ref::<io::Error>() {
            return io_error.raw_os_error();
        }
        error = inner.source();
    }
    None
}

/// Sorts an error of loading by what mends it.
pub(super) fn of_load(error: &(dyn std::error::Error + 'static)) -> Error {
    match system(error) {
        Some(libc::EPERM | libc::EACCES) if !is_verdict(error) => {
            Error::NotPermitted { operation: "loading the XDP program" }
        }
        _ if chain(error).contains(WITHOUT_PERFMON) => {
            Error::NotPermitted { operation: "loading the XDP program without CAP_PERFMON" }
        }
        _ => Error::NotLoaded { reason: chain(error) },
    }
}

/// What the verifier says where CAP_PERFMON is missing: only with it a program may do arithmetic on a pointer to its
/// stack (kernel/bpf/verifier.c, `allow_ptr_leaks`).
const WITHOUT_PERFMON: &str = "prohibited for !root";

/// The verifier answers EACCES too; then it says why.
fn is_verdict(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(ProgramError::LoadError { verifier_log, .. }) if !verifier_log.to_string().is_empty()
    )
}

/// The whole story: aya's messages name the step, their sources the cause.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(cause) = inner {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        inner = cause.source();
    }
    text
}
