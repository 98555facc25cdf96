//! Onto the medium: what has to be forced there, and what is done where the disk refuses.
//!
//! After a failed fsync the kernel may have dropped the pages it could not write, and a second call says that all is well. So
//! the segment is believed no further: what somebody still waits for is copied into a new file while it can be read.

use std::io;
use std::sync::Arc;

use super::anew::Anew;
use super::cursor_file;
use super::directory::CURSORS;
use super::disk::{Blob, Disk};
use super::log::Spool;
use super::position::Position;
use super::segment::{Segment, name};

/// A file that has been written since it was last forced onto the medium.
#[derive(Clone, Debug)]
pub struct Unsynced {
    blob: Arc<dyn Blob>,
    segment: Position,
    serial: u64,
    end: u64,
    /// Octets that are not there yet.
    pub octets: u64,
    /// The disk has refused it before, and a copy of it, too: another try has time.
    pub is_refused: bool,
    names: Option<Names>,
}

/// What the disk has refused to force onto the medium.
#[derive(Debug)]
pub enum Unforced {
    /// The segment: it is believed no further.
    Segment(io::Error),
    /// A name or a cursor's file: nothing is wrong with the segment, but it would not be found or have nobody to be sent to.
    Names(io::Error),
}

/// Without these a file on the medium is not found again, or has nobody to be sent to.
#[derive(Clone, Debug)]
struct Names {
    disk: Arc<dyn Disk>,
    /// Files of cursors that have never been forced there.
    cursors: Vec<String>,
}

impl Unsynced {
    /// Returns when it is there. Nothing of the spool is needed meanwhile.
    ///
    /// # Errors
    /// The disk could not write it.
    pub fn sync(&self) -> Result<(), Unforced> {
        self.blob.sync().map_err(Unforced::Segment)?;
        self.names.as_ref().map_or(Ok(()), Names::sync).map_err(Unforced::Names)
    }
}

impl Names {
    fn sync(&self) -> io::Result<()> {
        for cursor in &self.cursors {
            match self.disk.open(cursor) {
                Ok(file) => file.sync()?,
                // Dropped since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.disk.sync_names(CURSORS)?;
        self.disk.sync_names("")
    }
}

impl Spool {
    /// What has to be forced onto the medium.
    pub fn unsynced(&self) -> Vec<Unsynced> {
        let new = self.readers.iter().filter(|reader| !reader.is_lasting && !reader.is_dropped);
        let cursors: Vec<_> = new.map(|reader| cursor_file::path(&reader.name)).collect();
        // What the disk refuses, and nobody waits for, is tried no more.
        let is_wanted = |segment: &&Segment| segment.refusals == 0 || !self.is_passed(segment);
        let dirty = self.segments.iter().filter(|segment| segment.synced < segment.end);
        dirty
            .filter(is_wanted)
            .map(|segment| Unsynced {
                blob: Arc::clone(&segment.blob),
                segment: segment.first,
                serial: segment.serial,
                end: segment.end,
                octets: segment.end - segment.synced,
                is_refused: segment.refusals > 0,
                names: (!segment.is_named || !cursors.is_empty())
                    .then(|| Names { disk: Arc::clone(&self.disk), cursors: cursors.clone() }),
            })
            .collect()
    }

    /// How it went. `Some` = the segment is to be written anew ([`Anew::write`]), and then to be taken ([`Spool::take_anew`]).
    pub fn synced(&mut self, what: &Unsynced, result: Result<(), Unforced>) -> Option<Anew> {
        let index = self.find(what.segment).ok()?;
        let segment = &mut self.segments[index];
        if segment.serial != what.serial {
            return None;
        }
        let error = match result {
            Ok(()) if !segment.is_distrusted => {
                (segment.synced, segment.refusals) = (segment.synced.max(what.end), 0);
                self.named(index, what);
                return None;
            }
            Ok(()) => io::Error::other("an earlier fsync of it had failed"),
            Err(Unforced::Names(error)) => {
                segment.refusals = segment.refusals.saturating_add(1);
                self.failed("fsync of a name", &error);
                return None;
            }
            Err(Unforced::Segment(error)) => error,
        };
        self.failed("fsync", &error);
        let segment = &mut self.segments[index];
        segment.is_distrusted = true;
        if !segment.is_closed {
            segment.close();
        }
        Some(self.anew(index))
    }

    fn named(&mut self, index: usize, what: &Unsynced) {
        let Some(names) = &what.names else { return };
        for reader in &mut self.readers {
            reader.is_lasting |= names.cursors.contains(&cursor_file::path(&reader.name));
        }
        let segment = &mut self.segments[index];
        segment.is_named = true;
        for replaced in std::mem::take(&mut segment.replaces) {
            if let Err(error) = self.disk.remove(&name(replaced)) {
                self.failed("removing a segment that was written anew", &error);
            }
        }
    }
}
