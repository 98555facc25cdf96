//! A segment that the disk refuses: into a new file while it can be read, and given up where no file is taken.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use flow_wire::batch::Sealed;
use flow_wire::ledger::Discard;
use flow_wire::stamp::Epoch;

use super::disk::Disk;
use super::entry::{HEAD_OCTETS, Kind};
use super::log::{Spool, Sync};
use super::position::Position;
use super::roll::begin_segment;
use super::segment::{ANEW_SUFFIX, Found, Place, Segment, SegmentHead, Walk, name};
use super::spare::Room;
use super::sums::Sums;

/// So often a segment is tried, once a second, before the batches in it are given up.
pub(super) const TRIES: u32 = 10;

/// A segment that the disk refused, to be written into a new file.
#[derive(Debug)]
pub struct Anew {
    disk: Arc<dyn Disk>,
    old: Walk,
    old_serial: u64,
    keep_from: Place,
    newest: BTreeMap<Epoch, Arc<Sealed>>,
    newest_nanoseconds: u64,
    next: Position,
    head: SegmentHead,
    octets: u64,
}

/// The new file, and where each entry of the old one lies in it.
#[derive(Debug)]
pub struct Written {
    segment: Segment,
    moved: BTreeMap<u64, u64>,
}

impl Spool {
    pub(super) fn anew(&mut self, index: usize) -> Anew {
        let old = &self.segments[index];
        let keep_from = self.readers.iter().filter(|reader| !reader.is_dropped);
        let keep_from = keep_from.map(|reader| self.normal(reader.done_place)).min();
        let newest = self.sums.0.iter().filter_map(|(epoch, sums)| Some((*epoch, sums.newest.clone()?)));
        let head = SegmentHead {
            spool: self.identity.spool,
            serial: self.next_serial,
            first: old.first,
            opened_nanoseconds: old.opened_nanoseconds,
        };
        self.next_serial += 1;
        Anew {
            disk: Arc::clone(&self.disk),
            old: old.walk(old.begin().offset),
            old_serial: old.serial,
            keep_from: keep_from.unwrap_or(old.end()).max(old.begin()),
            newest: newest.collect(),
            newest_nanoseconds: old.newest_nanoseconds,
            next: old.next,
            head,
            octets: self.options.segment_octets,
        }
    }

    /// Puts the new file in the place of the old one, which stays until the name of the new one is on the medium, too.
    pub fn take_anew(&mut self, anew: &Anew, written: io::Result<Written>) {
        let index = self.find(anew.head.first).ok();
        let index = index.filter(|index| self.segments[*index].serial == anew.old_serial);
        let taken = written.and_then(|written| {
            let Some(index) = index else { return anew.disk.remove(&anew.beside()) };
            self.disk.rename(&anew.beside(), &name(anew.head.serial))?;
            let mut new = written.segment;
            new.replaces = std::mem::take(&mut self.segments[index].replaces);
            new.replaces.push(anew.old_serial);
            self.segments[index] = new;
            self.move_places(index, &written.moved);
            Ok(())
        });
        match taken {
            Ok(()) => tracing::error!(
                segment = name(anew.old_serial),
                "fsync failed: what waits in the segment has been written into a new one; look after the disk"
            ),
            Err(error) => {
                self.failed("writing a segment anew", &error);
                let _it_may_not_be_there = self.disk.remove(&anew.beside());
                if let Some(index) = index {
                    let refusals = &mut self.segments[index].refusals;
                    *refusals = refusals.saturating_add(1);
                }
            }
        }
    }

    /// With `--spool-sync batch` nothing of a segment goes out that is not on the medium: one that the disk goes on to refuse would hold
    /// up everything behind it. Where the sync is no condition, its batches go out as long as they can be read.
    pub fn give_up_refused(&mut self) {
        if self.options.sync != Sync::Batch {
            return;
        }
        let is_refused = |segment: &Segment| segment.refusals >= TRIES;
        let refused = self.segments.iter().filter(|segment| is_refused(segment));
        for first in refused.map(|segment| segment.first).collect::<Vec<_>>() {
            if let Ok(index) = self.find(first) {
                self.give_up(index);
            }
        }
    }

    /// For whoever waits for it and for nothing else: what is on the medium goes out first, and what is with a sink comes to its end.
    fn give_up(&mut self, index: usize) {
        // What comes from now on is in the next one, which may have more luck.
        if !self.segments[index].is_closed {
            self.segments[index].close();
        }
        let (first, synced) = (self.segments[index].first, self.segments[index].synced);
        for reader in 0..self.readers.len() {
            let next = self.normal(self.readers[reader].next);
            let is_held_up = next.segment == first && next.offset >= synced;
            if is_held_up && self.readers[reader].handed.is_empty() {
                self.discard_segment(reader, index, Discard::SpoolFailed);
            }
        }
        self.after_a_move();
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

impl Anew {
    fn beside(&self) -> String {
        format!("{}{ANEW_SUFFIX}", name(self.head.serial))
    }

    /// Copies what waits of the segment, which is closed, into a new file beside it. Nothing of the spool is needed meanwhile.
    ///
    /// # Errors
    /// The old file cannot be read any more, or the new one not be written; it is gone again.
    pub fn write(&self, now_nanoseconds: u64) -> io::Result<Written> {
        let written = self.copy(now_nanoseconds);
        if written.is_err() {
            let _it_may_not_be_there = self.disk.remove(&self.beside());
        }
        written
    }

    fn copy(&self, now_nanoseconds: u64) -> io::Result<Written> {
        let (sums, kept) = self.read()?;
        let blob = self.disk.create(&self.beside(), self.octets)?;
        let room = Room { blob, octets: self.octets, is_recycled: false, is_allocated: true };
        let new = begin_segment(self.head, room, &sums, now_nanoseconds);
        let mut new = new.map_err(|(error, _)| error)?;
        let mut moved = BTreeMap::new();
        for found in &kept {
            moved.insert(found.place.offset, new.end);
            new.write(&found.head, &found.octets[HEAD_OCTETS..])?;
        }
        moved.insert(self.old.end, new.end);
        (new.newest_nanoseconds, new.next) = (self.newest_nanoseconds, self.next);
        new.blob.sync()?;
        new.close();
        Ok(Written { segment: new, moved })
    }

    /// The sums of what nobody waits for, and the rest.
    fn read(&self) -> io::Result<(Sums, Vec<Found>)> {
        let mut walk = self.old.clone();
        let mut sums = Sums::default();
        let mut kept = Vec::new();
        while let Some(found) = walk.step().map_err(|damage| io::Error::other(damage.to_string()))? {
            match found.head.kind {
                Kind::Sums => drop(sums.take_json(&found.octets[HEAD_OCTETS..])),
                Kind::Batch | Kind::Gone(_) if found.place < self.keep_from => {
                    if let Ok(header) = found.head.header() {
                        sums.count(&header, found.head.exported, found.head.position.generation());
                    }
                }
                Kind::Batch | Kind::Gone(_) => kept.push(found),
                Kind::Carried => {}
            }
        }
        for (epoch, sums) in &mut sums.0 {
            sums.newest = self.newest.get(epoch).cloned();
        }
        Ok((sums, kept))
    }
}
