//! Cursors by name: made, kept, dropped.

use super::*;

#[test]
fn a_cursor_has_one_sink_at_a_time_and_stands_where_the_last_one_left_it() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(3, 1);
    assert_eq!(bench.spool.open_cursor(SINK, 0), None);
    bench.hand(2);
    bench.spool.acknowledge(bench.cursor, 1);
    bench.spool.detach(bench.cursor);
    assert_eq!(bench.spool.open_cursor(SINK, 0), Some(bench.cursor));
    assert_eq!(bench.hand_all(), [(1, 1), (1, 2)]);
}

#[test]
fn a_cursor_that_comes_later_has_no_part_in_what_was_before() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(3, 1);
    let late = bench.spool.open_cursor("zmq://late", 0).unwrap();
    bench.append(5);
    let terms = bench.spool.terms(late, epoch(1)).next().unwrap().1.clone();
    assert_eq!(
        (terms.out, terms.waiting.records, terms.discarded[&Discard::NoSubscriber].records),
        (8, 5, 3)
    );
    let second = Bench::open(&disk.copy());
    let late = second.spool.cursors().into_iter().find(|cursor| cursor.name == "zmq://late").unwrap();
    assert_eq!((late.is_attached, late.waiting.records), (false, 5));
}

#[test]
fn a_reserved_cursor_takes_the_name_of_who_comes() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    let reserved = bench.spool.open_cursor("zmq://reserved", 0).unwrap();
    bench.append(1);
    assert!(!bench.spool.rename_cursor("zmq://reserved", SINK), "that name is taken");
    bench.spool.detach(reserved);
    assert!(bench.spool.rename_cursor("zmq://reserved", "zmq://store"));
    let second = Bench::open(&disk.copy());
    let names: Vec<_> = second.spool.cursors().into_iter().map(|cursor| cursor.name).collect();
    assert!(names.contains(&"zmq://store".to_owned()) && !names.contains(&"zmq://reserved".to_owned()));
}

#[test]
fn a_dropped_cursor_is_counted_and_holds_nothing_up() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::with(&disk, Options { age: 2 * options().age, ..options() });
    let other = bench.spool.open_cursor("zmq://other", NOW / SECOND).unwrap();
    bench.append_all(30, 1);
    let handed = bench.hand_all().len();
    bench.spool.acknowledge(bench.cursor, handed);
    let before = bench.spool.statistics().segments;
    assert!(!bench.spool.drop_cursor(other), "a sink has it");
    bench.spool.detach(other);
    bench.spool.tend(NOW + options().cursor_ttl.as_nanos() as u64);
    assert_eq!(bench.spool.statistics().segments, before);
    bench.spool.tend(NOW + options().cursor_ttl.as_nanos() as u64 + 2 * SECOND);
    assert!(bench.spool.statistics().segments < before);
    let terms = bench.spool.terms(other, epoch(1)).next().unwrap().1.clone();
    assert_eq!((terms.waiting.records, terms.discarded[&Discard::CursorDropped].records), (0, 30));
    assert_eq!(Bench::open(&disk.copy()).spool.cursors().len(), 1);
}

#[test]
fn the_file_of_a_cursor_is_refused_where_it_is_damaged_and_the_oldest_batch_comes_first() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(4, 1);
    bench.hand(2);
    bench.spool.acknowledge(bench.cursor, 2);
    bench.spool.tend(NOW);
    let path = cursor_file::path(SINK);
    disk.state().files[&path].content.lock().unwrap()[90] ^= 1;
    let mut second = Bench::open(&disk.copy());
    assert_eq!(second.books(1), (4, 0, 4, 0));
    assert_eq!(second.hand_all(), (0..4).map(|sequence| (1, sequence)).collect::<Vec<_>>());
}

#[test]
fn what_was_discarded_is_told_by_the_next_start_if_this_one_was_killed_before() {
    let disk = MemoryDisk::default();
    let mut bench = Bench::open(&disk);
    bench.append_all(200, 1);
    let mut second = Bench::open(&disk.copy());
    let told = second.spool.take_tombstones(second.cursor, 99);
    assert_eq!(told.iter().map(|one| one.records).sum::<u64>(), second.books(1).3);
    assert_eq!(told, bench.spool.take_tombstones(bench.cursor, 99));
    // A message that found no room has told nobody.
    bench.spool.tombstones_are_untold();
    assert_eq!(told, bench.spool.take_tombstones(bench.cursor, 99));
    // A message with them that is not in the spool tells nobody.
    bench.spool.tend(NOW);
    let mut third = Bench::open(&disk.copy());
    assert_eq!(third.spool.take_tombstones(third.cursor, 99), told);
    bench.spool.tombstones_are_told();
    let mut fourth = Bench::open(&disk.copy());
    assert_eq!(fourth.spool.take_tombstones(fourth.cursor, 99), []);
}

#[test]
fn a_cursor_of_another_spool_lets_no_batch_go_unsent() {
    let disk = MemoryDisk::default();
    for _ in 0..3 {
        let mut bench = Bench::open(&disk);
        bench.append(1);
        bench.hand(1);
        bench.spool.acknowledge(bench.cursor, 1);
        bench.spool.close(NOW);
    }
    // Somebody took the identity away, and the spool is a new one.
    disk.state().files.remove("identity");
    let mut bench = Bench::open(&disk);
    bench.append_all(40, 1);
    bench.spool.tend(NOW);
    assert_eq!((bench.books(1), bench.hand_all().len()), ((40, 0, 40, 0), 40));
}

#[test]
fn an_identity_that_is_not_as_it_was_written_is_refused() {
    let disk = MemoryDisk::default();
    Bench::open(&disk);
    let whole = String::from_utf8(disk.read_all("identity")).unwrap();
    let other_number = whole.replace("\"generation\":1", "\"generation\":7");
    for spoiled in [other_number, whole.replace("gannet-spool 1", "gannet-spool 2"), String::new()] {
        assert_ne!(spoiled, whole);
        disk.write_all("identity", spoiled.into_bytes());
        let error = Spool::over(Box::new(disk.clone()), PROBE, options()).unwrap_err().to_string();
        assert!(error.contains("'identity'") && error.contains("mend"), "{error}");
    }
}

#[test]
fn more_starts_than_a_spool_has_are_an_error_and_no_panic() {
    let disk = MemoryDisk::default();
    let identity = Identity { generation: 1 << 23, ..*Bench::open(&disk).spool.identity() };
    let json = serde_json::to_vec(&identity).unwrap();
    disk.write_all("identity", checked::to_octets("gannet-spool 1", json, 512));
    let error = Spool::over(Box::new(disk), PROBE, options()).unwrap_err().to_string();
    assert!(error.contains("8388608 starts"), "{error}");
}

#[test]
fn files_that_only_look_like_segments_are_left_alone() {
    let disk = MemoryDisk::default();
    for name in ["18446744073709551615.segment", "7.segment", "+00000000007.segment"] {
        disk.write_all(name, vec![7; 100]);
    }
    let bench = Bench::open(&disk);
    assert_eq!((bench.spool.next_serial, disk.state().files.len()), (1, 6));
}

#[test]
fn a_segment_of_a_later_start_than_the_identity_knows_is_refused() {
    let disk = MemoryDisk::default();
    Bench::open(&disk).spool.close(NOW);
    let old = disk.read_all("identity");
    let mut later = Bench::open(&disk);
    later.append(1);
    disk.write_all("identity", old);
    let error = Spool::over(Box::new(disk), PROBE, options()).map(drop);
    // The start that it counts next is the one that the segment is of.
    let error = error.unwrap_err().to_string();
    assert!(error.contains(".segment is of the start 2") && error.contains("mend"), "{error}");
}

#[test]
fn another_probe_does_not_send_what_is_in_it() {
    let disk = MemoryDisk::default();
    Bench::open(&disk);
    let other = ProbeId(Uuid::from_u128(9));
    let error = Spool::over(Box::new(disk), other, options()).unwrap_err().to_string();
    assert!(error.contains("--probe-id") && error.contains(&PROBE.0.to_string()), "{error}");
}
