//! The life of a cursor: opened by a sink, kept over restarts, dropped by hand or when nobody has used it for too long.

use std::sync::Arc;

use flow_wire::batch::Sealed;
use flow_wire::ledger::{Discard, StreamCut, Tombstone};
use flow_wire::stamp::{Epoch, Sequence, StreamId};

use super::directory::CURSORS;
use super::keep::CLOCK_SET_NANOSECONDS;
use super::log::{CursorId, Spool};
use super::reader::Reader;
use super::segment::Place;
use super::terms::{Tally, Terms};
use super::{cursor_file, directory};

/// So often a cursor in use says so in its file.
const USED_SECONDS: u64 = 3_600;

/// A cursor, for people and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorState {
    /// Which one.
    pub id: CursorId,
    /// Its name.
    pub name: String,
    /// A sink of this run reads it.
    pub is_attached: bool,
    /// It is no more.
    pub is_dropped: bool,
    /// What waits for it.
    pub waiting: Tally,
    /// When a sink last used it, in seconds since the UNIX epoch.
    pub used_seconds: u64,
}

/// An epoch of an earlier start that is not done with.
#[derive(Clone, Debug)]
pub struct EarlierEpoch {
    /// Which one.
    pub epoch: Epoch,
    /// Which start of the spool it was.
    pub generation: u64,
    /// Its last books are in the spool.
    pub closed: bool,
    /// The newest message with its books, if it ever sent one.
    pub newest: Option<Arc<Sealed>>,
    /// Up to where its streams are sealed.
    pub cuts: Vec<StreamCut>,
}

impl Spool {
    /// The cursor of that name, for a sink that reads it from now on: where it stood, or new, behind everything that is there. What
    /// a new one missed of the running epoch is counted as `no_subscriber`. `None` = a sink has it.
    pub fn open_cursor(&mut self, name: &str, now_seconds: u64) -> Option<CursorId> {
        let known = self.readers.iter().position(|reader| reader.name == name && !reader.is_dropped);
        let index = match known {
            Some(index) if self.readers[index].is_attached => return None,
            Some(index) => index,
            None => self.new_cursor(name),
        };
        let reader = &mut self.readers[index];
        (reader.is_attached, reader.is_changed, reader.used_seconds) = (true, true, now_seconds);
        self.write_cursors();
        Some(CursorId(index))
    }

    fn new_cursor(&mut self, name: &str) -> usize {
        let behind = Place { segment: self.next, offset: 0 };
        let place = self.segments.back().map_or(behind, super::segment::Segment::end);
        let mut reader = Reader::new(name, self.next, place);
        let mut is_back = false;
        // One that was dropped in this run and comes back has one line in the books: what became of its batches before goes on.
        if let Some(dropped) = self.readers.iter_mut().rfind(|reader| reader.name == name) {
            reader.terms = std::mem::take(&mut dropped.terms);
            // What was told of it since went out while nobody heard it for this reader.
            reader.tombstones = std::mem::take(&mut dropped.told);
            reader.tombstones.append(&mut dropped.tombstones);
            // The message that tells of these comes behind it.
            reader.telling = std::mem::take(&mut dropped.telling);
            is_back = true;
        }
        if let Some((epoch, sums)) = self.epoch.and_then(|epoch| Some((epoch, self.sums.0.get(&epoch)?))) {
            for (stream, sums) in &sums.streams {
                let terms = reader.terms.entry((epoch, *stream)).or_default();
                let missed = sums.tally().beyond(terms.known());
                if missed.batches > 0 {
                    terms.append_discarded(missed, Discard::NoSubscriber);
                }
                // Who heard what came before would take it for missing.
                if is_back && missed.batches > 0 {
                    let last = sums.next.0.saturating_sub(1);
                    let sequences =
                        (Sequence(last.saturating_add(1).saturating_sub(missed.batches)), Sequence(last));
                    reader.bury((epoch, *stream), sequences, missed.records, Discard::NoSubscriber);
                }
            }
        }
        self.readers.push(reader);
        self.readers.len() - 1
    }

    /// Gives a cursor another name: one that was made for a reader whose name was not known yet. `false` = there is none such, or the
    /// new name is taken.
    pub fn rename_cursor(&mut self, from: &str, to: &str) -> bool {
        let taken = self.readers.iter().any(|reader| reader.name == to && !reader.is_dropped);
        let free = |reader: &&mut Reader| reader.name == from && !reader.is_dropped;
        let Some(reader) = self.readers.iter_mut().find(free).filter(|_| !taken) else { return false };
        to.clone_into(&mut reader.name);
        reader.is_changed = true;
        self.write_cursors();
        if let Err(error) = self.disk.remove(&cursor_file::path(from)) {
            self.failed("renaming a cursor", &error);
        }
        true
    }

    /// A sink has ended: its cursor stays.
    pub fn detach(&mut self, cursor: CursorId) {
        let reader = &mut self.readers[cursor.0];
        reader.give_back();
        (reader.is_attached, reader.is_changed) = (false, true);
    }

    /// Whether its reader is there: one that has gone away costs nobody the right to drop the cursor, by hand or by its age.
    pub fn set_attached(&mut self, cursor: CursorId, is_attached: bool, now_seconds: u64) {
        let reader = &mut self.readers[cursor.0];
        (reader.is_attached, reader.is_changed, reader.used_seconds) = (is_attached, true, now_seconds);
    }

    /// Drops a cursor that no sink has: what waits for it is counted as `cursor_dropped`. `false` = a sink has it.
    pub fn drop_cursor(&mut self, cursor: CursorId) -> bool {
        let reader = &mut self.readers[cursor.0];
        if reader.is_attached {
            return false;
        }
        // What a reader that is away was handed it has not got.
        reader.give_back();
        let name = reader.name.clone();
        for index in 0..self.segments.len() {
            self.discard_segment(cursor.0, index, Discard::CursorDropped);
        }
        self.end_cursor(cursor, &name);
        true
    }

    /// Ends a cursor for which no reader came. `true` = its batches of earlier epochs are lost with it, and counted: no other cursor whose
    /// name begins so has all of them still before it, or behind it as its own.
    pub fn withdraw_cursor(&mut self, cursor: CursorId, sink: &str) -> bool {
        self.detach(cursor);
        if !self.is_covered(cursor, sink) {
            return self.drop_cursor(cursor);
        }
        let reader = &mut self.readers[cursor.0];
        reader.terms.clear();
        reader.tombstones.clear();
        reader.telling.clear();
        let name = reader.name.clone();
        self.end_cursor(cursor, &name);
        false
    }

    /// What the running epoch has put there is not asked for: its books name those who came.
    fn is_covered(&self, cursor: CursorId, sink: &str) -> bool {
        let own = &self.readers[cursor.0];
        let is_of_sink = |reader: &Reader| reader.name.starts_with(sink) && reader.name != own.name;
        let others = self.readers.iter().filter(|reader| !reader.is_dropped && is_of_sink(reader));
        let waits = |(key, terms): (&super::reader::Key, &Terms)| {
            Some(key.0) != self.epoch && terms.waiting.records > 0
        };
        others.into_iter().any(|other| other.done <= own.done) || !own.terms.iter().any(waits)
    }

    fn end_cursor(&mut self, cursor: CursorId, name: &str) {
        self.readers[cursor.0].is_dropped = true;
        for path in [cursor_file::path(name), cursor_file::drop_path(name)] {
            match self.disk.remove(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    self.failed("removing a cursor", &error);
                }
                _ => {}
            }
        }
        self.free_passed();
    }

    /// What has to be looked after once a second: age, cursors that nobody uses or somebody wants to be rid of, files.
    pub fn tend(&mut self, now_nanoseconds: u64) {
        let now_seconds = now_nanoseconds / 1_000_000_000;
        self.is_disk_full = false;
        self.expire(now_nanoseconds);
        self.drop_requested();
        self.drop_unused(now_seconds);
        for reader in self.readers.iter_mut().filter(|reader| reader.is_attached) {
            if now_seconds.saturating_sub(reader.used_seconds) > USED_SECONDS {
                (reader.used_seconds, reader.is_changed) = (now_seconds, true);
            }
        }
        self.write_cursors();
        if self.readers.iter().any(|reader| !reader.is_dropped) {
            self.make_spare();
        }
    }

    /// A request is there by its name: who made it may be another user, whose files cannot be read.
    fn drop_requested(&mut self) {
        let requests = self.disk.names(CURSORS).unwrap_or_default();
        let requests: Vec<_> = requests.iter().map(|file| directory::within(CURSORS, file)).collect();
        for index in 0..self.readers.len() {
            let request = cursor_file::drop_path(&self.readers[index].name);
            if self.readers[index].is_dropped || !requests.contains(&request) {
                continue;
            }
            let name = self.readers[index].name.clone();
            if self.drop_cursor(CursorId(index)) {
                tracing::info!("the cursor {name} is dropped, as somebody asked for");
            } else {
                tracing::warn!("the cursor {name} is not dropped: a sink of this probe uses it");
                let _it_is_looked_at_again = self.disk.remove(&request);
            }
        }
    }

    fn drop_unused(&mut self, now_seconds: u64) {
        let ttl = self.options.cursor_ttl.as_secs();
        for index in 0..self.readers.len() {
            let reader = &mut self.readers[index];
            if reader.used_seconds < CLOCK_SET_NANOSECONDS / 1_000_000_000 {
                // Its file was damaged, or written before the clock was set: its time begins now.
                (reader.used_seconds, reader.is_changed) = (now_seconds, true);
            }
            let unused = now_seconds.saturating_sub(reader.used_seconds);
            if reader.is_attached || reader.is_dropped || unused <= ttl {
                continue;
            }
            let (name, records) = (reader.name.clone(), reader.waiting().records);
            self.drop_cursor(CursorId(index));
            tracing::error!(
                records,
                "the cursor {name} has not been used for {unused} s (--cursor-ttl): it is dropped"
            );
        }
    }

    /// The end of a run: cursors stay, everything is written, and what no cursor needs is gone. What is left to be forced onto the
    /// medium says [`Spool::unsynced`].
    pub fn close(&mut self, now_nanoseconds: u64) {
        for reader in self.readers.iter_mut().filter(|reader| !reader.is_dropped) {
            reader.give_back();
            if reader.is_attached {
                reader.used_seconds = now_nanoseconds / 1_000_000_000;
            }
            (reader.is_attached, reader.is_changed) = (false, true);
        }
        if let Some(last) = self.segments.back_mut().filter(|last| !last.is_closed) {
            last.end_here();
        }
        self.free_passed();
        self.write_cursors();
        // Where nothing waits and no epoch is left to close, not even the last one is needed; on a full disk the next start has no other
        // to lay by when it takes the spare.
        let is_full = || self.disk.free_octets().is_ok_and(|free| free < self.options.segment_octets);
        if self.segments.len() == 1
            && (self.spare.is_none() || !is_full())
            && self.is_passed(&self.segments[0])
            && self.sums.0.values().all(|sums| sums.closed)
        {
            self.remove(0);
        }
    }

    /// All cursors.
    pub fn cursors(&self) -> Vec<CursorState> {
        let state = |(index, reader): (usize, &Reader)| CursorState {
            id: CursorId(index),
            name: reader.name.clone(),
            is_attached: reader.is_attached,
            is_dropped: reader.is_dropped,
            waiting: reader.waiting(),
            used_seconds: reader.used_seconds,
        };
        self.readers.iter().enumerate().map(state).collect()
    }

    /// The books of a cursor for one epoch; of an epoch that it had no part in there are none.
    pub fn terms(&self, cursor: CursorId, epoch: Epoch) -> impl Iterator<Item = (StreamId, &Terms)> {
        let of = move |(key, terms): (&'_ super::reader::Key, _)| (key.0 == epoch).then_some((key.1, terms));
        self.readers[cursor.0].terms.iter().filter_map(of)
    }

    /// Discards of a cursor since this was last asked for, the oldest `count` of them. Until [`Spool::tombstones_are_told`] a next start
    /// would tell of them.
    pub fn take_tombstones(&mut self, cursor: CursorId, count: usize) -> Vec<Tombstone> {
        let reader = &mut self.readers[cursor.0];
        let taken: Vec<_> = reader.tombstones.drain(..count.min(reader.tombstones.len())).collect();
        reader.telling.extend(&taken);
        taken
    }

    /// The message that tells of those that were taken is in the spool.
    pub fn tombstones_are_told(&mut self) {
        for reader in self.readers.iter_mut().filter(|reader| !reader.telling.is_empty()) {
            let told = std::mem::take(&mut reader.telling);
            if reader.is_dropped {
                reader.told.extend(told);
            }
            reader.is_changed = true;
        }
        self.write_cursors();
    }

    /// That message has found no room: they are told by the next one.
    pub fn tombstones_are_untold(&mut self) {
        for reader in &mut self.readers {
            let mut untold = std::mem::take(&mut reader.telling);
            untold.append(&mut reader.tombstones);
            reader.tombstones = untold;
        }
    }

    /// Whether nothing waits for this cursor, and nothing is with its sink.
    pub fn is_empty(&self, cursor: CursorId) -> bool {
        let reader = &self.readers[cursor.0];
        reader.is_dropped || reader.has_nothing()
    }

    /// Whether it is no more.
    pub fn is_dropped(&self, cursor: CursorId) -> bool {
        self.readers[cursor.0].is_dropped
    }

    /// Whether something is with its sink.
    pub fn is_handed(&self, cursor: CursorId) -> bool {
        !self.readers[cursor.0].handed.is_empty()
    }

    /// Up to which sequence it has, or had, the batches of a stream; `None` = it knows nothing of that epoch.
    pub fn sealed(&self, epoch: Epoch, stream: StreamId) -> Option<Sequence> {
        let sums = self.sums.0.get(&epoch)?;
        Some(sums.streams.get(&stream).map_or(Sequence(0), |sums| sums.cut(stream).next))
    }

    /// Whether the last books of an epoch are in the spool, as far as it still knows of it.
    pub fn has_closed(&self, epoch: Epoch) -> bool {
        self.closed.contains(&epoch) || self.sums.0.get(&epoch).is_some_and(|sums| sums.closed)
    }

    /// Whether it knows of an epoch whose last books are not there: a later start is to close it.
    pub fn is_open(&self, epoch: Epoch) -> bool {
        self.sums.0.get(&epoch).is_some_and(|sums| !sums.closed)
    }

    /// The epochs before the one that appends, oldest first.
    pub fn earlier_epochs(&self) -> Vec<EarlierEpoch> {
        let earlier = self.sums.0.iter().filter(|(epoch, _)| Some(**epoch) != self.epoch);
        let mut earlier: Vec<_> = earlier
            .map(|(epoch, sums)| EarlierEpoch {
                epoch: *epoch,
                generation: sums.generation,
                closed: sums.closed,
                newest: sums.newest.clone(),
                cuts: sums
                    .streams
                    .iter()
                    .filter(|(stream, _)| **stream != StreamId::CONTROL)
                    .map(|(stream, sums)| sums.cut(*stream))
                    .collect(),
            })
            .collect();
        earlier.sort_by_key(|one| one.generation);
        earlier
    }
}
