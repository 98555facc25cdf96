//! A disk that is full, whatever the file system allocates ahead, and starts on it.

use super::*;

/// A file system that gives each octet when it is written.
fn growing(room: u64) -> MemoryDisk {
    let disk = MemoryDisk::default();
    disk.state().allocates_nothing = true;
    disk.state().room = Some(room);
    disk
}

#[test]
fn where_nothing_is_allocated_ahead_the_oldest_goes_for_the_newest_too() {
    let disk = growing(5 * SEGMENT);
    let mut bench = Bench::open(&disk);
    (0..100).for_each(|_| assert!(matches!(bench.append(1), Appended::Kept(_))));
    let (out, _, waiting, discarded) = bench.books(1);
    assert_eq!((out, bench.discarded(1, Discard::SpoolQuota)), (100, discarded));
    assert_eq!(bench.spool.statistics().disk_errors, 0, "a full disk is no broken one");
    let expected: Vec<_> = (discarded..100).map(|sequence| (1, sequence)).collect();
    assert_eq!(bench.hand_all(), expected);
    assert!(waiting > 20, "{waiting}");
    let tombstones = bench.spool.take_tombstones(bench.cursor, 99);
    assert_eq!(tombstones.iter().map(|one| one.records).sum::<u64>(), discarded);
    let after = disk.copy();
    let mut second = Bench::open(&after);
    assert_eq!((second.hand_all(), second.spool.statistics().damages), (expected, 0), "and no entry is torn");
}

#[test]
fn with_nothing_old_to_discard_the_newest_is_given_up_and_a_bus_that_comes_back_makes_room() {
    // Identity and cursor, and half a segment.
    let disk = growing(SEGMENT / 2 + 512 + 4_096);
    let mut bench = Bench::open(&disk);
    let kept = (0..60).filter(|_| matches!(bench.append(1), Appended::Kept(_))).count() as u64;
    assert!((2..12).contains(&kept), "{kept}");
    assert_eq!(bench.books(1), (60, 0, kept, 60 - kept));
    assert_eq!(bench.discarded(1, Discard::SpoolQuota), 60 - kept);
    assert!(!bench.spool.has_room(BODY));
    for _ in 0..40 {
        let handed = bench.hand_all().len();
        bench.spool.acknowledge(bench.cursor, handed);
        assert!(bench.spool.has_room(BODY), "nobody would try");
        assert!(matches!(bench.append(1), Appended::Kept(_)));
    }
    assert_eq!(bench.books(1), (100, kept + 39, 1, 60 - kept));
}

#[test]
fn an_empty_file_is_no_spare() {
    let disk = growing(8 * SEGMENT);
    let mut bench = Bench::open(&disk);
    bench.append(1);
    bench.spool.tend(NOW);
    assert_eq!((bench.spool.spare, disk.names("").unwrap().contains(&"spare".to_owned())), (None, false));
}

/// One segment in which something waits, no spare, and not an octet more.
fn without_reserve() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(3, 10);
    bench.spool.tend(NOW);
    disk.remove(super::super::spare::FILE).unwrap();
    killed(&disk)
}

/// As the next start finds it: still full.
fn killed(disk: &MemoryDisk) -> MemoryDisk {
    let disk = disk.copy();
    disk.state().room = Some(0);
    disk
}

#[test]
fn starts_that_find_no_room_for_a_segment_are_in_the_books_of_the_next() {
    let mut disk = without_reserve();
    for start in 2..8 {
        let mut bench = Bench::open(&disk);
        bench.spool.write_epoch(NOW);
        for _ in 0..start {
            assert_eq!(bench.append(10), Appended::Discarded(Discard::SpoolQuota));
        }
        // Within the second in which the last one was sealed.
        disk = killed(&disk);
        let mut next = Bench::open(&disk.copy());
        assert_eq!(next.books(1), (30, 0, 30, 0));
        for epoch in 2..=start {
            assert_eq!(next.books(epoch), (10 * epoch, 0, 0, 10 * epoch), "{start} {epoch}");
            assert_eq!(next.spool.sealed(super::epoch(epoch), StreamId(0)), Some(Sequence(epoch)));
        }
        let generations: Vec<_> = next.spool.earlier_epochs().iter().map(|one| one.generation).collect();
        assert_eq!(generations, (1..=start).collect::<Vec<_>>());
        let tombstones = next.spool.take_tombstones(next.cursor, 99);
        let told: u64 = tombstones.iter().map(|one| one.records).sum();
        assert_eq!(told, (2..=start).map(|epoch| 10 * epoch).sum::<u64>());
    }
}

#[test]
fn the_only_segment_gives_way_once_the_bus_has_taken_it() {
    let disk = without_reserve();
    let mut bench = Bench::open(&disk);
    assert_eq!(bench.append(1), Appended::Discarded(Discard::SpoolQuota));
    assert_eq!(bench.hand_all().len(), 3);
    bench.spool.acknowledge(bench.cursor, 3);
    for _ in 0..40 {
        assert!(matches!(bench.append(1), Appended::Kept(_)));
        assert_eq!(bench.hand_all().len(), 1);
        bench.spool.acknowledge(bench.cursor, 1);
    }
    assert_eq!((bench.books(1), bench.books(2)), ((30, 30, 0, 0), (41, 40, 0, 1)));
    let third = Bench::open(&killed(&disk));
    assert_eq!(third.books(2).0, 41);
}

#[test]
fn an_epoch_that_has_closed_its_books_is_not_opened_again() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append(10);
    bench.spool.tend(NOW);
    bench.spool.append(&super::broken::ledger(), Note::ClosedBooks, 0, NOW);
    let handed = bench.hand_all().len();
    bench.spool.acknowledge(bench.cursor, handed);
    // Killed, and stopped: no file says that it is open, or one does that also says the contrary.
    assert!(Bench::open(&disk.copy()).spool.earlier_epochs().iter().all(|earlier| earlier.closed));
    bench.spool.close(NOW);
    assert!(Bench::open(&disk.copy()).spool.earlier_epochs().is_empty());
}

#[test]
fn a_cursor_is_written_over_itself_whatever_it_has_grown_or_shrunk_by() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(3, 10);
    bench.spool.begin_epoch(epoch(1), (1..16).map(StreamId));
    bench.hand(1);
    bench.spool.acknowledge(bench.cursor, 1);
    assert!(bench.spool.write_cursors());
    disk.state().room = Some(0);
    bench.spool.begin_epoch(epoch(1), (16..32).map(StreamId));
    let read = bench.hand(1).len();
    bench.spool.acknowledge(bench.cursor, read);
    assert!(bench.spool.write_cursors());
    assert_eq!(Bench::open(&disk.copy()).books(1), (30, 20, 10, 0));
}
