//! What a killed process left: read once, checked, and turned into records of the epoch that found it.

use std::fs::File;
use std::path::{Path, PathBuf};

use flow_wire::ledger::{Amount, StreamCut, WorkerTerms};
use flow_wire::record::{FlowEndReason, FlowRecord};
use flow_wire::stamp::{Epoch, Sequence, StreamId};
use uuid::Uuid;

use super::bank::Bank;
use super::file::{DRAINED, Left, Owner};
use super::journal::UnderWay;
use super::sealed::Sealed;
use super::shunted::{Merged, Shunted, Skipped, Slots};
use super::shunts::ShuntMemory;
use crate::flow::{Entry, Tags, WAYS};
use crate::meter;
use crate::source::xdp::shunt::Counted;
use crate::worker;

/// What the spool knows: up to which sequence it has the batches of a stream. `None` = there is no spool.
pub type Spooled<'a> = &'a dyn Fn(Epoch, StreamId) -> Option<Sequence>;

/// One worker of an epoch that was killed.
pub struct Remains {
    /// Who metered it.
    pub owner: Owner,
    /// What is still to be exported, in an order that every start finds again.
    pub records: Vec<FlowRecord>,
    /// The worker's terms, up to the kill.
    pub terms: WorkerTerms,
    /// Up to where its stream is sealed.
    pub cut: StreamCut,
    /// Something did not stand the check: `lost_at_crash` is what is missing, and no more than that is known.
    pub is_bound: bool,
    /// Flows whose records follow those above once their last packets are known.
    shunted: Option<Shunted>,
    /// Records that earlier starts have exported.
    drained: u64,
    /// Of them, those of flows that were shunted.
    drained_of_shunted: usize,
    drains: Bank<DRAINED>,
    /// The file: emptied by its descriptor, which needs no rights in the directory.
    file: File,
    path: PathBuf,
}

impl std::fmt::Debug for Remains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remains").field("owner", &self.owner).field("records", &self.records.len()).finish()
    }
}

impl Remains {
    /// Reads a file that nobody holds. `None` = it is none of ours, or damaged in its head.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(path: &Path, file: File, spooled: Spooled<'_>) -> std::io::Result<Option<Self>> {
        let Some(mut left) = Left::of(file.try_clone()?)? else { return Ok(None) };
        let (epoch, stream) = (left.owner.epoch, StreamId(left.owner.worker));
        settle(&mut left.sealed, |sealed| {
            let next = Sealed::of(sealed, stream).cut.next;
            spooled(epoch, stream).is_none_or(|spooled| spooled >= next)
        });
        settle(&mut left.drained, |drained| {
            let (_, epoch, stream, next) = covered(drained);
            spooled(epoch, stream).is_none_or(|spooled| spooled >= next)
        });
        let sealed = Sealed::of(&left.sealed.numbers(), stream);
        let Found { records: found, shunted, is_bound } = find(&mut left, sealed.position);
        let mut terms = meter::terms_of(&left.terms.numbers(), &left.journal[0], left.owner.worker);
        worker::discarded_of(&left.discards.numbers(), &mut terms.discarded);
        sealed.complete(&mut terms);
        terms.recovered = found.iter().map(amount).fold(Amount::ZERO, plus);
        if let Some(shunted) = &shunted {
            shunted.complete(&mut terms);
            terms.recovered = plus(terms.recovered, shunted.amount());
        }
        if is_bound {
            terms.lost_at_crash = missing(&terms);
        }
        let drained = left.drained.numbers()[0];
        let skipped = usize::try_from(drained).unwrap_or(usize::MAX);
        Ok(Some(Self {
            owner: left.owner,
            drained_of_shunted: skipped.saturating_sub(found.len()),
            records: found.into_iter().skip(skipped).collect(),
            terms,
            cut: sealed.cut,
            is_bound,
            shunted: shunted.filter(|shunted| !shunted.is_empty()),
            drained,
            drains: left.drained,
            file,
            path: path.to_path_buf(),
        }))
    }

    /// Whether there are flows of which packets may be with the program.
    pub(crate) fn is_shunted(&self) -> bool {
        self.shunted.is_some()
    }

    /// What the programs of all interfaces had counted of these flows and no worker had read comes into their records. They count no more.
    /// `None` = what they counted is not there: then nobody knows how many packets these records lack.
    pub(crate) fn merge_shunted(&mut self, counted: Option<&[Counted]>) {
        let Some(shunted) = self.shunted.take() else { return };
        let without = shunted.amount();
        let Merged { entries, amount: merged, is_bound } = shunted.merge(counted);
        let with = entries.iter().map(|(entry, _)| entry.amount()).fold(Amount::ZERO, plus);
        let record = |(entry, reason): &(Entry, FlowEndReason)| FlowRecord {
            recovered_from: Some(self.owner.epoch),
            ..entry.record(self.owner.observation_domain_id, *reason)
        };
        self.records.extend(entries.iter().map(record).skip(self.drained_of_shunted));
        self.terms.shunt_merged = plus(self.terms.shunt_merged, merged);
        self.terms.recovered = plus(less(self.terms.recovered, without), with);
        if is_bound {
            self.is_bound = true;
            self.terms.lost_at_crash = missing(&self.terms);
        }
    }

    /// So many more, which were taken out of [`Remains::records`], are in a batch that is about to go into the spool: behind it the
    /// stream of the new epoch stands at `next`.
    pub(crate) fn prepare(&mut self, count: usize, epoch: Epoch, stream: StreamId, next: Sequence) {
        let (high, low) = epoch.0.as_u64_pair();
        self.drained += count as u64;
        self.drains.prepare(&[self.drained, high, low, u64::from(stream.0), next.0]);
    }

    /// The batch is there.
    pub(crate) fn commit(&mut self) {
        self.drains.commit();
    }

    /// Nothing of it is needed any more.
    pub fn remove(self) {
        // Emptied first: where the directory may no longer be written, the next start takes the name away.
        let emptied = self.file.set_len(0);
        let removed = std::fs::remove_file(&self.path);
        if let (Err(error), Err(_)) = (emptied, removed) {
            tracing::error!(
                "{}: {error}: it cannot be emptied, and the next start will export what is in it once more\n  mend: remove \
                 it while the probe is stopped",
                self.path.display()
            );
        }
    }
}

/// Whether what was prepared has happened is decided once, and stays so.
fn settle<const N: usize>(bank: &mut Bank<N>, has_happened: impl FnOnce(&[u64; N]) -> bool) {
    if let Some(prepared) = bank.prepared() {
        if has_happened(&prepared) { bank.commit() } else { bank.take_back() }
    }
}

fn covered(drained: &[u64; DRAINED]) -> (u64, Epoch, StreamId, Sequence) {
    let epoch = Epoch(Uuid::from_u64_pair(drained[1], drained[2]));
    (drained[0], epoch, StreamId(drained[3] as u16), Sequence(drained[4]))
}

struct Found {
    records: Vec<FlowRecord>,
    shunted: Option<Shunted>,
    /// Something was not as it was written.
    is_bound: bool,
}

/// The records of the ring that no batch covers, then those of the open flows, and those of which packets may be with the program.
fn find(left: &mut Left, position: u64) -> Found {
    let ring = worker::remains(&mut left.rest, left.shape.ring, position);
    let mut is_bound = !ring.is_sound || ring.records.iter().any(Option::is_none);
    let mut found: Vec<_> = ring.records.into_iter().flatten().collect();
    let taken = ring.tail.wrapping_add(left.discards.generation());
    let tags = left.rest.owned::<Tags>(left.shape.buckets);
    let mut entries = left.rest.owned::<Entry>(left.shape.buckets * WAYS);
    let mut shunts = ShuntMemory::of(&mut left.rest, left.shape.places);
    let skipped = match left.journal[0].mend() {
        Some(UnderWay::Nothing) => Skipped::Nothing,
        Some(UnderWay::Adding { slot, side, counters }) if slot < entries.len() => {
            entries[slot].set_counters(side, counters);
            Skipped::Nothing
        }
        Some(UnderWay::Beginning { slot }) => Skipped::Vacant(slot),
        Some(UnderWay::Writing { slot, sequence }) if taken > sequence => Skipped::Written(slot),
        Some(UnderWay::Writing { .. }) => Skipped::Nothing,
        Some(UnderWay::Merging { slot })
            if shunts.as_mut().is_some_and(|shunts| shunts.undo(&mut entries, slot)) =>
        {
            Skipped::Nothing
        }
        _ => {
            is_bound = true;
            Skipped::Nothing
        }
    };
    let slots = Slots { tags: &tags, entries: &entries };
    let shunted = shunts.map(|shunts| {
        let (shunted, is_damaged) = Shunted::find(shunts, &slots, skipped);
        is_bound |= is_damaged;
        shunted
    });
    for (slot, entry) in slots.occupied() {
        let is_shunted = shunted.is_some() && entry.shunt().is_some();
        if is_shunted || skipped.is(slot) || entry.is_empty() {
            continue;
        }
        if entry.is_sound() {
            found.push(entry.record(left.owner.observation_domain_id, FlowEndReason::ForcedEnd));
        } else {
            is_bound = true;
        }
    }
    for record in &mut found {
        record.recovered_from = Some(left.owner.epoch);
    }
    Found { records: found, shunted, is_bound }
}

/// What was metered and is nowhere. Only where something was damaged: elsewhere the books have to show that it is nothing.
fn missing(terms: &WorkerTerms) -> Amount {
    let discarded = terms.discarded.values().copied().fold(Amount::ZERO, plus);
    let known = plus(plus(terms.exported, terms.recovered), discarded);
    let there = plus(plus(terms.metered, terms.shunt_merged), terms.inherited);
    less(there, known)
}

/// What a record counts; of one that was read back, so that no sum of two overflows.
pub(crate) fn amount(record: &FlowRecord) -> Amount {
    Amount {
        packets: record.packet_delta_count + record.reverse_packet_delta_count,
        octets: record.layer2_octet_delta_count + record.reverse_layer2_octet_delta_count,
    }
}

pub(super) fn plus(one: Amount, other: Amount) -> Amount {
    Amount {
        packets: one.packets.saturating_add(other.packets),
        octets: one.octets.saturating_add(other.octets),
    }
}

fn less(one: Amount, other: Amount) -> Amount {
    Amount {
        packets: one.packets.saturating_sub(other.packets),
        octets: one.octets.saturating_sub(other.octets),
    }
}
