//! What time it is for a worker.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where the time of a worker comes from. It never runs backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// From the packets: a file gives the same flows every time, however fast it is read. Its sources are read one
    /// after the other.
    OfPackets,
    /// From the monotonic clock, read once a turn, as real time by one offset for the whole epoch: a step of the host's
    /// clock moves no flow.
    Monotonic {
        /// When the epoch began.
        start: Instant,
        /// The same moment since the UNIX epoch.
        start_nanoseconds: u64,
    },
}

impl Clock {
    /// A monotonic clock that agrees with the host's real time now. One per process: all workers share the offset.
    pub fn monotonic() -> Self {
        // A host whose clock stands before 1970 counts from there.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::Monotonic { start: Instant::now(), start_nanoseconds: since_1970.as_nanos() as u64 }
    }

    /// The time since the UNIX epoch; `None` = the packets say.
    pub fn now(self) -> Option<u64> {
        match self {
            Self::OfPackets => None,
            Self::Monotonic { start, start_nanoseconds } => {
                Some(start_nanoseconds + start.elapsed().as_nanos() as u64)
            }
        }
    }
}
