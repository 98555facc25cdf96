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
use crate::flow::{Entry, Tags, WAYS};
use crate::meter;
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
    /// Records that earlier starts have exported.
    drained: u64,
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
        let (found, is_bound) = find(&mut left, sealed.position);
        let mut terms = meter::terms_of(&left.terms.numbers(), &left.journal[0], left.owner.worker);
        worker::discarded_of(&left.discards.numbers(), &mut terms.discarded);
        sealed.complete(&mut terms);
        terms.recovered = found.iter().map(amount).fold(Amount::ZERO, plus);
        if is_bound {
            terms.lost_at_crash = missing(&terms);
        }
        let drained = left.drained.numbers()[0].min(found.len() as u64);
        Ok(Some(Self {
            owner: left.owner,
            records: found.into_iter().skip(drained as usize).collect(),
            terms,
            cut: sealed.cut,
            is_bound,
            drained,
            drains: left.drained,
            file,
            path: path.to_path_buf(),
        }))
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

/// The records of the ring that no batch covers, then those of the open flows. `true` = something was not as it was written.
fn find(left: &mut Left, position: u64) -> (Vec<FlowRecord>, bool) {
    let ring = worker::remains(&mut left.rest, left.shape.ring, position);
    let mut is_bound = !ring.is_sound || ring.records.iter().any(Option::is_none);
    let mut found: Vec<_> = ring.records.into_iter().flatten().collect();
    let taken = ring.tail.wrapping_add(left.discards.generation());
    let tags = left.rest.owned::<Tags>(left.shape.buckets);
    let mut entries = left.rest.owned::<Entry>(left.shape.buckets * WAYS);
    let skipped = match left.journal[0].mend() {
        Some(UnderWay::Nothing) => None,
        Some(UnderWay::Adding { slot, side, counters }) if slot < entries.len() => {
            entries[slot].set_counters(side, counters);
            None
        }
        Some(UnderWay::Beginning { slot }) => Some(slot),
        Some(UnderWay::Writing { slot, sequence }) => (taken > sequence).then_some(slot),
        _ => {
            is_bound = true;
            None
        }
    };
    for (slot, entry) in entries.iter().enumerate() {
        if !tags[slot / WAYS].is_occupied(slot % WAYS) || skipped == Some(slot) || entry.is_empty() {
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
    (found, is_bound)
}

/// What was metered and is nowhere. Only where something was damaged: elsewhere the books have to show that it is nothing.
fn missing(terms: &WorkerTerms) -> Amount {
    let discarded = terms.discarded.values().copied().fold(Amount::ZERO, plus);
    let known = plus(plus(terms.exported, terms.recovered), discarded);
    let there = plus(terms.metered, terms.inherited);
    Amount {
        packets: there.packets.saturating_sub(known.packets),
        octets: there.octets.saturating_sub(known.octets),
    }
}

/// What a record counts; of one that was read back, so that no sum of two overflows.
pub(crate) fn amount(record: &FlowRecord) -> Amount {
    Amount {
        packets: record.packet_delta_count + record.reverse_packet_delta_count,
        octets: record.layer2_octet_delta_count + record.reverse_layer2_octet_delta_count,
    }
}

fn plus(one: Amount, other: Amount) -> Amount {
    Amount {
        packets: one.packets.saturating_add(other.packets),
        octets: one.octets.saturating_add(other.octets),
    }
}
