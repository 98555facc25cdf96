//! The outbox keeps its books: out = acknowledged + waiting + discarded, whatever a sink does.

use std::time::Duration;

use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use flow_wire::header::Header;
use flow_wire::ledger::{Amount, CursorTerms};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, StreamId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use flow_wire::stamp::Stamp;

const OCTETS: usize = 100;

fn sealed(kind: Kind, stream: StreamId, sequence: u64, rows: u32) -> Arc<Sealed> {
    let stamp = Stamp {
        probe: ProbeId(Uuid::nil()),
        epoch: Epoch(Uuid::nil()),
        stream,
        sequence: Sequence(sequence),
    };
    let body = vec![0; OCTETS];
    Arc::new(Sealed { header: Header::seal(kind, stamp, rows, &body), body, exported: Amount::ZERO })
}

fn flows(sequence: u64) -> Arc<Sealed> {
    sealed(Kind::Flows, StreamId(0), sequence, 10)
}

fn two(capacity: usize) -> Arc<Outbox> {
    let sinks = [("slow".to_owned(), Guarantee::ExactlyOnce), ("fast".to_owned(), Guarantee::AtMostOnce)];
    Outbox::new(&sinks, capacity)
}

fn terms(outbox: &Outbox, sink: &str) -> CursorTerms {
    outbox.terms().into_iter().find(|terms| terms.sink == sink).unwrap()
}

fn sequences(next: Next) -> Vec<u64> {
    match next {
        Next::Batches(batches) => batches.iter().map(|sealed| sealed.header.stamp.sequence.0).collect(),
        Next::Nothing | Next::End => Vec::new(),
    }
}

fn next(cursor: &Cursor, batches: usize) -> Vec<u64> {
    sequences(cursor.next(batches, usize::MAX, Duration::ZERO))
}

#[test]
fn a_stuck_sink_loses_its_own_batches_and_no_other() {
    let outbox = two(2 * OCTETS);
    let fast = outbox.cursor(1);
    for sequence in 0..5 {
        outbox.append(&flows(sequence));
        assert_eq!(next(&fast, 9), [sequence]);
        fast.acknowledge(1);
    }
    let slow = terms(&outbox, "slow");
    assert_eq!((slow.records_out, slow.in_spool, slow.acknowledged), (50, 20, 0));
    assert_eq!((slow.discarded[&Discard::OutboxFull], slow.discarded_batches), (30, 3));
    let fast = terms(&outbox, "fast");
    assert_eq!((fast.records_out, fast.acknowledged, fast.discarded_batches), (50, 50, 0));
}

#[test]
fn what_is_given_back_is_handed_again_in_order() {
    let outbox = two(usize::MAX);
    let cursor = outbox.cursor(0);
    (0..6).for_each(|sequence| outbox.append(&flows(sequence)));
    assert_eq!(next(&cursor, 2), [0, 1]);
    assert_eq!(next(&cursor, 2), [2, 3]);
    cursor.acknowledge(1);
    cursor.give_back();
    cursor.discard(flows(2).header.stamp, Discard::RefusedByBus);
    assert_eq!(next(&cursor, 9), [1, 3, 4, 5]);
    let terms = terms(&outbox, "slow");
    assert_eq!((terms.acknowledged, terms.in_spool, terms.discarded[&Discard::RefusedByBus]), (10, 40, 10));
}

#[test]
fn octets_bound_what_is_handed_but_one_batch_always_goes() {
    let outbox = two(usize::MAX);
    let cursor = outbox.cursor(0);
    (0..5).for_each(|sequence| outbox.append(&flows(sequence)));
    assert_eq!(sequences(cursor.next(9, 2 * OCTETS, Duration::ZERO)), [0, 1]);
    assert_eq!(sequences(cursor.next(9, 1, Duration::ZERO)), [2]);
}

#[test]
fn abandoning_spares_what_is_handed_and_the_ledger() {
    let outbox = two(usize::MAX);
    let cursor = outbox.cursor(0);
    outbox.append(&flows(0));
    outbox.append(&flows(1));
    outbox.append(&sealed(Kind::Ledger, StreamId::CONTROL, 7, 0));
    assert_eq!(next(&cursor, 1), [0]);
    outbox.abandon(Discard::DrainTimeout);
    assert_eq!(next(&cursor, 9), [7]);
    assert_eq!(terms(&outbox, "slow").discarded[&Discard::DrainTimeout], 10);
    cursor.acknowledge(2);
    assert_eq!(terms(&outbox, "slow").acknowledged, 10);
    assert!(matches!(cursor.next(1, 1, Duration::ZERO), Next::Nothing));
    outbox.end();
    assert!(matches!(cursor.next(1, 1, Duration::from_secs(60)), Next::End));
}

#[test]
fn the_newest_ledger_messages_stay_where_their_room_is_full() {
    let outbox = two(0);
    let cursor = outbox.cursor(0);
    let count = (LEDGER_OCTETS / OCTETS) as u64 + 3;
    (0..count).for_each(|sequence| outbox.append(&sealed(Kind::Ledger, StreamId::CONTROL, sequence, 0)));
    let kept = next(&cursor, usize::MAX);
    assert_eq!((kept.first(), kept.last()), (Some(&3), Some(&(count - 1))));
}

#[test]
fn without_a_sink_records_are_counted_as_such() {
    let outbox = Outbox::new(&[], 0);
    outbox.append(&flows(0));
    let terms = outbox.terms();
    assert_eq!((terms[0].records_out, terms[0].discarded[&Discard::NoSink]), (10, 10));
    assert!(outbox.wait_empty(Duration::ZERO) && outbox.has_room(usize::MAX));
}

#[test]
fn a_cursor_that_comes_later_begins_behind_what_was_appended() {
    let outbox = two(usize::MAX);
    outbox.begin_epoch(Epoch(Uuid::nil()), &[StreamId(0)]);
    outbox.append(&flows(0));
    let late = outbox.cursor(0).outbox().open_cursor("late", Guarantee::ExactlyOnce).unwrap();
    assert!(outbox.open_cursor("late", Guarantee::ExactlyOnce).is_none(), "two readers of one cursor");
    outbox.append(&flows(1));
    assert_eq!((late.number(), next(&late, 9)), (3, vec![1]));
    late.acknowledge(1);
    let terms = terms(&outbox, "late");
    assert_eq!((terms.records_out, terms.acknowledged, terms.discarded_batches), (20, 10, 1));
    assert_eq!(terms.discarded[&Discard::NoSubscriber], 10);
}

#[test]
fn a_waiting_sink_is_woken_by_what_comes() {
    let outbox = two(usize::MAX);
    let cursor = outbox.cursor(0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| sequences(cursor.next(1, 1, Duration::from_secs(60))));
        outbox.append(&flows(4));
        assert_eq!(waiting.join().unwrap(), [4]);
    });
}

#[derive(Clone, Debug)]
enum Step {
    Append(u32),
    Next(usize),
    Acknowledge(usize),
    GiveBack,
    Discard(u64),
    Abandon,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_u32..20).prop_map(Step::Append),
        (0_usize..4).prop_map(Step::Next),
        (0_usize..4).prop_map(Step::Acknowledge),
        Just(Step::GiveBack),
        (0_u64..40).prop_map(Step::Discard),
        Just(Step::Abandon),
    ]
}

proptest! {
    #[test]
    fn books_balance_after_every_step(steps in proptest::collection::vec(step(), 1..80)) {
        let outbox = two(10 * OCTETS);
        let cursor = outbox.cursor(0);
        let mut sealed_count = 0;
        for step in steps {
            match step {
                Step::Append(rows) => {
                    outbox.append(&sealed(Kind::Flows, StreamId(0), sealed_count, rows));
                    sealed_count += 1;
                }
                Step::Next(count) => drop(cursor.next(count, usize::MAX, Duration::ZERO)),
                Step::Acknowledge(count) => cursor.acknowledge(count),
                Step::GiveBack => cursor.give_back(),
                Step::Discard(sequence) => cursor.discard(flows(sequence).header.stamp, Discard::RefusedByBus),
                Step::Abandon => outbox.abandon(Discard::DrainTimeout),
            }
            for terms in outbox.terms() {
                let discarded: u64 = terms.discarded.values().sum();
                prop_assert_eq!(terms.records_out, terms.acknowledged + terms.in_spool + discarded);
            }
        }
    }
}
