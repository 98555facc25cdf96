//! The terms of the ledger that the store knows.

use std::collections::{BTreeMap, HashMap};

use duckdb::{Connection, Row};
use flow_wire::ledger::{Amount, Message};
use flow_wire::stamp::{Epoch, ProbeId, StreamId};

use super::super::{EpochBooks, Error, Second, StoreTerms, Stored, StreamBooks, StreamKey};
use super::read::{collect, unsigned};
use super::render::Sql;
use super::stream::{self, Stream};

/// Latest messages with their control sequence, by epoch.
type Messages = HashMap<(ProbeId, Epoch), Message>;

/// All of it, in the transaction of the connection.
pub(super) fn books(connection: &Connection, from_rows: bool) -> Result<StoreTerms, Error> {
    let messages = messages(connection)?;
    let mut batches = summed(connection, &BATCHES)?;
    let mut below = summed(connection, &below_cuts(&messages))?;
    let mut rows = if from_rows { Some(summed(connection, &ROWS)?) } else { None };
    let mut epochs: BTreeMap<(ProbeId, Epoch), EpochBooks> = BTreeMap::new();
    for (key, stream) in stream::load(connection)? {
        let books = StreamBooks {
            stored: batches.remove(&key).unwrap_or_default(),
            stored_below_cut: below.remove(&key).unwrap_or_default(),
            rows: rows.as_mut().map(|rows| rows.remove(&key).unwrap_or_default()),
            ..from_stream(stream)
        };
        let epoch = epochs.entry((key.probe, key.epoch)).or_insert_with(|| EpochBooks {
            probe: key.probe,
            epoch: key.epoch,
            message: messages.get(&(key.probe, key.epoch)).cloned(),
            heard_nanoseconds: 0,
            streams: BTreeMap::new(),
        });
        epoch.heard_nanoseconds = epoch.heard_nanoseconds.max(books.last_nanoseconds);
        epoch.streams.insert(key.stream, books);
    }
    orphans(batches.into_iter().chain(rows.unwrap_or_default()))?;
    let mut epochs: Vec<_> = epochs.into_values().collect();
    epochs.sort_by_key(|epoch| std::cmp::Reverse(epoch.heard_nanoseconds));
    Ok(StoreTerms {
        epochs,
        refused: refused(connection)?,
        rows: connection.query_row("SELECT count(*) FROM flow", [], |row| row.get(0))?,
        last_commit_nanoseconds: connection.query_row(
            "SELECT last_commit_nanoseconds FROM meta",
            [],
            |row| row.get(0),
        )?,
        from_rows,
    })
}

/// Rows or batches of a stream that has no received set: no transaction of ours leaves such.
fn orphans(mut left: impl Iterator<Item = (StreamKey, Stored)>) -> Result<(), Error> {
    match left.next() {
        None => Ok(()),
        Some((key, stored)) => Err(Error::Malformed {
            table: "received",
            found: format!("no row for {key:?}, which has {stored:?}"),
        }),
    }
}

fn from_stream(stream: Stream) -> StreamBooks {
    StreamBooks {
        received: stream.received,
        arrived: stream.arrived,
        duplicate: stream.duplicate,
        conflict: stream.conflict,
        refused: stream.refused,
        last_nanoseconds: stream.last_nanoseconds,
        ..StreamBooks::default()
    }
}

/// A query for key columns, batches, records, packets, octets.
struct Summing(std::borrow::Cow<'static, str>);

static BATCHES: Summing = Summing(std::borrow::Cow::Borrowed(
    "SELECT probe_id, epoch, stream, count(*), coalesce(sum(records), 0), coalesce(sum(packets), 0),
            coalesce(sum(layer2_octets), 0)
     FROM batch GROUP BY probe_id, epoch, stream",
));

static ROWS: Summing = Summing(std::borrow::Cow::Borrowed(
    "SELECT probe_id, epoch, stream, count(DISTINCT sequence), count(*),
            sum(packet_delta_count) + sum(reverse_packet_delta_count),
            sum(layer2_octet_delta_count) + sum(reverse_layer2_octet_delta_count)
     FROM flow GROUP BY probe_id, epoch, stream",
));

/// Of the batches below the last cut of each stream. The values are numbers and UUIDs that were parsed before.
fn below_cuts(messages: &Messages) -> Summing {
    let cuts: Vec<_> = messages
        .iter()
        .flat_map(|((probe, epoch), message)| {
            message.cuts.iter().map(move |cut| {
                let (probe, epoch) = (blob(probe.0), blob(epoch.0));
                format!("({probe}, {epoch}, {}::USMALLINT, {}::UBIGINT)", cut.stream.0, cut.next.0)
            })
        })
        .collect();
    let cuts = if cuts.is_empty() { "(NULL, NULL, NULL, NULL)".to_owned() } else { cuts.join(", ") };
    Summing(
        format!(
            "SELECT b.probe_id, b.epoch, b.stream, count(*), coalesce(sum(records), 0), coalesce(sum(packets), 0),
                    coalesce(sum(layer2_octets), 0)
             FROM batch b JOIN (VALUES {cuts}) AS cut(probe_id, epoch, stream, next)
                ON b.probe_id = cut.probe_id AND b.epoch = cut.epoch AND b.stream = cut.stream AND b.sequence < cut.next
             GROUP BY b.probe_id, b.epoch, b.stream"
        )
        .into(),
    )
}

fn blob(uuid: uuid::Uuid) -> String {
    let octets: String = uuid.as_bytes().iter().map(|octet| format!("\\x{octet:02X}")).collect();
    format!("'{octets}'::BLOB")
}

fn summed(connection: &Connection, Summing(text): &Summing) -> Result<HashMap<StreamKey, Stored>, Error> {
    let sql = Sql { text: text.clone().into_owned(), values: Vec::new() };
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

fn messages(connection: &Connection) -> Result<Messages, Error> {
    let sql = Sql { text: "SELECT probe_id, epoch, message FROM ledger".to_owned(), values: Vec::new() };
    let rows = collect(connection, &sql, |row| {
        let text: String = row.get(2)?;
        let message = Message::decode(text.as_bytes())
            .map_err(|error| Error::Malformed { table: "ledger", found: error.to_string() })?;
        Ok(((ProbeId(stream::uuid(row, 0)?), Epoch(stream::uuid(row, 1)?)), message))
    })?;
    Ok(rows.into_iter().collect())
}

fn refused(connection: &Connection) -> Result<BTreeMap<String, u64>, Error> {
    let sql = Sql { text: "SELECT reason, messages FROM refused".to_owned(), values: Vec::new() };
    Ok(collect(connection, &sql, |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect())
}

/// In the order of epochs and time.
pub(super) fn seconds(connection: &Connection, since_nanoseconds: u64) -> Result<Vec<Second>, Error> {
    let sql = Sql {
        text: "SELECT probe_id, epoch, time_nanoseconds, seen_packets, seen_octets, metered_packets, metered_octets,
                      excepted_packets, lost_packets
               FROM second WHERE time_nanoseconds >= ? ORDER BY probe_id, epoch, time_nanoseconds"
            .to_owned(),
        values: vec![duckdb::types::Value::UBigInt(since_nanoseconds)],
    };
    collect(connection, &sql, second)
}

fn second(row: &Row<'_>) -> Result<Second, Error> {
    let amount = |at: usize| -> Result<Amount, Error> {
        Ok(Amount { packets: row.get(at)?, octets: row.get(at + 1)? })
    };
    Ok(Second {
        probe: ProbeId(stream::uuid(row, 0)?),
        epoch: Epoch(stream::uuid(row, 1)?),
        time_nanoseconds: row.get(2)?,
        seen: amount(3)?,
        metered: amount(5)?,
        excepted_packets: row.get(7)?,
        lost_packets: row.get(8)?,
    })
}
