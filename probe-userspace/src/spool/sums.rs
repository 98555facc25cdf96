//! What each epoch has sealed so far, per stream: carried from segment to segment, so that it is known when the first
//! batches of the epoch are long gone from the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_wire::batch::Sealed;
use flow_wire::header::Header;
use flow_wire::ledger::{Amount, StreamCut};
use flow_wire::stamp::{Epoch, Sequence, StreamId};
use serde::{Deserialize, Serialize};

use super::entry::Note;
use super::terms::Tally;

/// One epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct EpochSums {
    /// The start of the spool in which it appended.
    pub(super) generation: u64,
    /// Its last books are in the spool, by itself or by a later start.
    pub(super) closed: bool,
    pub(super) streams: BTreeMap<StreamId, StreamSums>,
    /// The newest message with its books.
    pub(super) newest: Option<Arc<Sealed>>,
}

/// One stream, up to where it is sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamSums {
    pub(super) next: Next,
    pub(super) records: u64,
    pub(super) exported: Amount,
}

/// The sequence of the next batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Next(pub(super) u64);

impl StreamSums {
    pub(super) fn cut(&self, stream: StreamId) -> StreamCut {
        StreamCut { stream, next: Sequence(self.next.0), records: self.records, exported: self.exported }
    }

    /// As if these had been all of the stream.
    pub(super) fn of(tally: Tally) -> Self {
        Self { next: Next(tally.batches), records: tally.records, exported: tally.amount }
    }

    /// Batches are counted by their sequence, which has no gaps.
    pub(super) fn tally(&self) -> Tally {
        Tally { batches: self.next.0, records: self.records, amount: self.exported }
    }
}

/// All epochs that somebody may still ask for.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums(pub(super) BTreeMap<Epoch, EpochSums>);

/// As in the entry at the beginning of a segment.
#[derive(Serialize, Deserialize)]
struct Written {
    epoch: Epoch,
    generation: u64,
    closed: bool,
    streams: Vec<(StreamId, StreamSums)>,
}

impl Sums {
    /// An entry was appended, or found.
    pub(super) fn count(&mut self, header: &Header, exported: Amount, generation: u64) {
        let epoch = self.0.entry(header.stamp.epoch).or_default();
        epoch.generation = generation;
        let stream = epoch.streams.entry(header.stamp.stream).or_default();
        let sealed = Tally { batches: 0, records: u64::from(header.rows), amount: exported };
        let mut sum = stream.tally();
        sum.add(sealed);
        sum.batches = sum.batches.max(header.stamp.sequence.0.saturating_add(1));
        *stream = StreamSums::of(sum);
    }

    /// A ledger message was appended, or found.
    pub(super) fn note(&mut self, sealed: &Arc<Sealed>, note: Note) {
        let own = sealed.header.stamp.epoch;
        let of = match note {
            Note::Flows => return,
            Note::Books | Note::ClosedBooks => Some(own),
            Note::ClosesAnother => closed_by(sealed),
        };
        if let Some(epoch) = of.and_then(|epoch| self.0.get_mut(&epoch)) {
            epoch.closed |= note != Note::Books;
            epoch.newest = Some(Arc::clone(sealed));
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let written = |(epoch, sums): (&Epoch, &EpochSums)| Written {
            epoch: *epoch,
            generation: sums.generation,
            closed: sums.closed,
            streams: sums.streams.iter().map(|(stream, sums)| (*stream, *sums)).collect(),
        };
        let all: Vec<_> = self.0.iter().map(written).collect();
        // Maps with keys of their own kind, and numbers: nothing here can fail.
        serde_json::to_vec(&all).unwrap_or_default()
    }

    /// From the beginning of a segment. What is known of epochs that it does not name is kept.
    pub(super) fn take_json(&mut self, json: &[u8]) -> Option<()> {
        let all: Vec<Written> = serde_json::from_slice(json).ok()?;
        for written in all {
            let epoch = self.0.entry(written.epoch).or_default();
            epoch.generation = written.generation;
            epoch.closed |= written.closed;
            epoch.streams = written.streams.into_iter().collect();
        }
        Some(())
    }
}

/// The epoch whose books a message closes instead of its own.
fn closed_by(sealed: &Sealed) -> Option<Epoch> {
    let message = flow_wire::ledger::Message::decode(&sealed.body).ok()?;
    message.closes.map(|closes| closes.epoch)
}
