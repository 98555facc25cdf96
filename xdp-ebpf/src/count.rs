//! The counters of one queue on this CPU.

use crate::maps::COUNTERS;
use xdp_abi::map::QUEUES_MAX;
use xdp_abi::outcome::Outcome;

/// Adds one frame. A queue beyond the table, which the loader refuses to attach to, counts in the last place: a frame
/// in the wrong place still shows, one that is not counted would not.
#[inline(always)]
pub(crate) fn add(queue: u32, outcome: Outcome, octets: u64) {
    let queue = if queue < QUEUES_MAX { queue } else { QUEUES_MAX - 1 };
    let Some(counts) = COUNTERS.get_ptr_mut(queue) else { return };
    // SAFETY: the slot is this CPU's own and the program is not interrupted by itself on one queue's CPU: XDP runs
    // in NAPI with bottom halves off. The index is below the array's length by the type of `Outcome`.
    unsafe {
        let count = (&raw mut (*counts).outcomes).cast::<xdp_abi::outcome::Count>().add(outcome as usize);
        (*count).packets += 1;
        (*count).octets += octets;
    }
}
