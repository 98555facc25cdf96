//! The batches of one sink, and their terms per stream.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use flow_wire::fault::{self, Mutant};
use flow_wire::ledger::{CursorTerms, Discard, Guarantee};
use flow_wire::stamp::{Stamp, StreamId};

use super::LEDGER_OCTETS;
use crate::spool::{Tally, Terms};

/// One sink's part of the outbox.
#[derive(Debug)]
pub(super) struct Queue {
    sink: String,
    number: u16,
    guarantee: Guarantee,
    /// `None` = there is no sink.
    capacity: Option<usize>,
    /// In order; the first `handed` of them are with the sink.
    batches: VecDeque<Arc<Sealed>>,
    handed: usize,
    flow_octets: usize,
    ledger_octets: usize,
    streams: BTreeMap<StreamId, Terms>,
    /// Its terms stand in the books.
    is_listed: bool,
    /// It takes nothing any more.
    is_withdrawn: bool,
}

impl Queue {
    pub(super) fn new(sink: String, number: u16, guarantee: Guarantee, capacity: usize) -> Self {
        Self {
            sink,
            number,
            guarantee,
            capacity: Some(capacity),
            batches: VecDeque::new(),
            handed: 0,
            flow_octets: 0,
            ledger_octets: 0,
            streams: BTreeMap::new(),
            is_listed: true,
            is_withdrawn: false,
        }
    }

    /// Stands where no sink does, so that the books say what became of the records.
    pub(super) fn none() -> Self {
        Self { capacity: None, ..Self::new("none".to_owned(), 0, Guarantee::AtMostOnce, 0) }
    }

    pub(super) fn expect(&mut self, stream: StreamId) {
        self.streams.entry(stream).or_default();
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }

    pub(super) fn sink(&self) -> &str {
        &self.sink
    }

    /// Nobody listened for it while this was appended.
    pub(super) fn begin_behind(&mut self, stream: StreamId, before: Tally) {
        let terms = self.streams.entry(stream).or_default();
        if before.batches > 0 {
            terms.append_discarded(before, Discard::NoSubscriber);
        }
    }

    pub(super) fn append(&mut self, sealed: &Arc<Sealed>) {
        if self.is_withdrawn {
            return;
        }
        let (octets, tally) = (sealed.body.len(), Tally::of(sealed));
        if self.capacity.is_none() {
            return self.terms_of(sealed).append_discarded(tally, Discard::NoSink);
        }
        match sealed.header.kind {
            Kind::Flows if self.has_room(octets) => self.flow_octets += octets,
            Kind::Flows => return self.terms_of(sealed).append_discarded(tally, Discard::OutboxFull),
            Kind::Ledger => {
                self.make_room_for_ledger(octets);
                self.ledger_octets += octets;
            }
        }
        self.terms_of(sealed).append(tally);
        self.batches.push_back(Arc::clone(sealed));
    }

    pub(super) fn has_room(&self, octets: usize) -> bool {
        self.is_withdrawn || self.capacity.is_none_or(|capacity| self.flow_octets + octets <= capacity)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The next batches, which are handed from now on: at least one where one waits, else as many as both bounds let through.
    pub(super) fn hand(&mut self, batches: usize, octets: usize) -> Vec<Arc<Sealed>> {
        let mut handed = Vec::new();
        let mut sum = 0;
        for sealed in self.batches.iter().skip(self.handed).take(batches) {
            sum += sealed.body.len();
            if sum > octets && !handed.is_empty() {
                break;
            }
            handed.push(Arc::clone(sealed));
        }
        self.handed += handed.len();
        if fault::is(Mutant::CursorFirst) {
            self.acknowledge(self.handed);
        }
        handed
    }

    /// The first `count` that were handed have arrived.
    pub(super) fn acknowledge(&mut self, count: usize) {
        for _ in 0..count.min(self.handed) {
            self.handed -= 1;
            if let Some(sealed) = self.take(0) {
                self.terms_of(&sealed).acknowledge(Tally::of(&sealed));
            }
        }
    }

    /// None of the handed ones has arrived: they are the next ones again.
    pub(super) fn give_back(&mut self) {
        self.handed = 0;
    }

    /// Takes one batch out for good.
    pub(super) fn discard(&mut self, stamp: Stamp, reason: Discard) {
        if let Some(index) = self.batches.iter().position(|sealed| sealed.header.stamp == stamp) {
            self.discard_at(index, reason);
        }
    }

    /// Takes out all flows that are not handed.
    pub(super) fn abandon(&mut self, reason: Discard) {
        for index in (self.handed..self.batches.len()).rev() {
            if self.batches[index].header.kind == Kind::Flows {
                self.discard_at(index, reason);
            }
        }
    }

    pub(super) fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.sink);
    }

    pub(super) fn set_listed(&mut self, is_listed: bool) {
        self.is_listed = is_listed;
    }

    pub(super) fn withdraw(&mut self) {
        self.batches.clear();
        (self.handed, self.flow_octets, self.ledger_octets) = (0, 0, 0);
        (self.is_listed, self.is_withdrawn) = (false, true);
    }

    pub(super) fn set_guarantee(&mut self, guarantee: Guarantee) {
        self.guarantee = guarantee;
    }

    pub(super) fn terms(&self) -> impl Iterator<Item = CursorTerms> {
        // The control stream carries no records; what it dropped shows as gaps in its sequences.
        let flows = self.streams.iter().filter(|(stream, _)| self.is_listed && **stream != StreamId::CONTROL);
        flows.map(|(stream, terms)| terms.to_message(&self.sink, self.number, self.guarantee, *stream))
    }

    fn make_room_for_ledger(&mut self, octets: usize) {
        while self.ledger_octets + octets > LEDGER_OCTETS {
            let waiting = self.batches.iter().enumerate().skip(self.handed);
            let mut ledgers = waiting.filter(|(_, sealed)| sealed.header.kind == Kind::Ledger);
            match ledgers.next().map(|(index, _)| index) {
                Some(oldest) => self.discard_at(oldest, Discard::OutboxFull),
                None => return,
            }
        }
    }

    fn discard_at(&mut self, index: usize, reason: Discard) {
        if index < self.handed {
            self.handed -= 1;
        }
        if let Some(sealed) = self.take(index) {
            self.terms_of(&sealed).discard(Tally::of(&sealed), reason);
        }
    }

    fn take(&mut self, index: usize) -> Option<Arc<Sealed>> {
        let sealed = self.batches.remove(index)?;
        match sealed.header.kind {
            Kind::Flows => self.flow_octets -= sealed.body.len(),
            Kind::Ledger => self.ledger_octets -= sealed.body.len(),
        }
        Some(sealed)
    }

    fn terms_of(&mut self, sealed: &Sealed) -> &mut Terms {
        self.streams.entry(sealed.header.stamp.stream).or_default()
    }
}
