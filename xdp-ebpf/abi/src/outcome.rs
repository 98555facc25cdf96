//! What became of a frame in the XDP program: exactly one outcome per frame, each with a counter per CPU.

/// Index of a counter. `Seen` is counted for every frame, apart from the outcome, so that the two can be held
/// against each other. It stands last: the kernel copies a queue's counters upwards, and so a reader of a running
/// program finds at least as many frames seen as outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Outcome {
    /// Passed to the stack: the capture filter did not select it.
    PassedFilter = 0,
    /// Passed to the stack: the host's own (its MAC address, broadcast, multicast) on an interface with an address.
    PassedOwn = 1,
    /// Passed to the stack: no socket in the slot (the probe is stopping, or dead).
    PassedNoSocket = 2,
    /// Counted by the shunt ([`crate::shunt`]) and dropped.
    Shunted = 3,
    /// Handed to an AF_XDP socket: the helper returned XDP_REDIRECT.
    Redirected = 4,
    /// The helper refused the redirect for another reason than an empty slot.
    RefusedRedirect = 5,
    /// Every frame that entered the program.
    Seen = 6,
}

impl Outcome {
    /// How many counters a queue has.
    pub const COUNT: usize = 7;
    /// All of them, in the order of their index.
    pub const ALL: [Self; Self::COUNT] = [
        Self::PassedFilter,
        Self::PassedOwn,
        Self::PassedNoSocket,
        Self::Shunted,
        Self::Redirected,
        Self::RefusedRedirect,
        Self::Seen,
    ];
}

/// One counter of one CPU, as the map holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Count {
    /// Frames.
    pub packets: u64,
    /// Octets of the frames, without FCS, fragments of a multi-buffer frame included.
    pub octets: u64,
}
