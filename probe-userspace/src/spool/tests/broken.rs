//! Torn, full and failing disks.

use super::*;

pub(super) fn ledger() -> Arc<Sealed> {
    let stamp = Stamp { probe: PROBE, epoch: epoch(1), stream: StreamId::CONTROL, sequence: Sequence(0) };
    let body = vec![b' '; 200];
    Arc::new(Sealed { header: Header::seal(Kind::Ledger, stamp, 0, &body), body, exported: Amount::ZERO })
}

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
    let tombstones = second.spool.take_tombstones(second.cursor, 99);
    assert_eq!(tombstones.iter().map(|one| one.records).sum::<u64>(), 40 - kept, "each is named");
    assert_eq!(second.hand_all().len() as u64, kept + 2);
}

#[test]
fn what_was_counted_and_could_not_be_written_is_written_with_the_next_batch() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append(10);
    disk.state().is_write_failing = true;
    disk.state().is_replace_failing = true;
    (0..5).for_each(|_| assert_eq!(bench.append(10), Appended::Discarded(Discard::SpoolFailed)));
    bench.spool.tend(NOW);
    disk.state().is_write_failing = false;
    disk.state().is_replace_failing = false;
    let before = bench.append(10);
    assert!(matches!(before, Appended::Kept(_)));
    // No cursor was written: the sums alone know of them.
    let second = Bench::open(&disk.copy());
    assert_eq!(second.books(1), (70, 0, 20, 50));
    // And where there was no next batch, the cursor does.
    disk.state().is_write_failing = true;
    bench.append(10);
    bench.spool.tend(NOW);
    let second = Bench::open(&disk.copy());
    assert_eq!((second.books(1), second.discarded(1, Discard::SpoolFailed)), ((80, 0, 20, 60), 60));
    assert_eq!(second.spool.sealed(epoch(1), StreamId(0)), Some(Sequence(8)));
}

#[test]
fn a_discard_whose_head_cannot_be_written_is_in_the_sums_of_the_next_segment() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append(10);
    disk.state().room = Some(0);
    while matches!(bench.append(10), Appended::Kept(_)) {}
    (disk.state().is_write_failing, disk.state().is_replace_failing) = (true, true);
    bench.append(10);
    bench.append(10);
    (disk.state().is_write_failing, disk.state().is_replace_failing) = (false, false);
    // There is room for it, but behind what is missing it must not stand.
    let appended = bench.spool.append(&ledger(), Note::Books, 0, NOW);
    assert_eq!(appended, Appended::Discarded(Discard::SpoolQuota));
    disk.state().room = None;
    assert!(matches!(bench.append(10), Appended::Kept(_)));
    let second = Bench::open(&disk.copy());
    assert_eq!(second.books(1), bench.books(1));
}

#[test]
fn no_segment_goes_while_the_cursors_cannot_be_written() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(40, 10);
    let handed = bench.hand_all().len();
    disk.state().is_replace_failing = true;
    let segments = disk.state().files.len();
    bench.spool.acknowledge(bench.cursor, handed);
    assert_eq!(disk.state().files.len(), segments);
    let second = Bench::open(&disk.copy());
    assert_eq!(second.books(1), (400, 0, 400, 0), "sent twice, and nothing is missed");
    // At the quota: what is discarded is counted once, however often its file cannot go.
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    disk.state().is_replace_failing = true;
    bench.append_all(200, 1);
    let (out, _, waiting, discarded) = bench.books(1);
    assert_eq!((out, bench.hand_all().len() as u64), (200, waiting));
    assert_eq!(discarded, 200 - waiting);
    disk.state().is_replace_failing = false;
    bench.append(1);
    assert!(matches!(bench.append(1), Appended::Kept(_)));
}

#[test]
fn a_full_disk_has_room_for_a_cursor_that_is_there() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(40, 10);
    disk.state().room = Some(0);
    let handed = bench.hand_all().len();
    let segments = bench.spool.segments.len();
    bench.spool.acknowledge(bench.cursor, handed);
    assert!(bench.spool.segments.len() < segments, "else nothing would ever go");
    disk.state().room = None;
    assert_eq!(Bench::open(&disk.copy()).books(1), (400, 400, 0, 0));
}

#[test]
fn a_batch_that_was_refused_is_not_discarded_once_more_with_its_segment() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(3, 10);
    bench.hand(2);
    let refused = sealed(1, 1, 1).header.stamp;
    assert!(bench.spool.discard(bench.cursor, refused, Discard::RefusedByBus));
    bench.spool.give_back(bench.cursor);
    bench.append_all(100, 10);
    let (out, _, waiting, discarded) = bench.books(1);
    assert_eq!((out, waiting + discarded, bench.discarded(1, Discard::RefusedByBus)), (1_030, 1_030, 10));
    assert_eq!(bench.hand_all().len() as u64 * 10, waiting);
}

#[test]
fn ledger_messages_find_room_where_flows_do_not() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append(1);
    disk.state().room = Some(0);
    bench.append_all(10, 1);
    let appended = bench.spool.append(&ledger(), Note::Books, 0, NOW);
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
    bench.sync(&unsynced);
    assert_eq!(disk.last_segment().0, "000000000001.segment", "the new one cannot be synced either");
    disk.state().is_sync_failing = false;
    // The disk says that all is well now. Whoever lost pages says that, too.
    bench.sync(&unsynced);
    assert_ne!(disk.last_segment().0, "000000000001.segment");
    let has_old = || disk.state().files.contains_key("000000000001.segment");
    assert!(has_old(), "until the name of the new one is on the medium");
    assert_eq!(Bench::open(&disk.copy()).hand_all().len(), 5);
    bench.spool.unsynced().iter().for_each(|unsynced| bench.sync(unsynced));
    assert!(!has_old() && !disk.state().files.keys().any(|name| name.ends_with("anew")));
    bench.append_all(3, 1);
    bench.spool.acknowledge(bench.cursor, 1);
    bench.spool.give_back(bench.cursor);
    assert_eq!(bench.hand_all(), (2..9).map(|sequence| (1, sequence)).collect::<Vec<_>>());
    bench.spool.tend(NOW);
    let second = Bench::open(&disk.copy());
    assert_eq!(second.books(1), (9, 2, 7, 0));
}

#[test]
fn what_is_on_the_medium_has_its_name_there_and_somebody_to_be_sent_to() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(20, 1);
    assert!(bench.spool.segments.len() > 1);
    bench.spool.unsynced().iter().for_each(|unsynced| bench.sync(unsynced));
    assert_eq!(Bench::open(&disk.after_power_cut()).hand_all().len(), 20);
    let late = bench.spool.open_cursor("zmq://late", 0).unwrap();
    bench.append(1);
    bench.spool.unsynced().iter().for_each(|unsynced| bench.sync(unsynced));
    let second = Bench::open(&disk.after_power_cut());
    assert_eq!(second.spool.cursors()[late.0].waiting.records, 1);
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

/// A disk with damage in the second of the last two entries of the second segment, and what the sink has of the first one acknowledged.
fn damaged_near_an_end() -> (MemoryDisk, Bench, Vec<(u64, u64)>) {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(40, 10);
    let segment = &bench.spool.segments[1];
    let name = format!("{:012}.segment", segment.serial);
    let at = segment.end as usize - 2 * 640 + 300;
    disk.state().files[&name].content.lock().unwrap()[at] ^= 1;
    let before = bench.hand(100);
    bench.spool.acknowledge(bench.cursor, before.len());
    let whole = bench.hand(100);
    assert_eq!(bench.discarded(1, Discard::SpoolFailed), 20);
    (disk, bench, whole)
}

#[test]
fn what_is_whole_before_damage_is_handed_again_after_an_abort() {
    let (_disk, mut bench, whole) = damaged_near_an_end();
    bench.spool.give_back(bench.cursor);
    let again = bench.hand(100);
    assert_eq!(again, whole);
    let rest = bench.hand_all();
    bench.spool.acknowledge(bench.cursor, again.len() + rest.len());
    assert_eq!(bench.books(1), (400, 380, 0, 20));
    assert!(bench.spool.is_empty(bench.cursor));
}

#[test]
fn what_is_whole_before_damage_is_handed_again_after_a_kill() {
    let (disk, mut bench, whole) = damaged_near_an_end();
    bench.spool.tend(NOW);
    let mut second = Bench::open(&disk.copy());
    assert_eq!(second.hand(100), whole);
    let rest = second.hand_all();
    second.spool.acknowledge(second.cursor, whole.len() + rest.len());
    assert_eq!(second.discarded(1, Discard::SpoolFailed), 20);
    assert!(second.spool.is_empty(second.cursor));
}

#[test]
fn a_bus_is_believed_beyond_notes_at_the_end_of_a_segment() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append(1);
    disk.state().room = Some(0);
    let kept = (0..40).filter(|_| matches!(bench.append(1), Appended::Kept(_))).count();
    assert!((1..40).contains(&kept), "{kept}");
    disk.state().room = None;
    bench.append_all(4, 1);
    let handed = bench.hand_all().len();
    let committed = bench.spool.position_after(bench.cursor, handed).unwrap();
    let mut second = Bench::open(&disk.copy());
    assert!(second.spool.segments.len() > 1);
    assert_eq!(second.spool.resume(second.cursor, committed) as usize, handed);
}
