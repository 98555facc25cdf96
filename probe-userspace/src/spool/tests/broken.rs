//! Torn, full and failing disks.

use super::*;

#[test]
fn a_torn_tail_is_cut_off_and_everything_before_it_stays() {
    let disk = MemoryDisk::default();
    let mut first = Bench::open(&disk);
    first.append_all(8, 10);
    let (_, content) = disk.last_segment();
    let end = content.lock().unwrap().iter().rposition(|octet| *octet != 0).unwrap();
    content.lock().unwrap()[end - 100] ^= 0xff;
    let mut second = Bench::open(&disk);
    assert_eq!(second.hand_all(), (0..7).map(|sequence| (1, sequence)).collect::<Vec<_>>());
    assert_eq!(second.books(1), (70, 0, 70, 0), "nobody was told of the batch that is lost");
    assert_eq!(second.spool.statistics().damages, 1);
}

#[test]
fn damage_in_the_middle_costs_the_rest_of_its_segment_and_is_counted() {
    let disk = MemoryDisk::default();
    let mut first = Bench::open(&disk);
    first.append_all(40, 10);
    let segments = first.spool.segments.len();
    assert!(segments > 3);
    let spoiled = first.spool.segments[1].first;
    let in_it = first.spool.segments[1].next.0 - spoiled.0;
    let name = format!("{:012}.segment", first.spool.segments[1].serial);
    let at = first.spool.segments[1].end as usize - 2 * 640 + 300;
    disk.state().files[&name].content.lock().unwrap()[at] ^= 1;
    let mut second = Bench::open(&disk.copy());
    let lost = second.discarded(1, Discard::SpoolFailed);
    assert!((10..in_it * 10).contains(&lost), "{lost}");
    assert_eq!(second.hand_all().len() as u64 + lost / 10, 40);
    assert_eq!(second.books(1), (400, 0, 400 - lost, lost));
    // The same, found by the sink that reads it.
    while let Some(source) = first.spool.look(first.cursor, 7, usize::MAX) {
        first.spool.hand(first.cursor, source.fetch());
    }
    assert_eq!(first.discarded(1, Discard::SpoolFailed), lost);
}

#[test]
fn a_full_disk_acts_as_the_quota() {
    let disk = MemoryDisk::default();
    disk.state().room = Some(4 * SEGMENT);
    let mut bench = Bench::open(&disk);
    bench.append_all(100, 1);
    let (out, _, waiting, discarded) = bench.books(1);
    assert_eq!((out, discarded), (100, bench.discarded(1, Discard::SpoolQuota)));
    let handed = bench.hand_all();
    assert_eq!((handed.len() as u64, handed.last()), (waiting, Some(&(1, 99))), "the newest stay");
    assert!(waiting > 10);
}

#[test]
fn what_finds_no_room_at_all_is_counted_also_after_a_crash() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append(1);
    disk.state().room = Some(0);
    let kept = (0..40).filter(|_| matches!(bench.append(1), Appended::Kept(_))).count() as u64;
    assert!(!bench.spool.has_room(BODY));
    assert_eq!(bench.books(1), (41, 0, kept + 1, 40 - kept));
    disk.state().room = None;
    bench.spool.tend(NOW);
    assert!(bench.spool.has_room(BODY) && matches!(bench.append(1), Appended::Kept(_)));
    // The heads of those that were lost stand in the part for ledger messages; the cursor's file is older than some.
    let mut second = Bench::open(&disk.copy());
    assert_eq!(second.books(1), (42, 0, kept + 2, 40 - kept));
    assert_eq!(second.hand_all().len() as u64, kept + 2);
}

#[test]
fn ledger_messages_find_room_where_flows_do_not() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append(1);
    disk.state().room = Some(0);
    bench.append_all(10, 1);
    let stamp = Stamp { probe: PROBE, epoch: epoch(1), stream: StreamId::CONTROL, sequence: Sequence(0) };
    let body = vec![b' '; 200];
    let ledger = Sealed { header: Header::seal(Kind::Ledger, stamp, 0, &body), body, exported: Amount::ZERO };
    let appended = bench.spool.append(&Arc::new(ledger), Note::Books, 0, NOW);
    assert!(matches!(appended, Appended::Kept(_)), "{appended:?}");
}

#[test]
fn a_segment_whose_fsync_failed_is_written_anew_and_nothing_is_lost() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(6, 1);
    bench.hand(2);
    bench.spool.acknowledge(bench.cursor, 1);
    bench.hand(1);
    disk.state().is_sync_failing = true;
    let unsynced = bench.spool.unsynced().remove(0);
    bench.spool.synced(&unsynced, unsynced.sync(), NOW);
    assert_eq!(disk.last_segment().0, "000000000001.segment", "the new one cannot be synced either");
    disk.state().is_sync_failing = false;
    // The disk says that all is well now. Whoever lost pages says that, too.
    bench.spool.synced(&unsynced, unsynced.sync(), NOW);
    assert_ne!(disk.last_segment().0, "000000000001.segment");
    assert!(!disk.state().files.contains_key("000000000001.segment"));
    bench.append_all(3, 1);
    bench.spool.acknowledge(bench.cursor, 1);
    bench.spool.give_back(bench.cursor);
    assert_eq!(bench.hand_all(), (2..9).map(|sequence| (1, sequence)).collect::<Vec<_>>());
    bench.spool.tend(NOW);
    let second = Bench::open(&disk.copy());
    assert_eq!(second.books(1), (9, 2, 7, 0));
}

#[test]
fn a_disk_that_takes_nothing_costs_batches_and_not_the_run() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append(1);
    disk.state().is_write_failing = true;
    assert_eq!(bench.append(1), Appended::Discarded(Discard::SpoolFailed));
    disk.state().is_write_failing = false;
    assert!(matches!(bench.append(1), Appended::Kept(_)));
    assert_eq!(bench.books(1), (3, 0, 2, 1));
    assert_eq!(bench.hand_all(), [(1, 0), (1, 2)]);
}
