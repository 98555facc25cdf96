//! The terms of the ledger that the store knows.

use std::collections::{BTreeMap, HashMap};

use duckdb::{Connection, Row};
use flow_wire::bus::Kind;
use flow_wire::ledger::{Amount, Message};
use flow_wire::stamp::{Epoch, ProbeId};

use super::super::{Closing, Depth, EpochBooks, Error, Expiry, Second, StoreTerms, StreamBooks};
use super::read::{collect, unsigned};
use super::render::Sql;
use super::stream;
use super::sums::Sums;

/// The messages of an epoch: the latest one, the one before it, and when the latest was heard. Where a later start closed the
/// books, that message is the latest one.
struct Said {
    message: Message,
    previous: Option<Message>,
    closing: Option<Closing>,
    heard_nanoseconds: u64,
}

type Messages = HashMap<(ProbeId, Epoch), Said>;

/// All of it, in the transaction of the connection.
pub(super) fn books(connection: &Connection, depth: Depth) -> Result<StoreTerms, Error> {
    let messages = messages(connection)?;
    let cuts = cuts_of(&messages);
    let streams = stream::load(connection)?;
    let mut sums = Sums::read(connection, &cuts, &streams, depth)?;
    let drained: u64 = connection.query_row("SELECT drained_nanoseconds FROM meta", [], |row| row.get(0))?;
    let expiries = expiries(connection)?;
    let mut epochs: BTreeMap<(ProbeId, Epoch), EpochBooks> = BTreeMap::new();
    for ((probe, epoch), said) in messages {
        let books = EpochBooks {
            drained: drained >= said.heard_nanoseconds,
            previous: said.previous,
            message: Some(said.message),
            closing: said.closing,
            heard_nanoseconds: said.heard_nanoseconds,
            ..nothing(probe, epoch)
        };
        epochs.insert((probe, epoch), books);
    }
    for (key, stream) in streams {
        let epoch = epochs.entry((key.probe, key.epoch)).or_insert_with(|| nothing(key.probe, key.epoch));
        epoch.heard_nanoseconds = epoch.heard_nanoseconds.max(stream.last_nanoseconds);
        let start = start_of(epoch);
        let of_partition = stream.place.partition.and_then(|partition| expiries.get(&partition));
        let expired_behind = of_partition
            .is_some_and(|expiry| expiry.reaches(start) && expiry.below != stream.place.expiry.below);
        let expired = stream.expired_since(start);
        let books = StreamBooks { expired, expired_behind, ..sums.of_stream(key, stream) };
        epoch.streams.insert(key.stream, books);
    }
    for epoch in epochs.values_mut() {
        let start = start_of(epoch);
        epoch.anything_expired = expiries.values().any(|expiry| expiry.reaches(start));
    }
    if depth >= Depth::Rows {
        let mut rows = recovered_rows(connection)?;
        for (key, epoch) in &mut epochs {
            epoch.recovered_rows = Some(rows.remove(key).unwrap_or_default());
        }
    }
    sums.nothing_left()?;
    let mut epochs: Vec<_> = epochs.into_values().collect();
    epochs.sort_by_key(|epoch| std::cmp::Reverse(epoch.heard_nanoseconds));
    let (rows, last_commit_nanoseconds) = standing(connection)?;
    Ok(StoreTerms {
        epochs,
        refused: refused(connection)?,
        rows,
        last_commit_nanoseconds,
        doubled_rows: if depth == Depth::DoubledRows { Some(doubled_rows(connection)?) } else { None },
        anything_removed: anything_removed(connection)?,
    })
}

/// An epoch of which nothing is known.
fn nothing(probe: ProbeId, epoch: Epoch) -> EpochBooks {
    EpochBooks {
        probe,
        epoch,
        message: None,
        previous: None,
        closing: None,
        recovered_rows: None,
        anything_expired: false,
        drained: false,
        heard_nanoseconds: 0,
        streams: BTreeMap::new(),
    }
}

/// When its probe says that it began. Of one of which no message is known it makes no difference: nothing says what of it is
/// missing.
fn start_of(epoch: &EpochBooks) -> u64 {
    epoch.message.as_ref().map_or(0, |message| message.epoch_start_nanoseconds)
}

/// By the epoch that metered them: sums of the rows that another one exported.
fn recovered_rows(connection: &Connection) -> Result<HashMap<(ProbeId, Epoch), Amount>, Error> {
    let text = "SELECT probe_id, recovered_from, sum(packet_delta_count) + sum(reverse_packet_delta_count),
                    sum(layer2_octet_delta_count) + sum(reverse_layer2_octet_delta_count)
                FROM flow WHERE recovered_from IS NOT NULL GROUP BY probe_id, recovered_from";
    let rows = collect(connection, &Sql { text: text.to_owned(), values: Vec::new() }, |row| {
        let amount = Amount { packets: unsigned(row, 2)?, octets: unsigned(row, 3)? };
        Ok(((ProbeId(stream::uuid(row, 0)?), Epoch(stream::uuid(row, 1)?)), amount))
    })?;
    Ok(rows.into_iter().collect())
}

/// Per partition of flows: what its retention removed unread. Of two clusters with that partition: the higher numbers.
fn expiries(connection: &Connection) -> Result<HashMap<i32, Expiry>, Error> {
    let sql = Sql {
        text: "SELECT partition, max(expired_below), max(expired_until) FROM bus_offset WHERE topic LIKE ?
               GROUP BY partition"
            .to_owned(),
        values: vec![duckdb::types::Value::Text(Kind::Flows.topic("%"))],
    };
    let expiries = collect(connection, &sql, |row| {
        Ok((row.get(0)?, Expiry { below: row.get(1)?, until_nanoseconds: row.get(2)? }))
    })?;
    Ok(expiries.into_iter().collect())
}

/// Whether retention has removed a file.
pub(super) fn anything_removed(connection: &Connection) -> Result<bool, Error> {
    Ok(connection.query_row("SELECT count(*) > 0 FROM removed_file", [], |row| row.get(0))?)
}

/// Rows, and the last commit.
pub(super) fn standing(connection: &Connection) -> Result<(u64, u64), Error> {
    let text = "SELECT (SELECT count(*) FROM flow)::UBIGINT, last_commit_nanoseconds FROM meta";
    Ok(connection.query_row(text, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// The cuts of all epochs, for a join.
pub(super) fn cuts(connection: &Connection) -> Result<String, Error> {
    Ok(cuts_of(&messages(connection)?))
}

/// `(probe, epoch, stream, next), ...`: numbers and UUIDs that were parsed before, no text from outside.
fn cuts_of(messages: &Messages) -> String {
    let cuts: Vec<_> = messages
        .iter()
        .flat_map(|((probe, epoch), said)| {
            said.message.cuts.iter().map(move |cut| {
                let (probe, epoch) = (blob(probe.0), blob(epoch.0));
                format!("({probe}, {epoch}, {}::USMALLINT, {}::UBIGINT)", cut.stream.0, cut.next.0)
            })
        })
        .collect();
    if cuts.is_empty() {
        "(NULL::BLOB, NULL::BLOB, NULL::USMALLINT, NULL::UBIGINT)".to_owned()
    } else {
        cuts.join(", ")
    }
}

pub(super) fn blob(uuid: uuid::Uuid) -> String {
    let octets: String = uuid.as_bytes().iter().map(|octet| format!("\\x{octet:02X}")).collect();
    format!("'{octets}'::BLOB")
}

fn messages(connection: &Connection) -> Result<Messages, Error> {
    let text = "SELECT probe_id, epoch, message, previous, heard_nanoseconds FROM ledger
                UNION ALL SELECT probe_id, epoch, message, NULL, heard_nanoseconds FROM closing";
    let rows = collect(connection, &Sql { text: text.to_owned(), values: Vec::new() }, |row| {
        let mut message = decode(row.get(2)?)?;
        // Its books are final, whoever closed them.
        message.closed |= message.closes.is_some();
        let said = Said {
            closing: message
                .closes
                .map(|closes| Closing { generation: closes.generation, is_bound: closes.is_bound }),
            message,
            previous: row.get::<_, Option<String>>(3)?.map(decode).transpose()?,
            heard_nanoseconds: row.get(4)?,
        };
        Ok(((ProbeId(stream::uuid(row, 0)?), Epoch(stream::uuid(row, 1)?)), said))
    })?;
    let mut messages = Messages::new();
    for (key, said) in rows {
        if said.closing.is_some() || !messages.contains_key(&key) {
            messages.insert(key, said);
        }
    }
    Ok(messages)
}

fn decode(text: String) -> Result<Message, Error> {
    let malformed = |found: String| Error::Malformed { table: "ledger", found };
    Message::decode(text.as_bytes()).map_err(|error| malformed(error.to_string()))
}

/// Every row has a stamp and number of its own, or it is there twice.
fn doubled_rows(connection: &Connection) -> Result<u64, Error> {
    Ok(connection.query_row(
        "SELECT count(*) - (SELECT count(*) FROM (SELECT DISTINCT probe_id, epoch, stream, sequence, \"row\" FROM flow))
         FROM flow",
        [],
        |row| row.get::<_, i64>(0),
    )?
    .unsigned_abs())
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
