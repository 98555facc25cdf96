//! From a full segment to the next one.

use std::io;

use flow_wire::header::FRAME_OCTETS;
use flow_wire::ledger::{Amount, Discard};

use super::disk::is_full;
use super::entry::{Head, Kind, Note, footprint};
use super::log::Spool;
use super::segment::{Segment, SegmentHead, name};
use super::spare::Room;
use super::sums::Sums;

/// A segment's part that is left to ledger messages: of 64 MiB an hour of a message a second with four workers.
const LEDGER_PART: u64 = 8;

/// Parts of the age that a segment spans at most.
const AGE_PARTS: u64 = 16;

impl Spool {
    /// Sees to it that the last segment has room for the entry. Flows leave the last part of a segment to ledger messages, which
    /// have to find room when the disk is full.
    pub(super) fn make_room(&mut self, head: &Head, now_nanoseconds: u64) -> Result<(), Discard> {
        let needs = footprint(head.body_octets);
        let (mut fits, mut fits_reserve) = (false, false);
        if let Some(segment) = self.segments.back().filter(|segment| !segment.is_closed) {
            fits =
                segment.end + needs <= self.flow_limit(segment) && !self.is_stale(segment, now_nanoseconds);
            fits_reserve = segment.end + needs <= segment.capacity;
        }
        if fits {
            return Ok(());
        }
        match self.roll(now_nanoseconds) {
            Err(_) if head.note != Note::Flows && fits_reserve => Ok(()),
            rolled => rolled,
        }
    }

    pub(super) fn flow_limit(&self, segment: &Segment) -> u64 {
        segment.capacity - segment.capacity / LEDGER_PART
    }

    /// A segment spans a part of the age at most, so that what is too old can go.
    fn is_stale(&self, segment: &Segment, now_nanoseconds: u64) -> bool {
        let span = self.options.age.as_nanos() / u128::from(AGE_PARTS);
        segment.next > segment.first
            && u128::from(now_nanoseconds.saturating_sub(segment.opened_nanoseconds)) > span
    }

    /// Begins a new segment; the oldest ones go where there is no room for it.
    pub(super) fn roll(&mut self, now_nanoseconds: u64) -> Result<(), Discard> {
        self.free_passed();
        let segment = self.begin_next(now_nanoseconds)?;
        if let Some(before) = self.segments.back_mut().filter(|segment| !segment.is_closed) {
            before.is_closed = true;
        }
        // One without a batch has the name of the one behind it.
        if let Some(before) = self.segments.pop_back_if(|before| before.first == segment.first) {
            let _it_holds_nothing = self.disk.remove(&name(before.serial));
        }
        self.segments.push_back(segment);
        self.trim();
        Ok(())
    }

    /// A file that is not allocated ahead is made on a full disk as well, and has no room for its beginning.
    fn begin_next(&mut self, now_nanoseconds: u64) -> Result<Segment, Discard> {
        loop {
            let room = self.next_room()?;
            let is_recycled = room.is_recycled;
            let head = SegmentHead {
                spool: self.identity.spool,
                serial: self.next_serial,
                first: self.next,
                opened_nanoseconds: now_nanoseconds,
            };
            self.next_serial += 1;
            let (error, serial) = match begin_segment(head, room, &self.sums, now_nanoseconds) {
                Ok(segment) => return Ok(segment),
                Err(failed) => failed,
            };
            let _it_is_of_no_use = self.disk.remove(&name(serial));
            if !is_full(&error) {
                self.failed("beginning a segment", &error);
                return Err(Discard::SpoolFailed);
            }
            // The octets of a spare that could not be written over are free now.
            if !is_recycled {
                self.relieve(&error)?;
            }
        }
    }
}

/// Writes the head of a segment, and what the next start has to know of everything before it.
pub(super) fn begin_segment(
    head: SegmentHead,
    room: Room,
    sums: &Sums,
    now_nanoseconds: u64,
) -> Result<Segment, (io::Error, u64)> {
    let failed = |error| (error, head.serial);
    room.blob.write_at(&head.to_octets(), 0).map_err(failed)?;
    let mut segment = Segment::new(head, room.blob, room.octets);
    (segment.is_recycled, segment.is_allocated) = (room.is_recycled, room.is_allocated);
    let mut note = Head {
        kind: Kind::Sums,
        note: Note::Flows,
        position: head.first,
        time_nanoseconds: now_nanoseconds,
        exported: Amount::ZERO,
        covered: 0,
        body_octets: 0,
        frame: [0; FRAME_OCTETS],
    };
    let json = sums.to_json();
    note.body_octets = json.len();
    segment.write(&note, &json).map_err(failed)?;
    for (epoch, sums) in &sums.0 {
        let Some(newest) = &sums.newest else { continue };
        let is_own = newest.header.stamp.epoch == *epoch;
        let carried = Head {
            kind: Kind::Carried,
            note: if is_own { Note::Books } else { Note::ClosesAnother },
            body_octets: newest.body.len(),
            frame: newest.header.to_frame(newest.body.len() as u32),
            ..note.clone()
        };
        segment.write(&carried, &newest.body).map_err(failed)?;
    }
    Ok(segment)
}
