//! The open batch of one worker, and the totals of what was sealed.

use std::time::Duration;

use flow_wire::batch::{Sealed, encode};
use flow_wire::ledger::{Amount, ByReason, Discard, StreamCut};
use flow_wire::record::FlowRecord;
use flow_wire::stamp::{Sequence, Stamp, StreamId};
use hdrhistogram::Histogram;

use super::Identity;
use crate::survive;
use crate::worker::{Stage, Stages};

/// Rows that close a batch: the schema is then 2 % of it, and at 31-36 octets a row behind the bus's zstd a message is
/// still small.
pub(super) const SEAL_ROWS: usize = 1_000;

/// Age that closes a batch.
pub(super) const SEAL_AGE: Duration = Duration::from_secs(1);

/// One stream of batches.
pub(super) struct Stream {
    identity: Identity,
    id: StreamId,
    next: Sequence,
    open: Vec<FlowRecord>,
    opened: Duration,
    records: u64,
    exported: Amount,
    discarded: ByReason<Discard>,
    /// From a batch's first record to its seal.
    seal_times: Histogram<u64>,
}

impl Stream {
    pub(super) fn new(identity: Identity, id: StreamId) -> Self {
        Self {
            identity,
            id,
            next: Sequence(0),
            open: Vec::with_capacity(SEAL_ROWS),
            opened: Duration::ZERO,
            records: 0,
            exported: Amount::ZERO,
            discarded: ByReason::new(),
            seal_times: Stages::new().of(Stage::Seal).clone(),
        }
    }

    /// Takes a record; a full batch is sealed.
    pub(super) fn push(&mut self, record: FlowRecord, now: Duration) -> Option<Sealed> {
        if self.open.is_empty() {
            self.opened = now;
        }
        self.open.push(record);
        if self.open.len() < SEAL_ROWS { None } else { self.seal(now) }
    }

    /// Whether the open batch is old enough to go.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        !self.open.is_empty() && now.saturating_sub(self.opened) >= SEAL_AGE
    }

    /// Whether there is no open batch.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Closes the open batch, if there is one. The totals grow by what the encoded batch says, never by the records.
    pub(super) fn seal(&mut self, now: Duration) -> Option<Sealed> {
        if self.open.is_empty() {
            return None;
        }
        self.seal_times.saturating_record(now.saturating_sub(self.opened).as_nanos() as u64);
        let sealed = encode(&self.open, self.stamp());
        let records = std::mem::take(&mut self.open);
        match sealed {
            Ok(sealed) => {
                self.next.0 += 1;
                self.records += u64::from(sealed.header.rows);
                self.exported += sealed.exported;
                self.open = Vec::with_capacity(SEAL_ROWS);
                Some(sealed)
            }
            Err(error) => {
                tracing::error!(stream = self.id.0, %error, rows = records.len(), "a batch is discarded");
                *self.discarded.entry(Discard::NotEncodable).or_default() += amount(&records);
                None
            }
        }
    }

    /// Up to where it is sealed.
    pub(super) fn cut(&self) -> StreamCut {
        StreamCut { stream: self.id, next: self.next, records: self.records, exported: self.exported }
    }

    /// The same for who comes after a kill: these totals hold for `position` entries of the record ring.
    pub(super) fn sealed(&self, position: u64) -> survive::sealed::Sealed {
        let not_encodable = self.discarded.get(&Discard::NotEncodable).copied().unwrap_or(Amount::ZERO);
        survive::sealed::Sealed { cut: self.cut(), position, not_encodable, inherited: Amount::ZERO }
    }

    /// How long its records waited in open batches, the first of each.
    pub(super) fn seal_times(&self) -> &Histogram<u64> {
        &self.seal_times
    }

    /// What could not be sealed.
    pub(super) fn discarded(&self) -> &ByReason<Discard> {
        &self.discarded
    }

    fn stamp(&self) -> Stamp {
        Stamp { probe: self.identity.probe, epoch: self.identity.epoch, stream: self.id, sequence: self.next }
    }
}

/// What records hold that never became a batch.
fn amount(records: &[FlowRecord]) -> Amount {
    records.iter().fold(Amount::ZERO, |sum, record| Amount {
        packets: sum
            .packets
            .saturating_add(record.packet_delta_count)
            .saturating_add(record.reverse_packet_delta_count),
        octets: sum
            .octets
            .saturating_add(record.layer2_octet_delta_count)
            .saturating_add(record.reverse_layer2_octet_delta_count),
    })
}
