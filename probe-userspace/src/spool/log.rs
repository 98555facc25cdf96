//! The spool itself: appends, and what follows from a full segment. No thread, no clock: both are the caller's.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use flow_wire::batch::Sealed;
use flow_wire::header::FRAME_OCTETS;
use flow_wire::ledger::{Amount, Discard};
use flow_wire::stamp::{Epoch, StreamId};

use super::disk::{Disk, is_full};
use super::entry::{HEAD_OCTETS, Head, Kind, Note, footprint};
use super::identity::Identity;
use super::position::Position;
use super::reader::Reader;
use super::segment::{Place, Segment, SegmentHead, name};
use super::sums::Sums;
use super::terms::Tally;

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
    /// Octets on the disk, all segments together.
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
    pub(super) disk: Box<dyn Disk>,
    pub(super) options: Options,
    pub(super) identity: Identity,
    /// Oldest first. Only the last one may be open.
    pub(super) segments: VecDeque<Segment>,
    pub(super) next_serial: u64,
    pub(super) next: Position,
    pub(super) sums: Sums,
    pub(super) readers: Vec<Reader>,
    /// The newest batches: every batch from `recent_from` on.
    pub(super) recent: VecDeque<Recent>,
    pub(super) recent_from: Place,
    pub(super) recent_octets: usize,
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

    /// Puts a batch behind all others; when this returns it is in the kernel's hands, and outlives the process. What does
    /// not fit pushes out the oldest. `covered` is noted with it, for whoever appended it to find again.
    pub fn append(
        &mut self,
        sealed: &Arc<Sealed>,
        note: Note,
        covered: u64,
        now_nanoseconds: u64,
    ) -> Appended {
        let appended = self.store(sealed, note, covered, now_nanoseconds);
        // Behind the writing: a new segment begins with the sums of everything before this batch.
        self.sums.count(&sealed.header, sealed.exported, self.identity.generation);
        self.sums.note(sealed, note);
        appended
    }

    fn store(&mut self, sealed: &Arc<Sealed>, note: Note, covered: u64, now_nanoseconds: u64) -> Appended {
        if self.readers.iter().all(|reader| reader.is_dropped) {
            return Appended::Unread;
        }
        let head = self.head(sealed, Kind::Batch, note, covered, now_nanoseconds);
        match self.write(&head, &sealed.body, now_nanoseconds) {
            Ok(place) => {
                self.keep_recent(sealed, place);
                self.each_reader(sealed, |terms, tally| terms.append(tally));
                self.next = self.next.after();
                Appended::Kept(head.position)
            }
            Err(reason) => {
                self.write_gone(&head, reason);
                self.each_reader(sealed, |terms, tally| terms.append_discarded(tally, reason));
                Appended::Discarded(reason)
            }
        }
    }

    /// Whether a body of this size fits without pushing anything out.
    pub fn has_room(&self, octets: usize) -> bool {
        let needs = footprint(octets);
        let fits = |segment: &Segment| !segment.is_closed && segment.end + needs <= self.flow_limit(segment);
        self.segments.back().is_some_and(fits)
            || (!self.is_disk_full
                && self.octets() + self.options.segment_octets <= self.options.quota_octets)
            || (self.segments.len() > 1 && self.is_passed(&self.segments[0]))
    }

    fn each_reader(&mut self, sealed: &Sealed, count: impl Fn(&mut super::terms::Terms, Tally)) {
        let key = (sealed.header.stamp.epoch, sealed.header.stamp.stream);
        for reader in self.readers.iter_mut().filter(|reader| !reader.is_dropped) {
            count(reader.terms.entry(key).or_default(), Tally::of(sealed));
        }
    }

    fn head(&self, sealed: &Sealed, kind: Kind, note: Note, covered: u64, now_nanoseconds: u64) -> Head {
        Head {
            kind,
            note,
            position: self.next,
            time_nanoseconds: now_nanoseconds,
            exported: sealed.exported,
            covered,
            body_octets: sealed.body.len(),
            // A sealed body is below BODY_OCTETS_MAX.
            frame: sealed.header.to_frame(sealed.body.len() as u32),
        }
    }

    /// Into the open segment, or a new one; a segment that the disk refuses is closed, and the next one tried once.
    fn write(&mut self, head: &Head, body: &[u8], now_nanoseconds: u64) -> Result<(Place, Place), Discard> {
        for _ in 0..2 {
            self.make_room(head, now_nanoseconds)?;
            let Some(segment) = self.segments.back_mut() else { break };
            let place = segment.end();
            match segment.write(head, body) {
                Ok(()) => {
                    self.statistics.appended_octets += footprint(head.body_octets);
                    return Ok((place, segment.end()));
                }
                Err(error) => {
                    segment.close();
                    self.failed("writing a batch", &error);
                }
            }
        }
        Err(Discard::SpoolFailed)
    }

    /// Sees to it that the last segment has room for the entry. Flows leave the last part of a segment to ledger messages, which
    /// have to find room when the disk is full.
    fn make_room(&mut self, head: &Head, now_nanoseconds: u64) -> Result<(), Discard> {
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

    fn flow_limit(&self, segment: &Segment) -> u64 {
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
        while self.octets() + self.options.segment_octets > self.options.quota_octets {
            if !self.discard_oldest(Discard::SpoolQuota, |_| true) {
                self.said.full(self.options.quota_octets);
                return Err(Discard::SpoolQuota);
            }
        }
        let blob = loop {
            match self.disk.create(&name(self.next_serial), self.options.segment_octets) {
                Ok(blob) => break blob,
                Err(error) if is_full(&error) => {
                    self.is_disk_full = true;
                    if !self.discard_oldest(Discard::SpoolQuota, |_| true) {
                        self.said.disk_full(&error);
                        return Err(Discard::SpoolQuota);
                    }
                }
                Err(error) => {
                    self.failed("making a segment", &error);
                    return Err(Discard::SpoolFailed);
                }
            }
        };
        self.is_disk_full = false;
        let head = SegmentHead {
            spool: self.identity.spool,
            serial: self.next_serial,
            first: self.next,
            opened_nanoseconds: now_nanoseconds,
        };
        self.next_serial += 1;
        let segment = self.begin_segment(head, blob, &self.sums, now_nanoseconds);
        let segment = segment.map_err(|(error, serial)| {
            self.failed("beginning a segment", &error);
            let _it_is_of_no_use = self.disk.remove(&name(serial));
            if is_full(&error) { Discard::SpoolQuota } else { Discard::SpoolFailed }
        })?;
        if let Some(before) = self.segments.back_mut().filter(|segment| !segment.is_closed) {
            before.close();
        }
        // One without a batch has the name of the one behind it.
        if let Some(before) = self.segments.pop_back_if(|before| before.first == segment.first) {
            let _it_holds_nothing = self.disk.remove(&name(before.serial));
        }
        self.segments.push_back(segment);
        Ok(())
    }

    /// Writes the head of a segment, and what the next start has to know of everything before it.
    pub(super) fn begin_segment(
        &self,
        head: SegmentHead,
        blob: Arc<dyn super::disk::Blob>,
        sums: &Sums,
        now_nanoseconds: u64,
    ) -> Result<Segment, (io::Error, u64)> {
        let failed = |error| (error, head.serial);
        blob.write_at(&head.to_octets(), 0).map_err(failed)?;
        let mut segment = Segment::new(head, blob, self.options.segment_octets);
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

    /// That it was sealed is kept even where it is not, as far as there is any room.
    fn write_gone(&mut self, head: &Head, reason: Discard) {
        let Some(segment) = self.segments.back_mut().filter(|segment| !segment.is_closed) else { return };
        let mut gone = head.clone();
        (gone.kind, gone.body_octets) = (Kind::Gone(reason), 0);
        if segment.end + HEAD_OCTETS as u64 <= segment.capacity && segment.write(&gone, &[]).is_ok() {
            self.next = self.next.after();
        }
    }

    fn keep_recent(&mut self, sealed: &Arc<Sealed>, (place, after): (Place, Place)) {
        self.recent.push_back(Recent { position: self.next, place, after, sealed: Arc::clone(sealed) });
        self.recent_octets += sealed.body.len();
        while self.recent_octets > self.options.memory_octets {
            self.forget_oldest_recent();
        }
    }

    pub(super) fn forget_oldest_recent(&mut self) -> bool {
        let Some(oldest) = self.recent.pop_front() else { return false };
        self.recent_octets -= oldest.sealed.body.len();
        self.recent_from = oldest.after;
        true
    }

    /// Octets of all segments.
    pub fn octets(&self) -> u64 {
        self.segments.iter().map(|segment| segment.capacity).sum()
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

/// A segment's part that is left to ledger messages: of 64 MiB an hour of a message a second with four workers.
const LEDGER_PART: u64 = 8;

/// Parts of the age that a segment spans at most.
const AGE_PARTS: u64 = 16;
