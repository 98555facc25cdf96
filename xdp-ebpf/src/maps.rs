//! The maps, in BTF form: aya, libbpf and bpftool read them. Layouts and names are in `xdp_abi::map`.

use aya_ebpf::btf_maps::{Array, LpmTrie, PerCpuArray, XskMap};
use aya_ebpf::macros::btf_map;
use xdp_abi::{map, shunt};

/// `BPF_F_MMAPABLE` (linux/bpf.h).
const MMAPABLE: usize = 1 << 10;

#[btf_map(name = "GANNET_CONFIG")]
pub(crate) static CONFIG: Array<map::Config, 1> = Array::new();

#[btf_map(name = "GANNET_QUEUES")]
pub(crate) static QUEUES: Array<map::QueueSockets, { map::QUEUES_MAX as usize }> = Array::new();

#[btf_map(name = "GANNET_SOCKETS")]
pub(crate) static SOCKETS: XskMap<{ map::SOCKETS_MAX as usize }> = XskMap::new();

#[btf_map(name = "GANNET_COUNTERS")]
pub(crate) static COUNTERS: PerCpuArray<map::QueueCounts, { map::QUEUES_MAX as usize }> = PerCpuArray::new();

#[btf_map(name = "GANNET_PREFIXES")]
pub(crate) static PREFIXES: LpmTrie<map::Prefix, u32, { map::PREFIXES_MAX as usize }> = LpmTrie::new();

#[btf_map(name = "GANNET_PORTS")]
pub(crate) static PORTS: Array<map::FilterBits, { (map::BANKS * map::PORT_WORDS) as usize }> = Array::new();

#[btf_map(name = "GANNET_PROTOCOLS")]
pub(crate) static PROTOCOLS: Array<map::FilterBits, { (map::BANKS * map::PROTOCOL_WORDS) as usize }> =
    Array::new();

#[btf_map(name = "GANNET_KINDS")]
pub(crate) static KINDS: Array<u32, { map::BANKS as usize }> = Array::new();

#[btf_map(name = "GANNET_SHUNT")]
pub(crate) static SHUNT: Array<shunt::Head, 1, MMAPABLE> = Array::new();

#[btf_map(name = "GANNET_SHUNT_KEYS")]
pub(crate) static SHUNT_KEYS: Array<shunt::Place, { shunt::PLACES as usize }, MMAPABLE> = Array::new();

#[btf_map(name = "GANNET_SHUNT_COUNTS")]
pub(crate) static SHUNT_COUNTS: Array<shunt::Row, { shunt::PLACES as usize }, MMAPABLE> = Array::new();
