//! What is sealed and not yet acknowledged, on disk: it outlives the process, and goes out again unchanged.
//!
//! ```text
//! append ─► log (segments) ─► read: look ─► fetch ─► hand ─► acknowledge ─► segment freed
//!             │                          a cursor each: reader, cursors
//!             ├─► roll: the next segment; keep: what goes for it, and what goes by age
//!             ├─► sync: what has to reach the medium; anew: a segment that the disk refuses is copied, or given up
//!             ├─► spare: a segment in reserve, for a disk that others fill
//!             └─► recover: at the next start, what is there, and what is missing
//! ```
//!
//! A leaf: no thread, and no clock but arguments. What it asks of a disk is [`disk::Disk`]; [`Directory`] is a real one.
//!
//! # Format
//! A folder, held by one process (flock on the folder). Numbers in network order.
//!
//! ```text
//! identity                 one line with a CRC32C, then JSON: UUID of the spool, of the probe, generation (counts the starts), process
//! 000000000007.segment     entries in the order of their positions; the number only counts files
//! 000000000008.segment
//! spare                    a file that the next segment is written over: a segment that went, or zeros
//! cursors/kafka%3A%2F%2F.. one line with a CRC32C, then JSON: position, and what became of everything below it
//! cursors/..drop           asks a running probe to drop that cursor
//! ```
//! A segment is allocated ahead. A length of 0 ends it; so does an entry whose position is below the first one: a file that was the spare
//! has entries of its earlier life behind its end. A file named as a segment whose head has another number is the spare. 64 octets, then
//! entries:
//!
//! ```text
//! octet 0          8       12      16            32       40               48       56      64
//!       ├──────────┼───────┼───────┼─────────────┼────────┼────────────────┼────────┼───────┤
//!       │"GNTSPOOL"│version│crc32c │ spool UUID  │ serial │ first position │ opened │   0   │
//!       └──────────┴───────┴───────┴─────────────┴────────┴────────────────┴────────┴───────┘
//! ```
//! An entry begins at a multiple of 8. `length` is without the padding, `crc32c` is over everything but itself. `opened` and
//! `time` are nanoseconds since the UNIX epoch.
//!
//! ```text
//! octet 0      4       8          16     24   25   26     32        40       48        56  64            128
//!       ├──────┼───────┼──────────┼──────┼────┼────┼──────┼─────────┼────────┼─────────┼───┼─────────────┼──────┤
//!       │length│crc32c │ position │ time │kind│note│reason│ packets │ octets │ covered │ 0 │ GNT1 header │ body │
//!       └──────┴───────┴──────────┴──────┴────┴────┴──────┴─────────┴────────┴─────────┴───┴─────────────┴──────┘
//! ```
//! kind 0: a batch or ledger message, as sinks send it. Kinds for the spool's own next start: 1, at the beginning of each segment, the
//! sums of all epochs up to there (JSON); 2, behind it, the newest ledger message of each epoch; 3: a batch that was sealed and could not be
//! kept, its head alone (reason 0 `spool_quota`, 1 `spool_failed`). note of a ledger message: 1 books, 2 closed books, 3 books of another
//! epoch.
//!
//! # Positions
//! `generation << 40 | index`, 63 bits: strictly monotone over all starts, also behind a tail that was lost, so that a position which
//! a broker keeps never comes to mean another batch.
//!
//! # What survives what
//! An entry that [`Spool::append`] returned for is in the page cache: it outlives the process. What is on the medium outlives a power
//! cut ([`Sync`]). A torn tail is cut at the first entry that does not check; damage before it costs the rest of that segment, which the
//! sums of the next one count (`spool_failed`).

mod anew;
mod append;
mod checked;
mod cursor_file;
mod cursors;
mod directory;
pub mod disk;
mod entry;
mod error;
mod identity;
mod keep;
mod list;
mod log;
mod position;
mod read;
mod reader;
mod recover;
mod roll;
mod said;
mod segment;
mod spare;
mod sums;
mod sync;
mod terms;
#[cfg(test)]
pub(crate) mod testing;

pub use anew::{Anew, Written};
pub use cursors::{CursorState, EarlierEpoch};
pub use directory::Directory;
pub use entry::Note;
pub use error::Error;
pub use identity::Identity;
pub use list::{Listed, list, request_drop, room};
pub use log::{Appended, CursorId, Options, Spool, Statistics, Sync};
pub use position::Position;
pub use read::{Fetched, Source};
pub use sync::{Unforced, Unsynced};
pub use terms::{Tally, Terms};

#[cfg(test)]
mod tests;
