//! Opening: which entries are there, what every cursor still has to send, and what the sums say is missing.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

use flow_wire::ledger::Discard;
use flow_wire::stamp::{ProbeId, Stamp};

use super::cursor_file::{self, Kept};
use super::directory::{self, CURSORS, Directory};
use super::disk::Disk;
use super::entry::{self, HEAD_OCTETS, Kind, Note};
use super::error::Error;
use super::identity::Identity;
use super::log::{Options, Spool};
use super::position::Position;
use super::reader::Reader;
use super::segment::{ANEW_SUFFIX, Found, Place, Segment, SegmentHead, name, serial};
use super::sums::{StreamSums, Sums};
use super::terms::Tally;

/// Earlier starts of which batches may wait: so many epochs stand at the beginning of each segment. A probe that starts and
/// falls again every two seconds for ten minutes reaches it.
const EPOCHS_MAX: usize = 256;

impl Spool {
    /// Opens the spool in a folder, for this process alone, and makes it where it is missing. `owner`: user and group that the process is
    /// about to become; needs CAP_CHOWN.
    ///
    /// # Errors
    /// Another process has it, it is another probe's, or the disk refuses.
    pub fn open(
        path: &Path,
        probe: ProbeId,
        options: Options,
        owner: Option<(u32, u32)>,
    ) -> Result<(Self, Directory), Error> {
        let failed = |error| Error::Folder { path: path.to_path_buf(), error };
        let mut directory = Directory::open(path).map_err(failed)?;
        if !directory.lock().map_err(failed)? {
            let process = Identity::read(&directory).ok().flatten().map_or(0, |identity| identity.process);
            return Err(Error::Held { path: path.to_path_buf(), process });
        }
        if let Some(owner) = owner {
            directory.give_to(owner).map_err(|error| Error::Owner { uid: owner.0, error })?;
        }
        let own = directory.share().map_err(failed)?;
        Ok((Self::over(Box::new(own), probe, options)?, directory))
    }

    /// Over any disk.
    ///
    /// # Errors
    /// It is another probe's, or the disk refuses.
    pub fn over(disk: Box<dyn Disk>, probe: ProbeId, options: Options) -> Result<Self, Error> {
        let identity = Identity::begin(&*disk, probe)?;
        let next = Position::of_generation(identity.generation);
        let mut spool = Self {
            disk: disk.into(),
            options,
            identity,
            segments: VecDeque::new(),
            spare: None,
            next_serial: 1,
            next,
            sums: Sums::default(),
            readers: Vec::new(),
            recent: VecDeque::new(),
            recent_from: Place { segment: next, offset: 0 },
            recent_octets: 0,
            closed: BTreeSet::new(),
            epoch: None,
            is_disk_full: false,
            statistics: super::log::Statistics::default(),
            said: super::said::Said::default(),
        };
        let failed = |operation| move |error| Error::Disk { operation, error };
        spool.find_cursors().map_err(failed("reading the cursors"))?;
        spool.find_segments().map_err(failed("reading the segments"))?;
        spool.reconcile();
        spool.forget_epochs();
        spool.make_spare();
        Ok(spool)
    }

    fn find_cursors(&mut self) -> io::Result<()> {
        let end = Place { segment: self.next, offset: 0 };
        for file in self.disk.names(CURSORS)?.iter().filter(|file| cursor_file::is_cursor(file)) {
            let path = directory::within(CURSORS, file);
            let content = self.disk.read(&path)?.unwrap_or_default();
            // One that is ahead of every batch to come is of another spool, and would let them go unsent.
            let is_ours = |kept: &Kept| kept.position.max(kept.appended) < self.next;
            let Some(kept) = Kept::from_octets(&content).filter(is_ours) else {
                tracing::error!(
                    "spool: its file {path} is damaged, or of another spool: that cursor begins anew at the oldest batch that \
                     is there\n  mend: none is needed; a store leaves what it has already"
                );
                let mut reader = Reader::new(&cursor_file::name(file), Position::ZERO, end);
                reader.is_of_unknown_past = true;
                self.readers.push(reader);
                continue;
            };
            let mut reader = Reader::new(&kept.name, kept.position, end);
            (reader.holes, reader.used_seconds, reader.is_changed) = (kept.holes, kept.used_seconds, false);
            reader.terms =
                kept.terms.into_iter().map(|(epoch, stream, terms)| ((epoch, stream), terms)).collect();
            (reader.appended, reader.tombstones) = (kept.appended, kept.tombstones);
            for (epoch, generation) in kept.open {
                self.sums.0.entry(epoch).or_default().generation = generation;
            }
            self.readers.push(reader);
        }
        Ok(())
    }

    fn find_segments(&mut self) -> io::Result<()> {
        self.find_spare()?;
        let mut found = Vec::new();
        for file in self.disk.names("")? {
            let Some(serial) = serial(&file) else {
                // Half of a segment that was being written anew.
                if file.ends_with(ANEW_SUFFIX) {
                    self.disk.remove(&file)?;
                }
                continue;
            };
            self.next_serial = self.next_serial.max(serial + 1);
            let blob = self.disk.open(&file)?;
            match SegmentHead::read(&*blob)? {
                Some(head) if head.spool == self.identity.spool && head.first >= self.next => {
                    return Err(io::Error::other(format!(
                        "{file} is of the start {}, and the file 'identity' counts {} only: one of them is a copy from \
                         another time",
                        head.first.generation(),
                        self.identity.generation
                    )));
                }
                Some(head) if head.spool == self.identity.spool && head.serial == serial => {
                    found.push(Segment::new(head, Arc::clone(&blob), blob.octets()?));
                }
                // Made and never written to, or a spare that has its name and no head yet.
                _ if self.may_recycle(&*blob)? => self.lay_by(&file, blob.octets()?)?,
                _ => {
                    // Of a spool that this one replaced.
                    tracing::warn!(file, "no segment of this spool: it is removed");
                    self.disk.remove(&file)?;
                }
            }
        }
        found.sort_by_key(|segment| (segment.first, segment.serial));
        let mut found = found.into_iter().peekable();
        while let Some(segment) = found.next() {
            match found.peek() {
                // One that was written anew is whole, and has all that waited of the one before.
                Some(anew) if anew.first == segment.first => self.disk.remove(&name(segment.serial))?,
                next => {
                    let is_last = next.is_none();
                    self.scan(segment, is_last)?;
                }
            }
        }
        self.fit_spare()
    }

    fn scan(&mut self, mut segment: Segment, is_last: bool) -> io::Result<()> {
        let mut walk = segment.walk(segment.begin().offset);
        walk.end = segment.capacity;
        let damage = loop {
            match walk.step() {
                Ok(Some(found)) => self.take_entry(&mut segment, &found),
                Ok(None) => break None,
                Err(damage) => break Some(damage),
            }
        };
        if let Some(damage) = &damage {
            self.statistics.damages += 1;
            let (file, offset) = (name(segment.serial), segment.end);
            if is_last {
                tracing::warn!(file, offset, "the tail of the spool is torn ({damage}): cut off there");
            } else {
                tracing::error!(
                    file,
                    offset,
                    "an entry is damaged ({damage}): the rest of the segment is lost"
                );
            }
        }
        segment.has_ahead = damage.is_none() || is_last;
        segment.is_closed = true;
        if is_last {
            segment.end_here();
        }
        if segment.next == segment.first && is_last && !self.segments.is_empty() {
            return self.lay_by(&name(segment.serial), segment.capacity);
        }
        self.segments.push_back(segment);
        Ok(())
    }

    fn take_entry(&mut self, segment: &mut Segment, found: &Found) {
        let head = &found.head;
        match head.kind {
            Kind::Sums => drop(self.sums.take_json(&found.octets[HEAD_OCTETS..])),
            Kind::Carried => {
                if let Ok(sealed) = entry::sealed(head, &found.octets) {
                    // What it says of its epoch's end stands in the sums.
                    let note = if head.note == Note::ClosesAnother { head.note } else { Note::Books };
                    self.sums.note(&Arc::new(sealed), note);
                }
            }
            Kind::Batch | Kind::Gone(_) => {
                let Ok(header) = head.header() else { return };
                self.sums.count(&header, head.exported, head.position.generation());
                if let (Kind::Batch, Ok(sealed)) = (head.kind, entry::sealed(head, &found.octets)) {
                    self.sums.note(&Arc::new(sealed), head.note);
                }
                for reader in &mut self.readers {
                    take_for(reader, found, header.stamp, head.tally(&header));
                }
            }
        }
        segment.count(head);
    }

    /// What a cursor has seen, and what waits for it, must be all that was sealed. If it is less, entries have gone that nobody
    /// counted: damage, or a power cut behind which segments were missing and cursors old.
    fn reconcile(&mut self) {
        self.raise_sums();
        for reader in &mut self.readers {
            for (key, terms) in &mut reader.terms {
                let sealed = self.sums.0.get(&key.0).and_then(|epoch| epoch.streams.get(&key.1));
                let missing = sealed.map_or(Tally::default(), |sums| sums.tally().beyond(terms.known()));
                if reader.is_of_unknown_past {
                    terms.acknowledged.add(missing);
                } else if missing.batches > 0 {
                    tracing::error!(
                        sink = reader.name,
                        records = missing.records,
                        "batches are missing in the spool: they are counted as spool_failed"
                    );
                    terms.discarded.entry(Discard::SpoolFailed).or_default().add(missing);
                    reader.is_changed = true;
                }
                terms.out = terms.known().records;
            }
        }
    }

    /// A cursor may know of more than the segments do: of discards that no segment could be told of, or of what was sent of a tail that
    /// was lost. It was sealed all the same.
    fn raise_sums(&mut self) {
        for reader in self.readers.iter().filter(|reader| !reader.is_of_unknown_past) {
            for ((epoch, stream), terms) in &reader.terms {
                let known = terms.known();
                let Some(sums) = self.sums.0.get_mut(epoch) else { continue };
                let sums = sums.streams.entry(*stream).or_default();
                if known.batches > sums.next.0 {
                    *sums = StreamSums::of(known);
                }
            }
        }
    }

    /// Epochs that are closed, and of which nothing waits, are nobody's business any more.
    fn forget_epochs(&mut self) {
        let waits = |epoch, readers: &[Reader]| {
            let of = |reader: &Reader| {
                reader.terms.iter().any(|(key, terms)| key.0 == epoch && terms.waiting.batches > 0)
            };
            readers.iter().any(of)
        };
        let over = self.sums.0.iter().filter(|(epoch, sums)| sums.closed && !waits(**epoch, &self.readers));
        self.closed = over.map(|(epoch, _)| *epoch).collect();
        self.sums.0.retain(|epoch, _| !self.closed.contains(epoch));
        while self.sums.0.len() > EPOCHS_MAX {
            let oldest = self.sums.0.iter().min_by_key(|(_, sums)| sums.generation).map(|(epoch, _)| *epoch);
            let Some(oldest) = oldest else { break };
            self.sums.0.remove(&oldest);
        }
        for reader in &mut self.readers {
            let before = reader.terms.len();
            reader.terms.retain(|key, terms| self.sums.0.contains_key(&key.0) || terms.waiting.batches > 0);
            reader.is_changed |= reader.terms.len() != before;
        }
    }
}

/// What an entry means for one cursor.
fn take_for(reader: &mut Reader, found: &Found, stamp: Stamp, tally: Tally) {
    let (position, key) = (found.head.position, (stamp.epoch, stamp.stream));
    if position < reader.done {
        return;
    }
    if let Kind::Gone(reason) = found.head.kind {
        // The start that wrote it had not come to write the cursor, nor to tell of it.
        if position >= reader.appended {
            reader.terms.entry(key).or_default().discarded.entry(reason).or_default().add(tally);
            reader.bury(key, (stamp.sequence, stamp.sequence), tally.records, reason);
            reader.is_changed = true;
        }
        return;
    }
    if found.place < reader.done_place {
        (reader.done_place, reader.next) = (found.place, found.place);
    }
    if !reader.is_discarded(position) {
        reader.terms.entry(key).or_default().waiting.add(tally);
    }
}
