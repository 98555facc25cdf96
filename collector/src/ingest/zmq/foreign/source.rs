//! One publisher: its open batch, its identity, and the books of what came of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flow_wire::batch::{Sealed, encode};
use flow_wire::ledger::{Amount, CursorTerms, Guarantee, Message, PublisherTerms, StreamCut, Told};
use flow_wire::ntop::reader::{Draft, Event, Frame, Unusable};
use flow_wire::record::FlowRecord;
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use uuid::Uuid;

use super::super::super::now_nanoseconds;
use super::numbers::{Numbers, Step};

/// Rows of a batch, as probes seal them.
const SEAL_ROWS: usize = 1_000;

/// So often it has its say, and no record waits longer for its batch.
const EVERY: Duration = Duration::from_secs(1);

/// Its only stream: publishers do not say how many they have.
const STREAM: StreamId = StreamId(0);

/// Active timeout of one that tells none: nProbe's default. And the most that is believed, which is ntopng's bound.
const ACTIVE_TIMEOUT_SECONDS: u32 = 120;
const ACTIVE_TIMEOUT_SECONDS_MAX: u32 = 600;

/// A publisher.
pub(super) struct Source {
    /// As the sink in the books: what comes from here to the store is as exact as any bus with a guarantee.
    endpoint: String,
    probe: ProbeId,
    epoch: Epoch,
    begun_nanoseconds: u64,
    numbers: Numbers,
    terms: PublisherTerms,
    /// What its counters said last: they go on over our runs, and fall to 0 with its own.
    told_last: BTreeMap<Told, u64>,
    active_timeout_seconds: u32,
    open: Vec<FlowRecord>,
    cut: StreamCut,
    next_books: Sequence,
    /// When it said something that no books of ours have.
    unsaid: Option<Instant>,
    last_heard: Instant,
}

impl Source {
    /// Of this number, at this address.
    pub(super) fn new(endpoint: &str, store: Uuid, number: u32) -> Self {
        // RFC 9562, 5.5: the same in every run, so that a filter on it holds.
        let name = format!("ntop {endpoint} {number}");
        Self {
            endpoint: endpoint.to_owned(),
            probe: ProbeId(Uuid::new_v5(&store, name.as_bytes())),
            epoch: Epoch(Uuid::new_v4()),
            begun_nanoseconds: now_nanoseconds(),
            numbers: Numbers::default(),
            terms: PublisherTerms { source: number, ..PublisherTerms::default() },
            told_last: BTreeMap::new(),
            active_timeout_seconds: ACTIVE_TIMEOUT_SECONDS,
            open: Vec::new(),
            cut: StreamCut { stream: STREAM, next: Sequence(0), records: 0, exported: Amount::ZERO },
            next_books: Sequence(0),
            unsaid: None,
            last_heard: Instant::now(),
        }
    }

    pub(super) fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// A message of any topic came.
    pub(super) fn heard(&mut self, frame: &Frame, now: Instant) {
        self.last_heard = now;
        self.unsaid.get_or_insert(now);
        let Some(number) = frame.number else {
            self.terms.unnumbered_messages += 1;
            return;
        };
        self.terms.messages += 1;
        match self.numbers.take(number) {
            Step::Next => {}
            Step::Gap(missed) => self.terms.missed_messages += missed,
            Step::Restart => self.terms.restarts += 1,
        }
    }

    /// What came could not be read to its end.
    pub(super) fn refused(&mut self) {
        self.terms.refused_messages += 1;
    }

    /// Takes a flow; a full batch is sealed.
    ///
    /// # Errors
    /// No record can be made of it.
    pub(super) fn push(&mut self, draft: Draft) -> Result<Option<Sealed>, Unusable> {
        self.terms.records_read += 1;
        self.terms.values_left_out += u64::from(draft.left_out());
        let record = draft.finish(self.terms.source).inspect_err(|_| self.terms.records_refused += 1)?;
        self.open.push(record);
        Ok(if self.open.len() < SEAL_ROWS { None } else { self.seal() })
    }

    /// Closes the open batch. The totals grow by what the encoded octets say, never by the records.
    pub(super) fn seal(&mut self) -> Option<Sealed> {
        if self.open.is_empty() {
            return None;
        }
        let records = std::mem::take(&mut self.open);
        match encode(&records, self.stamp(STREAM, self.cut.next)) {
            Ok(sealed) => {
                self.cut.next.0 += 1;
                self.cut.records += u64::from(sealed.header.rows);
                self.cut.exported += sealed.exported;
                Some(sealed)
            }
            Err(error) => {
                // Counts are bounded one by one, so that no record can spoil the sums of others.
                tracing::error!(
                    input = self.endpoint,
                    rows = records.len(),
                    "a batch cannot be encoded: {error}"
                );
                self.terms.records_refused += records.len() as u64;
                None
            }
        }
    }

    /// What it says of itself. Counters are taken from where they stood when it was heard first: what it lost before was nobody's here.
    pub(super) fn says(&mut self, event: &Event) {
        for (told, now) in &event.told {
            let before = self.told_last.insert(*told, *now);
            // One that fell began anew.
            let more = before.map_or(0, |before| now.checked_sub(before).unwrap_or(*now));
            let sum = self.terms.told.entry(*told).or_default();
            *sum = sum.saturating_add(more);
        }
        if event.program.is_some() {
            self.terms.program.clone_from(&event.program);
        }
        if let Some(seconds) = event.active_timeout_seconds {
            self.active_timeout_seconds = seconds.min(ACTIVE_TIMEOUT_SECONDS_MAX);
        }
    }

    /// Whether something waits to be said since long enough.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.unsaid.is_some_and(|since| now.saturating_duration_since(since) >= EVERY)
    }

    /// The books, all that was sealed included. `closed` = the last ones.
    pub(super) fn books(&mut self, closed: bool) -> Option<Sealed> {
        self.unsaid = None;
        self.terms.numbered = self.numbers.span();
        let sealed = Sealed::ledger(&self.message(closed), self.stamp(StreamId::CONTROL, self.next_books));
        match sealed {
            Ok(sealed) => {
                self.next_books.0 += 1;
                Some(sealed)
            }
            Err(error) => {
                tracing::error!(input = self.endpoint, "books cannot be written: {error}");
                None
            }
        }
    }

    fn message(&self, closed: bool) -> Message {
        let cursor = CursorTerms {
            sink: self.endpoint.clone(),
            number: 0,
            read_here: false,
            stream: STREAM,
            guarantee: Guarantee::ExactlyOnce,
            records_out: self.cut.records,
            acknowledged: self.cut.records,
            in_spool: 0,
            discarded: BTreeMap::new(),
            discarded_amounts: BTreeMap::new(),
            discarded_batches: 0,
        };
        Message {
            version: Message::VERSION,
            exporter: format!("{} source {}", self.endpoint, self.terms.source),
            epoch_start_nanoseconds: self.begun_nanoseconds,
            time_nanoseconds: now_nanoseconds(),
            active_timeout_seconds: self.active_timeout_seconds,
            cursors: vec![cursor],
            cuts: vec![self.cut],
            closed,
            publisher: Some(Box::new(self.terms.clone())),
            ..Message::default()
        }
    }

    fn stamp(&self, stream: StreamId, sequence: Sequence) -> Stamp {
        Stamp { probe: self.probe, epoch: self.epoch, stream, sequence }
    }
}
