//! Looking at a spool from outside, whether a probe runs on it or not. Reads only; a request to drop is a file beside the cursor.

use std::io;
use std::path::Path;

use super::cursor_file::{self, Kept};
use super::directory::{self, CURSORS, Directory};
use super::disk::Disk;
use super::entry::Kind;
use super::error::Error;
use super::identity::Identity;
use super::segment::{Segment, SegmentHead, serial};
use super::spare;
use super::terms::Tally;

/// What a spool holds.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Which spool; `None` = it has never been used.
    pub identity: Option<Identity>,
    /// A process has it open.
    pub is_held: bool,
    /// Files of entries.
    pub segments: usize,
    /// Octets of them on the disk.
    pub octets: u64,
    /// Octets of the file that the next one is written over; 0 = there is none.
    pub spare_octets: u64,
    /// Name, whether a sink of a running probe reads it, seconds since the UNIX epoch of its last use, and what waits.
    pub cursors: Vec<(String, bool, u64, Tally)>,
}

/// Octets that are free for a spool in that folder, and octets that it has. The folder is made where it is missing.
///
/// # Errors
/// It cannot be made, or not be read.
pub fn room(path: &Path) -> Result<(u64, u64), Error> {
    let failed = |error| Error::Folder { path: path.to_path_buf(), error };
    let disk = Directory::open(path).map_err(failed)?;
    let mut taken = 0;
    for file in disk.names("").map_err(failed)? {
        match disk.open(&file).and_then(|blob| blob.octets()) {
            Ok(octets) => taken += octets,
            // A probe that runs on it takes segments away.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok((disk.free_octets().map_err(failed)?, taken))
}

/// Reads it. What a running probe has acknowledged within the last second may be counted as waiting.
///
/// # Errors
/// There is no such folder, or it may not be read.
pub fn list(path: &Path) -> Result<Listed, Error> {
    let failed = |error| Error::Folder { path: path.to_path_buf(), error };
    let disk = Directory::open_existing(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::None(path.to_path_buf()),
        _ => failed(error),
    })?;
    let is_held = directory::is_held(path).map_err(failed)?;
    let cursors = cursors(&disk).map_err(failed)?;
    let mut waiting = vec![Tally::default(); cursors.len()];
    let (mut segments, mut octets) = (0, 0);
    for file in disk.names("").map_err(failed)? {
        let Some(serial) = serial(&file) else { continue };
        // A segment that goes away meanwhile has nothing that waits.
        let Ok(blob) = disk.open(&file) else { continue };
        let Some(head) = SegmentHead::read(&*blob).map_err(failed)? else { continue };
        if head.serial != serial {
            // Somebody else's, or about to be written over.
            continue;
        }
        let capacity = blob.octets().map_err(failed)?;
        segments += 1;
        octets += capacity;
        let segment = Segment::new(head, blob, capacity);
        let of_segment = waiting_in(&segment, &cursors);
        // Freed and written over meanwhile: nothing of it waits, and what was read of it may be the next one's.
        if SegmentHead::read(&*segment.blob).map_err(failed)? == Some(head) {
            waiting.iter_mut().zip(of_segment).for_each(|(waiting, more)| waiting.add(more));
        }
    }
    let state =
        |(kept, waiting): (Kept, Tally)| (kept.name, kept.is_attached && is_held, kept.used_seconds, waiting);
    Ok(Listed {
        identity: Identity::read(&disk)?,
        is_held,
        segments,
        octets,
        spare_octets: disk.open(spare::FILE).and_then(|blob| blob.octets()).unwrap_or(0),
        cursors: cursors.into_iter().zip(waiting).map(state).collect(),
    })
}

/// What waits in a segment, per cursor.
fn waiting_in(segment: &Segment, cursors: &[Kept]) -> Vec<Tally> {
    let mut waiting = vec![Tally::default(); cursors.len()];
    let mut walk = segment.walk(segment.begin().offset);
    walk.end = segment.capacity;
    while let Ok(Some(found)) = walk.step() {
        let (Kind::Batch, Ok(header)) = (found.head.kind, found.head.header()) else { continue };
        for (kept, waiting) in cursors.iter().zip(&mut waiting) {
            if found.head.position >= kept.position {
                waiting.add(found.head.tally(&header));
            }
        }
    }
    waiting
}

fn cursors(disk: &Directory) -> io::Result<Vec<Kept>> {
    let mut cursors = Vec::new();
    for file in disk.names(CURSORS)?.iter().filter(|file| cursor_file::is_cursor(file)) {
        let content = disk.read(&directory::within(CURSORS, file))?;
        cursors.extend(content.as_deref().and_then(Kept::from_octets));
    }
    Ok(cursors)
}

/// Asks for a cursor to be dropped: a running probe does it within a second, else the next start.
///
/// # Errors
/// The folder may not be written.
pub fn request_drop(path: &Path, name: &str) -> Result<(), Error> {
    let failed = |error| Error::Folder { path: path.to_path_buf(), error };
    let disk = Directory::open_existing(path).map_err(failed)?;
    disk.replace(&cursor_file::drop_path(name), b"", false).map_err(failed)
}
