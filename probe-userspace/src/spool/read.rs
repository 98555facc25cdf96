//! Reading by a cursor. Looking where the next batches are, fetching them, and handing them over are three steps: the middle one
//! reads the disk, and needs nothing of the spool.

use std::sync::Arc;

use flow_wire::batch::Sealed;
use flow_wire::ledger::Discard;
use flow_wire::stamp::Stamp;

use super::entry::{self, Damage, Kind};
use super::log::{CursorId, Recent, Spool, Sync};
use super::position::Position;
use super::reader::Handed;
use super::segment::{Place, Walk};
use super::terms::Tally;

/// Where a cursor's next batches are.
#[derive(Debug)]
pub struct Source {
    from: Place,
    from_where: Where,
}

#[derive(Debug)]
enum Where {
    Memory(Vec<Recent>),
    Disk { walk: Walk, batches: usize, octets: usize },
}

/// Batches that were fetched.
#[derive(Debug)]
pub struct Fetched {
    from: Place,
    batches: Vec<Recent>,
    /// Behind everything that was looked at.
    behind: Place,
    damage: Option<Damage>,
    is_from_disk: bool,
}

impl Spool {
    /// Where the next batches of a cursor are: as many as both bounds let through, and at least one. `None` = there are none
    /// that may go already.
    pub fn look(&self, cursor: CursorId, batches: usize, octets: usize) -> Option<Source> {
        let reader = &self.readers[cursor.0];
        if reader.is_dropped {
            return None;
        }
        let from = self.normal(reader.next);
        let from_where = if from >= self.recent_from {
            let recent = self.recent_behind(from, batches, octets);
            if recent.is_empty() {
                return None;
            }
            Where::Memory(recent)
        } else {
            let segment = &self.segments[self.find(from.segment).ok()?];
            let mut walk = segment.walk(from.offset);
            if self.options.sync == Sync::Batch {
                walk.end = segment.synced;
            }
            if walk.offset >= walk.end {
                return None;
            }
            Where::Disk { walk, batches, octets }
        };
        Some(Source { from: reader.next, from_where })
    }

    fn recent_behind(&self, from: Place, batches: usize, octets: usize) -> Vec<Recent> {
        let index = self.recent.partition_point(|recent| recent.place < from);
        let mut found = Vec::new();
        let mut sum = 0;
        for recent in self.recent.range(index..).take(batches) {
            sum += recent.sealed.body.len();
            if (sum > octets && !found.is_empty()) || !self.may_go(recent) {
                break;
            }
            found.push(recent.clone());
        }
        found
    }

    fn may_go(&self, recent: &Recent) -> bool {
        let synced = || self.find(recent.place.segment).map_or(u64::MAX, |index| self.segments[index].synced);
        self.options.sync != Sync::Batch || recent.after.offset <= synced()
    }

    /// Hands what was fetched to the cursor's sink. `None` = the cursor was moved meanwhile: look again.
    pub fn hand(&mut self, cursor: CursorId, fetched: Fetched) -> Option<Vec<Arc<Sealed>>> {
        if self.readers[cursor.0].next != fetched.from || self.readers[cursor.0].is_dropped {
            return None;
        }
        if fetched.is_from_disk {
            self.statistics.read_back_batches += fetched.batches.len() as u64;
        }
        let reader = &mut self.readers[cursor.0];
        let mut handed = Vec::new();
        for recent in fetched.batches {
            let is_discarded = reader.is_discarded(recent.position);
            reader.handed.push_back(Handed {
                stamp: recent.sealed.header.stamp,
                tally: Tally::of(&recent.sealed),
                position: recent.position,
                place: recent.place,
                after: recent.after,
                is_discarded,
            });
            if !is_discarded {
                handed.push(recent.sealed);
            }
        }
        reader.next = fetched.behind;
        if reader.handed.is_empty() {
            reader.done_place = reader.next;
        }
        reader.acknowledge(0);
        if let Some(damage) = fetched.damage {
            self.give_up_rest(cursor, fetched.behind, damage);
        }
        Some(handed)
    }

    /// The rest of a segment cannot be read: what the cursor has not sent of it is lost, and counted. How much that is, the
    /// sums say which the segment was counted by when it was written or found.
    fn give_up_rest(&mut self, cursor: CursorId, at: Place, damage: Damage) {
        let Ok(index) = self.find(at.segment) else { return };
        let segment = &mut self.segments[index];
        // What is appended goes where it can be read behind it.
        segment.is_closed = true;
        let (first, end) = (segment.first, segment.next);
        if self.readers[cursor.0].has_discarded_rest(first, end) {
            return self.discard_rest(cursor.0, index, at.offset, Discard::SpoolFailed);
        }
        self.statistics.damages += 1;
        tracing::error!(
            segment = super::segment::name(self.segments[index].serial),
            offset = at.offset,
            sink = self.readers[cursor.0].name,
            "an entry of the spool is damaged ({damage}): the rest of the segment is counted as spool_failed"
        );
        self.discard_rest(cursor.0, index, at.offset, Discard::SpoolFailed);
    }

    /// The first `count` of the handed batches have arrived.
    pub fn acknowledge(&mut self, cursor: CursorId, count: usize) {
        self.readers[cursor.0].acknowledge(count);
        self.after_a_move();
    }

    /// None of them has arrived.
    pub fn give_back(&mut self, cursor: CursorId) {
        self.readers[cursor.0].give_back();
    }

    /// One of them will never arrive.
    pub fn discard(&mut self, cursor: CursorId, stamp: Stamp, reason: Discard) -> bool {
        let found = self.readers[cursor.0].discard(stamp, reason);
        self.after_a_move();
        found
    }

    /// Behind the first `count` of them: what a bus keeps that keeps the cursor itself.
    pub fn position_after(&self, cursor: CursorId, count: usize) -> Option<Position> {
        self.readers[cursor.0].position_after(count)
    }

    /// A bus that keeps the cursor itself says that everything below this has arrived. It can only be ahead of the file, since a
    /// batch is acknowledged once the bus has both; where it is behind, another log has been put in its place. One that this spool has
    /// never given out is of a later life of it, from which its folder was set back: it would have everything that waits taken for sent.
    /// Returns the number of batches that are now known to have arrived.
    pub fn resume(&mut self, cursor: CursorId, position: Position) -> u64 {
        self.give_back(cursor);
        if position > self.next {
            tracing::error!(
                sink = self.readers[cursor.0].name,
                "the bus has a place of this spool that it has never come to (start {}, this is start {}): the state directory is \
                 older than the bus, which keeps its place by the file; what was sent since that state may be sent again under \
                 other stamps\n  mend: none is needed; never run a probe from a copy of a state directory",
                position.generation(),
                self.next.generation()
            );
            return 0;
        }
        let mut arrived = 0;
        while self.readers[cursor.0].done < position {
            let Some(source) = self.look_at_all(cursor) else { break };
            let fetched = source.fetch();
            // The rest of a segment may be notes alone, and what is looked for in the next one.
            let is_found = fetched.batches.iter().any(|recent| recent.position >= position);
            let has_moved = fetched.behind != fetched.from || fetched.damage.is_some();
            if is_found || !has_moved {
                break;
            }
            let count = self.hand(cursor, fetched).map_or(0, |handed| handed.len());
            self.readers[cursor.0].acknowledge(count);
            arrived += count as u64;
        }
        self.give_back(cursor);
        self.after_a_move();
        arrived
    }

    /// One batch at a time, synced or not.
    fn look_at_all(&self, cursor: CursorId) -> Option<Source> {
        let reader = &self.readers[cursor.0];
        let from = self.normal(reader.next);
        let segment = &self.segments[self.find(from.segment).ok()?];
        let walk = segment.walk(from.offset);
        let is_more = walk.offset < walk.end;
        let from_where = Where::Disk { walk, batches: 1, octets: usize::MAX };
        (is_more && !reader.is_dropped).then_some(Source { from: reader.next, from_where })
    }

    pub(super) fn after_a_move(&mut self) {
        self.free_passed();
        let done = self.readers.iter().filter(|reader| !reader.is_dropped).map(|reader| reader.done).min();
        while self.recent.front().is_some_and(|recent| done.is_none_or(|done| recent.position < done)) {
            self.forget_oldest_recent();
        }
    }
}

impl Source {
    /// Fetches the batches. May read the disk.
    pub fn fetch(self) -> Fetched {
        match self.from_where {
            Where::Memory(batches) => {
                let behind = batches.last().map_or(self.from, |recent| recent.after);
                Fetched { from: self.from, batches, behind, damage: None, is_from_disk: false }
            }
            Where::Disk { walk, batches, octets } => fetch(self.from, walk, batches, octets),
        }
    }
}

fn fetch(from: Place, mut walk: Walk, batches: usize, octets: usize) -> Fetched {
    let behind = Place { segment: walk.segment, offset: walk.offset };
    let mut fetched = Fetched { from, batches: Vec::new(), behind, damage: None, is_from_disk: true };
    let mut sum = 0;
    while fetched.batches.len() < batches {
        let found = match walk.step() {
            Ok(Some(found)) => found,
            Ok(None) => {
                // The segment was counted up to here when it was written, or found.
                fetched.damage = (walk.offset < walk.end).then_some(Damage::Unreadable);
                break;
            }
            Err(damage) => {
                fetched.damage = Some(damage);
                break;
            }
        };
        if found.head.kind == Kind::Batch {
            sum += found.head.body_octets;
            if sum > octets && !fetched.batches.is_empty() {
                break;
            }
            match entry::sealed(&found.head, &found.octets) {
                Ok(sealed) => fetched.batches.push(Recent {
                    position: found.head.position,
                    place: found.place,
                    after: found.after,
                    sealed: Arc::new(sealed),
                }),
                Err(damage) => {
                    fetched.damage = Some(damage);
                    break;
                }
            }
        }
        fetched.behind = found.after;
    }
    fetched
}
