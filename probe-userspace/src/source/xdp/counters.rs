//! The counters of the program, summed over the CPUs.

use aya::maps::{MapData, PerCpuArray};
use flow_wire::fault::{self, Fault, Hop};
use flow_wire::ledger::{Amount, Pass, QueueTerms, Refuse};
use xdp_abi::map::{COUNTERS, QueueCounts};
use xdp_abi::outcome::Outcome;

use super::error::Error;

/// A queue's counters as the map holds them: packets and octets of each outcome in turn.
pub(super) type Stored = [u64; 2 * Outcome::COUNT];

const _: () = assert!(size_of::<Stored>() == size_of::<QueueCounts>());

/// What became of the frames of one RX queue, since the program was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueCounters {
    /// RX queue.
    pub queue: u32,
    amounts: [Amount; Outcome::COUNT],
}

impl QueueCounters {
    /// Frames with this outcome (or all, for [`Outcome::Seen`]).
    pub fn of(&self, outcome: Outcome) -> Amount {
        self.amounts[outcome as usize]
    }

    /// Fills in the terms that the program knows; a reason that never happened stays absent.
    pub fn write_to(&self, terms: &mut QueueTerms) {
        terms.seen = self.of(Outcome::Seen);
        terms.shunted = self.of(Outcome::Shunted);
        terms.redirected = self.of(Outcome::Redirected);
        for (reason, outcome) in [
            (Pass::Filter, Outcome::PassedFilter),
            (Pass::Own, Outcome::PassedOwn),
            (Pass::NoSocket, Outcome::PassedNoSocket),
        ] {
            insert(&mut terms.passed, reason, self.of(outcome));
        }
        insert(&mut terms.refused, Refuse::RedirectFailed, self.of(Outcome::RefusedRedirect));
    }
}

fn insert<R: Ord>(by_reason: &mut std::collections::BTreeMap<R, Amount>, reason: R, amount: Amount) {
    if amount.packets != 0 {
        by_reason.insert(reason, amount);
    }
}

/// The map, and the fault that a test asked for.
pub(super) struct Counters {
    map: PerCpuArray<MapData, Stored>,
    queues: u32,
    fault: Option<(u32, Fault)>,
}

impl Counters {
    pub(super) fn new(map: PerCpuArray<MapData, Stored>, queues: u32) -> Self {
        Self { map, queues, fault: None }
    }

    pub(super) fn read(&mut self) -> Result<Vec<QueueCounters>, Error> {
        (0..self.queues).map(|queue| self.read_queue(queue)).collect()
    }

    fn read_queue(&mut self, queue: u32) -> Result<QueueCounters, Error> {
        let cpus = self.map.get(&queue, 0).map_err(|error| Error::Map {
            map: COUNTERS,
            operation: "reading",
            error,
        })?;
        let mut amounts = [Amount::ZERO; Outcome::COUNT];
        for cpu in cpus.iter() {
            for (amount, [packets, octets]) in amounts.iter_mut().zip(cpu.as_chunks().0) {
                *amount += Amount { packets: *packets, octets: *octets };
            }
        }
        self.inject(queue, &mut amounts[Outcome::Seen as usize]);
        Ok(QueueCounters { queue, amounts })
    }

    /// A frame that vanished in the program was seen and has no outcome; one that was doubled has two. From then on it
    /// stays in the counters, as it would.
    fn inject(&mut self, queue: u32, seen: &mut Amount) {
        if self.fault.is_none() && seen.packets > 0 {
            self.fault = fault::take(Hop::Kernel).map(|fault| (queue, fault));
        }
        match self.fault {
            Some((at, Fault::Lose)) if at == queue => seen.packets += 1,
            Some((at, Fault::Double)) if at == queue => seen.packets -= 1,
            _ => {}
        }
    }
}
