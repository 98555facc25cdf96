//! The embedded store: one DuckDB file in one directory, held by one process.
//!
//! ```text
//! schema  the tables          migrate  those of an earlier release
//! judge   new, there already, or a conflict: by received set and CRC
//! commit  one transaction: rows, batches, sets, offsets, ledger
//! render  query model ─► SQL with bound parameters
//! read    answers        spread  time series        books  the terms of the ledger
//! ```

mod books;
mod commit;
mod judge;
mod migrate;
mod read;
mod render;
mod schema;
mod spread;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use duckdb::Connection;

use self::stream::Stream;
use super::{Committed, Error, Intake, Lock, Offset, Reader, Room, StreamKey, Writer};

pub use read::DuckDbReader;

/// The one writer of a store's file.
pub struct DuckDb {
    connection: Connection,
    directory: PathBuf,
    id: uuid::Uuid,
    streams: HashMap<StreamKey, Stream>,
    /// Seconds are pruned when the clock has passed this.
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
        let (connection, id) = schema::open(directory)?;
        let streams = stream::load(&connection)?;
        let directory = directory.to_owned();
        Ok(Self { connection, directory, id, streams, prune_after_nanoseconds: 0, lock })
    }

    /// The same, but refuses to make one.
    pub fn open_existing(directory: &Path) -> Result<Self, Error> {
        if !directory.join(schema::FILE).exists() {
            return Err(Error::Missing(directory.to_owned()));
        }
        Self::open(directory, None)
    }

    /// The path of its file.
    pub fn file(directory: &Path) -> std::path::PathBuf {
        directory.join(schema::FILE)
    }
}

impl Writer for DuckDb {
    fn commit(&mut self, intake: &Intake) -> Result<Committed, Error> {
        Room::check(&self.directory)?;
        let plan = judge::judge(&self.connection, &self.streams, intake)?;
        let prune = intake.now_nanoseconds >= self.prune_after_nanoseconds;
        let committed = commit::commit(&self.connection, intake, &plan, prune)?;
        // Only now: a transaction that failed has changed nothing.
        self.streams.extend(plan.streams);
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
        Ok(Box::new(DuckDbReader::new(self.connection.try_clone()?, Arc::clone(&self.lock))))
    }
}
