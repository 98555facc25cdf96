//! When flows end, and how many there may be.

use std::time::Duration;

use super::entry::Entry;

/// How long a TCP flow stays in the cache after the packet that closed it (the second FIN, or an RST), so that the last
/// ACK and late retransmissions belong to it. One second is five of Linux's minimum retransmission time-outs
/// (`TCP_RTO_MIN`, 200 ms). Not longer than the idle time-out.
pub const TCP_LINGER: Duration = Duration::from_secs(1);

/// What a cache is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Longest time that one record covers.
    pub active_timeout: Duration,
    /// By how much less a record may live, each flow by its own share of it: those that began together then do not all come due
    /// together.
    pub active_perturbation: Duration,
    /// Silence that ends a flow.
    pub idle_timeout: Duration,
    /// Open flows at most.
    pub capacity: usize,
    /// Places in the hash table at least (nProbe's `-w`, whose buckets hold one flow or a list of them); a hint, rounded up
    /// to whole buckets of sixteen.
    pub hash_size: Option<usize>,
    /// One probe process (IPFIX 149).
    pub observation_domain_id: u32,
}

/// The time-outs in the unit of the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    active_nanoseconds: u64,
    perturbation_nanoseconds: u64,
    idle_nanoseconds: u64,
    linger_nanoseconds: u64,
}

/// What the clock says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Not,
    /// Its record is complete, the flow goes on.
    Active,
    /// No packet for the idle time-out.
    Idle,
    /// It was closed, and has lingered.
    Closed,
}

impl Timeouts {
    pub(super) fn new(settings: &Settings) -> Self {
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self {
            active_nanoseconds: nanoseconds(settings.active_timeout),
            perturbation_nanoseconds: nanoseconds(settings.active_perturbation),
            idle_nanoseconds: nanoseconds(settings.idle_timeout),
            linger_nanoseconds: nanoseconds(settings.idle_timeout.min(TCP_LINGER)),
        }
    }

    /// How long a record of a flow lives at most, by half of its hash: the same flow always the same. That half has chosen the worker as
    /// well, so its bits are spread once more.
    #[inline]
    pub(super) fn life(&self, tag: u32) -> u64 {
        // Knuth's multiplicative hashing (TAOCP 3, 6.4), by 2^32 over the golden ratio.
        let share = u64::from(tag.wrapping_mul(0x9e37_79b9));
        let less = (u128::from(self.perturbation_nanoseconds) * u128::from(share)) >> 32;
        self.active_nanoseconds.saturating_sub(less as u64)
    }

    /// When the entry is due, if no more packets come.
    #[inline]
    pub(super) fn deadline(&self, entry: &Entry) -> u64 {
        if let Some(closed_at) = entry.closed_at() {
            return closed_at.saturating_add(self.linger_nanoseconds);
        }
        let idle = entry.last_at.saturating_add(self.idle_nanoseconds);
        match entry.is_empty() {
            true => idle,
            false => idle.min(entry.complete_at),
        }
    }

    /// Whether a time lies before the clock by more than the disorder that a capture may have.
    pub(super) fn is_before(&self, nanoseconds: u64, clock: u64) -> bool {
        nanoseconds.saturating_add(self.idle_nanoseconds) < clock
    }

    /// Whether anything is.
    #[inline]
    pub(super) fn is_due(&self, entry: &Entry, now: u64) -> bool {
        now >= self.deadline(entry)
    }

    /// What is due at `now`. Of two deadlines that have passed the earlier one counts; of equal ones, the end. After
    /// [`Due::Active`] the caller has emptied the entry and asks again.
    #[inline]
    pub(super) fn due(&self, entry: &Entry, now: u64) -> Due {
        let deadline = self.deadline(entry);
        if now < deadline {
            Due::Not
        } else if entry.closed_at().is_some() {
            Due::Closed
        } else if deadline == entry.last_at.saturating_add(self.idle_nanoseconds) {
            Due::Idle
        } else {
            Due::Active
        }
    }
}
