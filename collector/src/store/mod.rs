//! What is kept: rows, and beside them, in the same transaction, which batches they came in and how far the bus was read.
//!
//! ```text
//! Intake ─► Writer::commit ─┬─ flow      rows
//!                           ├─ batch     stamp, CRC, sums of each batch
//!                           ├─ arrival   what came off the bus, counted there
//!                           ├─ received  floor and ranges per (probe, epoch, stream)
//!                           ├─ offset    per partition of the bus
//!                           └─ ledger, second, refused, kept_aside
//! (a file per ingest day; the oldest goes, and its sums stay)
//! Reader ─► flows, top, timeseries, books
//! ```

mod columns;
pub mod duckdb;
mod error;
mod intake;
mod lock;
pub mod ranges;
pub mod received;
mod room;
mod tables;

pub use columns::{COLUMNS, Column, Kind, by_name};
pub use error::Error;
pub use intake::{
    Arrival, BODY_KEPT_OCTETS, Batch, Books, Bus, Expiry, Intake, Mark, Offset, Place, Refusal,
    RefusalReason, StreamKey,
};
pub use lock::Lock;
pub use ranges::Ranges;
pub use received::Received;
pub use room::{RESERVE_OCTETS, Room};
pub use tables::{
    Closing, Committed, Counted, Discarded, EpochBooks, Second, StoreTerms, Stored, StreamBooks,
};

use crate::query::{Flows, Timeseries, Top, answer};

/// How deep the books are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// What the batches said when they were stored.
    Batches,
    /// Each stream's rows are summed again beside it: every row is read.
    Rows,
    /// And rows that are there twice are looked for: every row is held in memory, or on disk.
    DoubledRows,
}

/// The one who writes. Each call to `commit` is one transaction: all of it is there afterwards, or nothing.
pub trait Writer: Send {
    /// Takes in what is new; what is there already with the same CRC is counted and left out.
    fn commit(&mut self, intake: &Intake) -> Result<Committed, Error>;

    /// How far each partition of every cluster was read.
    fn all_offsets(&self) -> Result<Vec<Offset>, Error>;

    /// The store's own UUID, made with it.
    fn id(&self) -> uuid::Uuid;

    /// A reader of the same store.
    fn reader(&self) -> Result<Box<dyn Reader>, Error>;
}

/// Whoever asks. Each call sees one state between two commits.
pub trait Reader: Send + Sync {
    /// The last flows.
    fn flows(&self, query: &Flows) -> Result<answer::Flows, Error>;

    /// The largest groups.
    fn top(&self, query: &Top) -> Result<answer::Top, Error>;

    /// A measure over time; `complete_until` is left to the caller, who knows the probes.
    fn timeseries(&self, query: &Timeseries) -> Result<answer::Timeseries, Error>;

    /// Every epoch with its last ledger message and its streams.
    fn books(&self, depth: Depth) -> Result<StoreTerms, Error>;

    /// Rows, and when the last commit was: what health asks every few seconds.
    fn standing(&self) -> Result<(u64, u64), Error>;

    /// The per-second counters of each epoch since then.
    fn seconds(&self, since_nanoseconds: u64) -> Result<Vec<Second>, Error>;
}
