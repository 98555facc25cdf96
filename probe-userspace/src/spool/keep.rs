//! What stays and what goes: segments that all cursors have passed, and the oldest where there is no room or no time left.

use std::collections::BTreeMap;

use flow_wire::ledger::Discard;

use super::cursor_file::{self, Kept};
use super::entry::Kind;
use super::log::Spool;
use super::position::Position;
use super::reader::Key;
use super::segment::{Place, Segment, Span, name};
use super::terms::Tally;

/// What a cursor loses of one stream: the first and last sequence, and what they hold.
type Lost = (Key, (u64, u64), Tally);

/// Before this (2020-01-01) a clock has not been set yet: what was appended then is of unknown age.
pub(super) const CLOCK_SET_NANOSECONDS: u64 = 1_577_836_800_000_000_000;

impl Spool {
    /// Takes away the segments that no cursor needs.
    pub(super) fn free_passed(&mut self) {
        // The last one stays: the sums of all before it are in it.
        while self.segments.len() > 1 && self.is_passed(&self.segments[0]) {
            if !self.remove(0) {
                return;
            }
        }
    }

    pub(super) fn is_passed(&self, segment: &Segment) -> bool {
        let live = self.readers.iter().filter(|reader| !reader.is_dropped);
        live.into_iter().all(|reader| reader.done >= segment.batches_end && !reader.holds(segment.first))
    }

    /// Discards the oldest segment of which nothing is with a sink; the last one stays. `false` = there is none.
    pub(super) fn discard_oldest(&mut self, reason: Discard, may_go: impl Fn(&Segment) -> bool) -> bool {
        let before_last = self.segments.len().saturating_sub(1);
        let is_free = |segment: &Segment| {
            may_go(segment) && !self.readers.iter().any(|reader| reader.holds(segment.first))
        };
        let Some(index) = self.segments.iter().take(before_last).position(is_free) else { return false };
        for reader in 0..self.readers.len() {
            self.discard_segment(reader, index, reason);
        }
        self.remove(index)
    }

    /// Discards what is older than it may be.
    pub fn expire(&mut self, now_nanoseconds: u64) {
        let age = u64::try_from(self.options.age.as_nanos()).unwrap_or(u64::MAX);
        let is_old = |segment: &Segment| {
            segment.newest_nanoseconds > CLOCK_SET_NANOSECONDS
                && now_nanoseconds.saturating_sub(segment.newest_nanoseconds) > age
        };
        if let Some(last) = self.segments.back_mut().filter(|last| !last.is_closed && is_old(last)) {
            last.is_closed = true;
        }
        while self.discard_oldest(Discard::SpoolAge, is_old) {}
    }

    /// Counts what one cursor has not sent of a segment, and moves it behind.
    pub(super) fn discard_segment(&mut self, reader: usize, index: usize, reason: Discard) {
        let from = self.normal(self.readers[reader].next);
        let segment = &self.segments[index];
        // It may have been discarded before, and could not be removed.
        let is_done = self.readers[reader].has_discarded_rest(segment.first, segment.next);
        if from.segment > segment.first || is_done || self.readers[reader].is_dropped {
            return;
        }
        let from_begin = from.segment < segment.first || from.offset <= segment.begin().offset;
        let lost = if from_begin && !self.readers[reader].has_discarded_any(segment.first, segment.next) {
            whole(segment)
        } else {
            let offset = if from_begin { segment.begin().offset } else { from.offset };
            self.not_sent(reader, index, offset)
        };
        self.move_behind(reader, index, from, lost, reason);
    }

    /// What lies behind `offset` and is not discarded already; of what cannot be read the whole.
    fn not_sent(&self, reader: usize, index: usize, offset: u64) -> Vec<Lost> {
        let segment = &self.segments[index];
        let mut lost: Vec<Lost> = Vec::new();
        let mut behind = self.readers[reader].rest_of(segment.first, segment.next);
        let mut walk = segment.walk(offset);
        while let Ok(Some(found)) = walk.step() {
            behind = behind.max(found.head.position.after());
            if let (Kind::Batch, Ok(header)) = (found.head.kind, found.head.header())
                && !self.readers[reader].is_discarded(found.head.position)
            {
                let (stamp, tally) = (header.stamp, found.head.tally(&header));
                let sequence = stamp.sequence.0;
                lost.push(((stamp.epoch, stamp.stream), (sequence, sequence), tally));
            }
        }
        if walk.offset < segment.end && !self.readers[reader].has_discarded_all(behind, segment.next) {
            lost.extend(self.beyond(reader, index, walk.offset, &lost));
        }
        lost
    }

    /// The same where the segment cannot be read any further.
    pub(super) fn discard_rest(&mut self, reader: usize, index: usize, at: u64, reason: Discard) {
        let segment = &self.segments[index];
        // It may have been given back, and come to once more.
        let is_counted = self.readers[reader].has_discarded_rest(segment.first, segment.next);
        let lost = if is_counted { Vec::new() } else { self.beyond(reader, index, at, &[]) };
        let from = Place { segment: self.segments[index].first, offset: at };
        self.move_behind(reader, index, from, lost, reason);
    }

    /// What lies from `at` on, which cannot be read, behind what is `lost` of it already.
    fn beyond(&self, reader: usize, index: usize, at: u64, lost: &[Lost]) -> Vec<Lost> {
        let segment = &self.segments[index];
        // Of what is counted there already only the sum of all is known.
        let is_known = !self.readers[reader].has_discarded_any(segment.first, segment.next);
        let beyond = is_known.then(|| beyond(segment, at)).flatten();
        beyond.unwrap_or_else(|| self.left_in(reader, index, lost))
    }

    /// Where nothing of it can be read: what waits of each stream, less what waits elsewhere.
    fn left_in(&self, reader: usize, index: usize, lost: &[Lost]) -> Vec<Lost> {
        let later: Vec<Lost> =
            (index + 1..self.segments.len()).flat_map(|later| self.waiting_in(reader, later)).collect();
        let reader = &self.readers[reader];
        let left = |(key, span): (&Key, &Span)| {
            let waiting = reader.terms.get(key).map_or(Tally::default(), |terms| terms.waiting);
            let elsewhere = later.iter().chain(lost).filter(|(of, ..)| of == key).map(|(.., tally)| *tally);
            let left = elsewhere.chain(reader.handed_of(*key)).fold(waiting, Tally::beyond);
            (*key, (span.last.saturating_add(1).saturating_sub(left.batches), span.last), left)
        };
        self.segments[index].spans.iter().map(left).filter(|(.., tally)| tally.batches > 0).collect()
    }

    /// What a cursor has before it of a segment that it has not come to.
    fn waiting_in(&self, reader: usize, index: usize) -> Vec<Lost> {
        let segment = &self.segments[index];
        let cursor = &self.readers[reader];
        if cursor.has_discarded_rest(segment.first, segment.next) {
            Vec::new()
        } else if cursor.has_discarded_any(segment.first, segment.next) {
            self.not_sent(reader, index, segment.begin().offset)
        } else {
            whole(segment)
        }
    }

    fn move_behind(&mut self, reader: usize, index: usize, from: Place, lost: Vec<Lost>, reason: Discard) {
        let (first, end) = (self.segments[index].first, self.segments[index].next);
        let reader = &mut self.readers[reader];
        let mut records = 0;
        for ((epoch, stream), sequences, tally) in lost {
            records += tally.records;
            reader.count_discarded(epoch, stream, sequences, tally, reason);
        }
        if from.segment == first {
            reader.next = Place { segment: end, offset: 0 };
        }
        if from.segment == first && reader.handed.is_empty() {
            (reader.done, reader.done_place) = (end, reader.next);
        } else {
            // What the sink has of it may be given back, and is whole.
            let rest = reader.rest_of(first, end);
            if !reader.has_discarded_all(rest, end) {
                reader.holes.push((rest, end));
            }
        }
        reader.is_changed = true;
        if records > 0 {
            self.said.discarded(reason, &reader.name, records);
        }
    }

    /// The cursors are written first, or it stays: whatever happens between, a batch that is gone is counted, and one that was sent is
    /// not missed.
    pub(super) fn remove(&mut self, index: usize) -> bool {
        if !self.write_cursors() {
            return false;
        }
        let (end, replaces) = (self.segments[index].end(), self.segments[index].replaces.clone());
        let replaced: Vec<_> = replaces.iter().map(|serial| self.disk.remove(&name(*serial))).collect();
        for removed in replaced.into_iter().chain([self.lay_by_segment(index)]) {
            match removed {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.failed("removing a segment", &error);
                    return false;
                }
            }
        }
        self.segments.remove(index);
        while self.recent.front().is_some_and(|recent| recent.place < end) {
            self.forget_oldest_recent();
        }
        true
    }

    /// Writes the files of the cursors that have moved. Not onto the medium: behind a power cut they are older, and what was
    /// sent since goes out once more. `false` = the disk refuses one, and it is owed.
    pub fn write_cursors(&mut self) -> bool {
        let mut are_written = true;
        for index in 0..self.readers.len() {
            let reader = &self.readers[index];
            if !reader.is_changed || reader.is_dropped {
                continue;
            }
            match cursor_file::write(&*self.disk, &Kept::of(reader, self.next, &self.sums)) {
                Ok(()) => self.readers[index].is_changed = false,
                Err(error) => {
                    are_written = false;
                    self.failed("writing a cursor", &error);
                }
            }
        }
        are_written
    }

    /// Where reading goes on from here: behind the end of a segment, or in the place of one that is gone, comes the next one.
    pub(super) fn normal(&self, place: Place) -> Place {
        let mut place = place;
        loop {
            match self.find(place.segment) {
                Ok(index) if place.offset < self.segments[index].end => {
                    return Place { offset: place.offset.max(self.segments[index].begin().offset), ..place };
                }
                Ok(index) => match self.segments.get(index + 1) {
                    Some(next) => place = next.begin(),
                    None => return place,
                },
                Err(index) => match self.segments.get(index) {
                    Some(next) => place = next.begin(),
                    None => return place,
                },
            }
        }
    }

    /// The segment that is called so, or where it would be.
    pub(super) fn find(&self, first: Position) -> Result<usize, usize> {
        self.segments.binary_search_by_key(&first, |segment| segment.first)
    }
}

fn whole(segment: &Segment) -> Vec<Lost> {
    segment.spans.iter().map(|(key, span)| (*key, (span.first, span.last), span.tally)).collect()
}

/// What a segment holds from `at` on: what it is known to hold, less what is read before. `None` = that cannot be read.
fn beyond(segment: &Segment, at: u64) -> Option<Vec<Lost>> {
    let mut before: BTreeMap<Key, (u64, Tally)> = BTreeMap::new();
    let mut walk = segment.walk(segment.begin().offset);
    walk.end = at;
    while let Ok(Some(found)) = walk.step() {
        if let (Kind::Batch, Ok(header)) = (found.head.kind, found.head.header()) {
            let stamp = header.stamp;
            let (next, tally) = before.entry((stamp.epoch, stamp.stream)).or_default();
            *next = stamp.sequence.0.saturating_add(1);
            tally.add(found.head.tally(&header));
        }
    }
    if walk.offset < at {
        return None;
    }
    let rest = |(key, span): (&Key, &Span)| {
        let (next, tally) = before.get(key).copied().unwrap_or((span.first, Tally::default()));
        (*key, (next, span.last), span.tally.beyond(tally))
    };
    Some(segment.spans.iter().map(rest).filter(|(.., tally)| tally.batches > 0).collect())
}
