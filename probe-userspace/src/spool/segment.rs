//! One file of entries: its head, and walking from entry to entry.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use flow_wire::stamp::{Epoch, StreamId};
use uuid::Uuid;

use super::disk::Blob;
use super::entry::{Damage, HEAD_OCTETS, Head, Kind, LENGTH_OCTETS, footprint};
use super::position::Position;
use super::terms::Tally;

/// First octets of a segment.
const MAGIC: [u8; 8] = *b"GNTSPOOL";

/// Of the format that this release writes and reads.
const VERSION: u32 = 1;

/// Octets before the first entry.
pub(super) const SEGMENT_HEAD_OCTETS: u64 = 64;

/// What names of segments end with.
const SUFFIX: &str = ".segment";

/// What is appended to the name while it is written anew.
pub(super) const ANEW_SUFFIX: &str = ".anew";

/// Where an entry begins. A segment is called by its first position, which it keeps if it is written anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) segment: Position,
    pub(super) offset: u64,
}

/// Sequences and contents of one stream within a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) tally: Tally,
}

/// A file of entries.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) serial: u64,
    pub(super) blob: Arc<dyn Blob>,
    pub(super) first: Position,
    /// Octets that it takes of the disk.
    pub(super) capacity: u64,
    /// Entries end here.
    pub(super) end: u64,
    /// So far it is on the medium.
    pub(super) synced: u64,
    /// When its first and its last entry were appended.
    pub(super) opened_nanoseconds: u64,
    pub(super) newest_nanoseconds: u64,
    /// Behind its last entry.
    pub(super) next: Position,
    /// Behind its last batch: what is only told of needs no sending.
    pub(super) batches_end: Position,
    /// What its batches hold.
    pub(super) spans: BTreeMap<(Epoch, StreamId), Span>,
    /// Nothing is appended any more.
    pub(super) is_closed: bool,
    /// Behind its end there is room, and no damage.
    pub(super) has_ahead: bool,
    /// That room is the file's already: on a full disk, too, it takes what comes.
    pub(super) is_allocated: bool,
    /// What lies there is of an earlier life of the file.
    pub(super) is_recycled: bool,
    /// So is its name.
    pub(super) is_named: bool,
    /// The files that it was written anew from, one after the other, which stay until this one's name is on the medium.
    pub(super) replaces: Vec<u64>,
    /// An fsync of it has failed: what the disk says of it now is not believed any more.
    pub(super) is_distrusted: bool,
    /// How often in a row it, or its name, could be neither forced onto the medium nor copied.
    pub(super) refusals: u32,
}

/// The first octets of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub(super) spool: Uuid,
    pub(super) serial: u64,
    pub(super) first: Position,
    pub(super) opened_nanoseconds: u64,
}

impl SegmentHead {
    pub(super) fn to_octets(self) -> [u8; SEGMENT_HEAD_OCTETS as usize] {
        let mut octets = [0; SEGMENT_HEAD_OCTETS as usize];
        octets[0..8].copy_from_slice(&MAGIC);
        octets[8..12].copy_from_slice(&VERSION.to_be_bytes());
        octets[16..32].copy_from_slice(self.spool.as_bytes());
        octets[32..40].copy_from_slice(&self.serial.to_be_bytes());
        octets[40..48].copy_from_slice(&self.first.0.to_be_bytes());
        octets[48..56].copy_from_slice(&self.opened_nanoseconds.to_be_bytes());
        let crc = crc32c::crc32c(&octets);
        octets[12..16].copy_from_slice(&crc.to_be_bytes());
        octets
    }

    /// `None` = it is no segment of ours, or its head never reached the disk.
    pub(super) fn read(blob: &dyn Blob) -> io::Result<Option<Self>> {
        let mut octets = [0; SEGMENT_HEAD_OCTETS as usize];
        let length = blob.read_at(&mut octets, 0)?;
        let announced = u32::from_be_bytes(part(&octets, 12));
        octets[12..16].fill(0);
        let is_sound = length == octets.len()
            && octets[0..8] == MAGIC
            && u32::from_be_bytes(part(&octets, 8)) == VERSION
            && crc32c::crc32c(&octets) == announced;
        Ok(is_sound.then(|| Self {
            spool: Uuid::from_bytes(part(&octets, 16)),
            serial: u64::from_be_bytes(part(&octets, 32)),
            first: Position(u64::from_be_bytes(part(&octets, 40))),
            opened_nanoseconds: u64::from_be_bytes(part(&octets, 48)),
        }))
    }
}

fn part<const N: usize>(octets: &[u8; SEGMENT_HEAD_OCTETS as usize], at: usize) -> [u8; N] {
    std::array::from_fn(|index| octets[at + index])
}

/// `000000000007.segment`.
pub(super) fn name(serial: u64) -> String {
    format!("{serial:012}{SUFFIX}")
}

/// The number in such a name.
pub(super) fn serial(name_of: &str) -> Option<u64> {
    // Only as it is written: another spelling of a number would be a second file of it.
    let serial = name_of.strip_suffix(SUFFIX)?.parse().ok()?;
    (serial < u64::MAX && name(serial) == name_of).then_some(serial)
}

impl Segment {
    /// With its head alone.
    pub(super) fn new(head: SegmentHead, blob: Arc<dyn Blob>, capacity: u64) -> Self {
        Self {
            serial: head.serial,
            blob,
            first: head.first,
            capacity,
            end: SEGMENT_HEAD_OCTETS,
            synced: 0,
            opened_nanoseconds: head.opened_nanoseconds,
            newest_nanoseconds: head.opened_nanoseconds,
            next: head.first,
            batches_end: Position::ZERO,
            spans: BTreeMap::new(),
            is_closed: false,
            has_ahead: true,
            is_allocated: true,
            is_recycled: false,
            is_named: false,
            replaces: Vec::new(),
            is_distrusted: false,
            refusals: 0,
        }
    }

    /// The first entry.
    pub(super) fn begin(&self) -> Place {
        Place { segment: self.first, offset: SEGMENT_HEAD_OCTETS }
    }

    /// Behind the last one.
    pub(super) fn end(&self) -> Place {
        Place { segment: self.first, offset: self.end }
    }

    /// Writes an entry behind the others, and counts it. The head comes last: without its length there is no entry.
    pub(super) fn write(&mut self, head: &Head, body: &[u8]) -> io::Result<()> {
        if self.is_recycled {
            self.write_end(self.end + footprint(head.body_octets))?;
        }
        if !body.is_empty() {
            self.blob.write_at(body, self.end + HEAD_OCTETS as u64)?;
        }
        self.blob.write_at(&head.to_octets(head.body_crc32c(body)), self.end)?;
        self.count(head);
        Ok(())
    }

    /// An entry is there.
    pub(super) fn count(&mut self, head: &Head) {
        self.end += footprint(head.body_octets);
        // Files that could not be allocated ahead grow.
        self.capacity = self.capacity.max(self.end);
        self.newest_nanoseconds = self.newest_nanoseconds.max(head.time_nanoseconds);
        if matches!(head.kind, Kind::Batch | Kind::Gone(_)) {
            self.next = head.position.after();
        }
        let Ok(header) = head.header() else { return };
        if head.kind == Kind::Batch {
            self.batches_end = head.position.after();
            let sequence = header.stamp.sequence.0;
            let tally = head.tally(&header);
            let span = self.spans.entry((header.stamp.epoch, header.stamp.stream)).or_insert(Span {
                first: sequence,
                last: sequence,
                tally: Tally::default(),
            });
            span.first = span.first.min(sequence);
            span.last = span.last.max(sequence);
            span.tally.add(tally);
        }
    }

    /// A length of 0 where the next entry would begin, unless the file ends before.
    fn write_end(&self, at: u64) -> io::Result<()> {
        let end = [0; LENGTH_OCTETS];
        if at + end.len() as u64 <= self.capacity { self.blob.write_at(&end, at) } else { Ok(()) }
    }

    /// What was written of an entry that found no room goes, or the next one would end in it.
    pub(super) fn take_back(&mut self) {
        self.is_allocated = false;
        if self.blob.cut(self.end).is_err() {
            self.close();
        }
    }

    /// Ends it for good. It keeps its length: see [`super::log::Spool::trim`].
    pub(super) fn end_here(&mut self) {
        self.is_closed = true;
        if self.write_end(self.end).is_err() {
            self.cut();
        }
    }

    /// Ends it for good, and gives back what was allocated ahead.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.cut();
    }

    /// Gives back what was allocated ahead.
    pub(super) fn cut(&mut self) {
        self.has_ahead = false;
        if self.blob.cut(self.end).is_ok() {
            self.capacity = self.end;
        }
    }

    pub(super) fn walk(&self, from: u64) -> Walk {
        Walk { blob: Arc::clone(&self.blob), segment: self.first, offset: from, end: self.end }
    }
}

/// From entry to entry. Positions only grow, so an entry below the segment's first one is of an earlier life of its file: nothing follows.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    pub(super) blob: Arc<dyn Blob>,
    pub(super) segment: Position,
    pub(super) offset: u64,
    pub(super) end: u64,
}

/// An entry and where it lies.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) head: Head,
    /// The whole entry, without padding.
    pub(super) octets: Vec<u8>,
    pub(super) place: Place,
    pub(super) after: Place,
}

impl Walk {
    /// The next entry, checked; `None` = there is none.
    pub(super) fn step(&mut self) -> Result<Option<Found>, Damage> {
        if self.offset + HEAD_OCTETS as u64 > self.end {
            return Ok(None);
        }
        let mut start = [0; HEAD_OCTETS];
        let read = self.read(&mut start, self.offset)?;
        let Some(length) = Head::length(&start[..read])? else { return Ok(None) };
        let mut octets = vec![0; length];
        octets[..HEAD_OCTETS].copy_from_slice(&start);
        if length > HEAD_OCTETS {
            let body = &mut octets[HEAD_OCTETS..];
            let wanted = body.len();
            if self.read(body, self.offset + HEAD_OCTETS as u64)? < wanted {
                return Err(Damage::Unreadable);
            }
        }
        let head = Head::from_octets(&octets)?;
        if head.position < self.segment {
            return Ok(None);
        }
        let place = Place { segment: self.segment, offset: self.offset };
        self.offset += footprint(head.body_octets);
        let after = Place { segment: self.segment, offset: self.offset };
        Ok(Some(Found { head, octets, place, after }))
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> Result<usize, Damage> {
        self.blob.read_at(buffer, at).map_err(|_| Damage::Unreadable)
    }
}
