//! The identities that a probe's own message must satisfy: from the device to the cursor of each sink.
//!
//! ```text
//! device     offered   = seen + device_missed.*
//! kernel     seen      = passed.* + shunted + redirected + refused.*
//! receive    redirected= received + rx_ring_full + rx_dropped + not_delivered
//!            (packet socket: these losses come before `redirected`, and are terms of `seen`)
//!            received of the queues = received of the workers
//!            of a killed epoch whose counters outlived it, over all queues:
//!            redirected = received of the workers + rx_ring_full + rx_dropped + not_delivered + lost_in_rings
//! meter      received + taken_over = metered + undecodable.* + non_flow.* + not_selected + handed_over + handover_full
//!            per worker
//!            handed_over of all workers = taken_over of all workers
//! shunt      shunted = shunt_counted                                       the outcome's counter, and those of the flows
//!            shunt_counted = shunt_merged of all workers
//! export     metered + shunt_merged + inherited = exported + open + in_record_ring + discarded.* + recovered + lost_at_crash
//!            open = in_record_ring = 0                                 once it is closed
//! batch      sealed    = records_out                                       per sink and stream
//!            records_out = acknowledged + in_spool + discarded.*           per sink and stream
//! ```
//!
//! A live message is read downstream first, so what is left over lies upstream, >= 0, and at most what arrived since the
//! message before; a closed one, and a file's, must be exact.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::identity::{Identity, Unit};
use super::{Amount, ByReason, CursorTerms, Message, QueueTerms, WorkerTerms};
use crate::fault::Hop;

/// Packets that a queue's rings hold beside what the interval brought: the largest receive ring that a socket has (16 bits
/// of descriptors), while its counters are being read.
pub const IN_FLIGHT_PACKETS_MAX: u64 = 1 << 16;

/// Packets handed from one worker to another and counted by only one of them yet: a ring's capacity for each pair. As deep
/// as a receive ring, for it has to outlast the same stalls.
pub const HANDOVER_PACKETS_MAX: u64 = 1 << 14;

/// All identities of a message. `previous` is the message before it in the same epoch: what arrived in between bounds
/// what a live one may have left over. Of a closed message it is not used.
pub fn of_probe(message: &Message, previous: Option<&Message>) -> Vec<Identity> {
    if let Some(publisher) = &message.publisher {
        let sealed = message.cuts.iter().fold(0, |sum: u64, cut| sum.saturating_add(cut.records));
        return publisher.identities(sealed);
    }
    let mut identities = Vec::new();
    for queue in &message.queues {
        let bound = queue_bound(message, previous, queue);
        identities.extend(device(queue, bound.clone()));
        identities.push(kernel(queue, bound.clone()));
        if message.lost_in_rings.is_none() {
            identities.push(receive(queue, bound));
        }
    }
    identities.extend(match message.lost_in_rings {
        None => handed_to_workers(message),
        Some(lost) => Some(taken_before_the_kill(message, lost)),
    });
    identities.extend(message.workers.iter().map(meter));
    identities.push(handover(message, previous));
    identities.extend(shunt(message, previous));
    identities.push(export(message));
    identities.extend(ended(message));
    for cursor in &message.cursors {
        identities.push(sealed(message, cursor));
        identities.push(outbox(cursor));
    }
    identities
}

/// Whether everything stood still when the terms were read. Books that somebody else closes with a bound are those of a moment in the
/// middle of things.
fn is_exact(message: &Message) -> bool {
    message.closed && !message.closes.is_some_and(|closes| closes.is_bound)
}

fn queue_bound(message: &Message, previous: Option<&Message>, queue: &QueueTerms) -> RangeInclusive<i64> {
    if is_exact(message) {
        return 0..=0;
    }
    let same = |other: &&QueueTerms| other.interface == queue.interface && other.queue == queue.queue;
    let before = previous.and_then(|message| message.queues.iter().find(same));
    let arrived = queue.seen.packets.saturating_sub(before.map_or(0, |before| before.seen.packets));
    0..=signed(arrived.saturating_add(IN_FLIGHT_PACKETS_MAX))
}

fn device(queue: &QueueTerms, bound: RangeInclusive<i64>) -> Option<Identity> {
    let offered = queue.offered?;
    let mut identity = Identity::new("offered", Hop::Device, scope(queue), Unit::Packets)
        .within(bound)
        .left("offered", offered.packets)
        .right("seen", queue.seen.packets);
    for (counter, missed) in &queue.device_missed {
        identity = identity.right(format!("device_missed.{counter}"), *missed);
    }
    Some(identity)
}

fn kernel(queue: &QueueTerms, bound: RangeInclusive<i64>) -> Identity {
    // The kernel counts what a packet socket saw in packets alone.
    let unit = if queue.dropped_before_redirect { Unit::Packets } else { Unit::PacketsAndOctets };
    let mut identity =
        Identity::new("seen", Hop::Kernel, scope(queue), unit).within(bound).left("seen", queue.seen);
    identity = by_reason(identity, "passed", &queue.passed);
    identity = identity.right("shunted", queue.shunted).right("redirected", queue.redirected);
    identity = by_reason(identity, "refused", &queue.refused);
    if queue.dropped_before_redirect { ring_losses(identity, queue) } else { identity }
}

/// Octets are compared only where nothing was lost between: the kernel counts those losses in packets alone.
fn receive(queue: &QueueTerms, bound: RangeInclusive<i64>) -> Identity {
    let lost = queue.rx_ring_full != 0 || queue.rx_dropped != 0 || queue.not_delivered.unwrap_or(0) != 0;
    let counts_octets = queue.dropped_before_redirect || !lost;
    let unit = if counts_octets { Unit::PacketsAndOctets } else { Unit::Packets };
    let identity = Identity::new("redirected", Hop::Receive, scope(queue), unit)
        .within(bound)
        .left("redirected", queue.redirected)
        .right("received", queue.received);
    if queue.dropped_before_redirect { identity } else { ring_losses(identity, queue) }
}

fn ring_losses(identity: Identity, queue: &QueueTerms) -> Identity {
    identity
        .right("rx_ring_full", queue.rx_ring_full)
        .right("rx_dropped", queue.rx_dropped)
        .right("not_delivered", queue.not_delivered.unwrap_or(0))
}

/// A worker's cut has its sources' terms of the same moment, so this is exact at any time. Books that are closed for a killed
/// epoch may be without queues: their counters ended with its sockets, and nobody knows more than what the workers took.
fn handed_to_workers(message: &Message) -> Option<Identity> {
    if message.closes.is_some() && message.queues.is_empty() {
        return None;
    }
    let mut identity = Identity::new("received_from_sources", Hop::Receive, "", Unit::PacketsAndOctets);
    for queue in &message.queues {
        identity = identity.left(format!("received[{}]", scope(queue)), queue.received);
    }
    for worker in &message.workers {
        identity = identity.right(format!("received[worker {}]", worker.worker), worker.received);
    }
    Some(identity)
}

/// The program's counters and the workers' memory outlived the process; what the sockets knew by queue did not.
fn taken_before_the_kill(message: &Message, lost_in_rings: u64) -> Identity {
    let mut identity = Identity::new("redirected", Hop::Receive, "all queues", Unit::Packets);
    for queue in &message.queues {
        identity = identity.left(format!("redirected[{}]", scope(queue)), queue.redirected);
        identity = ring_losses(identity, queue);
    }
    for worker in &message.workers {
        identity = identity.right(format!("received[worker {}]", worker.worker), worker.received);
    }
    identity.right("lost_in_rings", lost_in_rings)
}

/// Per worker, and exact at any time: a cut lies between two bursts.
fn meter(worker: &WorkerTerms) -> Identity {
    let scope = format!("worker {}", worker.worker);
    let mut identity = Identity::new("received", Hop::Meter, scope, Unit::PacketsAndOctets)
        .left("received", worker.received)
        .left("taken_over", worker.taken_over)
        .right("metered", worker.metered);
    identity = by_reason(identity, "undecodable", &worker.undecodable);
    identity = by_reason(identity, "non_flow", &worker.non_flow);
    identity = identity.right("not_selected", worker.not_selected);
    identity.right("handed_over", worker.handed_over).right("handover_full", worker.handover_full)
}

/// Over all workers: their cuts are not of the same moment, so a digest may be counted by either side first. What the rings
/// hold and what was handed over since the message before bounds the difference.
fn handover(message: &Message, previous: Option<&Message>) -> Identity {
    let handed_over = |message: &Message| total(message, |worker| worker.handed_over).packets;
    let pairs = message.workers.len().saturating_mul(message.workers.len().saturating_sub(1)) as u64;
    let since = handed_over(message).saturating_sub(previous.map_or(0, handed_over));
    let in_flight = pairs.saturating_mul(HANDOVER_PACKETS_MAX).saturating_add(since);
    // What was crossing when a process was killed arrived nowhere.
    let crossing = if is_exact(message) && message.closes.is_none() { 0 } else { signed(in_flight) };
    Identity::new("handed_over", Hop::Meter, "", Unit::PacketsAndOctets)
        .within(-crossing..=crossing)
        .left("handed_over", total(message, |worker| worker.handed_over))
        .right("taken_over", total(message, |worker| worker.taken_over))
}

/// What the program counted by outcome, by flow, and what of it the workers have put into their flows: three counters in three
/// places. They are read one after the other, downstream first; a packet that is just being counted stands in one of the
/// program's alone. What the workers have not read yet is at most what came in the last round of their hands.
fn shunt(message: &Message, previous: Option<&Message>) -> Vec<Identity> {
    if message.queues.is_empty() {
        return Vec::new();
    }
    let sum = |message: &Message, of: fn(&QueueTerms) -> Amount| {
        message.queues.iter().map(of).fold(Amount::ZERO, plus)
    };
    let shunted = |message: &Message| sum(message, |queue| queue.shunted);
    let since = shunted(message).packets.saturating_sub(previous.map_or(0, |before| shunted(before).packets));
    let most = match is_exact(message) {
        true => 0,
        false => signed(since.saturating_mul(2).saturating_add(IN_FLIGHT_PACKETS_MAX)),
    };
    let counted = sum(message, |queue| queue.shunt_counted);
    let merged = total(message, |worker| worker.shunt_merged);
    let identity = |name, hop| Identity::new(name, hop, "shunt", Unit::PacketsAndOctets).within(-most..=most);
    vec![
        identity("shunted", Hop::Kernel).left("shunted", shunted(message)).right("shunt_counted", counted),
        identity("shunt_counted", Hop::Shunt).left("shunt_counted", counted).right("shunt_merged", merged),
    ]
}

/// Exact at any time: the cut is in the ring behind the records it covers, and closes their batch.
fn export(message: &Message) -> Identity {
    let mut identity = Identity::new("metered", Hop::Export, "", Unit::PacketsAndOctets)
        .left("metered", total(message, |worker| worker.metered))
        .left("shunt_merged", total(message, |worker| worker.shunt_merged))
        .left("inherited", total(message, |worker| worker.inherited))
        .right("exported", total(message, |worker| worker.exported))
        .right("open", total(message, |worker| worker.open))
        .right("in_record_ring", total(message, |worker| worker.in_record_ring))
        .right("recovered", total(message, |worker| worker.recovered))
        .right("lost_at_crash", total(message, |worker| worker.lost_at_crash));
    for worker in &message.workers {
        identity = by_reason(identity, "discarded", &worker.discarded);
    }
    identity
}

/// A flow that left the cache without a record would stay open for ever, and `export` would hold: so at the end nothing may be
/// open any more.
fn ended(message: &Message) -> Option<Identity> {
    let identity = Identity::new("still open at the end", Hop::Export, "", Unit::PacketsAndOctets)
        .right("open", total(message, |worker| worker.open))
        .right("in_record_ring", total(message, |worker| worker.in_record_ring));
    message.closed.then_some(identity)
}

fn sealed(message: &Message, cursor: &CursorTerms) -> Identity {
    let cut = message.cuts.iter().find(|cut| cut.stream == cursor.stream);
    Identity::new("sealed", Hop::Batch, cursor_scope(cursor), Unit::Records)
        .left("sealed", cut.map_or(0, |cut| cut.records))
        .right("records_out", cursor.records_out)
}

fn outbox(cursor: &CursorTerms) -> Identity {
    let mut identity = Identity::new("records_out", Hop::Batch, cursor_scope(cursor), Unit::Records)
        .left("records_out", cursor.records_out)
        .right("acknowledged", cursor.acknowledged)
        .right("in_spool", cursor.in_spool);
    for (reason, records) in &cursor.discarded {
        identity = identity.right(format!("discarded.{}", named(reason)), *records);
    }
    identity
}

fn by_reason<R: Serialize>(mut identity: Identity, name: &str, amounts: &ByReason<R>) -> Identity {
    for (reason, amount) in amounts {
        identity = identity.right(format!("{name}.{}", named(reason)), *amount);
    }
    identity
}

/// A reason by the name that it has in JSON: the one place that spells it.
pub(super) fn named<R: Serialize>(reason: &R) -> String {
    match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "unnamed".to_owned(),
    }
}

fn total(message: &Message, of: impl Fn(&WorkerTerms) -> Amount) -> Amount {
    message.workers.iter().map(of).fold(Amount::ZERO, plus)
}

fn plus(one: Amount, other: Amount) -> Amount {
    Amount {
        packets: one.packets.saturating_add(other.packets),
        octets: one.octets.saturating_add(other.octets),
    }
}

pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn scope(queue: &QueueTerms) -> String {
    format!("{} queue {}", queue.interface, queue.queue)
}

fn cursor_scope(cursor: &CursorTerms) -> String {
    format!("{} stream {}", cursor.sink, cursor.stream.0)
}
