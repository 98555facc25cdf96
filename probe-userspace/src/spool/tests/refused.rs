//! A segment that can be neither forced onto the medium nor copied.

use super::super::anew::TRIES;
use super::*;

fn batch(disk: &MemoryDisk) -> Bench {
    Bench::with(disk, Options { sync: Sync::Batch, ..options() })
}

fn sync_all(bench: &mut Bench) {
    bench.spool.unsynced().iter().for_each(|unsynced| bench.sync(unsynced));
}

/// What the keeper does in so many seconds.
fn pass_time(bench: &mut Bench, seconds: u32) {
    for _ in 0..seconds {
        sync_all(bench);
        bench.spool.give_up_refused();
        bench.spool.tend(NOW);
    }
}

#[test]
fn with_sync_batch_it_is_given_up_after_a_time_and_what_follows_goes_on() {
    for is_unreadable in [false, true] {
        let disk = MemoryDisk::default();
        let mut bench = batch(&disk);
        bench.append_all(3, 10);
        sync_all(&mut bench);
        assert_eq!(bench.hand_all().len(), 3);
        bench.spool.acknowledge(bench.cursor, 3);
        bench.append_all(4, 10);
        (disk.state().is_sync_failing, disk.state().is_read_failing) = (true, is_unreadable);
        pass_time(&mut bench, TRIES - 1);
        assert_eq!((bench.hand_all(), bench.books(1)), (vec![], (70, 30, 40, 0)), "it has its time");
        pass_time(&mut bench, 1);
        assert_eq!(bench.books(1), (70, 30, 0, 40), "unreadable: {is_unreadable}");
        assert_eq!(bench.discarded(1, Discard::SpoolFailed), 40);
        let told = bench.spool.take_tombstones(bench.cursor, 9);
        assert_eq!((told.len(), told[0].first, told[0].last), (1, Sequence(3), Sequence(6)));
        assert!(bench.spool.unsynced().is_empty(), "nobody waits for it: it is tried no more");
        bench.append(10);
        (disk.state().is_sync_failing, disk.state().is_read_failing) = (false, false);
        sync_all(&mut bench);
        assert_eq!(bench.hand_all(), [(1, 7)]);
        bench.spool.acknowledge(bench.cursor, 1);
        pass_time(&mut bench, 1);
        assert_eq!(bench.books(1), (80, 40, 0, 40));
        assert_eq!(Bench::open(&disk.copy()).books(1), (80, 40, 0, 40));
    }
}

#[test]
fn what_is_with_a_sink_is_not_given_up_under_it() {
    let disk = MemoryDisk::default();
    let mut bench = batch(&disk);
    bench.append_all(3, 10);
    sync_all(&mut bench);
    assert_eq!(bench.hand(2).len(), 2);
    bench.append_all(2, 10);
    disk.state().is_sync_failing = true;
    pass_time(&mut bench, 2 * TRIES);
    assert_eq!(bench.hand_all(), [(1, 2)], "what could go has not been given up either");
    pass_time(&mut bench, 1);
    assert_eq!(bench.books(1), (50, 0, 50, 0));
    bench.spool.give_back(bench.cursor);
    assert_eq!(bench.hand_all().len(), 3);
    bench.spool.acknowledge(bench.cursor, 3);
    pass_time(&mut bench, 1);
    assert_eq!(bench.books(1), (50, 30, 0, 20));
}

#[test]
fn a_cursor_that_is_far_behind_loses_it_only_once_it_comes_there() {
    let disk = MemoryDisk::default();
    let mut bench = batch(&disk);
    while bench.spool.segments.len() < 2 {
        bench.append(1);
    }
    sync_all(&mut bench);
    let synced = bench.sequence;
    bench.append_all(2, 1);
    disk.state().is_sync_failing = true;
    pass_time(&mut bench, 2 * TRIES);
    let expected: Vec<_> = (0..synced).map(|sequence| (1, sequence)).collect();
    assert_eq!((bench.hand_all(), bench.books(1).3), (expected, 0), "the disk may be mended meanwhile");
    bench.spool.acknowledge(bench.cursor, synced as usize);
    pass_time(&mut bench, 1);
    disk.state().is_sync_failing = false;
    bench.append(1);
    sync_all(&mut bench);
    assert_eq!((bench.hand_all(), bench.books(1)), (vec![(1, synced + 2)], (synced + 3, synced, 1, 2)));
}

#[test]
fn where_sending_waits_for_no_sync_nothing_is_given_up() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(4, 1);
    disk.state().is_sync_failing = true;
    pass_time(&mut bench, 2 * TRIES);
    assert_eq!(bench.hand_all().len(), 4);
}

#[test]
fn a_name_that_the_disk_refuses_costs_no_copies_of_the_segment_and_is_given_up_after_a_time() {
    let disk = MemoryDisk::default();
    let mut bench = batch(&disk);
    disk.state().is_naming_failing = true;
    bench.append_all(4, 10);
    pass_time(&mut bench, TRIES - 1);
    assert_eq!((bench.hand_all(), bench.books(1)), (vec![], (40, 0, 40, 0)), "it has its time");
    let is_refused = bench.spool.unsynced().iter().all(|unsynced| unsynced.is_refused);
    assert!(is_refused, "it would be tried without a pause");
    let segments: Vec<_> =
        disk.state().files.keys().filter(|file| file.contains(".segment")).cloned().collect();
    assert_eq!(segments, ["000000000001.segment"], "nothing is wrong with it: it is not written anew");
    pass_time(&mut bench, 1);
    assert_eq!(bench.discarded(1, Discard::SpoolFailed), 40);
    bench.append(10);
    disk.state().is_naming_failing = false;
    sync_all(&mut bench);
    assert_eq!(bench.hand_all(), [(1, 4)]);
}

#[test]
fn a_name_that_the_disk_takes_later_costs_nothing() {
    let disk = MemoryDisk::default();
    let mut bench = batch(&disk);
    disk.state().is_naming_failing = true;
    bench.append_all(4, 10);
    pass_time(&mut bench, TRIES - 1);
    disk.state().is_naming_failing = false;
    sync_all(&mut bench);
    bench.append(10);
    disk.state().is_naming_failing = true;
    // Its name is there for good.
    sync_all(&mut bench);
    assert_eq!((bench.hand_all().len(), bench.books(1).3), (5, 0));
}
