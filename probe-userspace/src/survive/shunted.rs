//! Flows of a killed worker that the program counted: whole once it counts no more.

use flow_wire::ledger::{Amount, Unshunted, WorkerTerms};
use flow_wire::record::FlowEndReason;

use super::remains::plus;
use super::shunts::{Account, ShuntMemory};
use crate::flow::{Entry, Tags, WAYS, shunted_amount as amount};
use crate::source::xdp::shunt::{Counted, Counts};

/// In an order that every start finds again.
pub(super) struct Shunted {
    account: Account,
    flows: Vec<Flow>,
}

struct Flow {
    entry: Entry,
    place: usize,
    reason: FlowEndReason,
}

/// The flow cache as it was left.
pub(super) struct Slots<'a> {
    pub(super) tags: &'a [Tags],
    pub(super) entries: &'a [Entry],
}

impl Slots<'_> {
    /// By number.
    pub(super) fn occupied(&self) -> impl Iterator<Item = (usize, &Entry)> {
        let is_occupied = |slot: usize| self.tags[slot / WAYS].is_occupied(slot % WAYS);
        self.entries.iter().enumerate().filter(move |(slot, _)| is_occupied(*slot))
    }
}

/// What a kill interrupted, as far as it is of no flow any more.
#[derive(Clone, Copy)]
pub(super) enum Skipped {
    Nothing,
    /// The slot is vacant.
    Vacant(usize),
    /// The record of this entry was taken; the number is that of a slot, or behind all of them of a place.
    Written(usize),
}

impl Skipped {
    /// Whether the entry of this number counts for nothing.
    pub(super) fn is(self, number: usize) -> bool {
        matches!(self, Self::Vacant(at) | Self::Written(at) if at == number)
    }

    fn is_written(self, number: usize) -> bool {
        matches!(self, Self::Written(at) if at == number)
    }
}

/// What became of them.
#[derive(Default)]
pub(super) struct Merged {
    pub(super) entries: Vec<(Entry, FlowEndReason)>,
    /// What was added.
    pub(super) amount: Amount,
    pub(super) is_bound: bool,
}

impl Shunted {
    /// Those in slots, then those that have parted. `true` = something was not as it was written.
    pub(super) fn find(memory: ShuntMemory, slots: &Slots<'_>, skipped: Skipped) -> (Self, bool) {
        let ShuntMemory { account, parted } = memory;
        let mut flows = Vec::new();
        let mut is_bound = false;
        for (slot, entry) in slots.occupied() {
            let Some(place) = entry.shunt() else { continue };
            let is_written = skipped.is_written(slot);
            if skipped.is(slot) && !is_written {
                continue;
            }
            if place >= parted.len() {
                is_bound = true;
            } else if !account.has_parted(place) {
                // What comes behind an active time-out is of its next record.
                let entry = if is_written { entry.continued() } else { *entry };
                flows.push(Flow { entry, place, reason: FlowEndReason::ForcedEnd });
            }
        }
        for (place, entry) in parted.iter().enumerate() {
            if !account.has_parted(place) || skipped.is_written(slots.entries.len() + place) {
                continue;
            }
            match account.parted(place) {
                Some(reason) if entry.shunt() == Some(place) => {
                    flows.push(Flow { entry: *entry, place, reason });
                }
                _ => is_bound = true,
            }
        }
        let mut is_held = vec![false; parted.len()];
        let found = flows.len();
        flows.retain(|flow| {
            let is_second = std::mem::replace(&mut is_held[flow.place], true);
            !is_second && (flow.entry.is_empty() || flow.entry.is_sound())
        });
        is_bound |= flows.len() < found;
        (Self { account, flows }, is_bound)
    }

    /// What the worker had written down.
    pub(super) fn complete(&self, terms: &mut WorkerTerms) {
        terms.shunt_merged = self.account.amount();
        terms.shunts = self.account.begun();
        let refused = Unshunted::ALL.into_iter().zip(self.account.refused());
        terms.unshunted = refused.filter(|(_, flows)| *flows > 0).collect();
    }

    /// What they have without what nobody had read.
    pub(super) fn amount(&self) -> Amount {
        self.flows.iter().map(|flow| flow.entry.amount()).fold(Amount::ZERO, plus)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// `counted`: by the programs of all interfaces, which count no more. `None` = nobody knows.
    pub(super) fn merge(self, counted: Option<&[Counted]>) -> Merged {
        let mut merged = Merged { is_bound: counted.is_none(), ..Merged::default() };
        for mut flow in self.flows {
            match counted.map_or(Ok(None), |counted| since(&self.account, &flow, counted)) {
                Ok(None) => {}
                Ok(Some((more, last_at))) => {
                    flow.entry.merge(&more, last_at, last_at);
                    merged.amount = plus(merged.amount, amount(&more));
                }
                Err(NotIts) => merged.is_bound = true,
            }
            match flow.entry.is_empty() {
                false if flow.entry.is_sound() => merged.entries.push((flow.entry, flow.reason)),
                false => merged.is_bound = true,
                true => {}
            }
        }
        merged
    }
}

/// The counters of a place are not those of its flow.
struct NotIts;

/// What came since the last reading, and when the last of it did, since the UNIX epoch.
fn since(account: &Account, flow: &Flow, counted: &[Counted]) -> Result<Option<([Counts; 2], u64)>, NotIts> {
    let mut counts = [Counts::default(); 2];
    counted.iter().for_each(|program| program.add_counts(flow.place, &mut counts));
    let more = account.since(flow.place, &counts).ok_or(NotIts)?;
    let is_something = amount(&more) != Amount::ZERO;
    if !counted.iter().any(|program| program.has(flow.place, &flow.entry.key)) {
        // Killed before the program was told of it.
        return if is_something { Err(NotIts) } else { Ok(None) };
    }
    if !is_something && flow.entry.is_empty() {
        return Ok(None);
    }
    let last_at = counted.iter().map(|program| program.last_at(flow.place)).max().unwrap_or(0);
    Ok(Some((more, last_at.saturating_add(account.offset()))))
}
