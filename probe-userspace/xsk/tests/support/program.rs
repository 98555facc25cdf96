//! The smallest XDP program that redirects, assembled here so that these tests need no compiler and no loader.
//!
//! `slot = queue << shift | (last octet of the destination address & mask)`, XDP_DROP where the slot is empty.
#![expect(unsafe_code, reason = "bpf(2) has no safe face")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const MAP_CREATE: i64 = 0;
const MAP_UPDATE_ELEM: i64 = 2;
const PROG_LOAD: i64 = 5;
const LINK_CREATE: i64 = 28;
const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_SOCKET_FILTER: u32 = 1;
const PROG_TYPE_XDP: u32 = 6;
const PROG_HAS_FRAGS: u32 = 1 << 5;
const ATTACH_XDP: u32 = 37;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
const SLOTS: u32 = 16;

/// An attached program and its XSKMAP; detached with its value.
pub struct Program {
    map: OwnedFd,
    _program: OwnedFd,
    _link: OwnedFd,
}

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    rest: [u64; 12],
}

#[repr(C)]
struct MapUpdate {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    rest: [u64; 9],
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
}

impl Program {
    /// Loads it and attaches it to `interface` in native mode; `1 << shift` sockets a queue.
    pub fn attach(interface: u32, shift: u8) -> Self {
        let create = MapCreate {
            map_type: MAP_TYPE_XSKMAP,
            key_size: 4,
            value_size: 4,
            max_entries: SLOTS,
            ..MapCreate::default()
        };
        let map = bpf(MAP_CREATE, &create).expect("XSKMAP");
        let program = load(PROG_TYPE_XDP, PROG_HAS_FRAGS, &instructions(map.as_raw_fd(), shift));
        let create = LinkCreate {
            program: program.as_raw_fd() as u32,
            interface,
            attach_type: ATTACH_XDP,
            flags: XDP_FLAGS_DRV_MODE,
        };
        let link = bpf(LINK_CREATE, &create).expect("attach");
        Self { map, _program: program, _link: link }
    }

    /// Puts a socket into a slot.
    pub fn set(&self, slot: u32, socket: RawFd) {
        let socket = socket as u32;
        let update = MapUpdate {
            map: self.map.as_raw_fd() as u32,
            padding: 0,
            key: &raw const slot as u64,
            value: &raw const socket as u64,
            flags: 0,
        };
        bpf_result(MAP_UPDATE_ELEM, &update).expect("XSKMAP slot");
    }
}

/// A socket filter program that returns `value` for every packet.
pub fn filter_that_returns(value: i32) -> OwnedFd {
    load(PROG_TYPE_SOCKET_FILTER, 0, &[op(0xb7, 0, 0, 0, value), op(0x95, 0, 0, 0, 0)])
}

fn load(prog_type: u32, flags: u32, instructions: &[u64]) -> OwnedFd {
    let mut log = vec![0_u8; 64 << 10];
    let load = ProgLoad {
        prog_type,
        count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level: 1,
        log_size: log.len() as u32,
        log: log.as_mut_ptr() as u64,
        flags,
        ..ProgLoad::default()
    };
    bpf(PROG_LOAD, &load).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&log)))
}

/// One instruction: opcode, destination and source register, offset, immediate (linux/bpf.h, `struct bpf_insn`).
const fn op(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> u64 {
    code as u64
        | (destination as u64) << 8
        | (source as u64) << 12
        | (offset as u16 as u64) << 16
        | (immediate as u32 as u64) << 32
}

fn instructions(map: RawFd, shift: u8) -> Vec<u64> {
    let mask = (1 << shift) - 1;
    vec![
        op(0x61, 6, 1, 16, 0),               // r6 = ctx->rx_queue_index
        op(0x61, 2, 1, 0, 0),                // r2 = ctx->data
        op(0x61, 3, 1, 4, 0),                // r3 = ctx->data_end
        op(0xbf, 4, 2, 0, 0),                // r4 = r2
        op(0x07, 4, 0, 0, 14),               // r4 += 14
        op(0x2d, 4, 3, 10, 0),               // if r4 > r3 goto drop
        op(0x71, 5, 2, 5, 0),                // r5 = *(u8 *)(r2 + 5)
        op(0x57, 5, 0, 0, mask),             // r5 &= mask
        op(0x67, 6, 0, 0, i32::from(shift)), // r6 <<= shift
        op(0x4f, 6, 5, 0, 0),                // r6 |= r5
        op(0x18, 1, 1, 0, map),              // r1 = map
        0,
        op(0xbf, 2, 6, 0, 0),  // r2 = r6
        op(0xb7, 3, 0, 0, 1),  // r3 = XDP_DROP
        op(0x85, 0, 0, 0, 51), // r0 = bpf_redirect_map(r1, r2, r3)
        op(0x95, 0, 0, 0, 0),  // return r0
        op(0xb7, 0, 0, 0, 1),  // drop: r0 = XDP_DROP
        op(0x95, 0, 0, 0, 0),  // return r0
    ]
}

fn bpf<A>(command: i64, attributes: &A) -> io::Result<OwnedFd> {
    let fd = bpf_result(command, attributes)?;
    // SAFETY: these commands return a new descriptor, which is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf_result<A>(command: i64, attributes: &A) -> io::Result<RawFd> {
    // SAFETY: pointer and length describe `attributes`; what it points to lives in the callers through the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}
