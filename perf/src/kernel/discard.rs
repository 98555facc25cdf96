//! XDP_DROP, counted: the least that a device can do with a frame, and so the bound of everything that does more.
//!
//! ```text
//!   r0 = counters of this CPU;  counters.packets += 1;  counters.octets += data_end - data;  return XDP_DROP
//! ```

use std::os::fd::OwnedFd;

use flow_wire::ledger::Amount;

use super::Error;
use super::bpf::{XDP_FLAGS_DRV_MODE, attach, load, look_up, op};
use super::bpf_map::Map;

const XDP_DROP: i32 = 1;

/// The program on a device, until it is dropped.
#[derive(Debug)]
pub struct Discard {
    counters: Map,
    _program: OwnedFd,
    _link: OwnedFd,
}

impl Discard {
    /// Attaches it to the device `index` of the current namespace, in native mode.
    ///
    /// System calls: bpf (BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_LINK_CREATE). Needs CAP_BPF and CAP_NET_ADMIN.
    ///
    /// # Errors
    /// Without those rights; where the driver has no XDP; where another program is attached.
    pub fn attach(index: u32) -> Result<Self, Error> {
        let counters = Map::per_cpu(16)?;
        let program = load(*b"gannet_drop\0\0\0\0\0", &instructions(&counters))?;
        let link = attach(&program, index, XDP_FLAGS_DRV_MODE)?;
        Ok(Self { counters, _program: program, _link: link })
    }

    /// What it dropped so far.
    ///
    /// # Errors
    /// When the kernel does not give its counters.
    pub fn dropped(&self) -> Result<Amount, Error> {
        let [packets, octets] = self.counters.sum()?;
        Ok(Amount { packets, octets })
    }
}

fn instructions(counters: &Map) -> Vec<u64> {
    let mut program = vec![
        op(0xbf, 6, 1, 0, 0), // r6 = ctx
    ];
    program.extend(look_up(counters));
    program.extend([
        op(0x15, 0, 0, 9, 0),        // if r0 == 0 goto end
        op(0x61, 2, 6, 0, 0),        // r2 = ctx->data
        op(0x61, 3, 6, 4, 0),        // r3 = ctx->data_end
        op(0x1f, 3, 2, 0, 0),        // r3 -= r2
        op(0x79, 4, 0, 0, 0),        // r4 = packets
        op(0x07, 4, 0, 0, 1),        // r4 += 1
        op(0x7b, 0, 4, 0, 0),        // packets = r4: nobody else writes this CPU's
        op(0x79, 4, 0, 8, 0),        // r4 = octets
        op(0x0f, 4, 3, 0, 0),        // r4 += r3
        op(0x7b, 0, 4, 8, 0),        // octets = r4
        op(0xb7, 0, 0, 0, XDP_DROP), // end: r0 = XDP_DROP
        op(0x95, 0, 0, 0, 0),
    ]);
    program
}
