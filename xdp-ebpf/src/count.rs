//! The counters of one queue on this CPU.

use crate::maps::COUNTERS;
use xdp_abi::map::{QUEUES_MAX, QueueCounts};
use xdp_abi::outcome::{Count, Outcome};

/// The place of one queue, looked up once a frame.
#[derive(Clone, Copy)]
pub(crate) struct Counters(*mut QueueCounts);

impl Counters {
    /// A queue beyond the table, which the loader refuses to attach to, counts in the last place: a frame in the wrong
    /// place still shows, one that is not counted would not. `None` never happens: the index is within the table.
    #[inline(always)]
    pub(crate) fn of(queue: u32) -> Option<Self> {
        let queue = if queue < QUEUES_MAX { queue } else { QUEUES_MAX - 1 };
        COUNTERS.get_ptr_mut(queue).map(Self)
    }

    /// Adds one frame.
    #[inline(always)]
    pub(crate) fn add(self, outcome: Outcome, octets: u64) {
        // SAFETY: the place is this CPU's own, and nothing else runs the program there meanwhile: XDP runs with bottom
        // halves off. The index is below the array's length by the type of `Outcome`.
        unsafe {
            let count = (&raw mut (*self.0).outcomes).cast::<Count>().add(outcome as usize);
            (*count).packets += 1;
            (*count).octets += octets;
        }
    }
}
