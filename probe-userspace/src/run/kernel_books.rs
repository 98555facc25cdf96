//! The kernel's side of the books of an interface that is captured by AF_XDP: the program's counters, and the driver's.
//!
//! ```text
//! sockets (in the workers' cuts) ─► driver's drops ─► program's counters        read in this order: downstream first
//! ```

use flow_wire::ledger::QueueTerms;
use xsk::Ethtool;

use super::host::Interface;
use super::xdp::{Shared, lock};
use crate::source::xdp::QueueCounters;
use crate::source::xdp::shunt::Table;

/// What the program and the driver count for one interface.
pub(super) struct KernelBooks {
    program: Shared,
    name: String,
    ethtool: Option<Ethtool>,
    /// The driver's drops when the run began, by queue: only what comes on top is ours.
    drops_before: Vec<Option<u64>>,
    /// The last that was computed, by queue.
    not_delivered: Vec<Option<u64>>,
    /// What is left once the program is detached.
    last: Option<Vec<QueueTerms>>,
}

impl KernelBooks {
    pub(super) fn new(interface: &Interface, program: &Shared) -> Self {
        let ethtool = Ethtool::of(&interface.name).ok();
        let mut books = Self {
            program: program.clone(),
            name: interface.name.clone(),
            ethtool,
            drops_before: Vec::new(),
            not_delivered: Vec::new(),
            last: None,
        };
        books.drops_before = books.drops();
        books
    }

    /// The terms of all queues. `sockets` are those of the sockets, read before; `closing` = they are final: the program
    /// is then detached, so that its counters stand still, and read for the last time.
    pub(super) fn terms(&mut self, sockets: &[QueueTerms], closing: bool) -> Vec<QueueTerms> {
        if let Some(last) = &self.last {
            return last.clone();
        }
        // Downstream first: the driver counts a drop after the program has counted the redirect.
        let drops = self.drops();
        let mut terms = self.counters(closing);
        for terms in &mut terms {
            terms.not_delivered = self.undelivered(terms.queue, &drops, sockets, closing);
        }
        if closing {
            self.last = Some(terms.clone());
        }
        terms
    }

    fn counters(&mut self, closing: bool) -> Vec<QueueTerms> {
        let mut program = lock(&self.program);
        if closing {
            program.detach();
        }
        // Downstream first here, too: the program counts a packet by its outcome after its flow.
        let total = if closing { Table::total } else { Table::total_of_used };
        let shunted = program.shunt().map(total).unwrap_or_default();
        let counters = program.counters().unwrap_or_else(|error| {
            tracing::error!("{error}");
            Vec::new()
        });
        let of = |counters: &QueueCounters| {
            let mut terms =
                QueueTerms { interface: self.name.clone(), queue: counters.queue, ..QueueTerms::default() };
            counters.write_to(&mut terms);
            terms
        };
        let mut terms: Vec<_> = counters.iter().map(of).collect();
        if let Some(first) = terms.first_mut() {
            first.shunt_counted = shunted;
        }
        terms
    }

    /// The driver's drops on top of those before, less those that the sockets know. Sockets were read earlier, so a drop
    /// of this moment may stand in the driver's count alone: what was there the last time too is not of this moment.
    fn undelivered(
        &mut self,
        queue: u32,
        drops: &[Option<u64>],
        sockets: &[QueueTerms],
        closing: bool,
    ) -> Option<u64> {
        let at = queue as usize;
        // An interface that went away took its counters along: what they last came to stands.
        let Some(dropped) = drops.get(at).copied().flatten() else {
            return self.not_delivered.get(at).copied().flatten();
        };
        let before = self.drops_before.get(at).copied().flatten().unwrap_or(0);
        let known: u64 = sockets
            .iter()
            .filter(|terms| terms.interface == self.name && terms.queue == queue)
            .map(|terms| terms.rx_ring_full + terms.rx_dropped)
            .sum();
        let now = dropped.saturating_sub(before).saturating_sub(known);
        if self.not_delivered.len() <= at {
            self.not_delivered.resize(at + 1, None);
        }
        let last = self.not_delivered[at].replace(now).unwrap_or(now);
        Some(if closing { now } else { now.min(last) })
    }

    /// `rx_queue_N_drops`, as veth spells it; `None` where the driver has no such counter.
    fn drops(&self) -> Vec<Option<u64>> {
        let counters = self.ethtool.as_ref().and_then(|ethtool| ethtool.counters().ok()).unwrap_or_default();
        let last = counters.keys().filter_map(|name| queue_of_drops(name)).max();
        let Some(last) = last else { return Vec::new() };
        (0..=last).map(|queue| counters.get(&format!("rx_queue_{queue}_drops")).copied()).collect()
    }
}

fn queue_of_drops(name: &str) -> Option<u32> {
    name.strip_prefix("rx_queue_")?.strip_suffix("_drops")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drivers_counter_of_drops_names_its_queue() {
        assert_eq!(queue_of_drops("rx_queue_12_drops"), Some(12));
        for other in ["rx_queue_1_xdp_drops", "rx_queue__drops", "tx_queue_1_drops", "rx_drops"] {
            assert_eq!(queue_of_drops(other), None, "{other}");
        }
    }
}
