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
        live.into_iter().all(|reader| reader.done >= segment.next && !reader.holds(segment.first))
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
            last.close();
        }
        while self.discard_oldest(Discard::SpoolAge, is_old) {}
    }

    /// Counts what one cursor has not sent of a segment, and moves it behind.
    pub(super) fn discard_segment(&mut self, reader: usize, index: usize, reason: Discard) {
        let from = self.normal(self.readers[reader].next);
        let segment = &self.segments[index];
        if from.segment > segment.first || self.readers[reader].is_dropped {
            return;
        }
        let mut lost: Vec<Lost> = Vec::new();
        if from.segment < segment.first || from.offset <= segment.begin().offset {
            lost.extend(segment.spans.iter().map(|(key, span)| (*key, (span.first, span.last), span.tally)));
        } else {
            let mut walk = segment.walk(from.offset);
            while let Ok(Some(found)) = walk.step() {
                if let (Kind::Batch, Ok(header)) = (found.head.kind, found.head.header()) {
                    let (stamp, tally) = (header.stamp, found.head.tally(&header));
                    let sequence = stamp.sequence.0;
                    lost.push(((stamp.epoch, stamp.stream), (sequence, sequence), tally));
                }
            }
        }
        self.move_behind(reader, index, from, lost, reason);
    }

    /// The same where the segment cannot be read any further: what it holds is known, and what lies before `at` is readable.
    pub(super) fn discard_rest(&mut self, reader: usize, index: usize, at: u64, reason: Discard) {
        let segment = &self.segments[index];
        let mut before: BTreeMap<Key, (u64, Tally)> = BTreeMap::new();
        let mut walk = segment.walk(segment.begin().offset);
        walk.end = at;
        while let Ok(Some(found)) = walk.step() {
            if let (Kind::Batch, Ok(header)) = (found.head.kind, found.head.header()) {
                let stamp = header.stamp;
                let (next, tally) = before.entry((stamp.epoch, stamp.stream)).or_default();
                *next = stamp.sequence.0 + 1;
                tally.add(found.head.tally(&header));
            }
        }
        let rest = |(key, span): (&Key, &Span)| {
            let (next, tally) = before.get(key).copied().unwrap_or((span.first, Tally::default()));
            (*key, (next, span.last), span.tally.beyond(tally))
        };
        let lost = segment.spans.iter().map(rest).filter(|(.., tally)| tally.batches > 0).collect();
        let from = Place { segment: segment.first, offset: at };
        self.move_behind(reader, index, from, lost, reason);
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
            reader.holes.push((first, end));
        }
        reader.is_changed = true;
        if records > 0 {
            self.said.discarded(reason, &reader.name, records);
        }
    }

    /// The cursors are written first: whatever happens between, a batch that is gone is counted.
    pub(super) fn remove(&mut self, index: usize) -> bool {
        self.write_cursors();
        let segment = &self.segments[index];
        match self.disk.remove(&name(segment.serial)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                self.failed("removing a segment", &error);
                return false;
            }
        }
        let end = segment.end();
        self.segments.remove(index);
        while self.recent.front().is_some_and(|recent| recent.place < end) {
            self.forget_oldest_recent();
        }
        true
    }

    /// Writes the files of the cursors that have moved. Not onto the medium: behind a power cut they are older, and what was
    /// sent since goes out once more.
    pub fn write_cursors(&mut self) {
        for index in 0..self.readers.len() {
            let reader = &self.readers[index];
            if !reader.is_changed || reader.is_dropped {
                continue;
            }
            let kept = Kept::of(reader, self.next).to_octets();
            match self.disk.replace(&cursor_file::path(&reader.name), &kept, false) {
                Ok(()) => self.readers[index].is_changed = false,
                Err(error) => self.failed("writing a cursor", &error),
            }
        }
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
