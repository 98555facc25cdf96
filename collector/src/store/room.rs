//! Room on the disk of the store. An engine that meets a full disk in the middle of a transaction may have to be opened
//! again; so it is looked before, and nothing is begun that might not fit.

use std::path::Path;

use super::Error;

/// What a transaction may need: its rows, the log of them, and the checkpoint that may follow. The largest that ingest makes
/// (128 MiB of bodies that could not be used) fits.
pub const RESERVE_OCTETS: u64 = 160 << 20;

/// Octets on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What an ordinary user may still write.
    pub free: u64,
    /// In all, less what is reserved for root.
    pub size: u64,
}

impl Room {
    /// By statvfs(2) of the directory.
    pub fn of(directory: &Path) -> Result<Self, Error> {
        let failed = |source: std::io::Error| Error::Directory { path: directory.to_owned(), source };
        let found = rustix::fs::statvfs(directory).map_err(|error| failed(error.into()))?;
        let octets = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        let for_root = found.f_bfree.saturating_sub(found.f_bavail);
        Ok(Self { free: octets(found.f_bavail), size: octets(found.f_blocks.saturating_sub(for_root)) })
    }

    /// Refuses where a transaction might not fit.
    pub fn check(directory: &Path) -> Result<(), Error> {
        match Self::of(directory)?.free {
            free if free < RESERVE_OCTETS => {
                let mib = |octets: u64| octets >> 20;
                Err(Error::Space { path: directory.to_owned(), free: mib(free), needed: mib(RESERVE_OCTETS) })
            }
            _ => Ok(()),
        }
    }
}
