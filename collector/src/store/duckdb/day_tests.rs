//! A store over many days: its files, their roll and their end, killed at every step of either.

use std::path::Path;
use std::process::Command;

use flow_wire::ledger::Amount;

use super::super::{Batch, Depth, Expiry, Intake, Offset, StoreTerms, Writer as _};
use super::{DuckDb, kill};
use crate::query::words::Words;
use crate::reconcile::{Ledger, Verdict};
use crate::testing::{batch, books, intake, message, record, stamp};

const STORE: &str = "GANNET_TEST_DAYS";
const ROWS: u64 = 30;
const BATCHES_A_DAY: u64 = 3;
const RETENTION_DAYS: u32 = 2;
const DAYS: u64 = 6;
const KILL_POINTS: u32 = 8;

/// At noon of a day, long ago.
fn noon(day: u64) -> u64 {
    (20_000 * 86_400 + day * 86_400 + 43_200) * 1_000_000_000
}

fn at(sequence: u64) -> Batch {
    let records: Vec<_> = (0..ROWS).map(|row| record(sequence * ROWS + row)).collect();
    batch(stamp(0, sequence), &records)
}

/// Of a day: its batches, and a cut behind them.
fn of_day(day: u64, closed: bool) -> Intake {
    let (from, to) = (day * BATCHES_A_DAY, (day + 1) * BATCHES_A_DAY);
    let exported = (0..to).map(at).fold(Amount::ZERO, |sum, batch| {
        sum + Amount { packets: batch.packets, octets: batch.layer2_octets }
    });
    let said = books(day, message(&[(0, to, to * ROWS, exported)], closed));
    let (cluster, topic) = ("c".to_owned(), "gannet.flow".to_owned());
    let offset =
        Offset { cluster, topic, partition: 0, last: to as i64, mark: None, expiry: Expiry::default() };
    Intake {
        now_nanoseconds: noon(day),
        offsets: vec![offset],
        drained: true,
        drained_at_nanoseconds: Some(u64::MAX),
        ..intake((from..to).map(at).collect(), vec![said])
    }
}

fn store(directory: &Path) -> DuckDb {
    DuckDb::open(directory, None).unwrap().with_retention(RETENTION_DAYS)
}

fn terms(store: &DuckDb) -> StoreTerms {
    store.reader().unwrap().books(Depth::DoubledRows).unwrap()
}

/// How many days are in it, by everything that it says of itself; all of it must agree.
fn days_in(store: &DuckDb) -> u64 {
    let terms = terms(store);
    assert_eq!(terms.doubled_rows, Some(0));
    let Some(epoch) = terms.epochs.first() else {
        assert_eq!((terms.rows, store.all_offsets().unwrap().len()), (0, 0));
        return 0;
    };
    let stream = &epoch.streams[&stamp(0, 0).stream];
    let next = stream.received.floor();
    assert_eq!((stream.stored.records, stream.received.above_text().as_str()), (next * ROWS, ""));
    assert_eq!(terms.rows + stream.removed_below_cut.records, next * ROWS);
    assert_eq!(stream.rows_below_cut, Some(stream.present_below_cut));
    assert_eq!(store.all_offsets().unwrap()[0].last, next as i64);
    let ledger = Ledger::close(&terms, true, noon(DAYS));
    assert_eq!(ledger.residual, Amount::ZERO, "{:?}", ledger.hops);
    next / BATCHES_A_DAY
}

fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = names.filter(|name| name.ends_with(".duckdb") || name.contains("new")).collect();
    files.sort();
    files
}

/// Rows that a query finds.
fn found(store: &DuckDb) -> u64 {
    let pairs = [("measure".to_owned(), "flows".to_owned())];
    let words = Words { pairs: &pairs, now_nanoseconds: 0 };
    store.reader().unwrap().top(&words.top().unwrap()).unwrap().total[0]
}

#[test]
fn each_day_has_a_file_and_a_query_sees_them_all() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = DuckDb::open(directory.path(), None).unwrap();
    for day in 0..3 {
        store.commit(&of_day(day, day == 2)).unwrap();
    }
    assert_eq!(files(directory.path()), ["flows-2.duckdb", "flows-3.duckdb", "flows.duckdb"]);
    assert_eq!((found(&store), days_in(&store)), (3 * BATCHES_A_DAY * ROWS, 3));
    drop(store);
    let mut store = DuckDb::open(directory.path(), None).unwrap();
    assert_eq!((found(&store), days_in(&store)), (3 * BATCHES_A_DAY * ROWS, 3));
    // A batch of the first day is known by its CRC, whichever file it is in; another content is a conflict.
    let now_nanoseconds = noon(2);
    let again = Intake { now_nanoseconds, ..intake(vec![at(0), batch(stamp(0, 1), &[record(9)])], vec![]) };
    let committed = store.commit(&again).unwrap();
    assert_eq!((committed.rows, committed.duplicates, committed.conflicts), (0, 1, 1));
}

#[test]
fn a_clock_that_jumps_begins_a_file_and_removes_none() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store(directory.path());
    store.commit(&of_day(0, false)).unwrap();
    store.commit(&Intake { now_nanoseconds: noon(30_000), ..of_day(1, false) }).unwrap();
    assert_eq!((files(directory.path()).len(), found(&store)), (2, 2 * BATCHES_A_DAY * ROWS));
}

#[test]
fn what_retention_removed_is_a_term_and_never_stored_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store(directory.path());
    for day in 0..DAYS {
        store.commit(&of_day(day, day + 1 == DAYS)).unwrap();
    }
    // At its next look it has one day more than it keeps.
    store.prune_after_nanoseconds = 0;
    let now_nanoseconds = noon(DAYS - 1);
    let mut again = Intake { now_nanoseconds, ..intake(vec![at(0)], vec![]) };
    again.arrivals[0].reread = true;
    let committed = store.commit(&again).unwrap();
    assert_eq!((committed.rows, committed.duplicates), (0, 1), "the set outlives the file");
    assert_eq!(files(directory.path()).len(), RETENTION_DAYS as usize);
    let kept = u64::from(RETENTION_DAYS) * BATCHES_A_DAY * ROWS;
    assert_eq!((found(&store), days_in(&store)), (kept, DAYS));
    let ledger = Ledger::close(&terms(&store), true, noon(DAYS));
    assert_eq!(ledger.verdict, Verdict::Balanced);
    let stream = &ledger.epochs[0].streams[0];
    assert_eq!((stream.removed.records, ledger.lost.records), (DAYS * BATCHES_A_DAY * ROWS - kept, 0));
    // Of all that is gone a row for each kind and stream is left.
    let rows: u64 = store
        .connection
        .query_row("SELECT count(*) FROM file_sum WHERE day = 0 AND stream = 0", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 2, "batches and arrivals");
}

#[test]
fn queries_go_on_while_files_come_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store(directory.path());
    store.commit(&of_day(0, false)).unwrap();
    let reader = store.reader().unwrap();
    std::thread::scope(|scope| {
        let (ended, asked) = std::sync::mpsc::channel::<()>();
        let asking = scope.spawn(move || {
            let mut answers = 0;
            while asked.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                let terms = reader.books(Depth::DoubledRows).unwrap();
                let stream = &terms.epochs[0].streams[&stamp(0, 0).stream];
                assert_eq!(terms.rows + stream.removed_below_cut.records, stream.received.floor() * ROWS);
                answers += 1;
            }
            answers
        });
        for day in 1..DAYS {
            store.commit(&of_day(day, false)).unwrap();
        }
        drop(ended);
        assert!(asking.join().unwrap() > 0);
    });
}

#[test]
fn a_cut_that_comes_after_its_batches_were_removed_covers_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = store(directory.path());
    // Killed: batches above the last cut, which nobody closes for days.
    let mut killed = of_day(0, false);
    killed.books[0].message.cuts[0].next.0 = 1;
    store.commit(&killed).unwrap();
    for day in 1..4 {
        let other = batch(stamp(7, day), &[record(day)]);
        store.commit(&Intake { now_nanoseconds: noon(day), ..intake(vec![other], vec![]) }).unwrap();
    }
    store
        .commit(&Intake {
            now_nanoseconds: noon(4),
            ..intake(vec![], vec![of_day(0, true).books[0].clone()])
        })
        .unwrap();
    let late = books(9, of_day(0, true).books[0].message.clone());
    let now_nanoseconds = noon(5);
    store.commit(&Intake { now_nanoseconds, drained: true, ..intake(vec![], vec![late]) }).unwrap();
    let terms = terms(&store);
    let stream = &terms.epochs[0].streams[&stamp(0, 0).stream];
    assert_eq!(stream.removed_below_cut.records, BATCHES_A_DAY * ROWS);
    let ledger = Ledger::close(&terms, true, now_nanoseconds);
    assert_eq!((ledger.residual, ledger.lost.records), (Amount::ZERO, 0));
}

/// The one who is killed: a day after the other, from where the store is.
#[test]
#[ignore = "a role of the test below, which starts it"]
fn writer_of_days() {
    let directory = std::env::var_os(STORE).unwrap();
    let mut store = store(Path::new(&directory));
    for day in days_in(&store)..DAYS {
        store.commit(&of_day(day, false)).unwrap();
    }
}

#[test]
fn a_store_killed_at_any_step_of_a_roll_or_a_removal_is_exact() {
    for point in 1..=KILL_POINTS {
        let directory = tempfile::tempdir().unwrap();
        let run = |variable: &str| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "store::duckdb::day_tests::writer_of_days", "--ignored"]);
            command.env(STORE, directory.path()).env(variable, point.to_string());
            command.output().unwrap()
        };
        let killed = run(kill::VARIABLE);
        assert!(!killed.status.success(), "point {point} was not passed");
        let before = {
            let store = store(directory.path());
            let days = days_in(&store);
            assert!(days > 0 && days < DAYS, "point {point}: {days}");
            assert_eq!(found(&store), terms(&store).rows);
            days
        };
        let ended = run("GANNET_TEST_UNUSED");
        assert!(ended.status.success(), "point {point}: {}", String::from_utf8_lossy(&ended.stdout));
        let store = store(directory.path());
        assert_eq!(days_in(&store), DAYS, "point {point}, {before} days before");
        // A day more than is kept, until the next look.
        let names = files(directory.path());
        assert!(names.len() <= RETENTION_DAYS as usize + 1, "point {point}: {names:?}");
        assert!(names.iter().all(|name| name.ends_with(".duckdb")), "point {point}: {names:?}");
    }
}
