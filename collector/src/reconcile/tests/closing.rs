//! Books that a later start of the probe closed, and batches that it will not send.

use flow_wire::ledger::{Closes, Message, Pass, QueueTerms, Tombstone, WorkerTerms};
use flow_wire::stamp::{Epoch, Sequence, Stamp, StreamId};
use uuid::Uuid;

use super::super::{Fate, Verdict};
use super::*;
use crate::store::{Books, Bus};

/// The start after that of [`stamp`].
fn later(sequence: u64) -> Stamp {
    Stamp { epoch: Epoch(Uuid::from_u128(3)), ..stamp(StreamId::CONTROL.0, sequence) }
}

/// A message of the later start.
fn from_later(sequence: u64, message: Message) -> Books {
    Books { stamp: later(sequence), ..books(sequence, message) }
}

/// The books of the killed start, closed by the later one.
fn closing(generation: u64, is_bound: bool, message: Message) -> Message {
    let closes = Closes { epoch: stamp(0, 0).epoch, generation, is_bound };
    Message { closes: Some(closes), ..message }
}

fn tombstone(first: u64, last: u64, sink: u16) -> Tombstone {
    Tombstone {
        epoch: stamp(0, 0).epoch,
        stream: StreamId(0),
        first: Sequence(first),
        last: Sequence(last),
        sink,
        reason: Discard::SpoolQuota,
        records: (last - first + 1) * ROWS,
    }
}

/// What the killed start left: two batches of three, and its last word before the third.
fn killed() -> Intake {
    intake(vec![at(0), at(1)], vec![books(0, said(2, 0, false))])
}

fn then(books: Vec<Books>) -> Intake {
    Intake { drained: true, ..intake(vec![], books) }
}

#[test]
fn a_later_start_closes_the_books_of_a_killed_one() {
    let waiting = intake(vec![at(2)], vec![]);
    let ledger =
        close(&[killed(), waiting, then(vec![from_later(0, closing(2, false, said(3, 0, false)))])], 0);
    let of_killed = ledger.epochs.iter().find(|epoch| epoch.epoch == stamp(0, 0).epoch).unwrap();
    assert_eq!((of_killed.state, of_killed.is_bound, of_killed.drained), (State::Closed, false, true));
    assert_eq!((of_killed.total.stored.records, ledger.residual.packets), (3 * ROWS, 0));
    // The message that closes another epoch says nothing of its own.
    let own = ledger.epochs.iter().find(|epoch| epoch.epoch == later(0).epoch).unwrap();
    assert!(own.message.is_none() && own.identities.is_empty());
}

#[test]
fn the_latest_start_and_its_last_word_hold_whatever_came_last() {
    let word = |generation, sequence, discarded| Books {
        ..from_later(sequence, closing(generation, false, said(3, discarded, true)))
    };
    let discarded = |books: Vec<Books>| {
        let ledger = close(&[killed(), then(books)], 0);
        let epoch = ledger.epochs.into_iter().find(|epoch| epoch.epoch == stamp(0, 0).epoch).unwrap();
        epoch.message.unwrap().cursors[0].discarded_batches
    };
    assert_eq!(discarded(vec![word(2, 5, 1), word(2, 4, 0)]), 1);
    assert_eq!(discarded(vec![word(2, 4, 0), word(2, 5, 1)]), 1);
    assert_eq!(discarded(vec![word(3, 1, 1), word(2, 7, 0)]), 1);
    // The epoch's own messages come late, and say less.
    let mut own = said(3, 0, true);
    own.cursors[0].discarded_batches = 0;
    assert_eq!(discarded(vec![word(2, 5, 1), books(99, own)]), 1);
}

#[test]
fn a_bound_is_reported_and_no_residual_but_deliveries_stay_exact() {
    // A worker that metered 100 packets: what became of 20 of them nobody can say.
    let with_worker = |batches, discarded| {
        let amount = Amount { packets: 100, octets: 6_400 };
        let exported = Amount { packets: 80, octets: 5_120 };
        let worker = WorkerTerms { received: amount, metered: amount, exported, ..WorkerTerms::default() };
        Message { workers: vec![worker], ..said(batches, discarded, false) }
    };
    let close_as =
        |bound, message| close(&[killed(), then(vec![from_later(0, closing(2, bound, message))])], 0);
    let bound = close_as(true, with_worker(2, 0));
    assert_eq!((bound.verdict, bound.residual.packets), (Verdict::Open, 0), "the later start goes on");
    let epoch = bound.epochs.iter().find(|epoch| epoch.is_bound).unwrap();
    assert!(epoch.identities.iter().any(|line| !line.holds && line.is_bound), "it is reported");
    let exact = close_as(false, with_worker(2, 0));
    assert_eq!(exact.verdict, Verdict::Residual);
    assert!(exact.hops.iter().all(|hop| *hop < Hop::Batch), "{:?}", exact.hops);
    // Of three batches that Kafka acknowledged one is not there: no bound excuses that.
    let short = close_as(true, with_worker(3, 0));
    assert_eq!((short.verdict, &short.hops[..]), (Verdict::Residual, &[Hop::Bus][..]));
}

#[test]
fn discarded_batches_are_named_and_not_waited_for() {
    let told = |sink, read_as| {
        let mut message = said(3, 1, true);
        message.tombstones = vec![tombstone(2, 2, sink)];
        let told = Books { sink: read_as, ..books(1, message) };
        close(&[killed(), intake(vec![], vec![told])], 0)
    };
    let ledger = told(1, 1);
    let stream = &ledger.epochs[0].streams[0];
    assert_eq!((stream.late, stream.fates.len()), (false, 1), "{stream:?}");
    let fated = &stream.fates[0];
    assert_eq!((fated.fate, fated.reason), (Fate::Discarded, Some(Discard::SpoolQuota)));
    assert_eq!((&fated.ranges[..], ledger.lost.records), (&[(2, 2)][..], ROWS));
    // Another sink's loss: here the batch may still come.
    assert_eq!(told(2, 1).epochs[0].streams[0].fates[0].fate, Fate::Late);
}

#[test]
fn a_discarded_batch_that_is_there_all_the_same_is_no_loss() {
    let told = |sequences: &[u64]| {
        let mut message = said(3, 1, true);
        message.tombstones = vec![tombstone(1, 1, 1)];
        let there = sequences.iter().map(|sequence| at(*sequence)).collect();
        let all = Intake { drained: true, ..intake(there, vec![Books { sink: 1, ..books(0, message) }]) };
        let ledger = close(&[all], 0);
        (ledger.verdict, ledger.residual.packets, ledger.lost.records)
    };
    assert_eq!(told(&[0, 2]), (Verdict::Balanced, 0, ROWS));
    // Its acknowledgement got lost, so that the probe gave it up.
    assert_eq!(told(&[0, 1, 2]), (Verdict::Balanced, 0, 0));
    // It explains no other one.
    assert_eq!(told(&[0, 1]).0, Verdict::Residual);
}

#[test]
fn what_one_bus_discarded_another_may_have_brought() {
    let over = |sequences: &[u64], of_zmq: u64, buses: &[Bus]| {
        let mut message = said(4, 1, true);
        let zmq = said(4, of_zmq, true).cursors.remove(0);
        message.cursors.push(CursorTerms { sink: "zmq://127.0.0.1:1234".into(), ..zmq });
        let there = sequences.iter().map(|sequence| at(*sequence)).collect();
        let mut all = Intake { drained: true, ..intake(there, vec![books(0, message)]) };
        for (arrival, bus) in all.arrivals.iter_mut().zip(buses.iter().cycle()) {
            arrival.bus = *bus;
        }
        let ledger = close(&[all], 0);
        (ledger.verdict, ledger.lost.records)
    };
    let both = [Bus::Kafka, Bus::Zmq];
    assert_eq!(over(&[0, 1, 2, 3], 2, &[Bus::Kafka]).0, Verdict::Residual, "who brought the fourth?");
    assert_eq!(over(&[0, 1, 2, 3], 2, &both), (Verdict::Balanced, 0));
    assert_eq!(over(&[0, 1, 3], 2, &both), (Verdict::Balanced, ROWS));
    assert_eq!(over(&[1, 3], 2, &both).0, Verdict::Residual, "one gave up one only");
    // One of them gave nothing up.
    assert_eq!(over(&[0, 1, 3], 0, &both).0, Verdict::Residual);
}

#[test]
fn a_bus_without_a_guarantee_excuses_no_loss_of_the_other() {
    let mut message = said(4, 1, true);
    let plain = CursorTerms { guarantee: Guarantee::AtMostOnce, ..said(4, 0, true).cursors.remove(0) };
    message.cursors.push(CursorTerms { sink: "zmq://127.0.0.1:1234".into(), ..plain });
    let mut all = Intake { drained: true, ..intake(vec![at(0), at(3)], vec![books(0, message)]) };
    all.arrivals[1].bus = Bus::Zmq;
    assert_eq!(close(&[all], 0).verdict, Verdict::Residual, "Kafka gave up one only");
}

#[test]
fn a_stream_that_only_a_tombstone_told_of_has_the_bus_on_which_it_comes() {
    let mut message = said(3, 1, true);
    message.tombstones = vec![tombstone(1, 1, 1)];
    let mut came = intake(vec![at(0), at(2)], vec![]);
    came.arrivals.iter_mut().for_each(|arrival| arrival.bus = Bus::Zmq);
    let directory = tempfile::tempdir().unwrap();
    let mut store = DuckDb::open(directory.path(), None).unwrap();
    for intake in [intake(vec![], vec![Books { sink: 1, ..books(0, message) }]), came] {
        store.commit(&intake).unwrap();
    }
    let terms = store.reader().unwrap().books(Depth::Batches).unwrap();
    let stream = &terms.epochs[0].streams[&StreamId(0)];
    assert_eq!((stream.bus, stream.on_several_buses), (Bus::Zmq, false));
}

#[test]
fn an_epoch_of_which_nothing_but_its_closing_came_is_there_all_the_same() {
    let mut message = closing(2, true, said(2, 2, false));
    message.tombstones = vec![tombstone(0, 1, 1)];
    let ledger = close(&[then(vec![from_later(0, message)])], 0);
    let epoch = ledger.epochs.iter().find(|epoch| epoch.epoch == stamp(0, 0).epoch).unwrap();
    assert_eq!((epoch.state, epoch.streams[0].fates[0].fate), (State::Closed, Fate::Discarded));
    assert_eq!((ledger.residual.packets, ledger.lost.records), (0, 2 * ROWS));
}

#[test]
fn what_a_killed_epoch_held_is_said() {
    let amount = |packets| Amount { packets, octets: packets * 64 };
    let worker = WorkerTerms {
        received: amount(30),
        metered: amount(30),
        exported: amount(18),
        open: amount(8),
        in_record_ring: amount(4),
        ..WorkerTerms::default()
    };
    let last = Message { workers: vec![worker], ..said(2, 0, false) };
    let killed = intake(vec![at(0), at(1)], vec![books(0, last)]);
    let ledger = close(&[killed], super::super::state::SILENT_AFTER_NANOSECONDS + 1);
    assert_eq!((ledger.epochs[0].state, ledger.epochs[0].unsent.packets), (State::Silent, 12));
}

/// Two records that the later start found in the cache of the killed one: its first batch.
fn recovered_batch() -> Batch {
    let records = [1, 2].map(|seed| flow_wire::record::FlowRecord {
        recovered_from: Some(stamp(0, 0).epoch),
        ..record(seed)
    });
    batch(Stamp { stream: StreamId(0), ..later(0) }, &records)
}

#[test]
fn what_was_recovered_is_in_rows_that_name_the_killed_epoch() {
    let rows = recovered_batch();
    let in_rows = Amount { packets: rows.packets, octets: rows.layer2_octets };
    let close_with = |recovered: Amount, later_closed: bool| {
        let worker = WorkerTerms {
            received: in_rows,
            metered: in_rows,
            recovered,
            lost_at_crash: Amount {
                packets: in_rows.packets.saturating_sub(recovered.packets),
                octets: in_rows.octets.saturating_sub(recovered.octets),
            },
            ..WorkerTerms::default()
        };
        let of_killed = closing(2, true, Message { workers: vec![worker], ..said(2, 0, false) });
        let own = message(&[(0, 1, 2, in_rows)], later_closed);
        let told = vec![from_later(0, of_killed), from_later(1, own)];
        close(&[killed(), Intake { drained: true, ..intake(vec![recovered_batch()], told) }], 0)
    };
    let exact = close_with(in_rows, true);
    assert_eq!((exact.verdict, exact.residual.packets), (Verdict::Balanced, 0));
    let lines = |ledger: &Ledger| {
        let all = ledger.epochs.iter().flat_map(|epoch| &epoch.identities);
        all.filter(|line| line.identity.name == "recovered").map(|line| line.left_over).collect::<Vec<_>>()
    };
    assert_eq!(lines(&exact), [0]);
    let more = Amount { packets: in_rows.packets + 1, octets: in_rows.octets + 60 };
    assert_eq!(
        (close_with(more, true).verdict, close_with(more, false).verdict),
        (Verdict::Residual, Verdict::Open)
    );
    // Twice recovered is never right.
    let fewer = Amount { packets: in_rows.packets - 1, octets: in_rows.octets - 60 };
    assert_eq!(close_with(fewer, false).hops, [Hop::Store]);
}

#[test]
fn what_died_in_the_rings_of_a_killed_epoch_is_a_counted_loss() {
    let amount = |packets| Amount { packets, octets: packets * 64 };
    let close_with = |received: u64, in_rings: u64| {
        let worker = WorkerTerms {
            received: amount(received),
            metered: amount(received),
            recovered: amount(received),
            ..WorkerTerms::default()
        };
        let queue = QueueTerms {
            interface: "eth0".to_owned(),
            seen: amount(35),
            passed: [(Pass::NoSocket, amount(5))].into(),
            redirected: amount(30),
            ..QueueTerms::default()
        };
        let lost_in_rings = Some(in_rings);
        let of_killed =
            Message { workers: vec![worker], queues: vec![queue], lost_in_rings, ..said(2, 0, false) };
        close(&[killed(), then(vec![from_later(0, closing(2, false, of_killed))])], 0)
    };
    let ledger = close_with(26, 4);
    let killed = ledger.epochs.iter().find(|epoch| epoch.epoch == stamp(0, 0).epoch).unwrap();
    assert_eq!((killed.total.lost["lost_in_rings"], killed.total.excepted["passed.no_socket"]), (4, 5));
    assert_eq!((killed.lost.packets, killed.total.seen, killed.broken_hops()), (4, amount(35), vec![]));
    let ledger = close_with(26, 3);
    let killed = ledger.epochs.iter().find(|epoch| epoch.epoch == stamp(0, 0).epoch).unwrap();
    assert_eq!((killed.broken_hops(), killed.residual.packets), (vec![Hop::Receive], 1));
}
