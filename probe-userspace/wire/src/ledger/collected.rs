//! The identities between a probe's message and what a collector has of it.
//!
//! ```text
//! bus        sealed + came all the same = arrived + discarded + on the bus      per stream, below the cut
//!            taken twice = 0
//!            missing = discarded + expired                          in batches, where anything expired
//! ingest     arrived = handed + refused.*
//! store      handed  = stored + removed (rows counted in the database; what its retention removed)
//!            exported = stored + removed (packets and octets summed in the database)
//!            recovered = rows                                       of a killed epoch: rows of later ones that name it
//! ```
//!
//! All terms are of the batches below the cut's `next`: the collector must have nothing to do with later ones yet.

use super::identity::{Identity, Unit};
use super::probe::{named, signed};
use super::{Amount, CursorTerms, Guarantee, Message, StreamCut};
use crate::batch::BATCH_ROWS_LIMIT;
use crate::fault::Hop;
use crate::stamp::StreamId;

/// What a collector has of one stream below the cut, each term from its own place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredStream {
    /// Sequences below the cut that are not in the received set, though a later one came or the bus is drained.
    pub missing_batches: u64,
    /// Of them: the bus kept them no longer when they were to be read. What records they held nobody downstream knows.
    pub expired_batches: u64,
    /// Sequences below the cut above all that came: they may still be on their way. 0 once the bus is drained.
    pub awaited_batches: u64,
    /// Batches that came again with the same stamp and CRC, though nothing was read anew.
    pub duplicate_batches: u64,
    /// Records in the batches that came, by their headers.
    pub arrived: u64,
    /// Of them: in batches that the probe says it discarded. It gives up what nobody acknowledged, and an acknowledgement can
    /// get lost.
    pub came_all_the_same: u64,
    /// Batches of it came over another kind of bus as well: what the sink of the one discarded, the other may have brought.
    pub on_several_buses: bool,
    /// Records in batches that could not be stored: undecodable, or another batch under the same stamp.
    pub refused: u64,
    /// Records that the store was given.
    pub handed: u64,
    /// Rows that are there, counted by the database.
    pub stored: u64,
    /// Packets and layer-2 octets in those rows, summed by the database.
    pub stored_amount: Amount,
    /// Rows that the collector's own retention removed, as their batches said.
    pub removed: u64,
    /// Packets and layer-2 octets in those.
    pub removed_amount: Amount,
}

/// All identities of one stream. `cursor` is that of the sink which this collector reads; `None` where the message knows
/// none such, and nothing was discarded for it then.
pub fn of_stream(cut: &StreamCut, cursor: Option<&CursorTerms>, stored: &StoredStream) -> Vec<Identity> {
    let scope = format!("stream {}", cut.stream.0);
    let mut identities = vec![bus(cut, cursor, stored, &scope)];
    identities.extend(missing(cursor, stored, &scope));
    // Where the books do not tell of the sink, nobody knows what it promised.
    if cursor.is_some_and(|cursor| cursor.guarantee != Guarantee::AtLeastOnce) {
        let twice = Identity::new("doubled", Hop::Bus, &*scope, Unit::Batches);
        identities.push(twice.left("sent twice", 0).right("duplicate_batches", stored.duplicate_batches));
    }
    identities.push(
        Identity::new("arrived", Hop::Ingest, &*scope, Unit::Records)
            .left("arrived", stored.arrived)
            .right("handed", stored.handed)
            .right("refused", stored.refused),
    );
    let handed = Identity::new("handed", Hop::Store, &*scope, Unit::Records)
        .left("handed", stored.handed)
        .right("stored", stored.stored);
    let removed = |identity: Identity, amount: Amount| match stored.removed {
        0 => identity,
        _ => identity.right("removed", amount),
    };
    identities.push(removed(handed, stored.removed.into()));
    // Only a whole stream can be compared by packets: what a missing batch held, nobody downstream knows.
    if stored.arrived == cut.records && stored.refused == 0 {
        let exported = Identity::new("exported", Hop::Store, &*scope, Unit::PacketsAndOctets)
            .left("exported", cut.exported)
            .right("stored", stored.stored_amount);
        identities.push(removed(exported, stored.removed_amount));
    }
    identities
}

/// What a later start recovered of a killed epoch is in rows that name it. `is_settled`: nothing of the later epochs can still
/// come, and none of their records is lost.
pub fn recovered(message: &Message, rows: Amount, is_settled: bool) -> Option<Identity> {
    let recovered =
        message.workers.iter().map(|worker| worker.recovered).fold(Amount::ZERO, |sum, one| Amount {
            packets: sum.packets.saturating_add(one.packets),
            octets: sum.octets.saturating_add(one.octets),
        });
    if recovered == Amount::ZERO && rows == Amount::ZERO {
        return None;
    }
    let most = if is_settled { 0 } else { signed(recovered.packets) };
    let identity = Identity::new("recovered", Hop::Store, "", Unit::PacketsAndOctets).within(0..=most);
    Some(identity.left("recovered", recovered).right("rows", rows))
}

/// The cursor of the sink that a collector reads: the one that brought the message, where the message says so, since a probe
/// may have several sinks of one kind, of which one is dead. Else, or where the stream comes over another kind of bus
/// (`kafka`, `zmq`) than the message, the first of that kind.
pub fn cursor_of<'a>(message: &'a Message, stream: StreamId, bus: &str) -> Option<&'a CursorTerms> {
    let of_kind =
        || message.cursors.iter().filter(|cursor| cursor.stream == stream && cursor.sink.starts_with(bus));
    of_kind().find(|cursor| cursor.read_here).or_else(|| of_kind().next())
}

/// Of a stream that comes over several kinds of bus: the cursor that discarded least, since what it did not discard is there. That
/// goes for those with a guarantee alone: held against a plain one, another's loss would be excused.
pub fn least_discarding<'a>(
    message: &'a Message,
    stream: StreamId,
    buses: &[&str],
) -> Option<&'a CursorTerms> {
    let cursors = buses.iter().filter_map(|bus| cursor_of(message, stream, bus));
    cursors.min_by_key(|cursor| (cursor.guarantee == Guarantee::AtMostOnce, cursor.discarded_records()))
}

/// Records that a bus without a guarantee lost: counted loss, no residual. What [`of_stream`] leaves over for them lies
/// within the bound that the gaps in the sequences allow.
pub fn lost_on_bus(cut: &StreamCut, cursor: Option<&CursorTerms>, stored: &StoredStream) -> u64 {
    match stored.missing_batches {
        0 => 0,
        _ => bus(cut, cursor, stored, "").left_over().max(0).unsigned_abs(),
    }
}

/// A gap is a loss that a bus without a guarantee may have, of 1 row a batch at least and a full batch at most. Kafka may
/// have none but what its retention removed, which is bounded likewise; and so is what is still on its way. Of what a sink
/// held when the message was cut some may have been discarded since: the next message says so. And of what it discarded another
/// bus may have brought any part.
fn bus(cut: &StreamCut, cursor: Option<&CursorTerms>, stored: &StoredStream, scope: &str) -> Identity {
    let mut identity = Identity::new("sealed", Hop::Bus, scope, Unit::Records)
        .left("sealed", cut.records)
        .right("arrived", stored.arrived);
    if stored.came_all_the_same > 0 {
        identity = identity.left("came_all_the_same", stored.came_all_the_same);
    }
    for (reason, records) in cursor.into_iter().flat_map(|cursor| &cursor.discarded) {
        identity = identity.right(format!("discarded.{}", named(reason)), *records);
    }
    let lost = lost_batches(cursor, stored);
    let unexplained = unexplained_batches(cursor, stored) > lost;
    // What was discarded can be among the awaited ones too, so the least is of the certain losses alone.
    let most = lost.saturating_add(stored.awaited_batches).saturating_mul(BATCH_ROWS_LIMIT as u64);
    let held = if unexplained { cursor.map_or(0, |cursor| cursor.in_spool) } else { 0 };
    let elsewhere = match stored.on_several_buses {
        true => cursor.map_or(0, CursorTerms::discarded_records).saturating_sub(stored.came_all_the_same),
        false => 0,
    };
    identity.within(signed(lost).saturating_sub(signed(elsewhere))..=signed(most.saturating_add(held)))
}

/// Batches that may be gone without a residual.
fn lost_batches(cursor: Option<&CursorTerms>, stored: &StoredStream) -> u64 {
    let unexplained = unexplained_batches(cursor, stored);
    match cursor.map_or(Guarantee::AtMostOnce, |cursor| cursor.guarantee) {
        Guarantee::AtMostOnce => unexplained,
        Guarantee::ExactlyOnce | Guarantee::AtLeastOnce => unexplained.min(stored.expired_batches),
    }
}

/// Missing batches that the probe did not discard.
fn unexplained_batches(cursor: Option<&CursorTerms>, stored: &StoredStream) -> u64 {
    stored.missing_batches.saturating_sub(cursor.map_or(0, |cursor| cursor.discarded_batches))
}

/// Retention leaves a bound of records, in which another loss could hide: so the batches are held against each other, too.
fn missing(cursor: Option<&CursorTerms>, stored: &StoredStream, scope: &str) -> Option<Identity> {
    let cursor = cursor.filter(|cursor| cursor.guarantee != Guarantee::AtMostOnce)?;
    if stored.expired_batches == 0 {
        return None;
    }
    // What was discarded can be among the awaited ones, and waits in the sink where it was discarded since.
    let ahead = signed(cursor.discarded_batches);
    let held = if cursor.in_spool > 0 { i64::MAX } else { 0 };
    Some(
        Identity::new("missing", Hop::Bus, scope, Unit::Batches)
            .within(-ahead..=held)
            .left("missing", stored.missing_batches)
            .right("discarded", cursor.discarded_batches)
            .right("expired", lost_batches(Some(cursor), stored)),
    )
}
