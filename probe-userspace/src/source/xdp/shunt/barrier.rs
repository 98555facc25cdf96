//! Waits until no CPU runs an XDP program that has begun before.
//!
//! A map of maps promises it: behind a change of what it holds the kernel waits for a grace period of RCU, so that no program
//! uses the map that was there (kernel/bpf/syscall.c, `maybe_wait_bpf_programs`: "so that userspace, when we return to it, knows
//! that all non-sleepable programs that could be running use the new map value"). `membarrier(MEMBARRIER_CMD_GLOBAL)` is the same
//! `synchronize_rcu`, but refused on hosts with `nohz_full`, which capture hosts are.
#![expect(unsafe_code, reason = "bpf(2) has no safe form")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Commands and kinds of bpf(2) (linux/bpf.h).
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_ARRAY_OF_MAPS: u32 = 12;

/// Where the kernel does not answer: longer than any program runs, also on a virtual CPU that is put aside meanwhile.
const INSTEAD: Duration = Duration::from_millis(200);

/// A map of maps that no program has.
#[derive(Debug)]
pub(crate) struct Barrier {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl Barrier {
    /// System call: bpf(2) `BPF_MAP_CREATE`. Capability: CAP_BPF.
    ///
    /// # Errors
    /// EPERM, EMFILE, ENOMEM.
    pub(crate) fn new() -> io::Result<Self> {
        let inner = create(BPF_MAP_TYPE_ARRAY, 0)?;
        let outer = create(BPF_MAP_TYPE_ARRAY_OF_MAPS, inner.as_raw_fd() as u32)?;
        Ok(Self { outer, inner })
    }

    /// Returns once all programs have ended that run now.
    pub(crate) fn wait(&self) {
        if let Err(error) = self.update() {
            tracing::warn!("bpf(BPF_MAP_UPDATE_ELEM) of a map of maps: {error}: waiting {INSTEAD:?} instead");
            std::thread::sleep(INSTEAD);
        }
    }

    /// Puts the same map in once more.
    fn update(&self) -> io::Result<()> {
        #[repr(C)]
        struct Attributes {
            map: u32,
            zero: u32,
            key: u64,
            value: u64,
            flags: u64,
        }
        let (key, value) = (0_u32, self.inner.as_raw_fd() as u32);
        let attributes = Attributes {
            map: self.outer.as_raw_fd() as u32,
            zero: 0,
            key: (&raw const key) as u64,
            value: (&raw const value) as u64,
            flags: 0,
        };
        // SAFETY: the attributes are those of the command; they, the key and the value live through the call.
        unsafe { bpf(BPF_MAP_UPDATE_ELEM, &attributes) }.map(drop)
    }
}

fn create(kind: u32, inner: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        kind: u32,
        key_octets: u32,
        value_octets: u32,
        entries: u32,
        flags: u32,
        inner: u32,
    }
    let attributes = Attributes { kind, key_octets: 4, value_octets: 4, entries: 1, flags: 0, inner };
    // SAFETY: the attributes are those of the command, and live through the call.
    let descriptor = unsafe { bpf(BPF_MAP_CREATE, &attributes) }?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// # Safety
/// `attributes` are those of the command, and what they point to lives.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_int> {
    // SAFETY: as the caller promises; the length is that of what is pointed to.
    let returned =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned as libc::c_int) }
}
