//! Putting a batch behind all others, and what becomes of one that cannot be kept.

use std::sync::Arc;

use flow_wire::batch::Sealed;
use flow_wire::ledger::Discard;
use flow_wire::stamp::Stamp;

use super::disk::is_full;
use super::entry::{HEAD_OCTETS, Head, Kind, Note, footprint};
use super::log::{Appended, Recent, Spool};
use super::segment::{Place, Segment};
use super::terms::{Tally, Terms};

impl Spool {
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
                let is_noted = self.write_gone(&head, reason);
                self.each_reader(sealed, |terms, tally| terms.append_discarded(tally, reason));
                let Stamp { epoch, stream, sequence, .. } = sealed.header.stamp;
                let records = u64::from(sealed.header.rows);
                for reader in self.readers.iter_mut().filter(|reader| !reader.is_dropped) {
                    reader.bury((epoch, stream), (sequence, sequence), records, reason);
                    reader.is_changed |= !is_noted;
                }
                // Who appended it is about to forget it: what no segment says the cursors say at once.
                if !is_noted {
                    self.write_cursors();
                }
                Appended::Discarded(reason)
            }
        }
    }

    /// Whether a body of this size fits without pushing anything out.
    pub fn has_room(&self, octets: usize) -> bool {
        let needs = footprint(octets);
        let has_free =
            |octets: u64| !self.is_disk_full && self.disk.free_octets().is_ok_and(|free| free >= octets);
        let fits = |segment: &Segment| {
            !segment.is_closed
                && segment.end + needs <= self.flow_limit(segment)
                && (segment.is_allocated || has_free(needs))
        };
        let one_more = self.options.segment_octets;
        self.segments.back().is_some_and(fits)
            || self.spare.is_some()
            || (self.octets() + one_more <= self.options.quota_octets && has_free(one_more))
            || (self.segments.len() > 1 && self.is_passed(&self.segments[0]))
            || self.is_last_over()
    }

    fn each_reader(&mut self, sealed: &Sealed, count: impl Fn(&mut Terms, Tally)) {
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

    /// Into the open segment, or a new one; a segment that the disk refuses is closed, and the next one tried once. One that is
    /// not allocated ahead may find the disk full with any batch: the oldest goes for the newest, as at the quota.
    fn write(&mut self, head: &Head, body: &[u8], now_nanoseconds: u64) -> Result<(Place, Place), Discard> {
        let mut has_failed = false;
        loop {
            self.make_room(head, now_nanoseconds)?;
            let Some(segment) = self.segments.back_mut() else { return Err(Discard::SpoolFailed) };
            let place = segment.end();
            match segment.write(head, body) {
                Ok(()) => {
                    self.statistics.appended_octets += footprint(head.body_octets);
                    return Ok((place, segment.end()));
                }
                Err(error) if is_full(&error) => {
                    segment.take_back();
                    self.relieve(&error)?;
                }
                Err(error) => {
                    segment.close();
                    self.failed("writing a batch", &error);
                    if has_failed {
                        return Err(Discard::SpoolFailed);
                    }
                    has_failed = true;
                }
            }
        }
    }

    /// That it was sealed is kept even where it is not, as far as there is any room. `false` = it is not.
    fn write_gone(&mut self, head: &Head, reason: Discard) -> bool {
        let Some(segment) = self.segments.back_mut().filter(|segment| !segment.is_closed) else {
            return false;
        };
        let mut gone = head.clone();
        (gone.kind, gone.body_octets) = (Kind::Gone(reason), 0);
        if segment.end + HEAD_OCTETS as u64 > segment.capacity {
            return false;
        }
        if let Err(error) = segment.write(&gone, &[]) {
            // The next batch begins a segment, and with it the sums of everything before.
            segment.close();
            self.failed("writing that a batch is discarded", &error);
            return false;
        }
        self.next = self.next.after();
        true
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
}
