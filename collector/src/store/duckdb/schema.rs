//! The tables of each file. Those marked * are copied into the file of the next day, which then decides.
//!
//! | table | one row per | why |
//! |---|---|---|
//! | `flow` | record | the rows themselves, with the stamp they came under |
//! | `batch` | stored batch | CRC (same stamp, same CRC = duplicate; another = conflict) and sums of each batch |
//! | `arrival` | batch that came | what ingest took off the bus, counted before the store saw it |
//! | `received` * | stream | the sets of stored and of arrived sequences; what came again, was doubled, conflicted |
//! | `bus_offset` * | partition | last message taken in, and what recognises it |
//! | `ledger` * | epoch | the probe's latest message, and the one before it |
//! | `closing` * | epoch | the books of an epoch that a later start of its probe closed: they hold instead |
//! | `second` * | epoch and second | counters for the view of now, for [`SECONDS_KEPT_NANOSECONDS`] |
//! | `refused` * | reason | how many messages could not be used |
//! | `file_sum` * | stream and former file | what its batches and arrivals come to; day 0 = of files that are gone |
//! | `removed_file` * | file | that its retention is over: it goes, now or at the next start |
//! | `kept_aside` | such a message | what came, the last [`KEPT_ASIDE_MAX`] |
//!
//! The CRC of every stored batch is kept for as long as its file: 4 octets beside a batch of up to a thousand rows, and a
//! log that is read again from its beginning must be told from a foreign one. Of what retention removed the set alone knows.

use std::fmt::Write as _;

use duckdb::{Connection, params};

use super::super::{COLUMNS, Column, Error, Kind};
use super::{render, sums};

/// Grows when a release cannot read the tables of the one before.
pub(super) const VERSION: u32 = 4;

/// An hour of seconds: what the page plots, and little enough to be rewritten.
pub(super) const SECONDS_KEPT_NANOSECONDS: u64 = 3_600 * 1_000_000_000;

/// Messages that are kept aside: enough to see a pattern, and a few hundred megabytes at worst.
pub(super) const KEPT_ASIDE_MAX: u64 = 256;

const TABLES: &str = "
CREATE TABLE meta (version UINTEGER NOT NULL, store_id VARCHAR NOT NULL, last_commit_nanoseconds UBIGINT NOT NULL,
    drained_nanoseconds UBIGINT NOT NULL, day UINTEGER, clock_day UINTEGER);
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
    partition INTEGER, expired_below BIGINT DEFAULT 0, expired_until UBIGINT DEFAULT 0, again_at VARCHAR DEFAULT '', conflict_at VARCHAR DEFAULT '',
    refused_at VARCHAR DEFAULT '', expired VARCHAR DEFAULT '[]', discarded VARCHAR DEFAULT '[]',
    PRIMARY KEY (probe_id, epoch, stream));
CREATE TABLE bus_offset (
    cluster VARCHAR, topic VARCHAR, partition INTEGER, last BIGINT NOT NULL,
    probe_id BLOB, epoch BLOB, stream USMALLINT, sequence UBIGINT, crc32c UINTEGER, expired_below BIGINT DEFAULT 0,
    expired_until UBIGINT DEFAULT 0,
    PRIMARY KEY (cluster, topic, partition));
CREATE TABLE ledger (
    probe_id BLOB, epoch BLOB, sequence UBIGINT NOT NULL, heard_nanoseconds UBIGINT NOT NULL, message VARCHAR NOT NULL,
    previous VARCHAR, PRIMARY KEY (probe_id, epoch));
CREATE TABLE closing (
    probe_id BLOB, epoch BLOB, generation UBIGINT NOT NULL, sequence UBIGINT NOT NULL, heard_nanoseconds UBIGINT NOT NULL,
    message VARCHAR NOT NULL, PRIMARY KEY (probe_id, epoch));
CREATE TABLE file_sum (
    day UINTEGER NOT NULL, kind VARCHAR NOT NULL, probe_id BLOB NOT NULL, epoch BLOB NOT NULL, stream USMALLINT NOT NULL,
    last UBIGINT NOT NULL, batches UBIGINT NOT NULL, records UBIGINT NOT NULL, packets UBIGINT NOT NULL,
    layer2_octets UBIGINT NOT NULL);
CREATE TABLE removed_file (day UINTEGER NOT NULL);
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

/// Of which the newest file's hold.
pub(super) const TABLES_OF_THE_NEWEST: [&str; 12] = [
    "meta",
    "batch",
    "arrival",
    "received",
    "bus_offset",
    "ledger",
    "closing",
    "second",
    "refused",
    "kept_aside",
    "file_sum",
    "removed_file",
];

/// Views over all files, and what they are of.
pub(super) const TABLES_OF_ALL: [(&str, &str); 2] = [("flow", "flow"), ("batch_of_all", "batch")];

/// Copied into the next file.
const COPIED: [&str; 8] =
    ["received", "bus_offset", "ledger", "closing", "second", "refused", "file_sum", "removed_file"];

/// The columns of one of [`TABLES_OF_ALL`], by name: files of earlier releases have later ones at their end.
pub(super) fn columns_of(table: &str) -> String {
    match table {
        "flow" => COLUMNS.iter().map(render::name).collect::<Vec<_>>().join(", "),
        _ => "probe_id, epoch, stream, sequence, crc32c, records, packets, layer2_octets".to_owned(),
    }
}

/// Makes the tables of a new store in an attached file that has none.
pub(super) fn make_where_missing(connection: &Connection, name: &str) -> Result<(), Error> {
    let known: u64 = connection.query_row(
        "SELECT count(*) FROM information_schema.tables WHERE table_catalog = ? AND table_name = 'meta'",
        params![name],
        |row| row.get(0),
    )?;
    if known > 0 {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(&format!("{}{TABLES}", flow_table()))?;
    let id = uuid::Uuid::new_v4().to_string();
    transaction.execute("INSERT INTO meta VALUES (?, ?, 0, 0, 1, NULL)", params![VERSION, id])?;
    Ok(transaction.commit()?)
}

/// Fills the file of a new day, in which the connection stands: the tables, what the former file knew, and what its batches
/// come to. `cuts`: how far the books of each stream reach, so that sums lie on one side of them.
pub(super) fn fill(connection: &Connection, from: &str, clock_day: u32, cuts: &str) -> Result<(), Error> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(&format!("{}{TABLES}", flow_table()))?;
    for table in COPIED {
        let copy = format!("INSERT INTO {table} BY NAME SELECT * FROM \"{from}\".main.{table}");
        transaction.execute_batch(&copy)?;
    }
    for (kind, source) in sums::LIVE {
        let source = source.replace("FROM ", &format!("FROM \"{from}\".main."));
        transaction.execute_batch(&format!(
            "INSERT INTO file_sum
             SELECT (SELECT day FROM \"{from}\".main.meta), '{kind}', t.probe_id, t.epoch, t.stream, max(t.last),
                sum(t.batches), sum(t.records), sum(t.packets), sum(t.layer2_octets)
             FROM ({source}) t LEFT JOIN (VALUES {cuts}) AS cut(probe_id, epoch, stream, next)
                ON t.probe_id = cut.probe_id AND t.epoch = cut.epoch AND t.stream = cut.stream
             GROUP BY t.probe_id, t.epoch, t.stream, coalesce(t.last < cut.next, false)"
        ))?;
    }
    transaction.execute(
        &format!("INSERT INTO meta SELECT version, store_id, last_commit_nanoseconds, drained_nanoseconds, day + 1, ? FROM \"{from}\".main.meta"),
        params![clock_day],
    )?;
    Ok(transaction.commit()?)
}

/// Condemns a file: what its batches come to is all that is kept of it, a row for each stream.
pub(super) fn condemn(connection: &Connection, day: u32, cuts: &str) -> Result<(), Error> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute("INSERT INTO removed_file VALUES (?)", params![day])?;
    transaction.execute("UPDATE file_sum SET day = 0 WHERE day = ?", params![day])?;
    // No file has the last number: it stands for the new rows until the old ones are gone.
    transaction.execute_batch(&format!(
        "INSERT INTO file_sum
            SELECT 4294967295, t.kind, t.probe_id, t.epoch, t.stream, max(t.last),
                sum(t.batches), sum(t.records), sum(t.packets), sum(t.layer2_octets)
            FROM file_sum t JOIN (VALUES {cuts}) AS cut(probe_id, epoch, stream, next)
                ON t.probe_id = cut.probe_id AND t.epoch = cut.epoch AND t.stream = cut.stream AND t.last < cut.next
            WHERE t.day = 0 GROUP BY t.kind, t.probe_id, t.epoch, t.stream;
         DELETE FROM file_sum AS t USING (VALUES {cuts}) AS cut(probe_id, epoch, stream, next)
            WHERE t.day = 0 AND t.probe_id = cut.probe_id AND t.epoch = cut.epoch AND t.stream = cut.stream
                AND t.last < cut.next;
         UPDATE file_sum SET day = 0 WHERE day = 4294967295;"
    ))?;
    Ok(transaction.commit()?)
}

/// The days whose files are to go.
pub(super) fn removed_days(connection: &Connection) -> Result<Vec<u32>, Error> {
    let mut statement = connection.prepare("SELECT day FROM removed_file")?;
    let days = statement.query_map([], |row| row.get(0))?;
    Ok(days.collect::<Result<_, _>>()?)
}

/// The store's own UUID.
pub(super) fn id(connection: &Connection) -> Result<uuid::Uuid, Error> {
    let id: String = connection.query_row("SELECT store_id FROM meta", [], |row| row.get(0))?;
    id.parse().map_err(|_| Error::Malformed { table: "meta", found: id })
}

fn flow_table() -> String {
    let mut text = String::from("CREATE TABLE flow (");
    for (at, Column { name, kind, nullable, .. }) in COLUMNS.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let null = if *nullable { "" } else { " NOT NULL" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{name} {}{null}", sql_type(*kind));
    }
    text + ");"
}

pub(super) fn sql_type(kind: Kind) -> &'static str {
    match kind {
        Kind::U8 => "UTINYINT",
        Kind::U16 => "USMALLINT",
        Kind::U32 => "UINTEGER",
        Kind::U64 => "UBIGINT",
        Kind::Address | Kind::Uuid => "BLOB",
    }
}
