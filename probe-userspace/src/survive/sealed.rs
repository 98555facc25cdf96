//! Up to where a worker's records are in batches: what the exporter makes hold with each batch.

use flow_wire::ledger::{Amount, Discard, StreamCut, WorkerTerms};
use flow_wire::stamp::{Sequence, StreamId};

use super::file::SEALED;

/// The totals of a stream, as of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Sequence, records and amount.
    pub(crate) cut: StreamCut,
    /// Entries of the record ring that its batches cover.
    pub(crate) position: u64,
    /// What could not be sealed.
    pub(crate) not_encodable: Amount,
    /// What earlier epochs had metered.
    pub(crate) inherited: Amount,
}

impl Sealed {
    /// Of a bank.
    pub(crate) fn of(numbers: &[u64; SEALED], stream: StreamId) -> Self {
        let amount = |at: usize| Amount { packets: numbers[at], octets: numbers[at + 1] };
        Self {
            cut: StreamCut { stream, next: Sequence(numbers[0]), records: numbers[1], exported: amount(2) },
            position: numbers[4],
            not_encodable: amount(5),
            inherited: amount(7),
        }
    }

    /// For a bank.
    pub(crate) fn numbers(&self) -> [u64; SEALED] {
        [
            self.cut.next.0,
            self.cut.records,
            self.cut.exported.packets,
            self.cut.exported.octets,
            self.position,
            self.not_encodable.packets,
            self.not_encodable.octets,
            self.inherited.packets,
            self.inherited.octets,
        ]
    }

    /// Fills in the terms that the exporter knows.
    pub(crate) fn complete(&self, terms: &mut WorkerTerms) {
        terms.exported = self.cut.exported;
        terms.records = self.cut.records;
        terms.inherited = self.inherited;
        if self.not_encodable != Amount::ZERO {
            terms.discarded.insert(Discard::NotEncodable, self.not_encodable);
        }
    }
}
