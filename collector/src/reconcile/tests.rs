//! Verdicts over a real store: one cause, one verdict, one hop.

mod closing;
mod expiry;

use flow_wire::fault::Hop;
use flow_wire::ledger::{Amount, CursorTerms, Discard, Guarantee, Message};
use flow_wire::stamp::StreamId;

use super::{Ledger, State, Verdict};
use crate::store::duckdb::DuckDb;
use crate::store::{Batch, Depth, Intake, Writer};
use crate::testing::{arrival, batch, books, intake, message, record, stamp};

const ROWS: u64 = 10;

fn at(sequence: u64) -> Batch {
    let records: Vec<_> = (0..ROWS).map(|row| record(sequence * ROWS + row)).collect();
    batch(stamp(0, sequence), &records)
}

/// The probe sealed so many batches, and Kafka took them all but those discarded.
fn said(batches: u64, discarded: u64, closed: bool) -> Message {
    let sum = |amount: Amount, batch: Batch| {
        amount + Amount { packets: batch.packets, octets: batch.layer2_octets }
    };
    let exported = (0..batches).map(at).fold(Amount::ZERO, sum);
    let mut message = message(&[(0, batches, batches * ROWS, exported)], closed);
    let reasons = [(Discard::OutboxFull, discarded * ROWS)];
    message.cursors.push(CursorTerms {
        sink: "kafka://test:9092".into(),
        stream: StreamId(0),
        guarantee: Guarantee::ExactlyOnce,
        records_out: batches * ROWS,
        acknowledged: (batches - discarded) * ROWS,
        in_spool: 0,
        discarded: reasons.into_iter().filter(|(_, records)| *records > 0).collect(),
        number: 0,
        read_here: false,
        discarded_amounts: Default::default(),
        discarded_batches: discarded,
    });
    message
}

/// These batches arrived with that message; then the books are closed.
fn closed(sequences: &[u64], message: Message, drained: bool) -> Ledger {
    let batches = sequences.iter().map(|sequence| at(*sequence)).collect();
    close(&[Intake { drained, ..intake(batches, vec![books(0, message)]) }], 0)
}

fn close(intakes: &[Intake], later_nanoseconds: u64) -> Ledger {
    let directory = tempfile::tempdir().unwrap();
    let mut store = DuckDb::open(directory.path(), None).unwrap();
    for intake in intakes {
        store.commit(intake).unwrap();
    }
    let now = intakes.last().map_or(0, |intake| intake.now_nanoseconds) + later_nanoseconds;
    Ledger::close(&store.reader().unwrap().books(Depth::DoubledRows).unwrap(), true, now)
}

fn verdict(ledger: &Ledger) -> (Verdict, u64, &[Hop]) {
    (ledger.verdict, ledger.residual.packets, &ledger.hops)
}

#[test]
fn a_closed_and_drained_epoch_balances_exactly() {
    let ledger = closed(&[0, 1, 2], said(3, 0, true), true);
    assert_eq!(verdict(&ledger), (Verdict::Balanced, 0, &[][..]));
    assert!(ledger.checked_rows && ledger.epochs[0].identities.iter().all(|line| line.holds));
}

#[test]
fn what_may_still_come_is_open_and_not_lost() {
    let ledger = closed(&[0], said(3, 0, true), false);
    assert_eq!(verdict(&ledger), (Verdict::Open, 0, &[][..]));
    let stream = &ledger.epochs[0].streams[0];
    assert_eq!((stream.late, stream.missing.batches, stream.missing.records), (true, 2, 20));
    assert_eq!(ledger.lost.records, 0);
}

#[test]
fn what_kafka_acknowledged_and_has_not_is_a_residual_of_the_bus() {
    let drained = closed(&[0], said(3, 0, true), true);
    assert_eq!(verdict(&drained), (Verdict::Residual, 20, &[Hop::Bus][..]));
    // A gap below a later batch will not be filled, drained or not.
    let gap = closed(&[0, 2], said(3, 0, false), false);
    assert_eq!(verdict(&gap), (Verdict::Residual, 10, &[Hop::Bus][..]));
    // Of a stream of which nothing came the message alone tells.
    let nothing = closed(&[], said(3, 0, true), true);
    assert_eq!(verdict(&nothing), (Verdict::Residual, 30, &[Hop::Bus][..]));
}

#[test]
fn what_the_probe_discarded_is_lost_and_no_residual() {
    let ledger = closed(&[0, 2], said(3, 1, true), true);
    assert_eq!(verdict(&ledger), (Verdict::Balanced, 0, &[][..]));
    assert_eq!((ledger.lost.records, ledger.lost.batches), (10, 1));
    // The packets of the lost records are known from the cut, though the probe did not name them.
    assert_eq!((ledger.lost.packets, ledger.lost.count()), (at(1).packets, at(1).packets));
}

#[test]
fn batches_behind_the_cut_are_nobodys_loss() {
    let ledger = closed(&[0, 1, 2, 3], said(3, 0, false), false);
    assert_eq!(verdict(&ledger), (Verdict::Open, 0, &[][..]));
    assert_eq!(ledger.epochs[0].streams[0].stored.records, 40);
}

#[test]
fn an_arrival_that_never_reached_the_store_is_a_residual_of_ingest() {
    let mut lost = intake(vec![at(0), at(2)], vec![books(0, said(3, 0, true))]);
    lost.arrivals.push(arrival(stamp(0, 1), ROWS as u32));
    let ledger = close(&[lost], 0);
    assert_eq!((ledger.verdict, ledger.hops[0]), (Verdict::Residual, Hop::Ingest));
}

#[test]
fn a_conflict_is_a_batch_that_nobody_sealed() {
    let first = intake(vec![at(0)], vec![books(0, said(1, 0, true))]);
    let second = Intake { drained: true, ..intake(vec![batch(stamp(0, 0), &[record(99)])], vec![]) };
    let ledger = close(&[first, second], 0);
    assert_eq!((verdict(&ledger), ledger.conflicts.batches), ((Verdict::Residual, 1, &[Hop::Bus][..]), 1));
}

#[test]
fn a_log_read_anew_doubles_nothing() {
    let mut again = Intake { drained: true, ..intake(vec![at(0)], vec![]) };
    again.arrivals[0].reread = true;
    let ledger = close(&[intake(vec![at(0)], vec![books(0, said(1, 0, true))]), again], 0);
    assert_eq!((verdict(&ledger), ledger.doubled.batches), ((Verdict::Balanced, 0, &[][..]), 1));
}

#[test]
fn an_epoch_that_nobody_closed_is_silent_and_no_residual() {
    let killed = Intake { drained: true, ..intake(vec![at(0)], vec![books(0, said(1, 0, false))]) };
    let ledger = close(&[killed], super::state::SILENT_AFTER_NANOSECONDS + 1);
    assert_eq!(verdict(&ledger), (Verdict::Open, 0, &[][..]));
    assert_eq!(ledger.epochs[0].state, State::Silent);
}

#[test]
fn a_store_that_nobody_spoke_to_is_open() {
    assert_eq!(close(&[], 0).verdict, Verdict::Open);
}

#[test]
fn what_is_not_read_yet_leaves_the_books_open() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = DuckDb::open(directory.path(), None).unwrap();
    store.commit(&Intake { drained: true, ..intake(vec![at(0)], vec![books(0, said(1, 0, true))]) }).unwrap();
    let terms = store.reader().unwrap().books(Depth::Batches).unwrap();
    assert_eq!(Ledger::close(&terms, false, 0).verdict, Verdict::Open);
    assert_eq!(Ledger::close(&terms, true, 0).verdict, Verdict::Balanced);
}
