//! One start of one probe.

use flow_wire::fault::Hop;
use flow_wire::ledger::{Amount, Identity, Message, broken, of_probe, residual};
use flow_wire::stamp::{Epoch as EpochId, ProbeId, StreamId};
use serde::Serialize;

use super::ledger::Loss;
use super::stream::{self, Stream};
use super::totals::Totals;
use super::{State, second, state};
use crate::store::EpochBooks;

/// An epoch in the report.
#[derive(Debug, Serialize)]
pub struct Epoch {
    /// Which probe.
    pub probe_id: ProbeId,
    /// Which start of it.
    pub epoch: EpochId,
    /// The name of its host; `None` before its first message.
    pub exporter: Option<String>,
    /// Whether it goes on.
    pub state: State,
    /// A later start closed its books and knows the terms of its queues and workers as a bound only: what those identities
    /// leave over is reported, and is no residual.
    pub is_bound: bool,
    /// Whether the bus was read to its end since its latest message.
    pub drained: bool,
    /// By the collector's clock.
    pub last_heard_nanoseconds: u64,
    /// What no term explains.
    pub residual: Amount,
    /// What is known to be lost.
    pub lost: Loss,
    /// Metered and not in any batch when it was heard last: for an epoch that nobody closes, what is gone with it.
    pub unsent: Amount,
    /// The terms summed over queues, workers and streams.
    pub total: Totals,
    /// Per stream, the control stream left out.
    pub streams: Vec<Stream>,
    /// All of them, with their numbers.
    pub identities: Vec<Line>,
    /// The latest message, as it came.
    pub message: Option<Message>,
}

/// An identity with what comes of it.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Its terms.
    #[serde(flatten)]
    pub identity: Identity,
    /// Left less right, in its unit.
    pub left_over: i64,
    /// Likewise in octets, where those are compared.
    pub left_over_octets: i64,
    /// Whether the left-over is within the bound.
    pub holds: bool,
    /// Its terms are a bound: what is left over is no residual.
    pub is_bound: bool,
    /// For people.
    pub equation: String,
}

impl Epoch {
    pub(super) fn close(books: &EpochBooks, now_nanoseconds: u64) -> Self {
        let message = books.message.as_ref();
        let is_bound = books.closing.is_some_and(|closing| closing.is_bound);
        let mut identities =
            message.map_or_else(Vec::new, |message| of_probe(message, books.previous.as_ref()));
        let mut streams = Vec::new();
        let data = books.streams.iter().filter(|(stream, _)| **stream != StreamId::CONTROL);
        for (number, stream) in with_silent_streams(data, message, books.anything_expired) {
            let (line, of_stream) = stream::close(message, books.drained, number, &stream);
            streams.push(line);
            identities.extend(of_stream);
        }
        let lost = streams.iter().map(|stream| stream.lost).fold(lost_by_probe(books), Loss::plus);
        Self {
            probe_id: books.probe,
            epoch: books.epoch,
            exporter: message.map(|message| message.exporter.clone()),
            state: state::of(books, now_nanoseconds),
            is_bound,
            drained: books.drained,
            last_heard_nanoseconds: books.heard_nanoseconds,
            residual: residual(&exact(&identities, is_bound)),
            lost,
            unsent: message.map_or(Amount::ZERO, unsent),
            total: Totals::of(books),
            streams,
            identities: identities.into_iter().map(|identity| Line::new(identity, is_bound)).collect(),
            message: books.message.clone(),
        }
    }

    /// Where something is unaccounted for, first hop first.
    pub fn broken_hops(&self) -> Vec<Hop> {
        let exact = self.identities.iter().filter(|line| !line.is_bound);
        let identities: Vec<_> = exact.map(|line| line.identity.clone()).collect();
        broken(&identities).into_iter().map(|identity| identity.hop).collect()
    }

    /// One more identity, which no bound excuses.
    pub(super) fn add(&mut self, identity: Option<Identity>) {
        let Some(identity) = identity else { return };
        let breach = identity.breach();
        self.residual.packets = self.residual.packets.saturating_add(breach.packets);
        self.residual.octets = self.residual.octets.saturating_add(breach.octets);
        self.identities.push(Line::new(identity, false));
    }

    /// Whether everything that it sealed has its place: nothing can come any more, nor any further word about it.
    pub(super) fn is_settled(&self) -> bool {
        self.state == State::Closed && self.drained && self.streams.iter().all(|stream| !stream.late)
    }
}

/// The terms of queues and workers, as against those of sinks and streams.
fn of_queues_and_workers(identity: &Identity) -> bool {
    identity.hop < Hop::Batch
}

fn exact(identities: &[Identity], is_bound: bool) -> Vec<Identity> {
    identities.iter().filter(|identity| !(is_bound && of_queues_and_workers(identity))).cloned().collect()
}

/// Packets in open flows and in records on their way to a batch.
fn unsent(message: &Message) -> Amount {
    message.workers.iter().flat_map(|worker| [worker.open, worker.in_record_ring]).fold(
        Amount::ZERO,
        |sum, amount| Amount {
            packets: sum.packets.saturating_add(amount.packets),
            octets: sum.octets.saturating_add(amount.octets),
        },
    )
}

impl Line {
    fn new(identity: Identity, epoch_is_bound: bool) -> Self {
        Self {
            is_bound: epoch_is_bound && of_queues_and_workers(&identity),
            left_over: identity.left_over(),
            left_over_octets: identity.left_over_octets(),
            holds: identity.holds(),
            equation: identity.equation(),
            identity,
        }
    }
}

/// The streams that came, and those of the cut of which nothing came: all of such a stream is missing.
fn with_silent_streams<'a>(
    came: impl Iterator<Item = (&'a StreamId, &'a crate::store::StreamBooks)>,
    message: Option<&Message>,
    expired_behind: bool,
) -> Vec<(StreamId, crate::store::StreamBooks)> {
    let mut streams: Vec<_> = came.map(|(number, books)| (*number, books.clone())).collect();
    let bus = streams.first().map_or_else(Default::default, |(_, books)| books.bus);
    for cut in message.into_iter().flat_map(|message| &message.cuts) {
        if cut.stream != StreamId::CONTROL && streams.iter().all(|(number, _)| *number != cut.stream) {
            let books = crate::store::StreamBooks { bus, expired_behind, ..Default::default() };
            streams.push((cut.stream, books));
        }
    }
    streams.sort_by_key(|(number, _)| *number);
    streams
}

/// Packets that ring, device or probe dropped, and what a publisher that is none of ours lost before it came here.
fn lost_by_probe(books: &EpochBooks) -> Loss {
    let control = flow_wire::stamp::Stamp {
        probe: books.probe,
        epoch: books.epoch,
        stream: StreamId::CONTROL,
        sequence: flow_wire::stamp::Sequence(0),
    };
    let Some(message) = &books.message else { return Loss::default() };
    let publisher = message.publisher.as_ref();
    Loss {
        packets: second(&control, message).lost_packets,
        publisher_messages: publisher.map_or(0, |publisher| publisher.missed_messages),
        publisher_told: publisher.map_or(0, |publisher| publisher.told_sum()),
        ..Loss::default()
    }
}
