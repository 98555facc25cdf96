//! One transaction: rows, batches, received sets, offsets, ledger messages, what was kept aside.

use arrow_array::RecordBatch;
use duckdb::{Connection, Transaction, params};
use flow_wire::fault::{Fault, Hop, take};
use flow_wire::ledger::Closes;
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};

use super::super::{Arrival, Books, COLUMNS, Committed, Error, Intake, Mark, Offset, RefusalReason};
use super::judge::{Conflict, Plan};
use super::retention;
use super::schema::{KEPT_ASIDE_MAX, SECONDS_KEPT_NANOSECONDS};
use super::stream;
use crate::reconcile::second;

/// How often seconds that are too old are deleted: often enough for the table to stay small.
pub(super) const PRUNE_EVERY_NANOSECONDS: u64 = 60_000_000_000;

/// Writes what was judged new.
pub(super) fn commit(
    connection: &Connection,
    intake: &Intake,
    plan: &Plan<'_>,
    prune: bool,
) -> Result<Committed, Error> {
    let transaction = connection.unchecked_transaction()?;
    let rows = append_flows(&transaction, plan)?;
    append_batches(&transaction, plan)?;
    append_arrivals(&transaction, plan)?;
    for (key, stream) in &plan.streams {
        stream::save(&transaction, *key, stream)?;
    }
    for books in &plan.books {
        save_books(&transaction, books, intake.now_nanoseconds)?;
    }
    for offset in &intake.offsets {
        save_offset(&transaction, offset)?;
    }
    keep_aside(&transaction, intake, plan)?;
    if prune {
        let oldest = intake.now_nanoseconds.saturating_sub(SECONDS_KEPT_NANOSECONDS);
        transaction.execute("DELETE FROM second WHERE heard_nanoseconds < ?", params![oldest])?;
    }
    transaction.execute(
        "UPDATE meta SET last_commit_nanoseconds = ?, clock_day = coalesce(clock_day, ?)",
        params![intake.now_nanoseconds, retention::clock_day(intake.now_nanoseconds)],
    )?;
    if intake.drained {
        transaction.execute(
            "UPDATE meta SET drained_nanoseconds = ?",
            params![intake.drained_at_nanoseconds.unwrap_or(intake.now_nanoseconds)],
        )?;
    }
    transaction.commit()?;
    Ok(Committed {
        rows,
        batches: (plan.batches.len() + plan.books.len()) as u64,
        duplicates: plan.duplicates,
        conflicts: plan.conflicts.len() as u64,
        refusals: intake.refusals.len() as u64,
    })
}

fn append_flows(transaction: &Transaction<'_>, plan: &Plan<'_>) -> Result<u64, Error> {
    // By name: a store that an earlier release made has later columns at its end.
    let mut appender =
        transaction.appender_with_columns("flow", &COLUMNS.each_ref().map(|column| column.name))?;
    let mut rows = 0;
    for batch in &plan.batches {
        for part in faulted(&batch.rows) {
            rows += part.num_rows() as u64;
            appender.append_record_batch(part)?;
        }
    }
    appender.flush()?;
    Ok(rows)
}

/// The batch; in a build with faults, once, without its first row or with it twice.
fn faulted(rows: &RecordBatch) -> Vec<RecordBatch> {
    match take(Hop::Store) {
        None => vec![rows.clone()],
        Some(Fault::Lose) => vec![rows.slice(1, rows.num_rows() - 1)],
        Some(Fault::Double) => vec![rows.clone(), rows.slice(0, 1)],
    }
}

fn append_batches(transaction: &Transaction<'_>, plan: &Plan<'_>) -> Result<(), Error> {
    let mut appender = transaction.appender("batch")?;
    let mut append = |stamp: &Stamp, crc32c: u32, records: usize, packets: u64, octets: u64| {
        appender.append_row(params![
            stamp.probe.0.as_bytes().as_slice(),
            stamp.epoch.0.as_bytes().as_slice(),
            stamp.stream.0,
            stamp.sequence.0,
            crc32c,
            records as u32,
            packets,
            octets,
        ])
    };
    for batch in &plan.batches {
        append(&batch.stamp, batch.crc32c, batch.rows.num_rows(), batch.packets, batch.layer2_octets)?;
    }
    for books in &plan.books {
        append(&books.stamp, books.crc32c, 0, 0, 0)?;
    }
    appender.flush()?;
    Ok(())
}

fn append_arrivals(transaction: &Transaction<'_>, plan: &Plan<'_>) -> Result<(), Error> {
    let mut appender = transaction.appender("arrival")?;
    for Arrival { stamp, records, refused, .. } in &plan.arrivals {
        let (probe, epoch) = (stamp.probe.0.as_bytes().as_slice(), stamp.epoch.0.as_bytes().as_slice());
        appender.append_row(params![probe, epoch, stamp.stream.0, stamp.sequence.0, records, refused])?;
    }
    appender.flush()?;
    Ok(())
}

/// The latest message of an epoch is the one with the highest sequence, whatever came last.
fn save_books(transaction: &Transaction<'_>, books: &Books, now_nanoseconds: u64) -> Result<(), Error> {
    let Books { stamp, message, .. } = books;
    let (probe, epoch) = (stamp.probe.0.as_bytes().as_slice(), stamp.epoch.0.as_bytes().as_slice());
    let text = serde_json::to_string(message)
        .map_err(|error| Error::Malformed { table: "ledger", found: error.to_string() })?;
    if let Some(closes) = &message.closes {
        return save_closing(transaction, books, closes, &text);
    }
    transaction.execute(
        "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, NULL)
         ON CONFLICT DO UPDATE SET sequence = excluded.sequence, heard_nanoseconds = excluded.heard_nanoseconds,
            message = excluded.message, previous = ledger.message
         WHERE excluded.sequence > ledger.sequence",
        params![probe, epoch, stamp.sequence.0, books.heard_nanoseconds, text],
    )?;
    let second = second(stamp, message);
    transaction.execute(
        "INSERT INTO second VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            probe,
            epoch,
            second.time_nanoseconds,
            now_nanoseconds,
            second.seen.packets,
            second.seen.octets,
            second.metered.packets,
            second.metered.octets,
            second.excepted_packets,
            second.lost_packets,
        ],
    )?;
    Ok(())
}

/// The books of another epoch than the header's: those of the latest start hold, and of one start the last ones.
fn save_closing(
    transaction: &Transaction<'_>,
    books: &Books,
    closes: &Closes,
    text: &str,
) -> Result<(), Error> {
    transaction.execute(
        "INSERT INTO closing VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET generation = excluded.generation, sequence = excluded.sequence,
            heard_nanoseconds = excluded.heard_nanoseconds, message = excluded.message
         WHERE excluded.generation > closing.generation
            OR excluded.generation = closing.generation AND excluded.sequence > closing.sequence",
        params![
            books.stamp.probe.0.as_bytes().as_slice(),
            closes.epoch.0.as_bytes().as_slice(),
            closes.generation,
            books.stamp.sequence.0,
            books.heard_nanoseconds,
            text
        ],
    )?;
    Ok(())
}

fn save_offset(transaction: &Transaction<'_>, offset: &Offset) -> Result<(), Error> {
    let stamp = offset.mark.map(|mark| mark.stamp);
    transaction.execute(
        "INSERT OR REPLACE INTO bus_offset (cluster, topic, partition, last, probe_id, epoch, stream, sequence, crc32c,
            expired_below) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            offset.cluster,
            offset.topic,
            offset.partition,
            offset.last,
            stamp.map(|stamp| stamp.probe.0.as_bytes().to_vec()),
            stamp.map(|stamp| stamp.epoch.0.as_bytes().to_vec()),
            stamp.map(|stamp| stamp.stream.0),
            stamp.map(|stamp| stamp.sequence.0),
            offset.mark.map(|mark| mark.crc32c),
            offset.expired_below,
        ],
    )?;
    Ok(())
}

/// All partitions that were ever read.
pub(super) fn all_offsets(connection: &Connection) -> Result<Vec<Offset>, Error> {
    let mut statement = connection.prepare(
        "SELECT topic, partition, last, crc32c, stream, sequence, probe_id, epoch, cluster, expired_below FROM bus_offset",
    )?;
    let mut rows = statement.query([])?;
    let mut offsets = Vec::new();
    while let Some(row) = rows.next()? {
        let mark = match row.get::<_, Option<u32>>(3)? {
            None => None,
            Some(crc32c) => Some(Mark {
                crc32c,
                stamp: Stamp {
                    probe: ProbeId(stream::uuid(row, 6)?),
                    epoch: Epoch(stream::uuid(row, 7)?),
                    stream: StreamId(row.get(4)?),
                    sequence: Sequence(row.get(5)?),
                },
            }),
        };
        offsets.push(Offset {
            cluster: row.get(8)?,
            topic: row.get(0)?,
            partition: row.get(1)?,
            last: row.get(2)?,
            mark,
            expired_below: row.get(9)?,
        });
    }
    Ok(offsets)
}

fn keep_aside(transaction: &Transaction<'_>, intake: &Intake, plan: &Plan<'_>) -> Result<(), Error> {
    if intake.refusals.is_empty() && plan.conflicts.is_empty() {
        return Ok(());
    }
    let mut number: u64 =
        transaction.query_row("SELECT coalesce(max(number), 0) FROM kept_aside", [], |row| row.get(0))?;
    let mut keep = |reason: RefusalReason, source: &str, detail: &str, stamp: Option<Stamp>, body: &[u8]| {
        number += 1;
        transaction.execute(
            "INSERT INTO refused VALUES (?, 1) ON CONFLICT DO UPDATE SET messages = refused.messages + 1",
            params![reason.name()],
        )?;
        transaction.execute(
            "INSERT INTO kept_aside VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                number,
                intake.now_nanoseconds,
                source,
                reason.name(),
                detail,
                stamp.map(|stamp| format!("{stamp:?}")),
                body
            ],
        )
    };
    for refusal in &intake.refusals {
        keep(refusal.reason, &refusal.source, &refusal.detail, refusal.stamp, &refusal.body)?;
    }
    for Conflict { stamp, stored_crc32c, arrived_crc32c, body } in &plan.conflicts {
        let detail =
            format!("stored with CRC32C {stored_crc32c:08x}, arrived again with {arrived_crc32c:08x}");
        keep(RefusalReason::Conflict, "bus", &detail, Some(*stamp), body)?;
    }
    transaction.execute(
        "DELETE FROM kept_aside WHERE number <= ?",
        params![number.saturating_sub(KEPT_ASIDE_MAX)],
    )?;
    Ok(())
}
