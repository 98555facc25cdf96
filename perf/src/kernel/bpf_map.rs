//! The two kinds of BPF map that the programs here need: one value, and one value a CPU.
#![expect(unsafe_code, reason = "bpf(2) has no wrapper in libc")]

use std::os::fd::OwnedFd;

use super::Error;
use super::bpf::{bpf, descriptor, owned};

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_PERCPU_ARRAY: u32 = 6;

/// For BPF_MAP_CREATE; what is left out is zero.
#[repr(C)]
struct CreateAttributes {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

/// For BPF_MAP_LOOKUP_ELEM.
#[repr(C)]
struct ElementAttributes {
    map_fd: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

const _: () = assert!(size_of::<ElementAttributes>() == 32);

/// An array with one place.
#[derive(Debug)]
pub(super) struct Map(OwnedFd);

impl Map {
    /// Of one value, a multiple of 8 octets.
    pub(super) fn array(value_octets: u32) -> Result<Self, Error> {
        Self::create(BPF_MAP_TYPE_ARRAY, value_octets)
    }

    /// Of one value a CPU, a multiple of 8 octets.
    pub(super) fn per_cpu(value_octets: u32) -> Result<Self, Error> {
        Self::create(BPF_MAP_TYPE_PERCPU_ARRAY, value_octets)
    }

    fn create(map_type: u32, value_size: u32) -> Result<Self, Error> {
        let mut attributes = CreateAttributes { map_type, key_size: 4, value_size, max_entries: 1 };
        // SAFETY: there is no address in these attributes.
        unsafe { bpf("BPF_MAP_CREATE", BPF_MAP_CREATE, &mut attributes) }.map(|fd| Self(owned(fd)))
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// Two numbers a CPU, summed over the CPUs; of a map that was made per CPU with 16 octets.
    pub(super) fn sum(&self) -> Result<[u64; 2], Error> {
        let key = 0_u32;
        let mut values = vec![[0_u64; 2]; possible_cpus()?];
        let mut attributes = ElementAttributes {
            map_fd: descriptor(&self.0),
            zero: 0,
            key: &raw const key as u64,
            value: values.as_mut_ptr() as u64,
            flags: 0,
        };
        // SAFETY: `key` is of 4 octets, `values` has 16 for each CPU that the kernel may ever have; both outlive the call.
        unsafe { bpf("BPF_MAP_LOOKUP_ELEM", BPF_MAP_LOOKUP_ELEM, &mut attributes) }?;
        Ok(values.iter().fold([0; 2], |sum, value| [sum[0] + value[0], sum[1] + value[1]]))
    }
}

/// CPUs that the kernel keeps values for: those that may ever be there (cputopology.rst in its documentation).
fn possible_cpus() -> Result<usize, Error> {
    let path = "/sys/devices/system/cpu/possible";
    let failed = |source| Error { call: format!("read {path}"), source, mend: "" };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    // `0-3`, or `0` alone: the last number is the highest.
    let last = text.trim().rsplit(['-', ',']).next().and_then(|number| number.parse::<usize>().ok());
    last.map(|last| last + 1).ok_or_else(|| failed(std::io::ErrorKind::InvalidData.into()))
}
