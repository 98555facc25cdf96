//! What the bus did not keep until it was read.

use super::super::{Fate, Fated};
use super::*;
use crate::store::{Expiry, Offset, Place};

const MINUTE: u64 = 60_000_000_000;

/// When the epoch began, by its messages.
const START: u64 = 1_700_000_000_000_000_000;

/// These batches, from a partition whose log began there when it had last lost something unread, while the epoch went on.
fn read(sequences: &[u64], expired_below: i64) -> Intake {
    read_behind(sequences, Expiry::seen(expired_below, START + MINUTE))
}

fn read_behind(sequences: &[u64], expiry: Expiry) -> Intake {
    let mut read = intake(sequences.iter().map(|sequence| at(*sequence)).collect(), vec![]);
    let place = Place { partition: Some(0), expiry };
    read.arrivals.iter_mut().for_each(|arrival| arrival.place = place);
    read.offsets.push(offset(expiry));
    read
}

fn offset(expiry: Expiry) -> Offset {
    let (cluster, topic) = ("c".to_owned(), "gannet.flow".to_owned());
    Offset { cluster, topic, partition: 0, last: 1, mark: None, expiry }
}

/// Nothing comes any more: the reader says that the log begins elsewhere.
fn moved(expiry: Expiry) -> Intake {
    Intake { offsets: vec![offset(expiry)], ..Intake::default() }
}

fn then(message: Message) -> Intake {
    Intake { drained: true, ..intake(vec![], vec![books(0, message)]) }
}

fn expired(ledger: &Ledger) -> Vec<(u64, u64)> {
    let of = |fated: &Fated| if fated.fate == Fate::Expired { fated.ranges.clone() } else { Vec::new() };
    ledger.epochs[0].streams[0].fates.iter().flat_map(of).collect()
}

#[test]
fn a_gap_at_the_begin_of_a_shortened_log_is_a_loss_and_no_residual() {
    let ledger = close(&[read(&[0, 1], 0), read(&[4, 5], 70), then(said(6, 0, true))], 0);
    assert_eq!(verdict(&ledger), (Verdict::Balanced, 0, &[][..]));
    assert_eq!((expired(&ledger), ledger.lost.records, ledger.lost.batches), (vec![(2, 3)], 2 * ROWS, 2));
    assert_eq!(ledger.lost.packets, at(2).packets + at(3).packets);
}

#[test]
fn a_later_gap_of_the_same_log_is_a_residual_again() {
    let ledger = close(&[read(&[0], 0), read(&[2, 4], 70), then(said(5, 0, true))], 0);
    assert_eq!((ledger.verdict, &ledger.hops[..]), (Verdict::Residual, &[Hop::Bus][..]));
    assert_eq!(expired(&ledger), [(1, 1)]);
}

#[test]
fn what_expired_behind_the_last_batch_is_known_once_the_bus_is_drained() {
    let moved = moved(Expiry::seen(90, START + MINUTE));
    let ledger = close(&[read(&[0, 1], 0), moved, then(said(4, 0, true))], 0);
    assert_eq!((verdict(&ledger), expired(&ledger)), ((Verdict::Balanced, 0, &[][..]), vec![(2, 3)]));
}

#[test]
fn a_store_made_later_than_the_log_names_what_was_gone_before() {
    let ledger = close(&[read(&[3, 4], 40), then(said(5, 0, true))], 0);
    assert_eq!((verdict(&ledger), expired(&ledger)), ((Verdict::Balanced, 0, &[][..]), vec![(0, 2)]));
    // Of a stream of which nothing is left its probe alone tells.
    let moved = moved(Expiry::seen(90, START + MINUTE));
    let ledger = close(&[moved, then(said(2, 0, true))], 0);
    assert_eq!((verdict(&ledger), expired(&ledger)), ((Verdict::Balanced, 0, &[][..]), vec![(0, 1)]));
}

#[test]
fn what_came_after_all_is_not_expired() {
    let again = intake(vec![at(2), at(3)], vec![]);
    let ledger = close(&[read(&[0, 1], 0), read(&[4], 70), again, then(said(5, 0, true))], 0);
    assert_eq!((verdict(&ledger), expired(&ledger)), ((Verdict::Balanced, 0, &[][..]), vec![]));
    assert_eq!(ledger.lost.records, 0);
}

#[test]
fn what_expired_before_an_epoch_began_excuses_none_of_its_losses() {
    let long_ago = Expiry::seen(40, START - 60 * MINUTE);
    let is_of_the_bus = |intakes: &[Intake], case: &str| {
        let ledger = close(intakes, 0);
        assert_eq!((ledger.verdict, &ledger.hops[..]), (Verdict::Residual, &[Hop::Bus][..]), "{case}");
        assert_eq!(expired(&ledger), [], "{case}");
    };
    is_of_the_bus(&[read_behind(&[3, 4], long_ago), then(said(5, 0, true))], "its first batches");
    is_of_the_bus(&[moved(long_ago), then(said(2, 0, true))], "a whole stream");
    let known = [moved(long_ago), read_behind(&[0, 1], Expiry::default()), then(said(3, 0, true))];
    is_of_the_bus(&known, "its last batches");
}

#[test]
fn each_expiry_explains_what_it_can_have_taken() {
    let long_ago = Expiry::seen(40, START - 60 * MINUTE);
    let ledger = close(&[read_behind(&[2], long_ago), read(&[4], 70), then(said(5, 0, true))], 0);
    assert_eq!((ledger.verdict, &ledger.hops[..]), (Verdict::Residual, &[Hop::Bus][..]));
    assert_eq!(expired(&ledger), [(3, 3)]);
}

#[test]
fn a_probe_whose_clock_is_ahead_a_little_may_have_lost_something_all_the_same() {
    let before = Expiry::seen(40, START - 5 * MINUTE);
    let ledger = close(&[read_behind(&[3, 4], before), then(said(5, 0, true))], 0);
    assert_eq!((verdict(&ledger), expired(&ledger)), ((Verdict::Balanced, 0, &[][..]), vec![(0, 2)]));
}
