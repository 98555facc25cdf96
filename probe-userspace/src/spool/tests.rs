//! The spool over a disk in memory, which is torn, filled and broken.

mod broken;
mod cursors;
mod full;
mod golden;
mod oracle;
mod refused;
mod sick;
mod spare;

use std::sync::Arc;
use std::time::Duration;

use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use flow_wire::header::Header;
use flow_wire::ledger::{Amount, Discard};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use uuid::Uuid;

use super::disk::Disk;
use super::segment::{Segment, SegmentHead};
use super::testing::MemoryDisk;
use super::*;

const PROBE: ProbeId = ProbeId(Uuid::from_u128(0x0102_0304_0506_4708_890a_0b0c_0d0e_0f10));
const NOW: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
const SEGMENT: u64 = 8 << 10;
const BODY: usize = 500;
/// Of a segment of flows: what is left beside head, sums and the part for ledger messages.
const SINK: &str = "kafka://broker:9092";

fn options() -> Options {
    Options {
        quota_octets: 8 * SEGMENT,
        segment_octets: SEGMENT,
        age: Duration::from_secs(7 * 86_400),
        cursor_ttl: Duration::from_secs(7 * 86_400),
        memory_octets: 2 * BODY,
        sync: Sync::Interval,
    }
}

fn epoch(number: u64) -> Epoch {
    Epoch(Uuid::from_u128(u128::from(number)))
}

fn sealed(of: u64, sequence: u64, rows: u32) -> Arc<Sealed> {
    let stream = StreamId(0);
    let stamp = Stamp { probe: PROBE, epoch: epoch(of), stream, sequence: Sequence(sequence) };
    let body = vec![sequence as u8; BODY];
    let exported = Amount { packets: u64::from(rows) * 3, octets: u64::from(rows) * 300 };
    Arc::new(Sealed { header: Header::seal(Kind::Flows, stamp, rows, &body), body, exported })
}

/// Where the entries of a file end.
fn end_of(disk: &MemoryDisk, name: &str) -> usize {
    let blob = disk.open(name).unwrap();
    let Some(head) = SegmentHead::read(&*blob).unwrap() else { return 64 };
    let segment = Segment::new(head, blob, SEGMENT);
    let mut walk = segment.walk(64);
    walk.end = SEGMENT;
    while let Ok(Some(_)) = walk.step() {}
    walk.offset as usize
}

/// A spool of its own start, which is also the number of its epoch, with one cursor.
struct Bench {
    spool: Spool,
    cursor: CursorId,
    number: u64,
    sequence: u64,
}

impl Bench {
    fn open(disk: &MemoryDisk) -> Self {
        Self::with(disk, options())
    }

    fn with(disk: &MemoryDisk, options: Options) -> Self {
        let mut spool = Spool::over(Box::new(disk.clone()), PROBE, options).unwrap();
        let number = spool.identity().generation;
        let cursor = spool.open_cursor(SINK, NOW / SECOND).unwrap();
        spool.begin_epoch(epoch(number), [StreamId(0)].into_iter());
        Self { spool, cursor, number, sequence: 0 }
    }

    fn append(&mut self, rows: u32) -> Appended {
        let sealed = sealed(self.number, self.sequence, rows);
        self.sequence += 1;
        self.spool.append(&sealed, Note::Flows, 0, NOW)
    }

    /// What the keeper does.
    fn sync(&mut self, what: &Unsynced) {
        self.synced(what, what.sync());
    }

    fn synced(&mut self, what: &Unsynced, result: Result<(), Unforced>) {
        if let Some(anew) = self.spool.synced(what, result) {
            let written = anew.write(NOW);
            self.spool.take_anew(&anew, written);
        }
    }

    fn append_all(&mut self, count: usize, rows: u32) {
        for _ in 0..count {
            self.append(rows);
        }
    }

    /// Epoch and sequence of what is handed.
    fn hand(&mut self, batches: usize) -> Vec<(u64, u64)> {
        loop {
            let Some(source) = self.spool.look(self.cursor, batches, usize::MAX) else { return Vec::new() };
            match self.spool.hand(self.cursor, source.fetch()) {
                Some(handed) if !handed.is_empty() => {
                    return handed
                        .iter()
                        .map(|sealed| {
                            sealed.header.check(&sealed.body).unwrap();
                            let stamp = sealed.header.stamp;
                            (stamp.epoch.0.as_u128() as u64, stamp.sequence.0)
                        })
                        .collect();
                }
                _ => {}
            }
        }
    }

    fn hand_all(&mut self) -> Vec<(u64, u64)> {
        let mut all = Vec::new();
        loop {
            match self.hand(7) {
                handed if handed.is_empty() => return all,
                handed => all.extend(handed),
            }
        }
    }

    /// Out, acknowledged, waiting and discarded records of an epoch; they balance.
    fn books(&self, of: u64) -> (u64, u64, u64, u64) {
        self.spool
            .terms(self.cursor, epoch(of))
            .map(|(stream, terms)| {
                let terms = terms.to_message(SINK, 1, flow_wire::ledger::Guarantee::ExactlyOnce, stream);
                let discarded: u64 = terms.discarded.values().sum();
                assert_eq!(terms.records_out, terms.acknowledged + terms.in_spool + discarded, "{terms:?}");
                (terms.records_out, terms.acknowledged, terms.in_spool, discarded)
            })
            .next()
            .unwrap_or_default()
    }

    fn discarded(&self, of: u64, reason: Discard) -> u64 {
        let terms = self.spool.terms(self.cursor, epoch(of)).next();
        let terms = terms.map(|(stream, terms)| {
            terms.to_message(SINK, 1, flow_wire::ledger::Guarantee::ExactlyOnce, stream)
        });
        terms.and_then(|terms| terms.discarded.get(&reason).copied()).unwrap_or(0)
    }
}

#[test]
fn what_was_not_acknowledged_goes_out_again_unchanged_at_the_next_start() {
    let disk = MemoryDisk::default();
    let mut first = Bench::open(&disk);
    first.append_all(40, 10);
    assert_eq!(first.hand(5), (0..5).map(|sequence| (1, sequence)).collect::<Vec<_>>());
    first.spool.acknowledge(first.cursor, 3);
    first.spool.tend(NOW);
    let mut second = Bench::open(&disk.copy());
    assert_eq!(second.books(1), (400, 30, 370, 0));
    second.append(7);
    let expected: Vec<_> = (3..40).map(|sequence| (1, sequence)).chain([(2, 0)]).collect();
    assert_eq!(second.hand_all(), expected);
    second.spool.acknowledge(second.cursor, 38);
    assert_eq!((second.books(1), second.books(2)), ((400, 400, 0, 0), (7, 7, 0, 0)));
}

#[test]
fn segments_that_every_cursor_has_passed_are_freed() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    for _ in 0..200 {
        bench.append(1);
        let handed = bench.hand(9).len();
        bench.spool.acknowledge(bench.cursor, handed);
    }
    assert!(bench.spool.statistics().segments <= 2, "{:?}", bench.spool.statistics());
    assert_eq!(bench.books(1), (200, 200, 0, 0));
    assert_eq!(bench.spool.statistics().read_back_batches, 0, "a sink that keeps up reads nothing back");
}

#[test]
fn the_oldest_goes_at_the_quota_and_is_said_once() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    (0..200).for_each(|_| assert!(matches!(bench.append(1), Appended::Kept(_))));
    assert!(bench.spool.octets() <= options().quota_octets);
    let (out, acknowledged, waiting, discarded) = bench.books(1);
    assert_eq!((out, acknowledged), (200, 0));
    assert_eq!(bench.discarded(1, Discard::SpoolQuota), discarded);
    let handed = bench.hand_all();
    assert_eq!(handed.first(), Some(&(1, discarded)), "the oldest were to go");
    assert_eq!((handed.len() as u64, handed.last()), (waiting, Some(&(1, 199))));
    let tombstones = bench.spool.take_tombstones(bench.cursor, 99);
    assert_eq!(tombstones.iter().map(|one| one.records).sum::<u64>(), discarded);
    assert_eq!(
        (tombstones[0].first, tombstones.last().unwrap().last),
        (Sequence(0), Sequence(discarded - 1))
    );
    assert_eq!(bench.spool.take_tombstones(bench.cursor, 99), []);
}

#[test]
fn what_is_in_flight_is_never_discarded() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(4, 1);
    let handed = bench.hand(2);
    bench.append_all(300, 1);
    assert!(bench.discarded(1, Discard::SpoolQuota) > 0);
    bench.spool.give_back(bench.cursor);
    assert_eq!(bench.hand(2), handed);
    bench.spool.acknowledge(bench.cursor, 2);
    let rest = bench.hand_all();
    assert_eq!(rest[..2], [(1, 2), (1, 3)], "the segment of what is in flight stays whole");
    assert_eq!(rest.last(), Some(&(1, 303)));
    assert_eq!(rest.len() as u64 + 2 + bench.books(1).3, 304);
}

#[test]
fn what_is_too_old_goes() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(20, 1);
    bench.spool.tend(NOW + options().age.as_nanos() as u64);
    assert_eq!(bench.books(1), (20, 0, 20, 0));
    bench.spool.tend(NOW + options().age.as_nanos() as u64 + SECOND);
    // The last segment stays, for the sums in it; it is closed, and goes with the next one.
    bench.append(1);
    bench.spool.tend(NOW + options().age.as_nanos() as u64 + SECOND);
    assert_eq!(bench.discarded(1, Discard::SpoolAge), 20);
    assert_eq!(bench.hand_all(), [(1, 20)]);
}

#[test]
fn positions_only_grow_whatever_was_lost() {
    let disk = MemoryDisk::default();
    let mut first = Bench::open(&disk);
    first.append_all(10, 1);
    first.hand(10);
    let last = first.spool.position_after(first.cursor, 10).unwrap();
    let (name, content) = disk.last_segment();
    content.lock().unwrap().truncate(300);
    let mut second = Bench::open(&disk);
    second.append(1);
    second.hand(1);
    assert!(second.spool.position_after(second.cursor, 1).unwrap() > last, "{name}");
}

#[test]
fn a_position_that_the_bus_kept_is_believed_where_it_is_ahead() {
    let disk = MemoryDisk::default();
    let mut first = Bench::open(&disk);
    first.append_all(30, 2);
    let handed: usize = (0..12).map(|_| first.hand(1).len()).sum();
    assert_eq!(handed, 12);
    let committed = first.spool.position_after(first.cursor, 12).unwrap();
    let mut second = Bench::open(&disk.copy());
    let never = Position::of_generation(second.spool.identity().generation + 3);
    assert_eq!(
        second.spool.resume(second.cursor, never),
        0,
        "a place that it never came to means nothing either"
    );
    assert_eq!(second.spool.resume(second.cursor, committed), 12);
    assert_eq!(second.books(1), (60, 24, 36, 0));
    assert_eq!(second.spool.resume(second.cursor, Position::ZERO), 0, "an older one means nothing");
    assert_eq!(second.hand(1), [(1, 12)]);
}

#[test]
fn with_sync_batch_nothing_is_handed_that_is_not_on_the_medium() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::with(&disk, Options { sync: Sync::Batch, ..options() });
    bench.append_all(40, 1);
    assert_eq!(bench.hand_all(), []);
    for unsynced in bench.spool.unsynced() {
        bench.append(1);
        bench.sync(&unsynced);
    }
    let handed = bench.hand_all();
    assert_eq!(handed.len(), 40, "{handed:?}");
}

#[test]
fn without_a_cursor_nothing_is_written() {
    let disk = MemoryDisk::default();
    let mut spool = Spool::over(Box::new(disk.clone()), PROBE, options()).unwrap();
    spool.begin_epoch(epoch(1), [StreamId(0)].into_iter());
    assert_eq!(spool.append(&sealed(1, 0, 4), Note::Flows, 0, NOW), Appended::Unread);
    assert_eq!(spool.statistics().segments, 0);
    let late = spool.open_cursor(SINK, 0).unwrap();
    spool.append(&sealed(1, 1, 5), Note::Flows, 0, NOW);
    let terms: Vec<_> = spool.terms(late, epoch(1)).collect();
    assert_eq!((terms[0].1.out, terms[0].1.waiting.records), (9, 5));
}
