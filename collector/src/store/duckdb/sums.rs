//! What batches, arrivals and rows of each stream come to, in all and below the cut of its epoch. Of former files the sums were
//! written down when their day was over.

use std::collections::HashMap;

use duckdb::Connection;
use flow_wire::stamp::{Epoch, ProbeId, StreamId};

use super::super::{Counted, Depth, Error, Ranges, Stored, StreamBooks, StreamKey};
use super::books::blob;
use super::read::{collect, unsigned};
use super::render::Sql;
use super::stream::{self, Stream};

/// The rows of the newest file by the kinds of `file_sum`, with its columns.
pub(super) const LIVE: [(&str, &str); 3] = [
    (
        "batch",
        "SELECT probe_id, epoch, stream, sequence AS last, 1 AS batches, records, packets, layer2_octets FROM batch",
    ),
    (
        "arrived",
        "SELECT probe_id, epoch, stream, sequence AS last, 1 AS batches, records, 0 AS packets, 0 AS layer2_octets
         FROM arrival WHERE NOT refused",
    ),
    (
        "refused",
        "SELECT probe_id, epoch, stream, sequence AS last, 1 AS batches, records, 0 AS packets, 0 AS layer2_octets
         FROM arrival WHERE refused",
    ),
];

/// With those of former files that fulfil a condition.
fn source(kind: &str, live: &str, condition: &str) -> String {
    format!(
        "({live} UNION ALL SELECT probe_id, epoch, stream, last, batches, records, packets, layer2_octets FROM file_sum
          WHERE kind = '{kind}' AND {condition})"
    )
}

const OF_SUMS: &str =
    "sum(batches), coalesce(sum(records), 0), coalesce(sum(packets), 0), coalesce(sum(layer2_octets), 0)";

/// The rows of all files, with the sequence by the name that it has in sums.
const ROWS: &str = "(SELECT *, sequence AS last FROM flow)";
const OF_ROWS: &str =
    "count(DISTINCT last), count(*), sum(packet_delta_count) + sum(reverse_packet_delta_count),
    sum(layer2_octet_delta_count) + sum(reverse_layer2_octet_delta_count)";

/// The batches that are there although the probe says that it discarded them; `None` = there are none. Few, if any: an
/// acknowledgement has to get lost for it.
fn discarded_and_there(streams: &HashMap<StreamKey, Stream>) -> Option<String> {
    let mut ranges = Vec::new();
    for (key, stream) in streams {
        let discarded = Ranges::of(stream.discarded.iter().flat_map(|one| one.ranges.iter()));
        let end = stream.arrived.end();
        let (gaps, _) = stream.arrived.missing_below(end, usize::MAX);
        let (_, there) = discarded.split(&Ranges::of(gaps));
        let (probe, epoch, number) = (blob(key.probe.0), blob(key.epoch.0), key.stream.0);
        ranges.extend(there.iter().filter(|(first, _)| *first < end).map(|(first, last)| {
            format!("({probe}, {epoch}, {number}::USMALLINT, {first}::UBIGINT, {last}::UBIGINT)")
        }));
    }
    let values = ranges.join(", ");
    (!ranges.is_empty()).then(|| {
        format!(
            "(SELECT b.probe_id, b.epoch, b.stream, b.sequence AS last, 1 AS batches, b.records, b.packets, b.layer2_octets
              FROM memory.main.batch_of_all b JOIN (VALUES {values})
                AS gone(probe_id, epoch, stream, first, final) ON b.probe_id = gone.probe_id AND b.epoch = gone.epoch
                AND b.stream = gone.stream AND b.sequence BETWEEN gone.first AND gone.final)"
        )
    })
}

/// Sums by stream, each from its own place.
pub(super) struct Sums {
    stored: HashMap<StreamKey, Stored>,
    below_cut: HashMap<StreamKey, Stored>,
    present_below_cut: HashMap<StreamKey, Stored>,
    removed_below_cut: HashMap<StreamKey, Stored>,
    arrived: HashMap<StreamKey, Stored>,
    discarded: HashMap<StreamKey, Stored>,
    refused: HashMap<StreamKey, Stored>,
    rows: Option<HashMap<StreamKey, Stored>>,
}

impl Sums {
    pub(super) fn read(
        connection: &Connection,
        cuts: &str,
        streams: &HashMap<StreamKey, Stream>,
        depth: Depth,
    ) -> Result<Self, Error> {
        let below = |from: &str, sums: &str| {
            summed(
                connection,
                &format!(
                    "SELECT t.probe_id, t.epoch, t.stream, {sums} FROM {from} t JOIN (VALUES {cuts})
                        AS cut(probe_id, epoch, stream, next) ON t.probe_id = cut.probe_id AND t.epoch = cut.epoch
                        AND t.stream = cut.stream AND t.last < cut.next
                     GROUP BY t.probe_id, t.epoch, t.stream"
                ),
            )
        };
        let [batch, arrived, refused] = LIVE.map(|(kind, live)| source(kind, live, "true"));
        let of_batches = |condition: &str| source(LIVE[0].0, LIVE[0].1, condition);
        let removed = format!("(SELECT * FROM file_sum WHERE kind = '{}' AND day = 0)", LIVE[0].0);
        let all = format!(
            "SELECT probe_id, epoch, stream, {OF_SUMS} FROM {batch} t GROUP BY probe_id, epoch, stream"
        );
        let discarded = discarded_and_there(streams);
        Ok(Self {
            stored: summed(connection, &all)?,
            below_cut: below(&batch, OF_SUMS)?,
            present_below_cut: below(&of_batches("day <> 0"), OF_SUMS)?,
            removed_below_cut: below(&removed, OF_SUMS)?,
            arrived: below(&arrived, OF_SUMS)?,
            discarded: discarded.map_or_else(|| Ok(HashMap::new()), |from| below(&from, OF_SUMS))?,
            refused: below(&refused, OF_SUMS)?,
            rows: if depth >= Depth::Rows { Some(below(ROWS, OF_ROWS)?) } else { None },
        })
    }

    pub(super) fn of_stream(&mut self, key: StreamKey, stream: Stream) -> StreamBooks {
        let counted = |sums: &mut HashMap<StreamKey, Stored>| {
            let Stored { batches, records, .. } = sums.remove(&key).unwrap_or_default();
            Counted { batches, records }
        };
        StreamBooks {
            bus: stream.bus,
            on_several_buses: stream.on_several_buses,
            last_nanoseconds: stream.last_nanoseconds,
            received: stream.received,
            arrived: stream.arrived,
            stored: self.stored.remove(&key).unwrap_or_default(),
            stored_below_cut: self.below_cut.remove(&key).unwrap_or_default(),
            present_below_cut: self.present_below_cut.remove(&key).unwrap_or_default(),
            removed_below_cut: self.removed_below_cut.remove(&key).unwrap_or_default(),
            rows_below_cut: self.rows.as_mut().map(|rows| rows.remove(&key).unwrap_or_default()),
            arrived_below_cut: counted(&mut self.arrived),
            discarded_below_cut: counted(&mut self.discarded),
            refused_below_cut: counted(&mut self.refused),
            again: stream.again,
            reread: stream.reread,
            duplicate: stream.duplicate,
            conflict: stream.conflict,
            again_at: stream.again_at,
            conflict_at: stream.conflict_at,
            refused_at: stream.refused_at,
            expired: Ranges::default(),
            expired_behind: false,
            discarded: stream.discarded,
        }
    }

    /// Rows or batches of a stream that has no received set: no transaction of ours leaves such.
    pub(super) fn nothing_left(self) -> Result<(), Error> {
        match self.stored.into_iter().chain(self.rows.unwrap_or_default()).next() {
            None => Ok(()),
            Some((key, stored)) => Err(Error::Malformed {
                table: "received",
                found: format!("no row for {key:?}, which has {stored:?}"),
            }),
        }
    }
}

fn summed(connection: &Connection, text: &str) -> Result<HashMap<StreamKey, Stored>, Error> {
    let sql = Sql { text: text.to_owned(), values: Vec::new() };
    let rows = collect(connection, &sql, |row| {
        let stored = Stored {
            batches: unsigned(row, 3)?,
            records: unsigned(row, 4)?,
            packets: unsigned(row, 5)?,
            octets: unsigned(row, 6)?,
        };
        let (probe, epoch) = (ProbeId(stream::uuid(row, 0)?), Epoch(stream::uuid(row, 1)?));
        Ok((StreamKey { probe, epoch, stream: StreamId(row.get(2)?) }, stored))
    })?;
    Ok(rows.into_iter().collect())
}
