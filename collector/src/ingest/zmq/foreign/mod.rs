//! Publishers that are none of ours: nProbe, netflow2ng, whoever publishes for ntopng. Nothing of theirs can be acknowledged or asked for again.
//!
//! ```text
//! [ header ] [ payload ] ─► ntop::reader ─► records ─► Source: open batch ─► sealed as a probe would ─┬─► message::read ─► writer
//!            └► its number: gaps ─────────────────────► Source: books, once a second ─────────────────┘
//! ```
//!
//! A source is told by its number in the headers, and gets what a probe has: an identity (a name-based UUID of store, address and number: the same in every run),
//! an epoch a run, a stream, sequences. So rows, received sets and books are those of any probe from here on, and exact; what can be known of the way here is
//! in the books as [`flow_wire::ledger::PublisherTerms`].

mod numbers;
mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use flow_wire::ntop::reader::{self, Frame, Topic};
use uuid::Uuid;

use super::super::message::{Arrived, Content};
use crate::store::{BODY_KEPT_OCTETS, Refusal, RefusalReason};
use source::Source;

/// Sources at one address. Beyond it the one that was silent longest goes, if it was for [`SILENT`]; else the new one is refused.
const SOURCES_MAX: usize = 256;

/// See [`SOURCES_MAX`].
const SILENT: Duration = Duration::from_secs(60);

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// One of ours, for ntopng: its flows come on our own topics.
    Ours,
    /// Another.
    Foreign,
}

/// All publishers of one input.
pub(super) struct Foreign {
    endpoint: String,
    store: Uuid,
    sources: BTreeMap<u32, Source>,
    ready: VecDeque<Arrived>,
    /// For what is inflated.
    room: Vec<u8>,
}

impl Foreign {
    /// `endpoint` without secrets; `store` = the UUID of the store.
    pub(super) fn new(endpoint: &str, store: Uuid) -> Self {
        let (sources, ready) = (BTreeMap::new(), VecDeque::new());
        Self { endpoint: endpoint.to_owned(), store, sources, ready, room: Vec::new() }
    }

    /// Looks into a message of two frames.
    pub(super) fn take(&mut self, header: &[u8], payload: &[u8], now: Instant) -> Sender {
        let frame = match Frame::read(header) {
            Ok(frame) if frame.is_ours => return Sender::Ours,
            Ok(frame) => frame,
            Err(error) => {
                self.refuse(RefusalReason::Publisher, error.to_string(), 0, &[header, payload]);
                return Sender::Foreign;
            }
        };
        if !self.has_room_for(frame.source, now) {
            let detail = format!("source {}: {SOURCES_MAX} others are at this address", frame.source);
            self.refuse(RefusalReason::StreamFull, detail, 0, &[header, payload]);
            return Sender::Foreign;
        }
        let (endpoint, store) = (&self.endpoint, self.store);
        let source =
            self.sources.entry(frame.source).or_insert_with(|| Source::new(endpoint, store, frame.source));
        source.heard(&frame, now);
        match frame.topic {
            Topic::Flow => self.flows(&frame, header, payload),
            Topic::Event => self.event(&frame, header, payload),
            Topic::Other => {}
        }
        Sender::Foreign
    }

    fn flows(&mut self, frame: &Frame, header: &[u8], payload: &[u8]) {
        let Some(source) = self.sources.get_mut(&frame.source) else { return };
        let (endpoint, ready) = (&self.endpoint, &mut self.ready);
        let (mut flows, mut unusable, mut first) = (0_u32, 0_u32, None);
        let read = reader::flows(frame, payload, &mut self.room, |draft| {
            flows += 1;
            match source.push(draft) {
                Ok(sealed) => ready.extend(sealed.map(|sealed| arrived(endpoint, &sealed))),
                Err(error) => {
                    unusable += 1;
                    first.get_or_insert(error);
                }
            }
        });
        if let Err(error) = read {
            source.refused();
            let detail = format!("{error}; {flows} flows before it were read");
            self.refuse(RefusalReason::Publisher, detail, 0, &[header, payload]);
        }
        if let Some(error) = first {
            let detail = format!("{unusable} of {flows} flows; the first: {error}");
            self.refuse(RefusalReason::Record, detail, unusable, &[header, payload]);
        }
    }

    fn event(&mut self, frame: &Frame, header: &[u8], payload: &[u8]) {
        let Some(source) = self.sources.get_mut(&frame.source) else { return };
        match reader::event(frame, payload, &mut self.room) {
            Ok(event) => source.says(&event),
            Err(error) => {
                source.refused();
                self.refuse(RefusalReason::Publisher, error.to_string(), 0, &[header, payload]);
            }
        }
    }

    /// Seals what is old enough, and says the books of the second where there is something to say.
    pub(super) fn turn(&mut self, now: Instant) {
        for source in self.sources.values_mut().filter(|source| source.is_due(now)) {
            say(&self.endpoint, source, false, &mut self.ready);
        }
    }

    /// Closes all books: nothing is read any more.
    pub(super) fn close(&mut self) {
        for source in std::mem::take(&mut self.sources).values_mut() {
            say(&self.endpoint, source, true, &mut self.ready);
        }
    }

    /// What is to be handed over next.
    pub(super) fn next(&mut self) -> Option<Arrived> {
        self.ready.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Whether it is known, or can be; for its sake the one that was silent longest may go.
    fn has_room_for(&mut self, number: u32, now: Instant) -> bool {
        if self.sources.len() < SOURCES_MAX || self.sources.contains_key(&number) {
            return true;
        }
        let silent = self.sources.iter().min_by_key(|(_, source)| source.last_heard());
        let Some(number) = silent
            .filter(|(_, source)| now.duration_since(source.last_heard()) >= SILENT)
            .map(|(number, _)| *number)
        else {
            return false;
        };
        if let Some(mut source) = self.sources.remove(&number) {
            say(&self.endpoint, &mut source, true, &mut self.ready);
        }
        true
    }

    fn refuse(&mut self, reason: RefusalReason, detail: String, records: u32, frames: &[&[u8]]) {
        let mut body = frames.concat();
        body.truncate(BODY_KEPT_OCTETS);
        let refusal = Refusal { source: self.endpoint.clone(), reason, detail, stamp: None, records, body };
        let content = Content::Refused(refusal);
        self.ready.push_back(Arrived { arrival: None, content, offset: None });
    }
}

/// The open batch first: the books cover it.
fn say(endpoint: &str, source: &mut Source, closed: bool, ready: &mut VecDeque<Arrived>) {
    ready.extend(source.seal().map(|sealed| arrived(endpoint, &sealed)));
    ready.extend(source.books(closed).map(|sealed| arrived(endpoint, &sealed)));
}

/// As if a probe had sent it.
fn arrived(endpoint: &str, sealed: &flow_wire::batch::Sealed) -> Arrived {
    super::super::message::read(crate::store::Bus::Zmq, endpoint, Ok(sealed.header), &sealed.body)
}
