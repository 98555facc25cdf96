//! The identities between a probe's message and what a collector has of it.
//!
//! ```text
//! bus        sealed  = arrived + discarded + on the bus      per stream, below the cut
//!            taken twice = 0
//! ingest     arrived = handed + refused.*
//! store      handed  = stored (rows counted in the database)
//!            exported = stored (packets and octets summed in the database)
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
    /// Sequences below the cut above all that came: they may still be on their way. 0 once the bus is drained.
    pub awaited_batches: u64,
    /// Batches that came again with the same stamp and CRC, though nothing was read anew.
    pub duplicate_batches: u64,
    /// Records in the batches that came, by their headers.
    pub arrived: u64,
    /// Records in batches that could not be stored: undecodable, or another batch under the same stamp.
    pub refused: u64,
    /// Records that the store was given.
    pub handed: u64,
    /// Rows that are there, counted by the database.
    pub stored: u64,
    /// Packets and layer-2 octets in those rows, summed by the database.
    pub stored_amount: Amount,
}

/// All identities of one stream. `cursor` is that of the sink which this collector reads; `None` where the message knows
/// none such, and nothing was discarded for it then.
pub fn of_stream(cut: &StreamCut, cursor: Option<&CursorTerms>, stored: &StoredStream) -> Vec<Identity> {
    let scope = format!("stream {}", cut.stream.0);
    let guarantee = cursor.map_or(Guarantee::AtMostOnce, |cursor| cursor.guarantee);
    let mut identities = vec![bus(cut, cursor, stored, &scope)];
    if guarantee != Guarantee::AtLeastOnce {
        let twice = Identity::new("doubled", Hop::Bus, &*scope, Unit::Batches);
        identities.push(twice.left("sent twice", 0).right("duplicate_batches", stored.duplicate_batches));
    }
    identities.push(
        Identity::new("arrived", Hop::Ingest, &*scope, Unit::Records)
            .left("arrived", stored.arrived)
            .right("handed", stored.handed)
            .right("refused", stored.refused),
    );
    identities.push(
        Identity::new("handed", Hop::Store, &*scope, Unit::Records)
            .left("handed", stored.handed)
            .right("stored", stored.stored),
    );
    // Only a whole stream can be compared by packets: what a missing batch held, nobody downstream knows.
    if stored.arrived == cut.records && stored.refused == 0 {
        identities.push(
            Identity::new("exported", Hop::Store, &*scope, Unit::PacketsAndOctets)
                .left("exported", cut.exported)
                .right("stored", stored.stored_amount),
        );
    }
    identities
}

/// The cursor of the sink that a collector reads: the one that brought the message, where the message says so, since a probe
/// may have several sinks of one kind, of which one is dead. Else, or where the stream comes over another kind of bus
/// (`kafka`, `zmq`) than the message, the first of that kind.
pub fn cursor_of<'a>(message: &'a Message, stream: StreamId, bus: &str) -> Option<&'a CursorTerms> {
    let of_kind =
        || message.cursors.iter().filter(|cursor| cursor.stream == stream && cursor.sink.starts_with(bus));
    of_kind().find(|cursor| cursor.read_here).or_else(|| of_kind().next())
}

/// Records that a bus without a guarantee lost: counted loss, no residual. What [`of_stream`] leaves over for them lies
/// within the bound that the gaps in the sequences allow.
pub fn lost_on_bus(cut: &StreamCut, cursor: Option<&CursorTerms>, stored: &StoredStream) -> u64 {
    match stored.missing_batches {
        0 => 0,
        _ => bus(cut, cursor, stored, "").left_over().max(0).unsigned_abs(),
    }
}

/// A gap is a loss that a bus without a guarantee may have, of 1 row a batch at least and a full batch at most; Kafka may
/// have none. What is still on its way is bounded likewise.
fn bus(cut: &StreamCut, cursor: Option<&CursorTerms>, stored: &StoredStream, scope: &str) -> Identity {
    let mut identity = Identity::new("sealed", Hop::Bus, scope, Unit::Records)
        .left("sealed", cut.records)
        .right("arrived", stored.arrived);
    let mut discarded_batches = 0;
    if let Some(cursor) = cursor {
        for (reason, records) in &cursor.discarded {
            identity = identity.right(format!("discarded.{}", named(reason)), *records);
        }
        discarded_batches = cursor.discarded_batches;
    }
    let guarantee = cursor.map_or(Guarantee::AtMostOnce, |cursor| cursor.guarantee);
    let lost = match guarantee {
        Guarantee::AtMostOnce => stored.missing_batches.saturating_sub(discarded_batches),
        Guarantee::ExactlyOnce | Guarantee::AtLeastOnce => 0,
    };
    // What was discarded can be among the awaited ones too, so the least is of the certain losses alone.
    let most = lost.saturating_add(stored.awaited_batches).saturating_mul(BATCH_ROWS_LIMIT as u64);
    identity.within(signed(lost)..=signed(most))
}
