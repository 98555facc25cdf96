//! The tables, and the file they are in.
//!
//! | table | one row per | why |
//! |---|---|---|
//! | `flow` | record | the rows themselves, with the stamp they came under |
//! | `batch` | stored batch | CRC (same stamp, same CRC = duplicate; another = conflict) and sums of each batch |
//! | `arrival` | batch that came | what ingest took off the bus, counted before the store saw it |
//! | `received` | stream | the sets of stored and of arrived sequences; what came again, was doubled, conflicted |
//! | `bus_offset` | partition | last message taken in, and what recognises it |
//! | `ledger` | epoch | the probe's latest message, and the one before it |
//! | `closing` | epoch | the books of an epoch that a later start of its probe closed: they hold instead |
//! | `second` | epoch and second | counters for the view of now, for [`SECONDS_KEPT_NANOSECONDS`] |
//! | `refused` | reason | how many messages could not be used |
//! | `kept_aside` | such a message | what came, the last [`KEPT_ASIDE_MAX`] |
//!
//! The CRC of every stored batch is kept for as long as the store: 4 octets beside a batch of up to a thousand rows, and a
//! log that is read again from its beginning must be told from a foreign one.

use std::fmt::Write as _;
use std::path::Path;

use duckdb::{Config, Connection};

use super::super::{COLUMNS, Column, Error, Kind};
use super::migrate;

/// Grows when a release cannot read the tables of the one before.
pub(super) const VERSION: u32 = 2;

/// The file in the store's directory.
pub(super) const FILE: &str = "flows.duckdb";

/// An hour of seconds: what the page plots, and little enough to be rewritten.
pub(super) const SECONDS_KEPT_NANOSECONDS: u64 = 3_600 * 1_000_000_000;

/// Messages that are kept aside: enough to see a pattern, and a few hundred megabytes at worst.
pub(super) const KEPT_ASIDE_MAX: u64 = 256;

/// A probe may run on the same machine, and DuckDB would take four fifths of its memory. What does not fit is spilled
/// beside the store.
const MEMORY_MAX: &str = "2GiB";

const TABLES: &str = "
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
    partition INTEGER, expired_below BIGINT DEFAULT 0, again_at VARCHAR DEFAULT '', conflict_at VARCHAR DEFAULT '',
    refused_at VARCHAR DEFAULT '', expired VARCHAR DEFAULT '', discarded VARCHAR DEFAULT '[]',
    PRIMARY KEY (probe_id, epoch, stream));
CREATE TABLE bus_offset (
    cluster VARCHAR, topic VARCHAR, partition INTEGER, last BIGINT NOT NULL,
    probe_id BLOB, epoch BLOB, stream USMALLINT, sequence UBIGINT, crc32c UINTEGER, expired_below BIGINT DEFAULT 0,
    PRIMARY KEY (cluster, topic, partition));
CREATE TABLE ledger (
    probe_id BLOB, epoch BLOB, sequence UBIGINT NOT NULL, heard_nanoseconds UBIGINT NOT NULL, message VARCHAR NOT NULL,
    previous VARCHAR, PRIMARY KEY (probe_id, epoch));
CREATE TABLE closing (
    probe_id BLOB, epoch BLOB, generation UBIGINT NOT NULL, sequence UBIGINT NOT NULL, heard_nanoseconds UBIGINT NOT NULL,
    message VARCHAR NOT NULL, PRIMARY KEY (probe_id, epoch));
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

/// Opens the file, makes the tables where it is new, and says which store it is.
pub(super) fn open(directory: &Path) -> Result<(Connection, uuid::Uuid), Error> {
    let path = directory.join(FILE);
    // A query can neither read other files nor load code, whatever it says.
    let config = Config::default()
        .enable_external_access(false)?
        .enable_autoload_extension(false)?
        .max_memory(MEMORY_MAX)?;
    let connection = Connection::open_with_flags(&path, config)?;
    let known: u64 = connection.query_row(
        "SELECT count(*) FROM information_schema.tables WHERE table_name = 'meta'",
        [],
        |row| row.get(0),
    )?;
    if known == 0 {
        create(&connection)?;
    }
    let version: u32 = connection.query_row("SELECT version FROM meta", [], |row| row.get(0))?;
    if !(migrate::OLDEST..=VERSION).contains(&version) {
        return Err(Error::Version { path, found: version, expected: VERSION });
    }
    migrate::migrate(&connection, version)?;
    let id: String = connection.query_row("SELECT store_id FROM meta", [], |row| row.get(0))?;
    let id = id.parse().map_err(|_| Error::Malformed { table: "meta", found: id })?;
    Ok((connection, id))
}

fn create(connection: &Connection) -> Result<(), Error> {
    let id = uuid::Uuid::new_v4();
    let flow = flow_table();
    connection.execute_batch(&format!(
        "BEGIN; {flow} {TABLES} INSERT INTO meta VALUES ({VERSION}, '{id}', 0, 0); COMMIT;"
    ))?;
    Ok(())
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
