//! The spool itself: what it consists of. No thread, no clock: both are the caller's.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use flow_wire::batch::Sealed;
use flow_wire::ledger::Discard;
use flow_wire::stamp::{Epoch, StreamId};

use super::disk::Disk;
use super::identity::Identity;
use super::position::Position;
use super::reader::Reader;
use super::segment::{Place, Segment};
use super::sums::Sums;

/// How often what was written is forced onto the medium.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Never: a killed probe loses nothing, a power cut what the kernel had not written yet.
    None,
    /// Once a second: a power cut loses what was appended since.
    #[default]
    Interval,
    /// Before a batch goes to a sink: a power cut loses nothing that anybody was told of.
    Batch,
}

/// Bounds and ways of a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Octets on the disk, all segments and the spare one together.
    pub quota_octets: u64,
    /// Octets of one segment, allocated ahead.
    pub segment_octets: u64,
    /// Older batches are discarded.
    pub age: Duration,
    /// A cursor that no sink uses for so long is dropped.
    pub cursor_ttl: Duration,
    /// Newest batches that stay in memory, so that a sink which keeps up reads nothing back.
    pub memory_octets: usize,
    /// See [`Sync`].
    pub sync: Sync,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It lies in the spool.
    Kept(Position),
    /// No cursor would ever read it: it is in the sums, and nowhere else.
    Unread,
    /// It could not be kept, and is counted for every cursor.
    Discarded(Discard),
}

/// Names one cursor for as long as the spool is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CursorId(pub(super) usize);

/// What happened to a spool, for metrics; cumulative since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Octets on the disk now.
    pub octets: u64,
    /// Octets that it may take.
    pub quota_octets: u64,
    /// Segments now.
    pub segments: u64,
    /// Octets appended.
    pub appended_octets: u64,
    /// Batches that were read back from the disk.
    pub read_back_batches: u64,
    /// Entries that were damaged when they were read, and segments whose rest was given up.
    pub damages: u64,
    /// Calls to the disk that failed.
    pub disk_errors: u64,
}

/// A batch that is still in memory.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    pub(super) position: Position,
    pub(super) place: Place,
    pub(super) after: Place,
    pub(super) sealed: Arc<Sealed>,
}

/// The spool.
#[derive(Debug)]
pub struct Spool {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) options: Options,
    pub(super) identity: Identity,
    /// Oldest first. Only the last one may be open.
    pub(super) segments: VecDeque<Segment>,
    /// Octets of the file that the next segment is written over.
    pub(super) spare: Option<u64>,
    pub(super) next_serial: u64,
    pub(super) next: Position,
    pub(super) sums: Sums,
    pub(super) readers: Vec<Reader>,
    /// The newest batches: every batch from `recent_from` on.
    pub(super) recent: VecDeque<Recent>,
    pub(super) recent_from: Place,
    pub(super) recent_octets: usize,
    /// Epochs whose books are closed and of which nothing waited at the start: they are in no sums any more.
    pub(super) closed: BTreeSet<Epoch>,
    /// The epoch that appends now.
    pub(super) epoch: Option<Epoch>,
    /// The disk had no room when it was last asked.
    pub(super) is_disk_full: bool,
    pub(super) statistics: Statistics,
    pub(super) said: super::said::Said,
}

impl Spool {
    /// Which spool, and which start of it.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How it is run.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whose batches are appended from now on.
    pub fn begin_epoch(&mut self, epoch: Epoch, streams: impl Iterator<Item = StreamId>) {
        self.epoch = Some(epoch);
        let sums = self.sums.0.entry(epoch).or_default();
        sums.generation = self.identity.generation;
        for stream in streams {
            sums.streams.entry(stream).or_default();
            for reader in &mut self.readers {
                reader.terms.entry((epoch, stream)).or_default();
            }
        }
    }

    /// Writes down that the epoch has begun. From here on a next start that does not find a batch of it knows that it was never
    /// appended; of an epoch that it had never heard of it could not tell.
    pub fn write_epoch(&mut self, now_nanoseconds: u64) {
        if self.readers.iter().any(|reader| !reader.is_dropped) {
            // What stands against it is said, and met again by the first batch.
            let _the_first_batch_tries_again = self.roll(now_nanoseconds);
        }
    }

    /// Octets of all segments, and of the spare.
    pub fn octets(&self) -> u64 {
        let segments: u64 = self.segments.iter().map(|segment| segment.capacity).sum();
        segments + self.spare.unwrap_or(0)
    }

    /// See [`Statistics`].
    pub fn statistics(&self) -> Statistics {
        Statistics {
            octets: self.octets(),
            quota_octets: self.options.quota_octets,
            segments: self.segments.len() as u64,
            ..self.statistics
        }
    }

    pub(super) fn failed(&mut self, operation: &'static str, error: &io::Error) {
        self.statistics.disk_errors += 1;
        self.said.failed(operation, error);
    }
}
