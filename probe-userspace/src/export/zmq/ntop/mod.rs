//! What ntopng is sent, on the socket of everybody else: the messages of an nProbe.
//!
//! ```text
//! cursor ─► flows:  rows of a batch ─► template, encoder ─► at most 255 flows ─► [ header ] [ payload ]   topic `flow`
//!        └► ledger: newest books ───► event, once a second ───────────────────► [ header ] [ JSON ]      topic `event`
//!                                     fields, at the first subscription and every minute ──────────────► topic `template`
//! ```
//!
//! Only what somebody subscribes is written at all. It has a cursor of its own, since its readers are others than those of our own topics:
//! what ntopng is not sent is told in the books beside what a collector is not sent. Nobody acknowledges here, so the guarantee is at most once,
//! and a flow has arrived when the socket took it.

mod event;
mod fields;
mod outlet;

use std::time::{Duration, Instant};

use flow_wire::batch::{Sealed, open, records};
use flow_wire::bus::Kind;
use flow_wire::field::Template;
use flow_wire::ledger::{Discard, Guarantee};
use flow_wire::ntop::{Encoder, Flows, Keys, Layout, PAYLOAD_OCTETS_MAX, Payload, Topic, compress};
use flow_wire::record::FlowRecord;

use super::plain::Unsent;
use super::report::Reporter;
use super::subscribers::Subscribers;
use crate::export::outbox::{Cursor, Next};
pub use event::About;
use event::Events;
use outlet::Outlet;

/// What the name of its cursor ends with.
const CURSOR: &str = "ntop";
/// ntopng forgets a probe that was silent for ten seconds, and draws its counters by the second.
const EVENT_EVERY: Duration = Duration::from_secs(1);
/// As nProbe: an ntopng that comes later learns the names within.
const TEMPLATE_EVERY: Duration = Duration::from_secs(60);

/// How flows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// nDPI's TLV.
    Tlv,
    /// JSON with such keys.
    Json(Keys),
}

/// How ntopng is spoken to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Fields of a flow.
    pub template: Template,
    /// Of flows; all else is JSON.
    pub format: Format,
    /// Shape of the header.
    pub layout: Layout,
    /// Text is compressed where the reader can take it.
    pub compresses: bool,
    /// What the probe says of itself.
    pub about: About,
}

/// What is sent to ntopng.
pub(super) struct Ntop {
    /// Opened before the first batch; `None` = not yet.
    cursor: Option<Cursor>,
    sink: String,
    flows: Flows,
    payload: Payload,
    outlet: Outlet,
    events: Events,
    fields: Vec<u8>,
    event_due: Instant,
    /// `None` = nobody listens.
    template_due: Option<Instant>,
    /// Flows that were sent.
    sent_flows: u64,
    /// Somebody was sent flows: losses are somebody's from then on.
    pub(super) was_read: bool,
    reporter: Reporter,
}

impl Ntop {
    /// `source` tells this output from all others that one ntopng may read.
    pub(super) fn new(sink: &str, source: u32, options: &Options) -> Self {
        let compresses = options.compresses && compress::is_possible(options.layout);
        let (encoder, payload) = match options.format {
            Format::Tlv => (Encoder::tlv(&options.template), Payload::Tlv),
            Format::Json(keys) => (Encoder::json(&options.template, keys), Payload::Json),
        };
        let is_compressed = compresses && payload == Payload::Json;
        let octets_max = if is_compressed { compress::TEXT_OCTETS_MAX } else { PAYLOAD_OCTETS_MAX };
        let sink = format!("{sink}/{CURSOR}");
        Self {
            cursor: None,
            flows: Flows::new(encoder, octets_max),
            payload,
            outlet: Outlet::new(options.layout, source, compresses),
            events: Events::new(options.about.clone(), sink.clone(), source),
            fields: fields::message(&options.template),
            event_due: Instant::now(),
            template_due: None,
            sent_flows: 0,
            was_read: false,
            reporter: Reporter::new(sink.clone()),
            sink,
        }
    }

    /// Takes its place in the books, before anything is appended.
    pub(super) fn prepare(&mut self, cursor: &Cursor) {
        self.cursor = cursor.outbox().open_in_memory(&self.sink, Guarantee::AtMostOnce);
        self.list();
    }

    /// Whether somebody listens to flows.
    pub(super) fn is_heard(&self, subscribers: &Subscribers) -> bool {
        subscribers.want(Topic::Flow.name().as_bytes())
    }

    /// What is to be said at this time, flows or not.
    pub(super) fn speak(&mut self, socket: &::zmq::Socket, subscribers: &Subscribers, now: Instant) {
        let wants = |topic: Topic| subscribers.want(topic.name().as_bytes());
        if !wants(Topic::Template) {
            self.template_due = None;
        } else if self.template_due.is_none_or(|due| now >= due) {
            self.template_due = Some(now + TEMPLATE_EVERY);
            self.say(socket, Topic::Template, None);
        }
        if now >= self.event_due {
            self.event_due = now + EVENT_EVERY;
            if wants(Topic::Event) {
                self.say(socket, Topic::Event, Some(self.events.compose(self.sent_flows)));
            }
        }
    }

    /// One turn; `true` = nothing more will come.
    pub(super) fn publish(
        &mut self,
        socket: &::zmq::Socket,
        subscribers: &Subscribers,
        batches: usize,
    ) -> bool {
        let Some(cursor) = self.cursor.take() else { return true };
        let next = cursor.next(batches, usize::MAX, Duration::ZERO);
        let is_over = matches!(next, Next::End);
        if let Next::Batches(batches) = next {
            for sealed in batches {
                self.settle(socket, subscribers, &sealed, &cursor);
            }
        }
        self.cursor = Some(cursor);
        self.list();
        is_over
    }

    /// The last numbers, once the books are closed.
    pub(super) fn farewell(&mut self, socket: &::zmq::Socket, subscribers: &Subscribers) {
        self.event_due = Instant::now();
        self.speak(socket, subscribers, self.event_due);
    }

    /// That nobody ever listened is no loss of anybody's.
    fn list(&self) {
        self.cursor.iter().for_each(|cursor| cursor.set_listed(self.was_read));
    }

    /// Books what became of a batch.
    fn settle(
        &mut self,
        socket: &::zmq::Socket,
        subscribers: &Subscribers,
        sealed: &Sealed,
        cursor: &Cursor,
    ) {
        if sealed.header.kind == Kind::Ledger {
            self.events.take(sealed);
            return cursor.acknowledge(1);
        }
        let sent = match self.is_heard(subscribers) {
            true => self.send(socket, sealed),
            false => Err((Unsent::Unheard, Discard::NoSubscriber)),
        };
        match sent {
            Ok(()) => {
                self.was_read = true;
                cursor.acknowledge(1);
            }
            Err((unsent, reason)) => {
                if self.was_read {
                    self.reporter.lost(&unsent, sealed.header.rows);
                }
                cursor.discard(sealed.header.stamp, reason);
            }
        }
    }

    fn send(&mut self, socket: &::zmq::Socket, sealed: &Sealed) -> Result<(), (Unsent, Discard)> {
        let unread =
            |error: &dyn std::fmt::Display| (Unsent::Unreadable(error.to_string()), Discard::WriteFailed);
        let decoded = open(&sealed.header, &sealed.body).map_err(|error| unread(&error))?;
        let rows: Vec<FlowRecord> = records(&decoded.batch).map_err(|error| unread(&error))?;
        let (outlet, payload, sent) = (&mut self.outlet, self.payload, &mut self.sent_flows);
        let taken = self.flows.write(rows.iter(), |octets, flows| {
            outlet.send(socket, Topic::Flow, payload, octets)?;
            *sent += u64::from(flows);
            Ok(())
        });
        taken.map_err(|error: ::zmq::Error| (error.into(), Discard::RefusedByBus))
    }

    /// What is not taken comes again within a second or a minute. `None` = the fields.
    fn say(&mut self, socket: &::zmq::Socket, topic: Topic, text: Option<Vec<u8>>) {
        let text = text.as_deref().unwrap_or(&self.fields);
        let _ = self.outlet.send(socket, topic, Payload::Json, text);
    }
}

/// A number for an output, of which ntopng tells the sources of messages apart: the same at each start.
pub(super) fn source(probe: uuid::Uuid, sink: &str) -> u32 {
    // 0 is what ntopng takes for a source that has none; v1 has room for the lowest octet alone.
    let sum = crc32c::crc32c_append(crc32c::crc32c(probe.as_bytes()), sink.as_bytes());
    if sum as u8 == 0 { sum | 1 } else { sum }
}

/// As ntopng is spoken to by default.
#[cfg(test)]
pub(super) fn testing() -> Options {
    let (template, about) = (Template::ntopng(), About::default());
    Options { template, format: Format::Tlv, layout: Layout::V3, compresses: true, about }
}

#[cfg(test)]
mod tests;
