//! The embedded store: DuckDB files in one directory, one per ingest day, held by one process.
//!
//! ```text
//! files   one per day         retention  when one begins, and when one goes
//! schema  the tables          migrate  those of an earlier release
//! judge   new, there already, or a conflict: by received set and CRC
//! commit  one transaction: rows, batches, sets, offsets, ledger
//! render  query model ─► SQL with bound parameters
//! read    answers        spread  time series        books, sums  the terms of the ledger
//! ```

mod books;
mod commit;
#[cfg(test)]
mod day_tests;
mod files;
mod judge;
mod kill;
mod migrate;
mod read;
mod render;
mod retention;
mod schema;
mod spread;
mod stream;
mod sums;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use duckdb::Connection;

use self::files::Files;
use self::stream::Stream;
use super::{Committed, Error, Intake, Lock, Offset, Reader, Room, StreamKey, Writer};

pub use read::DuckDbReader;
pub use retention::RETENTION_DAYS;

/// The one writer of a store's files.
pub struct DuckDb {
    connection: Connection,
    files: Files,
    retention_days: u32,
    id: uuid::Uuid,
    streams: HashMap<StreamKey, Stream>,
    /// Seconds are pruned, and files, when the clock has passed this.
    prune_after_nanoseconds: u64,
    /// Given up when the last reader is gone, too.
    lock: Arc<Lock>,
}

impl DuckDb {
    /// Opens the store in a directory, which is made where it is missing. `http` is told to whoever comes second.
    pub fn open(directory: &Path, http: Option<&str>) -> Result<Self, Error> {
        std::fs::create_dir_all(directory)
            .map_err(|source| Error::Directory { path: directory.to_owned(), source })?;
        let lock = Arc::new(Lock::take(directory, http)?);
        let (connection, files) = Files::open(directory)?;
        let (id, streams) = (schema::id(&connection)?, stream::load(&connection)?);
        let (retention_days, prune_after_nanoseconds) = (RETENTION_DAYS, 0);
        Ok(Self { connection, files, retention_days, id, streams, prune_after_nanoseconds, lock })
    }

    /// The same, but refuses to make one.
    pub fn open_existing(directory: &Path) -> Result<Self, Error> {
        if !Files::are_in(directory) {
            return Err(Error::Missing(directory.to_owned()));
        }
        Self::open(directory, None)
    }

    /// Keeps so many days of ingest, at least one.
    #[must_use]
    pub fn with_retention(self, days: u32) -> Self {
        Self { retention_days: days.max(1), ..self }
    }
}

impl Writer for DuckDb {
    fn commit(&mut self, intake: &Intake) -> Result<Committed, Error> {
        let prune = intake.now_nanoseconds >= self.prune_after_nanoseconds;
        if prune {
            // Before it is looked for room: it makes some.
            retention::enforce(&self.connection, &mut self.files, self.retention_days)?;
        }
        Room::check(self.files.directory())?;
        let clock_day = retention::clock_day(intake.now_nanoseconds);
        retention::begin_day(&self.connection, &mut self.files, clock_day)?;
        let plan = judge::judge(&self.connection, &self.streams, intake)?;
        let committed = commit::commit(&self.connection, intake, &plan, prune)?;
        // Only now: a transaction that failed has changed nothing.
        self.streams.extend(plan.streams);
        self.files.committed(clock_day);
        if prune {
            self.prune_after_nanoseconds =
                intake.now_nanoseconds.saturating_add(commit::PRUNE_EVERY_NANOSECONDS);
        }
        Ok(committed)
    }

    fn all_offsets(&self) -> Result<Vec<Offset>, Error> {
        commit::all_offsets(&self.connection)
    }

    fn id(&self) -> uuid::Uuid {
        self.id
    }

    fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        Ok(Box::new(DuckDbReader::new(
            self.connection.try_clone()?,
            self.files.gate(),
            Arc::clone(&self.lock),
        )))
    }
}
