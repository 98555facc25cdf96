//! The segment in reserve: a file of full length, so that a disk that others fill has room for the next segment all the same.
//!
//! A segment that goes takes its place where that is empty, and the next one is written over it. What it still holds is of lower
//! positions than everything to come, and so no entry of its next life ([`super::segment::Walk`]).

use std::io;
use std::sync::Arc;

use flow_wire::ledger::Discard;

use super::disk::{Blob, is_full};
use super::log::Spool;
use super::segment::{SEGMENT_HEAD_OCTETS, Segment, SegmentHead, name};

/// Name of the file.
pub(super) const FILE: &str = "spare";

/// A file for a segment, under its name.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) blob: Arc<dyn Blob>,
    pub(super) octets: u64,
    /// It holds entries of an earlier life.
    pub(super) is_recycled: bool,
    /// It has them already: a file system that cannot allocate ahead gives them one by one, while it has any.
    pub(super) is_allocated: bool,
}

impl Spool {
    /// Takes the one that an earlier start left; one that cannot be told from another spool's is removed.
    pub(super) fn find_spare(&mut self) -> io::Result<()> {
        if !self.disk.names("")?.iter().any(|file| file == FILE) {
            return Ok(());
        }
        let blob = self.disk.open(FILE)?;
        let octets = blob.octets()?;
        // Of another length by other options: not given up before there is room for a better one.
        let is_short = octets < self.options.segment_octets;
        if octets == 0
            || !self.may_recycle(&*blob)?
            || (is_short && self.disk.free_octets()? > self.options.segment_octets)
        {
            return self.disk.remove(FILE);
        }
        self.spare = Some(octets);
        Ok(())
    }

    /// One of a larger quota is cut to what this one's segments have.
    pub(super) fn fit_spare(&mut self) -> io::Result<()> {
        let octets = self.options.segment_octets;
        if self.spare.is_some_and(|has| has > octets) && self.octets() > self.options.quota_octets {
            self.disk.open(FILE)?.cut(octets)?;
            self.spare = Some(octets);
        }
        Ok(())
    }

    /// Makes one where quota and disk have room for it.
    pub(super) fn make_spare(&mut self) {
        let octets = self.options.segment_octets;
        if self.spare.is_some() || self.octets() + octets > self.options.quota_octets {
            return;
        }
        match self.disk.create(FILE, octets) {
            Ok(blob) if has_octets(&*blob, octets) => self.spare = Some(octets),
            // It would reserve nothing.
            Ok(_) => drop(self.disk.remove(FILE)),
            // Whoever needs a segment says so.
            Err(error) if is_full(&error) => {}
            Err(error) => self.failed("making the spare segment", &error),
        }
        self.trim();
    }

    /// A file that nobody needs: the spare where there is none, else it goes.
    pub(super) fn lay_by(&mut self, file: &str, octets: u64) -> io::Result<()> {
        if self.spare.is_some() || octets == 0 {
            return self.disk.remove(file);
        }
        self.disk.rename(file, FILE)?;
        self.spare = Some(octets);
        Ok(())
    }

    /// The same of a segment, if it is fit for it.
    pub(super) fn lay_by_segment(&mut self, index: usize) -> io::Result<()> {
        let segment = &self.segments[index];
        let (file, octets) = (name(segment.serial), segment.capacity);
        let is_fit = self.is_whole(segment) && !segment.is_distrusted && segment.next > segment.first;
        if is_fit && self.octets() <= self.options.quota_octets {
            self.lay_by(&file, octets)
        } else {
            self.disk.remove(&file)
        }
    }

    /// Nothing of its length has been given back.
    fn is_whole(&self, segment: &Segment) -> bool {
        segment.is_allocated && segment.has_ahead && segment.capacity >= self.options.segment_octets
    }

    /// Whether all that a file may hold is of lower positions than what is to come: an unused one, or one of this spool's earlier starts.
    pub(super) fn may_recycle(&mut self, blob: &dyn Blob) -> io::Result<bool> {
        if let Some(head) = SegmentHead::read(blob)? {
            // Its number is not given again: a file is no segment until its head says so.
            self.next_serial = self.next_serial.max(head.serial.saturating_add(1));
            return Ok(head.spool == self.identity.spool && head.first < self.next);
        }
        let mut head = [0; SEGMENT_HEAD_OCTETS as usize];
        blob.read_at(&mut head, 0)?;
        Ok(head == [0; SEGMENT_HEAD_OCTETS as usize])
    }

    /// A file for the next segment: the spare, or a new one; the oldest segments go where there is no room for it.
    pub(super) fn next_room(&mut self) -> Result<Room, Discard> {
        loop {
            // The spare is counted already.
            let needs = if self.spare.is_some() { 0 } else { self.options.segment_octets };
            if self.octets() + needs > self.options.quota_octets {
                if self.discard_oldest(Discard::SpoolQuota, |_| true) || self.cut_last() {
                    continue;
                }
                if self.spare.is_none() {
                    self.said.full(self.options.quota_octets);
                    return Err(Discard::SpoolQuota);
                }
            }
            if let Some(room) = self.take_spare() {
                return Ok(room);
            }
            match self.disk.create(&name(self.next_serial), self.options.segment_octets) {
                Ok(blob) => {
                    let octets = self.options.segment_octets;
                    let is_allocated = has_octets(&*blob, octets);
                    self.is_disk_full &= !is_allocated;
                    return Ok(Room { blob, octets, is_recycled: false, is_allocated });
                }
                Err(error) if is_full(&error) => self.relieve(&error)?,
                Err(error) => {
                    self.failed("making a segment", &error);
                    return Err(Discard::SpoolFailed);
                }
            }
        }
    }

    /// The disk is full: the spare goes, which holds nothing, or else the oldest segment. The last one only where nobody needs it any
    /// more, and nothing else would ever give way to a next one: what its sums say the cursors say, too.
    pub(super) fn relieve(&mut self, error: &io::Error) -> Result<(), Discard> {
        self.is_disk_full = true;
        if self.give_up_spare() || self.discard_oldest(Discard::SpoolQuota, |_| true) || self.lay_by_last() {
            return Ok(());
        }
        self.said.disk_full(error);
        Err(Discard::SpoolQuota)
    }

    fn give_up_spare(&mut self) -> bool {
        self.spare.take().is_some_and(|_| self.disk.remove(FILE).is_ok())
    }

    fn lay_by_last(&mut self) -> bool {
        self.is_last_over() && self.remove(0)
    }

    /// There is one segment, something was in it, and nobody waits for it.
    pub(super) fn is_last_over(&self) -> bool {
        let is_over = |last: &Segment| last.next > last.first && self.is_passed(last);
        self.segments.len() == 1 && self.segments.back().is_some_and(is_over)
    }

    /// Of an earlier start it may be whole, for a full disk.
    fn cut_last(&mut self) -> bool {
        let last = self.segments.back_mut().filter(|last| last.is_closed && last.has_ahead);
        last.map(Segment::cut).is_some()
    }

    /// It is opened anew: an error that was kept for whoever wrote its earlier life would be missed, or not be this one's.
    fn take_spare(&mut self) -> Option<Room> {
        let octets = self.spare.take()?;
        let to = name(self.next_serial);
        let taken = self.disk.open(FILE).and_then(|blob| self.disk.rename(FILE, &to).map(|()| blob));
        match taken {
            Ok(blob) => Some(Room { blob, octets, is_recycled: true, is_allocated: true }),
            Err(error) => {
                self.failed("taking the spare segment", &error);
                let _it_is_of_no_use = self.disk.remove(FILE);
                None
            }
        }
    }

    /// Gives back what was allocated ahead and is not needed any more. Without a spare one segment stays whole to become it: on a full
    /// disk nothing else will.
    pub(super) fn trim(&mut self) {
        let mut has_next = self.spare.is_some();
        let closed = self.segments.len().saturating_sub(1);
        for index in 0..closed {
            if !has_next && self.is_whole(&self.segments[index]) {
                has_next = true;
            } else if self.segments[index].has_ahead {
                self.segments[index].cut();
            }
        }
    }
}

/// Whether they were allocated.
fn has_octets(blob: &dyn Blob, octets: u64) -> bool {
    blob.octets().is_ok_and(|has| has >= octets)
}
