//! A store of an earlier release becomes one of this release when it is opened: tables and columns are only added, and what an
//! older column says is told anew where it must say more, in one transaction. An earlier release refuses it from then on, by its version.

use std::path::Path;

use duckdb::{Connection, params};

use super::super::{COLUMNS, Error};
use super::schema::{VERSION, sql_type};

/// The oldest version that can be brought up.
pub(super) const OLDEST: u32 = 1;

/// From version 1 to 2: who closed an epoch, what expired, what was discarded, what came again.
const TO_2: &str = "
CREATE TABLE closing (
    probe_id BLOB, epoch BLOB, generation UBIGINT NOT NULL, sequence UBIGINT NOT NULL, heard_nanoseconds UBIGINT NOT NULL,
    message VARCHAR NOT NULL, PRIMARY KEY (probe_id, epoch));
ALTER TABLE received ADD COLUMN partition INTEGER;
ALTER TABLE received ADD COLUMN expired_below BIGINT DEFAULT 0;
ALTER TABLE received ADD COLUMN again_at VARCHAR DEFAULT '';
ALTER TABLE received ADD COLUMN conflict_at VARCHAR DEFAULT '';
ALTER TABLE received ADD COLUMN refused_at VARCHAR DEFAULT '';
ALTER TABLE received ADD COLUMN expired VARCHAR DEFAULT '';
ALTER TABLE received ADD COLUMN discarded VARCHAR DEFAULT '[]';
ALTER TABLE bus_offset ADD COLUMN expired_below BIGINT DEFAULT 0;
";

/// From version 2 to 3: a file per day.
const TO_3: &str = "
ALTER TABLE meta ADD COLUMN day UINTEGER;
ALTER TABLE meta ADD COLUMN clock_day UINTEGER;
CREATE TABLE file_sum (
    day UINTEGER NOT NULL, kind VARCHAR NOT NULL, probe_id BLOB NOT NULL, epoch BLOB NOT NULL, stream USMALLINT NOT NULL,
    last UBIGINT NOT NULL, batches UBIGINT NOT NULL, records UBIGINT NOT NULL, packets UBIGINT NOT NULL,
    layer2_octets UBIGINT NOT NULL);
CREATE TABLE removed_file (day UINTEGER NOT NULL);
";

/// From version 3 to 4: when something expired. Of what had before nothing is known but that the last commit knew of it.
const TO_4: &str = "
ALTER TABLE received ADD COLUMN expired_until UBIGINT DEFAULT 0;
ALTER TABLE bus_offset ADD COLUMN expired_until UBIGINT DEFAULT 0;
UPDATE received SET expired_until = (SELECT last_commit_nanoseconds FROM meta) WHERE expired_below <> 0;
UPDATE bus_offset SET expired_until = (SELECT last_commit_nanoseconds FROM meta) WHERE expired_below <> 0;
UPDATE received SET expired = CASE expired WHEN '' THEN '[]'
    ELSE '[[' || (SELECT last_commit_nanoseconds FROM meta) || ',\"' || expired || '\"]]' END;
";

/// Brings the tables of a file up to this release; the connection stands in it. Beside the steps between versions the flows
/// get the nullable columns that the wire has by now: those need no version, since each release names the columns that it
/// reads.
pub(super) fn migrate(connection: &Connection, path: &Path, name: &str) -> Result<(), Error> {
    let version: u32 = connection.query_row("SELECT version FROM meta", [], |row| row.get(0))?;
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(Error::Version { path: path.to_owned(), found: version, expected: VERSION });
    }
    let transaction = connection.unchecked_transaction()?;
    if version < VERSION {
        tracing::info!(from = version, to = VERSION, "the store is of an earlier release: bringing it up");
        for (_, step) in [(2, TO_2), (3, TO_3), (4, TO_4)].iter().filter(|(to, _)| *to > version) {
            transaction.execute_batch(step)?;
        }
        transaction.execute("UPDATE meta SET version = ?, day = 1", params![VERSION])?;
    }
    let mut statement = transaction.prepare(
        "SELECT column_name FROM information_schema.columns WHERE table_catalog = ? AND table_name = 'flow'",
    )?;
    let there = statement.query_map(params![name], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    for column in
        COLUMNS.iter().filter(|column| column.nullable && !there.iter().any(|name| name == column.name))
    {
        let (name, kind) = (column.name, sql_type(column.kind));
        transaction.execute_batch(&format!("ALTER TABLE flow ADD COLUMN \"{name}\" {kind}"))?;
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::super::super::{Depth, Expiry, Place, Writer as _};
    use super::super::DuckDb;
    use super::super::files::FIRST;
    use super::*;
    use crate::testing::{batch, intake, record, stamp};

    /// As the first release made them.
    const VERSION_1: &str = "
CREATE TABLE meta (version UINTEGER NOT NULL, store_id VARCHAR NOT NULL, last_commit_nanoseconds UBIGINT NOT NULL,
    drained_nanoseconds UBIGINT NOT NULL);
CREATE TABLE batch (
    probe_id BLOB NOT NULL, epoch BLOB NOT NULL, stream USMALLINT NOT NULL, sequence UBIGINT NOT NULL,
    crc32c UINTEGER NOT NULL, records UINTEGER NOT NULL, packets UBIGINT NOT NULL, layer2_octets UBIGINT NOT NULL);
CREATE TABLE arrival (
    probe_id BLOB NOT NULL, epoch BLOB NOT NULL, stream USMALLINT NOT NULL, sequence UBIGINT NOT NULL,
    records UINTEGER NOT NULL, refused BOOLEAN NOT NULL);
CREATE TABLE received (
    probe_id BLOB, epoch BLOB, stream USMALLINT, bus VARCHAR NOT NULL, last_nanoseconds UBIGINT NOT NULL,
    floor UBIGINT NOT NULL, above VARCHAR NOT NULL, arrived_floor UBIGINT NOT NULL, arrived_above VARCHAR NOT NULL,
    again_batches UBIGINT NOT NULL, again_records UBIGINT NOT NULL,
    reread_batches UBIGINT NOT NULL, reread_records UBIGINT NOT NULL,
    duplicate_batches UBIGINT NOT NULL, duplicate_records UBIGINT NOT NULL,
    conflict_batches UBIGINT NOT NULL, conflict_records UBIGINT NOT NULL,
    PRIMARY KEY (probe_id, epoch, stream));
CREATE TABLE bus_offset (
    cluster VARCHAR, topic VARCHAR, partition INTEGER, last BIGINT NOT NULL,
    probe_id BLOB, epoch BLOB, stream USMALLINT, sequence UBIGINT, crc32c UINTEGER,
    PRIMARY KEY (cluster, topic, partition));
CREATE TABLE ledger (
    probe_id BLOB, epoch BLOB, sequence UBIGINT NOT NULL, heard_nanoseconds UBIGINT NOT NULL, message VARCHAR NOT NULL,
    previous VARCHAR, PRIMARY KEY (probe_id, epoch));
CREATE TABLE second (
    probe_id BLOB NOT NULL, epoch BLOB NOT NULL, time_nanoseconds UBIGINT NOT NULL, heard_nanoseconds UBIGINT NOT NULL,
    seen_packets UBIGINT NOT NULL, seen_octets UBIGINT NOT NULL,
    metered_packets UBIGINT NOT NULL, metered_octets UBIGINT NOT NULL,
    excepted_packets UBIGINT NOT NULL, lost_packets UBIGINT NOT NULL);
CREATE TABLE refused (reason VARCHAR PRIMARY KEY, messages UBIGINT NOT NULL);
CREATE TABLE kept_aside (
    number UBIGINT NOT NULL, time_nanoseconds UBIGINT NOT NULL, source VARCHAR NOT NULL, reason VARCHAR NOT NULL,
    detail VARCHAR NOT NULL, stamp VARCHAR, body BLOB NOT NULL);
";

    /// Columns of flows that came since.
    const SINCE: [&str; 2] = ["recovered_from", "shunted_packet_delta_count"];

    /// A store of the first release: one batch of two rows, without the columns that came since.
    fn old_store() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join(FIRST)).unwrap();
        let there: Vec<_> = COLUMNS.iter().filter(|column| !SINCE.contains(&column.name)).collect();
        let columns: Vec<_> =
            there.iter().map(|column| format!("\"{}\" {}", column.name, sql_type(column.kind))).collect();
        connection
            .execute_batch(&format!("CREATE TABLE flow ({}); {VERSION_1}", columns.join(", ")))
            .unwrap();
        let id = uuid::Uuid::from_u128(7);
        let (probe, epoch) = (stamp(0, 0).probe.0.into_bytes(), stamp(0, 0).epoch.0.into_bytes());
        connection.execute("INSERT INTO meta VALUES (1, ?, 5, 0)", params![id.to_string()]).unwrap();
        let stored = batch(stamp(0, 0), &[record(0), record(1)]);
        let row = params![&probe[..], &epoch[..], stored.crc32c, stored.packets, stored.layer2_octets];
        connection.execute("INSERT INTO batch VALUES (?, ?, 0, 0, ?, 2, ?, ?)", row).unwrap();
        let row = params![&probe[..], &epoch[..]];
        connection.execute("INSERT INTO arrival VALUES (?, ?, 0, 0, 2, false)", row).unwrap();
        let set = "INSERT INTO received VALUES (?, ?, 0, 'kafka', 5, 1, '', 1, '', 0, 0, 0, 0, 0, 0, 0, 0)";
        connection.execute(set, row).unwrap();
        let offset = "INSERT INTO bus_offset VALUES ('c', 't', 0, 8, NULL, NULL, NULL, NULL, NULL)";
        connection.execute(offset, []).unwrap();
        let places: Vec<_> = (0..COLUMNS.len()).filter(|at| !SINCE.contains(&COLUMNS[*at].name)).collect();
        let mut appender = connection.appender("flow").unwrap();
        appender.append_record_batch(stored.rows.project(&places).unwrap()).unwrap();
        drop(appender);
        directory
    }

    #[test]
    fn a_store_of_the_first_release_goes_on() {
        let directory = old_store();
        let mut store = DuckDb::open(directory.path(), None).unwrap();
        assert_eq!(store.id(), uuid::Uuid::from_u128(7));
        assert_eq!(store.all_offsets().unwrap()[0].last, 8);
        let again = intake(
            vec![batch(stamp(0, 0), &[record(0), record(1)]), batch(stamp(0, 1), &[record(2)])],
            vec![],
        );
        let committed = store.commit(&again).unwrap();
        assert_eq!((committed.rows, committed.duplicates), (1, 1));
        drop(store);
        let store = DuckDb::open(directory.path(), None).unwrap();
        let books = store.reader().unwrap().books(Depth::DoubledRows).unwrap();
        assert_eq!(
            (books.rows, books.epochs[0].streams[&stamp(0, 0).stream].again_at.text()),
            (3, "0-0".into())
        );
    }

    #[test]
    fn what_had_expired_in_an_earlier_release_had_by_its_last_commit() {
        let directory = old_store();
        let connection = Connection::open(directory.path().join(FIRST)).unwrap();
        connection
            .execute_batch(&format!(
                "{TO_2} {TO_3} UPDATE meta SET version = 3, day = 1;
                 UPDATE received SET partition = 0, expired_below = 8, expired = '2-3';
                 UPDATE bus_offset SET expired_below = 8;"
            ))
            .unwrap();
        drop(connection);
        let store = DuckDb::open(directory.path(), None).unwrap();
        let expiry = Expiry { below: 8, until_nanoseconds: 5 };
        assert_eq!(store.all_offsets().unwrap()[0].expiry, expiry);
        let stream = &store.streams[&stamp(0, 0).into()];
        assert_eq!(stream.place, Place { partition: Some(0), expiry });
        let since = |start| stream.expired_since(start).text();
        assert_eq!((since(5), since(u64::MAX)), ("2-3".into(), String::new()));
    }

    #[test]
    fn a_store_of_a_later_release_is_refused() {
        let directory = old_store();
        let connection = Connection::open(directory.path().join(FIRST)).unwrap();
        connection.execute("UPDATE meta SET version = ?", params![VERSION + 1]).unwrap();
        drop(connection);
        assert!(
            matches!(DuckDb::open(directory.path(), None), Err(Error::Version { found, .. }) if found == VERSION + 1)
        );
    }
}
