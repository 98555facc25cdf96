//! libpcap's compiler, and nothing else of it.
//!
//! Loaded when an expression is there and not linked: a probe without `-f` runs where there is no libpcap, it is built without its
//! headers, and one program serves the distributions that call the library libpcap.so.0.8 and those that call it libpcap.so.1. The five
//! functions have had these signatures since libpcap 0.4.
#![expect(unsafe_code, reason = "a C library has no safe form")]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use super::Instruction;

/// Debian calls it by the first, everybody else by the second.
const NAMES: [&CStr; 2] = [c"libpcap.so.0.8", c"libpcap.so.1"];
/// What tcpdump captures at most: the program's own answer for a packet that it selects.
const SNAP_OCTETS: c_int = 262_144;
/// PCAP_NETMASK_UNKNOWN: only `ip broadcast` asks for the mask.
const NETMASK_UNKNOWN: c_uint = u32::MAX;
const OPTIMISE: c_int = 1;

/// Why nothing was compiled.
pub(super) enum Error {
    /// In libpcap's words.
    Refused(String),
    /// In the loader's words.
    NoLibrary(String),
}

/// `struct bpf_program`.
#[repr(C)]
struct RawProgram {
    count: c_uint,
    instructions: *mut Instruction,
}

/// The library's functions; it is never unloaded.
struct Library {
    open_dead: unsafe extern "C" fn(c_int, c_int) -> *mut c_void,
    compile: unsafe extern "C" fn(*mut c_void, *mut RawProgram, *const c_char, c_int, c_uint) -> c_int,
    geterr: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    freecode: unsafe extern "C" fn(*mut RawProgram),
    close: unsafe extern "C" fn(*mut c_void),
}

/// A handle that stands for no capture, only for a link type.
struct Handle(*mut c_void, &'static Library);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: pcap_open_dead made it, and nobody else has it.
        unsafe { (self.1.close)(self.0) }
    }
}

/// Compiles an expression for a link type (a DLT_ number).
pub(super) fn compile(expression: &str, data_link_type: i32) -> Result<Vec<Instruction>, Error> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    let library =
        LIBRARY.get_or_init(Library::load).as_ref().map_err(|reason| Error::NoLibrary(reason.clone()))?;
    let expression =
        CString::new(expression).map_err(|_| Error::Refused("an octet of it is zero".to_owned()))?;
    // SAFETY: takes two numbers.
    let handle = Handle(unsafe { (library.open_dead)(data_link_type, SNAP_OCTETS) }, library);
    if handle.0.is_null() {
        return Err(Error::Refused("no memory for its compiler".to_owned()));
    }
    let mut program = RawProgram { count: 0, instructions: std::ptr::null_mut() };
    // SAFETY: handle and program are valid for the call, the expression ends with a zero; libpcap keeps none of them.
    let answer = unsafe {
        (library.compile)(handle.0, &raw mut program, expression.as_ptr(), OPTIMISE, NETMASK_UNKNOWN)
    };
    if answer != 0 {
        // SAFETY: the text belongs to the handle, ends with a zero and is copied before the handle is closed.
        let reason = unsafe { CStr::from_ptr((library.geterr)(handle.0)) };
        return Err(Error::Refused(reason.to_string_lossy().into_owned()));
    }
    // SAFETY: what was compiled has `count` instructions, and is not empty: it ends with one that returns.
    let instructions =
        unsafe { std::slice::from_raw_parts(program.instructions, program.count as usize) }.to_vec();
    // SAFETY: pcap_compile made it, and the copy is ours.
    unsafe { (library.freecode)(&raw mut program) };
    Ok(instructions)
}

impl Library {
    fn load() -> Result<Self, String> {
        let mut reasons = Vec::new();
        for name in NAMES {
            // SAFETY: the name ends with a zero; the library's initialisers are libpcap's.
            let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
            if !handle.is_null() {
                return Self::of(handle);
            }
            reasons.push(loader_error());
        }
        Err(reasons.join("; "))
    }

    fn of(handle: *mut c_void) -> Result<Self, String> {
        let symbol = |name: &CStr| {
            // SAFETY: the handle is open and stays so, the name ends with a zero.
            let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
            if address.is_null() { Err(loader_error()) } else { Ok(address) }
        };
        // SAFETY: the types are those of pcap/pcap.h, of every libpcap that has these names.
        unsafe {
            Ok(Self {
                open_dead: std::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(c_int, c_int) -> *mut c_void,
                >(symbol(c"pcap_open_dead")?),
                compile: std::mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut c_void, *mut RawProgram, *const c_char, c_int, c_uint) -> c_int,
                >(symbol(c"pcap_compile")?),
                geterr: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> *const c_char>(
                    symbol(c"pcap_geterr")?,
                ),
                freecode: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut RawProgram)>(symbol(
                    c"pcap_freecode",
                )?),
                close: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(symbol(
                    c"pcap_close",
                )?),
            })
        }
    }
}

fn loader_error() -> String {
    // SAFETY: called behind a call that failed, by one thread at a time (the library is loaded once).
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "unknown".to_owned();
    }
    // SAFETY: not null, ends with a zero, and is copied before the next call.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
