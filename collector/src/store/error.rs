//! What can go wrong with a store.

use std::path::PathBuf;

/// Each names the thing, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("store {path} is held by {holder}: ask that one at its --http address, or stop it")]
    Held {
        /// Directory of the store.
        path: PathBuf,
        /// From its lock file.
        holder: String,
    },
    /// The directory cannot be used.
    #[error("store file {path}: {source}; give a directory that this user may write with --store")]
    Directory {
        /// What was tried.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Its disk is full.
    #[error(
        "the disk of store {path} has {free} MiB left, and a transaction may need {needed}: make room; nothing is read from the bus until then"
    )]
    Space {
        /// Directory of the store.
        path: PathBuf,
        /// MiB that are left.
        free: u64,
        /// MiB that must be.
        needed: u64,
    },
    /// Nothing is there.
    #[error("there is no store in {0}: give the --store of a collector that has run")]
    Missing(PathBuf),
    /// Written by another release.
    #[error("store {path} has version {found}, this release reads {expected}: use the release that wrote it")]
    Version {
        /// Its file.
        path: PathBuf,
        /// In it.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// The engine refused.
    #[error("store: {0}")]
    Engine(#[from] duckdb::Error),
    /// What was read back is not what was written.
    #[error("store: table {table} holds {found}, which this release never writes")]
    Malformed {
        /// Where.
        table: &'static str,
        /// What.
        found: String,
    },
    /// A sum beyond 64 bits.
    #[error("a sum of this query exceeds 64 bits: ask for a shorter range")]
    Overflow,
    /// Too many buckets.
    #[error("this range has {buckets} buckets of that step, more than {most}: ask for a wider step")]
    Buckets {
        /// Asked for.
        buckets: u64,
        /// Allowed.
        most: u64,
    },
    /// It took too long, and was interrupted.
    #[error("the query took longer than {0} s and was stopped: ask for a shorter range")]
    Timeout(u64),
}
