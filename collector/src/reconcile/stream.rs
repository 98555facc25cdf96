//! One stream of an epoch: what the last cut says must be there, and what is.

use flow_wire::ledger::{
    Amount, CursorTerms, Identity, Message, StoredStream, StreamCut, cursor_of, least_discarding,
    lost_on_bus, of_stream,
};
use flow_wire::stamp::StreamId;
use serde::Serialize;

use super::fate::{Fated, Gaps};
use super::ledger::Loss;
use crate::store::{Bus, Stored, StreamBooks};

/// Ranges of missing sequences that a report names.
const RANGES_SHOWN: usize = 100;

/// One stream in the report.
#[derive(Debug, Serialize)]
pub struct Stream {
    /// Its number.
    pub stream: StreamId,
    /// The sequence after the last batch that the cut covers; `None` before the first cut.
    pub next: Option<u64>,
    /// What the probe sealed below it.
    pub sent: Option<Sent>,
    /// What is stored, of all sequences.
    pub stored: Stored,
    /// Of that, below the cut: retention removed it.
    pub removed: Stored,
    /// What is not there below the cut.
    pub missing: Missing,
    /// Of what is missing: it can still come, or the probe will still say what became of it.
    pub late: bool,
    /// What of it is known to be lost.
    pub lost: Loss,
    /// Batches that came more than once.
    pub doubled_batches: u64,
    /// Batches that could not be used.
    pub refused_batches: u64,
    /// The batches that are not simply stored, by what became of them.
    pub fates: Vec<Fated>,
}

/// What the probe says of a stream, in its own sums.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sent {
    /// Rows.
    pub records: u64,
    /// Packets in them.
    pub packets: u64,
    /// Frame octets in them.
    pub octets: u64,
}

/// What the probe sent below the cut and the store has not.
#[derive(Debug, Default, Serialize)]
pub struct Missing {
    /// Batches.
    pub batches: u64,
    /// Rows in them.
    pub records: u64,
    /// Packets in those.
    pub packets: u64,
    /// Frame octets in those.
    pub octets: u64,
    /// Their sequences, both ends included.
    pub ranges: Vec<(u64, u64)>,
}

/// A stream's line of the report, and its identities.
pub(super) fn close(
    message: Option<&Message>,
    drained: bool,
    stream: StreamId,
    books: &StreamBooks,
) -> (Stream, Vec<Identity>) {
    let cut = message.and_then(|message| message.cuts.iter().find(|cut| cut.stream == stream));
    let mut line = Stream {
        stream,
        next: cut.map(|cut| cut.next.0),
        sent: cut.map(sent),
        stored: books.stored,
        removed: books.removed_below_cut,
        missing: Missing::default(),
        late: false,
        lost: Loss::default(),
        doubled_batches: books
            .again
            .batches
            .max(books.duplicate.batches)
            .saturating_sub(books.conflict.batches),
        refused_batches: books.refused_below_cut.batches,
        fates: Gaps::default().report(books),
    };
    let (Some(message), Some(cut)) = (message, cut) else { return (line, Vec::new()) };
    let cursor = match books.on_several_buses {
        true => least_discarding(message, stream, &Bus::ALL.map(Bus::name)),
        false => cursor_of(message, stream, books.bus.name()),
    };
    let drained = drained || message.closed && books.bus == Bus::Zmq;
    let gaps = Gaps::of(books, cut.next.0, drained);
    let terms = terms(&gaps, books);
    line.fates = gaps.report(books);
    line.missing = missing(cut, books);
    let held = cursor.is_some_and(|cursor| cursor.in_spool > 0) && !gaps.missing.is_empty();
    line.late = terms.awaited_batches > 0 || held;
    line.lost = Loss { packets: lost_packets(&line.missing, cursor, &terms), ..lost(cut, cursor, &terms) };
    (line, of_stream(cut, cursor, &terms))
}

fn sent(cut: &StreamCut) -> Sent {
    Sent { records: cut.records, packets: cut.exported.packets, octets: cut.exported.octets }
}

/// The terms of the collector below a cut, each from its own table.
fn terms(gaps: &Gaps, books: &StreamBooks) -> StoredStream {
    let rows = books.rows_below_cut.unwrap_or(books.present_below_cut);
    let removed = books.removed_below_cut;
    let conflict = books.conflict;
    // What came again was handed over again: both sides leave it out. A conflict is a batch that nobody sealed.
    let again = books.again.records.saturating_sub(conflict.records);
    let handed = books.stored_below_cut.records.saturating_add(books.duplicate.records);
    let again_batches = books.again.batches.saturating_sub(conflict.batches);
    StoredStream {
        missing_batches: gaps.certain(),
        expired_batches: gaps.expired.count(),
        awaited_batches: gaps.late.count(),
        duplicate_batches: again_batches.saturating_sub(books.reread.batches),
        arrived: books.arrived_below_cut.records + books.refused_below_cut.records + conflict.records,
        came_all_the_same: books.discarded_below_cut.records,
        on_several_buses: books.on_several_buses,
        refused: books.refused_below_cut.records + conflict.records,
        handed: handed.saturating_sub(again),
        removed: removed.records,
        removed_amount: Amount { packets: removed.packets, octets: removed.octets },
        stored: rows.records,
        stored_amount: Amount { packets: rows.packets, octets: rows.octets },
    }
}

fn missing(cut: &StreamCut, books: &StreamBooks) -> Missing {
    let (ranges, batches) = books.received.missing_below(cut.next.0, RANGES_SHOWN);
    let stored = books.stored_below_cut;
    Missing {
        batches,
        records: cut.records.saturating_sub(stored.records),
        packets: cut.exported.packets.saturating_sub(stored.packets),
        octets: cut.exported.octets.saturating_sub(stored.octets),
        ranges,
    }
}

/// Packets in the records that are gone: all that is missing, once nothing of it can come any more; until then those that
/// the probe knows it discarded.
fn lost_packets(missing: &Missing, cursor: Option<&CursorTerms>, terms: &StoredStream) -> u64 {
    match (terms.missing_batches, terms.awaited_batches) {
        (1.., 0) => missing.packets,
        _ => cursor.map_or(0, |cursor| {
            let discarded = cursor.discarded_amounts.values();
            discarded.fold(0, |sum, amount| amount.packets.saturating_add(sum)).min(missing.packets)
        }),
    }
}

fn lost(cut: &StreamCut, cursor: Option<&CursorTerms>, terms: &StoredStream) -> Loss {
    let not_there = cut.records.saturating_sub(terms.arrived);
    let discarded = cursor.map_or(0, CursorTerms::discarded_records).min(not_there);
    let gone_at_most = terms.missing_batches.saturating_add(terms.awaited_batches);
    let discarded_batches = cursor.map_or(0, |cursor| cursor.discarded_batches).min(gone_at_most);
    let on_bus = lost_on_bus(cut, cursor, terms);
    Loss {
        records: discarded.saturating_add(on_bus),
        batches: discarded_batches.max(terms.missing_batches),
        ..Loss::default()
    }
}
