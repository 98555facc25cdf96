//! One transaction: rows, batches, received sets, offsets, ledger messages, what was kept aside.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use duckdb::{Connection, Transaction, params};
use flow_wire::fault::{Fault, Hop, take};
use flow_wire::ledger::Closes;
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};

use super::super::{Arrival, Books, COLUMNS, Committed, Error, Expiry, Intake, Mark, Offset, RefusalReason};
use super::judge::{Conflict, Parked, Plan};
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
    append_seconds(&transaction, plan, intake.now_nanoseconds)?;
    for books in lasting(&plan.books) {
        save_books(&transaction, books)?;
    }
    for offset in last_of_each(&intake.offsets) {
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
        flows: plan.batches.iter().map(|batch| batch.stamp).collect(),
        rows,
        batches: (plan.batches.len() + plan.books.len()) as u64,
        duplicates: plan.duplicates,
        conflicts: plan.conflicts.len() as u64,
        parked: plan.parked.len() as u64,
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

/// Each message of an epoch's own, for the view of now.
fn append_seconds(transaction: &Transaction<'_>, plan: &Plan<'_>, now_nanoseconds: u64) -> Result<(), Error> {
    let mut appender = transaction.appender("second")?;
    for Books { stamp, message, .. } in plan.books.iter().filter(|books| books.message.closes.is_none()) {
        let second = second(stamp, message);
        appender.append_row(params![
            stamp.probe.0.as_bytes().as_slice(),
            stamp.epoch.0.as_bytes().as_slice(),
            second.time_nanoseconds,
            now_nanoseconds,
            second.seen.packets,
            second.seen.octets,
            second.metered.packets,
            second.metered.octets,
            second.excepted_packets,
            second.lost_packets,
        ])?;
    }
    appender.flush()?;
    Ok(())
}

/// What of these messages the tables have room for: of each epoch, and of each whose books a later start closed, the latest
/// and the one before it, in that order. A backlog has thousands of each.
fn lasting<'a>(books: &[&'a Books]) -> Vec<&'a Books> {
    let of = |books: &Books| {
        let closes = books.message.closes;
        (books.stamp.probe, closes.map_or(books.stamp.epoch, |closes| closes.epoch), closes.is_some())
    };
    let generation = |books: &Books| books.message.closes.map_or(0, |closes| closes.generation);
    let mut all = books.to_vec();
    all.sort_by_key(|books| (of(books), generation(books), books.stamp.sequence));
    let latest = |of_one: &[&'a Books]| of_one[of_one.len().saturating_sub(2)..].to_vec();
    all.chunk_by(|one, next| of(one) == of(next)).flat_map(latest).collect()
}

/// The last entry of each partition.
fn last_of_each(offsets: &[Offset]) -> impl Iterator<Item = &Offset> {
    let keyed = offsets.iter().map(|offset| ((&offset.cluster, &offset.topic, offset.partition), offset));
    keyed.collect::<HashMap<_, _>>().into_values()
}

/// The latest message of an epoch is the one with the highest sequence, whatever came last.
fn save_books(transaction: &Transaction<'_>, books: &Books) -> Result<(), Error> {
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
            expired_below, expired_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
            offset.expiry.below,
            offset.expiry.until_nanoseconds,
        ],
    )?;
    Ok(())
}

/// All partitions that were ever read.
pub(super) fn all_offsets(connection: &Connection) -> Result<Vec<Offset>, Error> {
    let mut statement = connection.prepare(
        "SELECT topic, partition, last, crc32c, stream, sequence, probe_id, epoch, cluster, expired_below, expired_until
         FROM bus_offset",
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
            expiry: Expiry { below: row.get(9)?, until_nanoseconds: row.get(10)? },
        });
    }
    Ok(offsets)
}

fn keep_aside(transaction: &Transaction<'_>, intake: &Intake, plan: &Plan<'_>) -> Result<(), Error> {
    if intake.refusals.is_empty() && plan.conflicts.is_empty() && plan.parked.is_empty() {
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
    for Parked { stamp, why, body } in &plan.parked {
        keep(RefusalReason::StreamFull, "bus", why, Some(*stamp), body)?;
    }
    transaction.execute(
        "DELETE FROM kept_aside WHERE number <= ?",
        params![number.saturating_sub(KEPT_ASIDE_MAX)],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{books, message};

    fn said(sequence: u64, closes: Option<(u64, u128)>) -> Books {
        let mut message = message(&[], false);
        message.closes = closes.map(|(generation, epoch)| Closes {
            epoch: Epoch(uuid::Uuid::from_u128(epoch)),
            generation,
            is_bound: false,
        });
        books(sequence, message)
    }

    #[test]
    fn of_a_backlog_two_messages_an_epoch_are_written_and_one_offset_a_partition() {
        let own = (0..3_000).rev().map(|sequence| said(sequence, None));
        let of_killed =
            (0..50).flat_map(|sequence| [said(sequence, Some((2, 9))), said(sequence, Some((1, 9)))]);
        let all: Vec<_> = own.chain(of_killed).collect();
        let kept = lasting(&all.iter().collect::<Vec<_>>());
        let shown =
            |books: &&Books| (books.message.closes.map(|closes| closes.generation), books.stamp.sequence.0);
        let shown: Vec<_> = kept.iter().map(shown).collect();
        assert_eq!(shown, [(None, 2_998), (None, 2_999), (Some(2), 48), (Some(2), 49)]);

        let offset = |partition, last| {
            let (cluster, topic) = ("c".to_owned(), "t".to_owned());
            Offset { cluster, topic, partition, last, mark: None, expiry: Expiry::default() }
        };
        let offsets: Vec<_> = (0..3_000).map(|last| offset(last as i32 % 2, last)).collect();
        let mut kept: Vec<_> = last_of_each(&offsets).map(|offset| offset.last).collect();
        kept.sort_unstable();
        assert_eq!(kept, [2_998, 2_999]);
    }
}
