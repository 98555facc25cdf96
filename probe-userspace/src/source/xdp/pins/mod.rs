//! What of the program outlives the process: its counters and its link, pinned in a BPF file system.
//!
//! ```text
//! BASE/PROBE/EPOCH/INTERFACE/counters          from before the program is attached until the books are closed
//!                           /shunt_keys, shunt_counts         the same, with --shunt
//!                           /native-NETNS      the link (or generic-NETNS), until the program is detached
//! ```
//! The program of a killed probe goes on: its slots are empty, so frames pass, counted `no_socket`. The next start puts its own
//! program into that link, so that no frame comes between the two, and reads the old counters once they stand still. An epoch's
//! directory is locked while its process lives. A flow that it counts by itself is counted until the next sample finds no socket, for a second at most: this is of
//! the killed epoch too, which has the flow. Names in a BPF file system have no dot (kernel/bpf/inode.c): that of an
//! interface is written as a colon, which no interface's name has.
//!
//! - `own`: the directory of this epoch. `estate`: those of killed ones. `orphan`: links that are still attached for them.
//! - `pin`: a link under its name, and what aya does not have of bpf(2).

mod estate;
mod folder;
mod orphan;
mod own;
mod pin;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

pub use estate::{Estate, estates};
pub use orphan::{Orphan, in_the_way};
pub use own::{Pinned, Place, Refusal};
pub(super) use pin::Pin;

use super::attach::Mode;

const COUNTERS_NAME: &str = "counters";
/// Without a hyphen, which the names of links have.
const SHUNT_KEYS_NAME: &str = "shunt_keys";
const SHUNT_COUNTS_NAME: &str = "shunt_counts";

/// The network namespace of this process, by its inode: interfaces have their numbers within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace(u64);

impl Namespace {
    /// That of the calling thread.
    ///
    /// # Errors
    /// What stat(2) says; there may be no /proc.
    pub fn current() -> io::Result<Self> {
        Ok(Self(fs::metadata("/proc/thread-self/ns/net")?.ino()))
    }

    fn link_name(self, mode: Mode) -> String {
        format!("{mode}-{}", self.0)
    }
}
