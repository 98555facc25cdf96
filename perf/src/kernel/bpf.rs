//! Live frames: BPF_PROG_RUN with BPF_F_TEST_XDP_LIVE_FRAMES (kernel documentation, bpf/bpf_prog_run.rst).
//!
//! The kernel makes pages with our frame in it, runs the program on each, and does for real what the program says:
//! here, redirect to a device, which sends them. A few instructions, so no compiler and no loader:
//!
//! ```text
//!   [the next source port or address, into the frame]       where copies are to differ (vary.rs)
//!   r1 = ifindex;  r2 = 0;  call bpf_redirect;  exit        (its answer, XDP_REDIRECT, is in r0)
//! ```
#![expect(unsafe_code, reason = "bpf(2) has no wrapper in libc")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::bpf_map::Map;
use super::vary::{self, Vary};
use super::{Error, thread};

// Commands, types and flags of include/uapi/linux/bpf.h.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_ATTACH_XDP: u32 = 37;
const BPF_FUNC_MAP_LOOKUP_ELEM: i32 = 1;
const BPF_FUNC_REDIRECT: i32 = 23;
const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
pub(super) const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Index of `lo` in every network namespace.
const LOOPBACK_INDEX: u32 = 1;

/// Largest frame: a page less XDP's headroom, the kernel's own header of the page and the tail for a shared info
/// (net/bpf/test_run.c, `bpf_prog_test_run_xdp`), rounded down.
pub const FRAME_MAX_OCTETS: usize = 3_392;

/// Smallest frame that the kernel takes: an Ethernet header.
pub const FRAME_MIN_OCTETS: usize = 14;

/// Most copies in one call of which it is known which arrived, when only their number is known: the kernel hands so many to the driver
/// at once (DEV_MAP_BULK_SIZE), and takes back those behind the last that the driver took (kernel/bpf/devmap.c, `bq_xmit_all`).
pub const COPIES_IN_ORDER: u32 = 16;

/// Most copies in one call that are one batch in the kernel (TEST_XDP_MAX_BATCH).
pub const COPIES_MAX: u32 = 256;

/// Most copies in one call. Each call makes a page pool and gives it up again; where the peer's NAPI is a thread, frames are still
/// under way then, and a kernel worker on this CPU has to come back for the pool: flat out, a call must be long.
pub const CALL_MAX: u32 = 1 << 14;

/// Copies of a batch in a longer call: between two batches others get the CPU.
const BATCH: u32 = 64;

/// The leading part of `union bpf_attr` for BPF_PROG_LOAD; what is left out is zero.
#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// For BPF_LINK_CREATE.
#[repr(C)]
#[derive(Default)]
struct LinkAttributes {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// For BPF_PROG_TEST_RUN, which is BPF_PROG_RUN.
#[repr(C)]
#[derive(Default)]
struct RunAttributes {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    /// Makes the size a multiple of 8, as the kernel requires where it knows no field.
    zero: u32,
}

const _: () = assert!(size_of::<LoadAttributes>() == 72);
const _: () = assert!(size_of::<LinkAttributes>() == 16);
const _: () = assert!(size_of::<RunAttributes>() == 80);

/// One `bpf(2)` call; the file descriptor or 0 that it answers.
///
/// # Safety
/// Every address in `attributes` is of memory that the kernel may read for the command, for as long as the call.
pub(super) unsafe fn bpf<A>(name: &str, command: libc::c_long, attributes: &mut A) -> Result<i32, Error> {
    // SAFETY: `attributes` is one of the structs above: plain integers, as long as we say. The addresses inside are
    // the caller's promise.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<A>()) };
    i32::try_from(answer)
        .ok()
        .filter(|answer| *answer >= 0)
        .ok_or_else(|| Error::last(format!("bpf({name})")))
}

/// A descriptor that `bpf(2)` just made.
pub(super) fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just answered with this descriptor: it is open, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

pub(super) fn descriptor(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// A redirect program that is loaded, and attached where no frame ever comes.
///
/// Attached, because each run of a program that is attached nowhere puts it into the XDP dispatcher and waits out a
/// grace period when it takes it out again: 27 ms a call. So a namespace of our own is made, and its loopback carries
/// the program, in generic mode: nothing of the host's passes there, and it goes with this value.
#[derive(Debug)]
pub struct Redirect {
    program: OwnedFd,
    _link: OwnedFd,
    _namespace: std::fs::File,
    /// The program keeps it; held here so that who reads knows that it is there.
    _numbers: Option<Map>,
}

impl Redirect {
    /// Loads a program that redirects to the device `index` of the current namespace; with `vary`, each copy of a frame differs from
    /// the one before.
    ///
    /// System calls: bpf(BPF_MAP_CREATE, BPF_PROG_LOAD), unshare(CLONE_NEWNET), bpf(BPF_LINK_CREATE). Needs CAP_BPF, CAP_NET_ADMIN
    /// and CAP_SYS_ADMIN.
    ///
    /// # Errors
    /// Without those rights, or on a kernel before 5.18.
    pub fn new(index: u32, vary: Option<Vary>) -> Result<Self, Error> {
        let (numbers, instructions) = vary::program(vary)?;
        let program = load(*b"gannet_replay\0\0\0", &[instructions.as_slice(), &redirect(index)].concat())?;
        let attach = || attach(&program, LOOPBACK_INDEX, XDP_FLAGS_SKB_MODE);
        let (namespace, link) = thread::in_new_network(attach)?;
        Ok(Self { program, _link: link?, _namespace: namespace, _numbers: numbers })
    }

    /// Sends `copies` (at most [`CALL_MAX`]) of one frame. What the device did with them, only its counters tell.
    ///
    /// # Errors
    /// When the frame is not of a length between [`FRAME_MIN_OCTETS`] and [`FRAME_MAX_OCTETS`], or the kernel has
    /// no memory.
    pub fn send(&self, frame: &[u8], copies: u32) -> Result<(), Error> {
        let copies = copies.min(CALL_MAX);
        let mut attributes = RunAttributes {
            prog_fd: descriptor(&self.program),
            data_size_in: u32::try_from(frame.len()).unwrap_or(u32::MAX),
            data_in: frame.as_ptr() as u64,
            repeat: copies,
            flags: BPF_F_TEST_XDP_LIVE_FRAMES,
            batch_size: if copies > COPIES_MAX { BATCH } else { copies },
            ..RunAttributes::default()
        };
        // SAFETY: `data_in` is the address of `frame`, `data_size_in` its length; the other addresses are null with
        // length 0.
        unsafe { bpf("BPF_PROG_RUN, live frames", BPF_PROG_TEST_RUN, &mut attributes) }.map(drop)
    }
}

/// One instruction: opcode, destination and source register, offset, immediate (linux/bpf.h, `struct bpf_insn`).
pub(super) const fn op(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> u64 {
    code as u64
        | (destination as u64) << 8
        | (source as u64) << 12
        | (offset as u16 as u64) << 16
        | (immediate as u32 as u64) << 32
}

/// `r0` = the address of the map's value at 0, or null. Destroys r1 to r5, and the four octets below the frame pointer.
pub(super) fn look_up(map: &Map) -> [u64; 6] {
    [
        op(0x62, 10, 0, -4, 0),                         // *(u32 *)(fp - 4) = 0
        op(0xbf, 2, 10, 0, 0),                          // r2 = fp
        op(0x07, 2, 0, 0, -4),                          // r2 -= 4
        op(0x18, 1, 1, 0, descriptor(map.fd()) as i32), // r1 = map
        0,                                              // its upper half
        op(0x85, 0, 0, 0, BPF_FUNC_MAP_LOOKUP_ELEM),    // call
    ]
}

fn redirect(index: u32) -> [u64; 4] {
    [
        op(0xb7, 1, 0, 0, index.cast_signed()),
        op(0xb7, 2, 0, 0, 0),
        op(0x85, 0, 0, 0, BPF_FUNC_REDIRECT),
        op(0x95, 0, 0, 0, 0),
    ]
}

/// Loads an XDP program.
pub(super) fn load(name: [u8; 16], program: &[u64]) -> Result<OwnedFd, Error> {
    let license = c"Dual MIT/GPL";
    let mut attributes = LoadAttributes {
        prog_type: BPF_PROG_TYPE_XDP,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        prog_name: name,
        expected_attach_type: BPF_ATTACH_XDP,
        ..LoadAttributes::default()
    };
    // SAFETY: `insns` is an array of `insn_cnt` instructions of 8 octets, `license` a C string; both outlive the call.
    unsafe { bpf("BPF_PROG_LOAD", BPF_PROG_LOAD, &mut attributes) }.map(owned)
}

/// Attaches a program to a device of the current namespace, until the link is dropped.
pub(super) fn attach(program: &OwnedFd, index: u32, flags: u32) -> Result<OwnedFd, Error> {
    let mut attributes = LinkAttributes {
        prog_fd: descriptor(program),
        target_ifindex: index,
        attach_type: BPF_ATTACH_XDP,
        flags,
    };
    // SAFETY: there is no address in these attributes.
    unsafe { bpf("BPF_LINK_CREATE", BPF_LINK_CREATE, &mut attributes) }.map(owned)
}
