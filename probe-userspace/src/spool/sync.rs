//! Onto the medium: what has to be forced there, and what is done where the disk refuses.
//!
//! After a failed fsync the kernel may have dropped the pages it could not write, and a second call says that all is well. So
//! the segment is believed no further: what somebody still waits for is copied into a new file while it can be read.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::disk::Blob;
use super::entry::{HEAD_OCTETS, Kind};
use super::log::Spool;
use super::position::Position;
use super::segment::{ANEW_SUFFIX, Place, SegmentHead, name};
use super::sums::Sums;

/// A file that has been written since it was last forced onto the medium.
#[derive(Clone, Debug)]
pub struct Unsynced {
    blob: Arc<dyn Blob>,
    segment: Position,
    serial: u64,
    end: u64,
}

impl Unsynced {
    /// Returns when it is there. Nothing of the spool is needed meanwhile.
    ///
    /// # Errors
    /// The disk could not write it.
    pub fn sync(&self) -> io::Result<()> {
        self.blob.sync()
    }
}

impl Spool {
    /// What has to be forced onto the medium.
    pub fn unsynced(&self) -> Vec<Unsynced> {
        let dirty = self.segments.iter().filter(|segment| segment.synced < segment.end);
        dirty
            .map(|segment| Unsynced {
                blob: Arc::clone(&segment.blob),
                segment: segment.first,
                serial: segment.serial,
                end: segment.end,
            })
            .collect()
    }

    /// How it went.
    pub fn synced(&mut self, what: &Unsynced, result: io::Result<()>, now_nanoseconds: u64) {
        let Ok(index) = self.find(what.segment) else { return };
        let segment = &mut self.segments[index];
        if segment.serial != what.serial {
            return;
        }
        let error = match result {
            Ok(()) if !segment.is_distrusted => {
                segment.synced = segment.synced.max(what.end);
                return;
            }
            Ok(()) => io::Error::other("an earlier fsync of it had failed"),
            Err(error) => error,
        };
        self.failed("fsync", &error);
        let segment = &mut self.segments[index];
        segment.is_distrusted = true;
        if !segment.is_closed {
            segment.close();
        }
        match self.rewrite(index, now_nanoseconds) {
            Ok(()) => tracing::error!(
                %error,
                segment = name(what.serial),
                "fsync failed: what waits in the segment has been written into a new one; look after the disk"
            ),
            Err(error) => self.failed("writing a segment anew", &error),
        }
    }

    /// Copies what waits of a closed segment into a new file, which takes its place.
    fn rewrite(&mut self, index: usize, now_nanoseconds: u64) -> io::Result<()> {
        let old = &self.segments[index];
        let keep_from = self.readers.iter().filter(|reader| !reader.is_dropped);
        let keep_from = keep_from.map(|reader| self.normal(reader.done_place)).min();
        let keep_from = keep_from.unwrap_or(old.end()).max(old.begin());
        let mut walk = old.walk(old.begin().offset);
        let mut sums = Sums::default();
        let mut kept = Vec::new();
        while let Some(found) = walk.step().map_err(|damage| io::Error::other(damage.to_string()))? {
            match found.head.kind {
                Kind::Sums => drop(sums.take_json(&found.octets[HEAD_OCTETS..])),
                Kind::Batch | Kind::Gone(_) if found.place < keep_from => {
                    if let Ok(header) = found.head.header() {
                        sums.count(&header, found.head.exported, found.head.position.generation());
                    }
                }
                Kind::Batch | Kind::Gone(_) => kept.push(found),
                Kind::Carried => {}
            }
        }
        for (epoch, sums) in &mut sums.0 {
            sums.newest = self.sums.0.get(epoch).and_then(|now| now.newest.clone());
        }
        let head = SegmentHead {
            spool: self.identity.spool,
            serial: self.next_serial,
            first: old.first,
            opened_nanoseconds: old.opened_nanoseconds,
        };
        let (old_serial, newest) = (old.serial, old.newest_nanoseconds);
        self.next_serial += 1;
        let beside = format!("{}{ANEW_SUFFIX}", name(head.serial));
        let blob = self.disk.create(&beside, self.options.segment_octets)?;
        let mut new = self.begin_segment(head, blob, &sums, now_nanoseconds).map_err(|(error, _)| error)?;
        let mut moved = BTreeMap::new();
        for found in &kept {
            moved.insert(found.place.offset, new.end);
            new.write(&found.head, &found.octets[HEAD_OCTETS..])?;
        }
        new.newest_nanoseconds = newest;
        moved.insert(self.segments[index].end, new.end);
        new.next = self.segments[index].next;
        new.blob.sync()?;
        new.close();
        new.synced = new.end;
        self.disk.rename(&beside, &name(head.serial))?;
        self.segments[index] = new;
        self.move_places(index, &moved);
        self.disk.remove(&name(old_serial))
    }

    /// Everything that points into the segment points to the same entry as before; into what was not copied, to the first.
    fn move_places(&mut self, index: usize, moved: &BTreeMap<u64, u64>) {
        let first = self.segments[index].first;
        let begin = self.segments[index].begin().offset;
        let to = |place: &mut Place| {
            if place.segment == first {
                place.offset = moved.get(&place.offset).copied().unwrap_or(begin);
            }
        };
        for reader in &mut self.readers {
            to(&mut reader.done_place);
            to(&mut reader.next);
            for handed in &mut reader.handed {
                to(&mut handed.place);
                to(&mut handed.after);
            }
        }
        to(&mut self.recent_from);
        for recent in &mut self.recent {
            to(&mut recent.place);
            to(&mut recent.after);
        }
    }
}
