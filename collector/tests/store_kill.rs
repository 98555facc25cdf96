//! kill -9 at any point of a commit: what is found afterwards is a whole number of transactions, rows, sets and offsets alike.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use collector::store::duckdb::DuckDb;
use collector::store::{Depth, Intake, Offset, Writer};
use collector::testing::{batch, books, intake, message, record, stamp};
use flow_wire::ledger::Amount;

const STORE: &str = "GANNET_TEST_STORE";
const ROWS: u64 = 150;
const BATCHES_PER_COMMIT: u64 = 3;
const KILLS: u64 = 8;

/// How far the store is, by everything that it says of itself; all of it must agree.
fn sequences(store: &DuckDb) -> u64 {
    let terms = store.reader().unwrap().books(Depth::DoubledRows).unwrap();
    assert_eq!(terms.doubled_rows, Some(0));
    let Some(epoch) = terms.epochs.first() else {
        assert_eq!((terms.rows, store.all_offsets().unwrap().len()), (0, 0));
        return 0;
    };
    let stream = &epoch.streams[&stamp(0, 0).stream];
    let next = stream.received.floor();
    assert_eq!(stream.received.above_text(), "");
    assert_eq!((stream.stored.batches, stream.stored.records, terms.rows), (next, next * ROWS, next * ROWS));
    // The cut of the last message is that of the same transaction.
    assert_eq!(stream.rows_below_cut, Some(stream.stored));
    assert_eq!(epoch.message.as_ref().unwrap().cuts[0].next.0, next);
    assert_eq!(store.all_offsets().unwrap()[0].last, next as i64);
    next
}

fn next_commit(from: u64) -> Intake {
    let to = from + BATCHES_PER_COMMIT;
    let rows = |sequence| (0..ROWS).map(|row| record(sequence * ROWS + row)).collect::<Vec<_>>();
    let batches = (from..to).map(|sequence| batch(stamp(0, sequence), &rows(sequence))).collect();
    let said = books(from / BATCHES_PER_COMMIT, message(&[(0, to, to * ROWS, Amount::ZERO)], false));
    let offset = Offset {
        cluster: "c".into(),
        topic: "t".into(),
        partition: 0,
        last: to as i64,
        mark: None,
        expiry: Default::default(),
    };
    Intake { offsets: vec![offset], ..intake(batches, vec![said]) }
}

/// The one who is killed: commits for ever, and says after each commit how far it is.
#[test]
#[ignore = "a role of the test below, which starts it"]
fn writer_until_killed() {
    let directory = std::env::var_os(STORE).unwrap();
    let mut store = DuckDb::open(Path::new(&directory), None).unwrap();
    let mut next = sequences(&store);
    loop {
        store.commit(&next_commit(next)).unwrap();
        next += BATCHES_PER_COMMIT;
        println!("committed {next}");
    }
}

#[test]
fn a_killed_store_is_exact_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut before = 0;
    for kill in 0..KILLS {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer_until_killed", "--ignored", "--nocapture"])
            .env(STORE, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(writer.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut commits = said.filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok());
        let last = commits.nth(2 + kill as usize * 3).unwrap();
        // Into the middle of one of the next commits, another one each time.
        std::thread::sleep(Duration::from_millis(kill * 3));
        writer.kill().unwrap();
        writer.wait().unwrap();

        let store = DuckDb::open(directory.path(), None).unwrap();
        let next = sequences(&store);
        assert!(next >= last, "{last} was committed, {next} is there");
        assert!(next > before);
        before = next;
    }
}
