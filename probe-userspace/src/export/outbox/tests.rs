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
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Until the condition holds.
fn wait_until(description: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "{description}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// One cursor, with `--spool-sync batch`.
fn over(disk: &crate::spool::testing::MemoryDisk) -> Arc<Outbox> {
    let day = Duration::from_secs(86_400);
    let options = crate::spool::Options {
        quota_octets: 64 << 20,
        segment_octets: 4 << 20,
        age: day,
        cursor_ttl: day,
        memory_octets: 0,
        sync: Sync::Batch,
    };
    let spool = Spool::over(Box::new(disk.clone()), ProbeId(Uuid::nil()), options).unwrap();
    let wanted = Wanted {
        name: "kafka://a".to_owned(),
        guarantee: Guarantee::ExactlyOnce,
        is_durable: true,
        opens_cursors: false,
    };
    Outbox::over(&[wanted], usize::MAX, Some(spool))
}

#[test]
fn who_appends_does_not_wait_for_a_segment_that_is_written_anew() {
    let disk = crate::spool::testing::MemoryDisk::default();
    let outbox = over(&disk);
    outbox.begin_epoch(Epoch(Uuid::nil()), &[StreamId(0)]);
    let cursor = outbox.cursor(0);
    (disk.state().is_sync_failing, disk.state().is_anew_hanging) = (true, true);
    outbox.append(&flows(0));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| outbox.keep(|| is_over.load(Ordering::Relaxed)));
        wait_until("the segment is written anew", || disk.state().is_waited_for);
        disk.state().is_sync_failing = false;
        let appending = scope.spawn(|| outbox.append(&flows(1)));
        let until = Instant::now() + Duration::from_secs(5);
        while !appending.is_finished() && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let has_appended = appending.is_finished();
        disk.state().is_anew_hanging = false;
        wait_until("both are handed", || {
            terms(&outbox, "kafka://a").acknowledged == 20 || {
                let handed = next(&cursor, 9);
                cursor.acknowledge(handed.len());
                false
            }
        });
        is_over.store(true, Ordering::Relaxed);
        outbox.wake_keeper();
        assert!(has_appended, "it waits");
    });
}

#[test]
fn a_segment_that_the_disk_goes_on_to_refuse_is_tried_now_and_then_and_given_up() {
    const INTERVAL: Duration = Duration::from_millis(10);
    let disk = crate::spool::testing::MemoryDisk::default();
    let outbox = over(&disk);
    outbox.begin_epoch(Epoch(Uuid::nil()), &[StreamId(0)]);
    let cursor = outbox.cursor(0);
    disk.state().is_sync_failing = true;
    outbox.append(&flows(0));
    let is_over = AtomicBool::new(false);
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| outbox.keep_every(INTERVAL, || is_over.load(Ordering::Relaxed)));
        let lost = || terms(&outbox, "kafka://a").discarded.get(&Discard::SpoolFailed).copied();
        let deadline = Instant::now() + Duration::from_secs(20);
        while lost() != Some(10) && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let (time, syncs) = (began.elapsed(), disk.state().syncs);
        disk.state().is_sync_failing = false;
        outbox.append(&flows(1));
        let handed = sequences(cursor.next(9, usize::MAX, Duration::from_secs(20)));
        is_over.store(true, Ordering::Relaxed);
        outbox.wake_keeper();
        assert_eq!((lost(), handed), (Some(10), vec![1]));
        assert!(time >= 5 * INTERVAL, "given up after {time:?}");
        assert!(
            u128::from(syncs) <= 2 * (2 + time.as_millis() / INTERVAL.as_millis()),
            "{syncs} in {time:?}"
        );
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

#[test]
fn each_batch_has_the_time_until_its_sinks_acknowledged_it() {
    let outbox = two(usize::MAX);
    let (slow, fast) = (outbox.cursor(0), outbox.cursor(1));
    assert!(outbox.acknowledge_times(StreamId(0)).is_none());
    (0..3).for_each(|sequence| outbox.append(&flows(sequence)));
    let times = || outbox.acknowledge_times(StreamId(0)).unwrap().len();
    assert_eq!(next(&fast, 9), [0, 1, 2]);
    fast.acknowledge(3);
    assert_eq!(times(), 3);
    // What comes again is counted when it has arrived, and what never does is not.
    assert_eq!(next(&slow, 2), [0, 1]);
    slow.give_back();
    assert_eq!(next(&slow, 9), [0, 1, 2]);
    slow.discard(flows(1).header.stamp, Discard::RefusedByBus);
    slow.acknowledge(2);
    assert_eq!(times(), 5);
    let slow = terms(&outbox, "slow");
    assert_eq!(slow.records_out, slow.acknowledged + slow.discarded[&Discard::RefusedByBus]);
}
