//! The segment in reserve, and what is left in it of its earlier life.

use super::super::spare;
use super::*;

/// Octets of one of these batches in a segment.
const ENTRY: usize = (128 + BODY).next_multiple_of(8);

fn has_spare(disk: &MemoryDisk) -> bool {
    disk.state().files.contains_key(spare::FILE)
}

fn segments(disk: &MemoryDisk) -> usize {
    disk.state().files.keys().filter(|name| name.ends_with(".segment")).count()
}

/// Appends, hands and acknowledges.
fn pass(bench: &mut Bench, count: usize) {
    for _ in 0..count {
        assert!(matches!(bench.append(1), Appended::Kept(_)));
        let handed = bench.hand(9).len();
        bench.spool.acknowledge(bench.cursor, handed);
    }
}

/// Nobody else gets what the spool gives back: from now on the disk has no room for a file more.
fn fill(disk: &MemoryDisk) {
    disk.state().room = Some(0);
}

/// A run whose spare has been full once: what it holds is complete, and checks.
fn with_used_spare(disk: &MemoryDisk) -> Bench {
    let mut bench = Bench::open(disk);
    while bench.spool.next_serial < 5 {
        pass(&mut bench, 1);
    }
    bench.spool.tend(NOW);
    assert!(has_spare(disk) && end_of(disk, spare::FILE) > SEGMENT as usize * 3 / 4);
    bench
}

#[test]
fn segments_are_written_over_and_none_is_made_while_the_sink_keeps_up() {
    let disk = MemoryDisk::default();
    let mut bench = with_used_spare(&disk);
    fill(&disk);
    pass(&mut bench, 100);
    assert_eq!((segments(&disk), has_spare(&disk), bench.books(1).3), (1, true, 0));
    assert_eq!(bench.spool.octets(), 2 * SEGMENT);
    assert!(bench.spool.segments.back().unwrap().is_recycled);
}

#[test]
fn a_probe_that_starts_on_a_full_disk_again_and_again_delivers_everything() {
    let mut disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append(1);
    bench.spool.tend(NOW);
    for start in 1..20 {
        fill(&disk);
        bench.spool.write_epoch(NOW);
        pass(&mut bench, 1 + start * 3);
        if start % 3 == 0 {
            // What the end gives back, somebody else has taken.
            bench.spool.close(NOW);
        }
        assert_eq!(bench.books(bench.number).3, 0, "start {start}");
        disk = disk.copy();
        bench = Bench::open(&disk);
    }
    assert!(bench.spool.statistics().damages == 0, "a kill leaves nothing torn");
}

#[test]
fn a_stop_with_nothing_left_keeps_the_spare_and_on_a_full_disk_the_segment_too() {
    for (room, left) in [(None, 0), (Some(0), 1)] {
        let disk = MemoryDisk::default();
        let mut bench = Bench::open(&disk);
        pass(&mut bench, 3);
        bench.spool.tend(NOW);
        bench.spool.append(&super::broken::ledger(), Note::ClosedBooks, 0, NOW);
        assert_eq!(bench.hand_all().len(), 1);
        bench.spool.acknowledge(bench.cursor, 1);
        disk.state().room = room;
        bench.spool.close(NOW);
        assert_eq!((segments(&disk), has_spare(&disk)), (left, true));
    }
}

#[test]
fn a_bus_that_takes_nothing_costs_batches_on_a_full_disk_and_the_next_ones_go_on() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    fill(&disk);
    let kept = (0..60).filter(|_| matches!(bench.append(1), Appended::Kept(_))).count() as u64;
    assert_eq!(bench.books(1), (60, 0, kept, 60 - kept));
    let tombstones = bench.spool.take_tombstones(bench.cursor, 99);
    assert_eq!(
        tombstones.iter().map(|one| one.records).sum::<u64>(),
        60 - kept,
        "each is named: {tombstones:?}"
    );
    assert!(tombstones.len() <= 4, "and those that follow each other are one: {tombstones:?}");
    assert!((5..20).contains(&kept), "{kept}");
    let handed = bench.hand_all().len();
    assert_eq!(handed as u64, kept);
    bench.spool.acknowledge(bench.cursor, handed);
    assert_eq!(bench.books(1), (60, kept, 0, 60 - kept));
}

#[test]
fn a_spare_counts_against_the_quota_and_pushes_nothing_out() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    let before = |bench: &Bench| bench.spool.octets() + SEGMENT <= options().quota_octets;
    while before(&bench) {
        bench.append(1);
        bench.spool.tend(NOW);
    }
    assert!(has_spare(&disk));
    assert_eq!(bench.books(1).3, 0);
    for _ in 0..100 {
        bench.append(1);
        bench.spool.tend(NOW);
        assert!(bench.spool.octets() <= options().quota_octets);
    }
    assert!(bench.discarded(1, Discard::SpoolQuota) > 0);
    let used: usize = disk
        .state()
        .files
        .iter()
        .filter(|(name, _)| name.ends_with(".segment") || *name == spare::FILE)
        .map(|(_, file)| file.content.lock().unwrap().len())
        .sum();
    assert_eq!(used as u64, bench.spool.octets(), "what is counted is what is there");
}

#[test]
fn a_smaller_quota_lets_the_room_go_that_a_larger_one_had_left() {
    let disk = MemoryDisk::default();
    let large = Options { quota_octets: 32 * SEGMENT, segment_octets: 4 * SEGMENT, ..options() };
    let mut bench = Bench::with(&disk, large);
    bench.append(1);
    bench.spool.tend(NOW);
    bench.spool.close(NOW);
    assert_eq!(bench.spool.octets(), 8 * SEGMENT);
    let small = Options { quota_octets: 4 * SEGMENT, ..options() };
    let mut bench = Bench::with(&disk.copy(), small);
    pass(&mut bench, 60);
    assert_eq!(bench.books(2), (60, 60, 0, 0));
    assert!(bench.spool.octets() <= 2 * SEGMENT, "{}", bench.spool.octets());
}

#[test]
fn entries_of_an_earlier_life_are_none_of_this_one() {
    let disk = MemoryDisk::default();
    let mut bench = with_used_spare(&disk);
    let former = end_of(&disk, spare::FILE);
    bench.spool.segments.back_mut().unwrap().is_closed = true;
    let from = bench.sequence;
    bench.append_all(3, 1);
    let (_, content) = disk.last_segment();
    let end = bench.spool.segments.back().unwrap().end as usize;
    assert!(end + 1_000 < former && content.lock().unwrap()[end + 8..].iter().any(|octet| *octet != 0));
    let expected: Vec<_> = (from..from + 3).map(|sequence| (1, sequence)).collect();
    let mut second = Bench::open(&disk.copy());
    assert_eq!((second.hand_all(), second.spool.statistics().damages), (expected, 0));
}

#[test]
fn whatever_part_of_the_tail_is_of_the_earlier_life_only_new_entries_are_found() {
    let disk = MemoryDisk::default();
    let mut bench = with_used_spare(&disk);
    let former = disk.read_all(spare::FILE);
    bench.spool.segments.back_mut().unwrap().is_closed = true;
    let from = bench.sequence;
    bench.append_all(4, 1);
    let (name, content) = disk.last_segment();
    let (whole, begin) = (content.lock().unwrap().clone(), bench.spool.segments.back().unwrap().end as usize);
    let first = begin - 4 * ENTRY;
    for torn in (64..begin + 200).step_by(8) {
        let torn_disk = disk.copy();
        torn_disk.write_all(&name, [&whole[..torn], &former[torn..]].concat());
        let mut second = Bench::open(&torn_disk);
        let found = second.hand_all();
        let reached = torn.saturating_sub(first) / ENTRY;
        let expected: Vec<_> = (from..from + reached.min(4) as u64).map(|sequence| (1, sequence)).collect();
        assert_eq!(found, expected, "torn at {torn}");
        // And the cut holds at the start after.
        second.append(1);
        let number = second.number;
        let mut third = Bench::open(&torn_disk.copy());
        assert_eq!(third.hand_all(), [expected, vec![(number, 0)]].concat(), "torn at {torn}");
        assert_eq!(third.spool.statistics().damages, 0, "torn at {torn}");
    }
}

#[test]
fn an_entry_of_before_that_begins_where_the_next_one_would_is_not_taken_for_it() {
    let disk = MemoryDisk::default();
    let mut bench = with_used_spare(&disk);
    let former = disk.read_all(spare::FILE);
    bench.spool.segments.back_mut().unwrap().is_closed = true;
    let from = bench.sequence;
    bench.append_all(2, 1);
    let (name, content) = disk.last_segment();
    let end = bench.spool.segments.back().unwrap().end as usize;
    // The last complete batch of the former life, put exactly there.
    let entry = former
        .windows(4)
        .enumerate()
        .skip(64)
        .filter(|(at, length)| at % 8 == 0 && *length == [0, 0, 2, 116]);
    let at = entry.map(|(at, _)| at).next_back().unwrap();
    let mut octets = content.lock().unwrap().clone();
    octets[end..end + ENTRY].copy_from_slice(&former[at..at + ENTRY]);
    disk.write_all(&name, octets);
    let mut second = Bench::open(&disk.copy());
    assert_eq!(second.hand_all(), [(1, from), (1, from + 1)]);
    assert_eq!(second.books(1).2, 2);
}

#[test]
fn a_kill_between_name_and_head_leaves_the_spare() {
    let disk = MemoryDisk::default();
    let mut bench = with_used_spare(&disk);
    bench.append(1);
    let taken = disk.copy();
    taken.rename(spare::FILE, &super::super::segment::name(bench.spool.next_serial)).unwrap();
    fill(&taken);
    let mut second = Bench::open(&taken);
    assert!(has_spare(&taken));
    pass(&mut second, 1);
    assert_eq!(second.books(2).3 + second.books(1).3, 0);
    // A new one that was never written over is one, too; of another spool it is none.
    let fresh = MemoryDisk::default();
    Bench::open(&fresh);
    fresh.rename(spare::FILE, "000000000001.segment").unwrap();
    fill(&fresh);
    Bench::open(&fresh);
    assert!(has_spare(&fresh));
    let other = MemoryDisk::default();
    other.write_all(spare::FILE, disk.read_all(spare::FILE));
    let bench = Bench::open(&other);
    assert_eq!(end_of(&other, spare::FILE), 64, "{bench:?}", bench = bench.spool);
}

#[test]
fn a_spare_is_on_the_medium_as_a_segment_before_anybody_has_a_batch_of_it() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::with(&disk, Options { sync: Sync::Batch, ..options() });
    disk.sync_names("").unwrap();
    bench.append(1);
    assert!(bench.spool.segments[0].is_recycled && bench.hand_all().is_empty());
    let unsynced = bench.spool.unsynced();
    unsynced.iter().for_each(|unsynced| bench.sync(unsynced));
    assert_eq!(bench.hand_all(), [(1, 0)]);
    assert_eq!(Bench::open(&disk.after_power_cut()).hand_all(), [(1, 0)]);
}
