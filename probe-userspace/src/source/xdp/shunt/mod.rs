//! The shunt as the workers have it: the program's own memory, mapped; and how long to wait until no program uses a place any more.
//!
//! ```text
//! worker ──tag, key──► GANNET_SHUNT_* of each interface ◄── XDP program
//!    ▲─────────────────── counts ◄──────────────────────────────┘
//!    └── grace: no program that found the place taken is still running
//! ```
//! A flow has the same place in the table of every interface, for its packets may come in by several: what it counts is the sum.
//! No system call is made by a worker; the thread of [`Grace`] makes one for many ends.

mod barrier;
mod counted;
mod grace;
mod table;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use xdp_abi::key::FlowKey;
use xdp_abi::shunt::PLACES;

pub(crate) use barrier::Barrier;
pub use counted::{Counted, Counts};
pub(crate) use grace::Grace;
pub(crate) use table::LoadError;
pub use table::Table;

use crate::worker::Clock;

/// What all workers of a run share.
#[derive(Clone)]
pub struct Shunt {
    tables: Arc<[Table]>,
    /// Places that a worker has: of two flows that belong to one place the second is not shunted.
    claims: Arc<[AtomicBool]>,
    grace: Grace,
    /// Real time less the monotonic clock's, nanoseconds.
    offset: u64,
}

impl Shunt {
    /// Over the tables of all interfaces. A flow that is silent for longer than `idle` comes up again.
    ///
    /// # Errors
    /// The kernel has no descriptor, or no thread.
    pub fn new(tables: Vec<Table>, idle: Duration, clock: Clock) -> io::Result<Self> {
        let barrier = Barrier::new()?;
        Self::waiting(tables, idle, monotonic_offset(clock), Grace::start(move || barrier.wait())?)
    }

    /// The same with another way of waiting.
    pub(crate) fn waiting(tables: Vec<Table>, idle: Duration, offset: u64, grace: Grace) -> io::Result<Self> {
        tables.iter().for_each(|table| table.set_idle(idle));
        let claims = (0..PLACES).map(|_| AtomicBool::new(false)).collect();
        Ok(Self { tables: tables.into(), claims, grace, offset })
    }

    /// Real time less the monotonic clock's, nanoseconds.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes a place; `false` = somebody has it.
    pub(crate) fn claim(&self, place: usize) -> bool {
        self.claims[place].compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives a place back that no program uses any more.
    pub(crate) fn release(&self, place: usize) {
        self.claims[place].store(false, Ordering::Release);
    }

    /// The program counts this flow from now on. `is_known`: of the other directions the first packet comes up.
    pub(crate) fn put_in(&self, place: usize, key: &FlowKey, now: u64, is_known: [bool; 2]) {
        let now = now.saturating_sub(self.offset);
        self.tables.iter().for_each(|table| table.put_in(place, key, now, is_known));
    }

    /// The program looks for this flow no more. What it has begun to count ends with the grace that is asked for.
    pub(crate) fn take_out(&self, place: usize) -> u64 {
        self.tables.iter().for_each(|table| table.take_out(place));
        self.grace.ask()
    }

    /// Whether no program uses what was taken out before.
    pub(crate) fn is_over(&self, grace: u64) -> bool {
        self.grace.is_over(grace)
    }

    /// Whether a program has stopped it.
    pub(crate) fn is_stopped(&self, place: usize) -> bool {
        self.tables.iter().any(|table| table.is_stopped(place))
    }

    /// When a packet was last counted, since the UNIX epoch.
    pub(crate) fn last_at(&self, place: usize) -> u64 {
        let last = self.tables.iter().map(|table| table.counted().last_at(place)).max().unwrap_or(0);
        last.saturating_add(self.offset)
    }

    /// What was counted at this place, ever, by direction; flags that were not taken away.
    pub(crate) fn counts(&self, place: usize) -> [Counts; 2] {
        let mut sum = [Counts::default(); 2];
        self.tables.iter().for_each(|table| table.counted().add_counts(place, &mut sum));
        sum
    }

    /// These flags stand in an entry.
    pub(crate) fn take_flags(&self, place: usize, flags: [u8; 2]) {
        if flags != [0; 2] {
            self.tables.iter().for_each(|table| table.counted().take_flags(place, flags));
        }
    }
}

/// Of files there is none: they are not shunted.
fn monotonic_offset(clock: Clock) -> u64 {
    let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let monotonic =
        (monotonic.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(monotonic.tv_nsec as u64);
    clock.now().unwrap_or(0).saturating_sub(monotonic)
}
