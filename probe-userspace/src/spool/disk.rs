//! What a spool asks of a disk: few calls, so that a test can be one, and fail each of them.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A folder of the spool's own. Names are relative to it.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes a file with so many octets of zeros allocated. Where the file system cannot allocate ahead, it is only made.
    fn create(&self, name: &str, octets: u64) -> io::Result<Arc<dyn Blob>>;

    /// Opens a file that is there, for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn Blob>>;

    /// Names of the files in a folder below, or in the spool's own (`""`).
    fn names(&self, folder: &str) -> io::Result<Vec<String>>;

    /// Gives a file another name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a file away.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Writes a small file whole: a crash leaves the former one or this one. `durable`: a power cut, too.
    fn replace(&self, name: &str, content: &[u8], durable: bool) -> io::Result<()>;

    /// Reads a small file; `None` = it is not there.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Returns when the names in a folder are on the medium as they are: a file that was forced there can be lost without its name.
    fn sync_names(&self, folder: &str) -> io::Result<()>;

    /// Octets that are free for others than root.
    fn free_octets(&self) -> io::Result<u64>;
}

/// An open file.
pub trait Blob: Send + Sync + fmt::Debug {
    /// Writes all of it.
    fn write_at(&self, octets: &[u8], at: u64) -> io::Result<()>;

    /// Fills the buffer as far as there is something; says how far.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    /// Returns when what was written is on the medium.
    fn sync(&self) -> io::Result<()>;

    /// Ends the file here; what was allocated behind is free again.
    fn cut(&self, octets: u64) -> io::Result<()>;

    /// Length of the file.
    fn octets(&self) -> io::Result<u64>;
}

/// Whether the disk has no room: it acts as the quota does.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
