//! The verdict over all epochs.

use std::collections::BTreeMap;

use flow_wire::fault::Hop;
use flow_wire::ledger::{Amount, Identity, recovered};
use serde::Serialize;

use super::epoch::Epoch;
use super::fate::Fate;
use super::twins::{Twins, twins};
use crate::store::{EpochBooks, StoreTerms};

/// What `/api/v1/ledger` and `gannet-collector ledger` say.
#[derive(Debug, Serialize)]
pub struct Ledger {
    /// In one word.
    pub verdict: Verdict,
    /// What no term explains, beyond what can be in flight.
    pub residual: Amount,
    /// Where, first hop first.
    pub hops: Vec<Hop>,
    /// Whether stored terms were counted from the rows themselves.
    pub checked_rows: bool,
    /// When the rows were last counted, by the collector's clock: what that found is in `residual` and `hops`. `None` = not yet.
    pub rows_counted_nanoseconds: Option<u64>,
    /// Counted loss: it is no residual.
    pub lost: Loss,
    /// Batches that came more than once and were stored once.
    pub doubled: Batches,
    /// Batches whose stamp was there with another content; kept aside.
    pub conflicts: Batches,
    /// Messages that could not be used, by reason; kept aside.
    pub refused: BTreeMap<String, u64>,
    /// Identities that two live probes have: an alarm.
    pub twins: Vec<Twins>,
    /// Latest heard first.
    pub epochs: Vec<Epoch>,
}

/// Whether the books balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every identity holds exactly: all epochs are closed, and the bus is read to its end.
    Balanced,
    /// Nothing is wrong; something can still be in flight, or nobody has spoken yet.
    Open,
    /// Something is unaccounted for.
    Residual,
}

/// What is known to be lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Before they were records, and in records that are lost.
    pub packets: u64,
    /// After they were sealed.
    pub records: u64,
    /// Which held them.
    pub batches: u64,
    /// Of publishers that are none of ours: messages that did not come, by their numbers. What was in them nobody knows.
    pub publisher_messages: u64,
    /// Packets and flows that such publishers say they lost themselves: their word.
    pub publisher_told: u64,
}

impl Loss {
    /// For `--max-loss`: in packets, as the probe counts; a record whose packets nobody told is one at least, and so is a message.
    pub fn count(&self) -> u64 {
        let publishers = self.publisher_messages.saturating_add(self.publisher_told);
        self.packets.max(self.records).saturating_add(publishers)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            packets: self.packets.saturating_add(other.packets),
            records: self.records.saturating_add(other.records),
            batches: self.batches.saturating_add(other.batches),
            publisher_messages: self.publisher_messages.saturating_add(other.publisher_messages),
            publisher_told: self.publisher_told.saturating_add(other.publisher_told),
        }
    }
}

/// A number of batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Batches {
    /// How many.
    pub batches: u64,
}

impl Ledger {
    /// Closes the books at a point in time. `caught_up`: nothing is left on a bus that keeps what is not read, so that there
    /// is no epoch which was not heard of yet.
    pub fn close(terms: &StoreTerms, caught_up: bool, now_nanoseconds: u64) -> Self {
        let mut epochs: Vec<_> =
            terms.epochs.iter().map(|books| Epoch::close(books, now_nanoseconds)).collect();
        let recovered: Vec<_> =
            terms.epochs.iter().map(|books| recovered_from(terms, books, &epochs)).collect();
        epochs.iter_mut().zip(recovered).for_each(|(epoch, identity)| epoch.add(identity));
        let streams = || terms.epochs.iter().flat_map(|epoch| epoch.streams.values());
        let conflicts = streams().map(|stream| stream.conflict.batches).sum();
        let doubled = streams().map(|stream| stream.again.batches.max(stream.duplicate.batches)).sum::<u64>();
        let mut residual = epochs.iter().map(|epoch| epoch.residual).fold(Amount::ZERO, plus);
        let mut hops: Vec<Hop> = epochs.iter().flat_map(Epoch::broken_hops).collect();
        let doubled_rows = terms.doubled_rows.unwrap_or(0);
        if doubled_rows > 0 {
            residual.packets = residual.packets.saturating_add(doubled_rows);
            hops.push(Hop::Store);
        }
        hops.sort_unstable();
        hops.dedup();
        Self {
            verdict: verdict(residual, &epochs, caught_up),
            residual,
            hops,
            checked_rows: terms.doubled_rows.is_some(),
            rows_counted_nanoseconds: None,
            lost: epochs.iter().map(|epoch| epoch.lost).fold(Loss::default(), Loss::plus),
            doubled: Batches { batches: doubled.saturating_sub(conflicts) },
            conflicts: Batches { batches: conflicts },
            refused: terms.refused.clone(),
            twins: twins(&terms.epochs),
            epochs,
        }
    }
}

/// What was recovered of an epoch against the rows of the others that name it.
fn recovered_from(terms: &StoreTerms, books: &EpochBooks, epochs: &[Epoch]) -> Option<Identity> {
    let message = books.message.as_ref().filter(|_| books.closing.is_some())?;
    let mut others =
        epochs.iter().filter(|epoch| epoch.probe_id == books.probe && epoch.epoch != books.epoch);
    let is_settled = others.all(|epoch| epoch.is_settled() && epoch.lost.records == 0);
    // Of rows that retention removed nobody knows whom they were recovered from.
    recovered(message, books.recovered_rows?, is_settled && !terms.anything_removed)
}

impl Ledger {
    /// Takes in what a count of the rows found that the batches do not show.
    pub fn add_residual(&mut self, residual: Amount, hops: &[Hop]) {
        if residual == Amount::ZERO {
            return;
        }
        // Both may see the same thing: the larger one, not the sum.
        self.residual.packets = self.residual.packets.max(residual.packets);
        self.residual.octets = self.residual.octets.max(residual.octets);
        self.hops.extend(hops);
        self.hops.sort_unstable();
        self.hops.dedup();
        self.verdict = Verdict::Residual;
    }

    /// Batches by what became of them, over all epochs: every fate, in the order of [`Fate::ALL`].
    pub fn fates(&self) -> [(&'static str, u64); 7] {
        let streams = || self.epochs.iter().flat_map(|epoch| &epoch.streams);
        Fate::ALL.map(|fate| {
            let of = streams().flat_map(|stream| &stream.fates).filter(|fated| fated.fate == fate);
            (fate.name(), of.map(|fated| fated.batches).sum())
        })
    }
}

fn verdict(residual: Amount, epochs: &[Epoch], caught_up: bool) -> Verdict {
    if residual != Amount::ZERO {
        Verdict::Residual
    } else if caught_up && !epochs.is_empty() && epochs.iter().all(Epoch::is_settled) {
        Verdict::Balanced
    } else {
        Verdict::Open
    }
}

fn plus(one: Amount, other: Amount) -> Amount {
    Amount {
        packets: one.packets.saturating_add(other.packets),
        octets: one.octets.saturating_add(other.octets),
    }
}
