//! A cursor: up to where one reader has what the spool holds, and its books.

use std::collections::{BTreeMap, VecDeque};

use flow_wire::ledger::{Discard, Tombstone};
use flow_wire::stamp::{Epoch, Sequence, Stamp, StreamId};

use super::position::Position;
use super::segment::Place;
use super::terms::{Tally, Terms};

/// Epoch and stream.
pub(super) type Key = (Epoch, StreamId);

/// One reader.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) name: String,
    pub(super) terms: BTreeMap<Key, Terms>,
    /// Everything below is acknowledged or discarded.
    pub(super) done: Position,
    pub(super) done_place: Place,
    /// Handed from here on.
    pub(super) next: Place,
    pub(super) handed: VecDeque<Handed>,
    /// Discarded out of turn: first position, and the one behind the last.
    pub(super) holes: Vec<(Position, Position)>,
    /// A sink of this run reads it.
    pub(super) is_attached: bool,
    /// When a sink last did, in seconds since the UNIX epoch.
    pub(super) used_seconds: u64,
    /// It is no more, but its books are asked for until the run ends.
    pub(super) is_dropped: bool,
    /// The file is older than this.
    pub(super) is_changed: bool,
    /// As in its file when the spool was opened: later discards of single batches were not in it.
    pub(super) appended: Position,
    /// Its file was lost: what was sent before is taken for sent.
    pub(super) is_of_unknown_past: bool,
    /// Its file and the file's name have been on the medium: whatever version of it, a power cut leaves one.
    pub(super) is_lasting: bool,
    /// Discards that nobody has been told of.
    pub(super) tombstones: Vec<Tombstone>,
    /// Those that are in a message which is not in the spool yet.
    pub(super) telling: Vec<Tombstone>,
    /// Those that were told once it was dropped: should it come back, it has not heard of them.
    pub(super) told: Vec<Tombstone>,
}

/// A batch that its sink has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handed {
    pub(super) stamp: Stamp,
    pub(super) tally: Tally,
    pub(super) position: Position,
    pub(super) place: Place,
    pub(super) after: Place,
    /// It is counted as discarded, and stands here only for the order.
    pub(super) is_discarded: bool,
}

/// Of several streams in turn, as many workers as there may be.
const NEWEST_TOMBSTONES: usize = 64;

impl Reader {
    pub(super) fn new(name: &str, done: Position, place: Place) -> Self {
        Self {
            name: name.to_owned(),
            terms: BTreeMap::new(),
            done,
            done_place: place,
            next: place,
            handed: VecDeque::new(),
            holes: Vec::new(),
            is_attached: false,
            used_seconds: 0,
            is_dropped: false,
            is_changed: true,
            appended: Position::ZERO,
            is_of_unknown_past: false,
            is_lasting: false,
            tombstones: Vec::new(),
            telling: Vec::new(),
            told: Vec::new(),
        }
    }

    pub(super) fn is_discarded(&self, position: Position) -> bool {
        self.holes.iter().any(|(first, end)| (*first..*end).contains(&position))
    }

    /// Whether one of these is discarded out of turn.
    pub(super) fn has_discarded_any(&self, first: Position, end: Position) -> bool {
        self.holes.iter().any(|hole| hole.0 < end && first < hole.1)
    }

    /// Whether all of these are that are neither done nor with the sink.
    pub(super) fn has_discarded_rest(&self, first: Position, end: Position) -> bool {
        self.has_discarded_all(self.rest_of(first, end), end)
    }

    /// Whether all of these are.
    pub(super) fn has_discarded_all(&self, first: Position, end: Position) -> bool {
        let mut holes: Vec<_> = self.holes.iter().filter(|hole| hole.0 < end).collect();
        holes.sort_unstable();
        let covered = |from: Position, hole: &(Position, Position)| {
            if hole.0 <= from { from.max(hole.1) } else { from }
        };
        holes.into_iter().fold(first, covered) >= end
    }

    /// Where of these begins what is neither done nor with the sink.
    pub(super) fn rest_of(&self, first: Position, end: Position) -> Position {
        let with_sink = self.handed.iter().map(|handed| handed.position).filter(|position| *position < end);
        let behind = with_sink.map(Position::after).max().unwrap_or(first);
        first.max(self.done.min(end)).max(behind)
    }

    /// The first `count` of the handed ones have arrived.
    pub(super) fn acknowledge(&mut self, count: usize) {
        for _ in 0..count {
            self.pass_discarded();
            let Some(handed) = self.handed.pop_front() else { break };
            self.terms_of(handed.stamp).acknowledge(handed.tally);
            self.pass(&handed);
        }
        self.pass_discarded();
    }

    /// None of the handed ones has arrived.
    pub(super) fn give_back(&mut self) {
        self.pass_discarded();
        self.handed.clear();
        self.next = self.done_place;
    }

    /// One of the handed ones will never arrive. `false` = it is none of them.
    pub(super) fn discard(&mut self, stamp: Stamp, reason: Discard) -> bool {
        let handed = self.handed.iter_mut().find(|handed| handed.stamp == stamp && !handed.is_discarded);
        let Some(handed) = handed else { return false };
        handed.is_discarded = true;
        let (tally, position) = (handed.tally, handed.position);
        self.holes.push((position, position.after()));
        self.count_discarded(stamp.epoch, stamp.stream, (stamp.sequence.0, stamp.sequence.0), tally, reason);
        self.pass_discarded();
        true
    }

    /// Sequences of one stream will never go out.
    pub(super) fn count_discarded(
        &mut self,
        epoch: Epoch,
        stream: StreamId,
        (first, last): (u64, u64),
        tally: Tally,
        reason: Discard,
    ) {
        self.terms.entry((epoch, stream)).or_default().discard(tally, reason);
        self.is_changed = true;
        self.bury((epoch, stream), (Sequence(first), Sequence(last)), tally.records, reason);
    }

    /// A reader of the bus need not wait for these. What goes on where one of the newest tombstones ends makes that longer: a disk that
    /// stays full discards each batch by itself.
    pub(super) fn bury(
        &mut self,
        (epoch, stream): (Epoch, StreamId),
        (first, last): (Sequence, Sequence),
        records: u64,
        reason: Discard,
    ) {
        if stream == StreamId::CONTROL {
            return;
        }
        let goes_on = |one: &&mut Tombstone| {
            (one.epoch, one.stream, one.reason) == (epoch, stream, reason)
                && one.last.0.checked_add(1) == Some(first.0)
        };
        match self.tombstones.iter_mut().rev().take(NEWEST_TOMBSTONES).find(goes_on) {
            Some(one) => {
                one.last = last;
                one.records = one.records.saturating_add(records);
            }
            None => {
                self.tombstones.push(Tombstone { epoch, stream, first, last, sink: 0, reason, records });
            }
        }
    }

    /// Behind the first `count` handed batches: where a bus that keeps the cursor itself would have it go on.
    pub(super) fn position_after(&self, count: usize) -> Option<Position> {
        let live = self.handed.iter().filter(|handed| !handed.is_discarded);
        live.take(count).last().map(|handed| handed.position.after())
    }

    /// Where the sink's batches lie: these segments stay.
    pub(super) fn holds(&self, segment: Position) -> bool {
        self.handed.iter().any(|handed| handed.place.segment == segment)
    }

    /// What its sink has of a stream.
    pub(super) fn handed_of(&self, key: Key) -> impl Iterator<Item = Tally> {
        let of =
            move |handed: &&Handed| !handed.is_discarded && (handed.stamp.epoch, handed.stamp.stream) == key;
        self.handed.iter().filter(of).map(|handed| handed.tally)
    }

    /// Nothing waits and nothing is handed.
    pub(super) fn has_nothing(&self) -> bool {
        self.handed.is_empty() && self.terms.values().all(|terms| terms.waiting.batches == 0)
    }

    pub(super) fn waiting(&self) -> Tally {
        let mut waiting = Tally::default();
        self.terms.values().for_each(|terms| waiting.add(terms.waiting));
        waiting
    }

    fn pass_discarded(&mut self) {
        while let Some(handed) = self.handed.front().copied().filter(|handed| handed.is_discarded) {
            self.handed.pop_front();
            self.pass(&handed);
        }
    }

    pub(super) fn pass(&mut self, handed: &Handed) {
        self.done = handed.position.after();
        self.done_place = handed.after;
        let done = self.done;
        self.holes.retain(|(_, end)| *end > done);
        self.is_changed = true;
    }

    fn terms_of(&mut self, stamp: Stamp) -> &mut Terms {
        self.terms.entry((stamp.epoch, stamp.stream)).or_default()
    }
}
