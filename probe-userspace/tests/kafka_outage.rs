//! The Kafka sink and a broker that crashes, stops, stays away, stands still, or has no room left.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "kafka/bench.rs"]
mod bench;
#[path = "../../deploy/kafka/broker.rs"]
mod broker;
#[path = "kafka/reader.rs"]
mod reader;

use std::time::{Duration, Instant};

use bench::{Running, all_below, incompressible, new_epoch, new_prefix, options, sealed, sink, sink_at};
use broker::{Broker, Exclusive, exclusive};
use flow_wire::ledger::Discard;
use flow_wire::stamp::{Epoch, StreamId};
use probe::export::kafka::Kafka;
use reader::committed;

/// An hour of absence is longer than any time-out; so are a few seconds where the time-outs are scaled like this.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(2);
const SCALED: [(&str, &str); 1] = [("transaction.timeout.ms", "2000")];

/// Before the pause of half a minute, which a broker that was away must not cost.
const FENCED: &str = "the broker has fenced this producer off";

/// It looks often for transactions that took too long.
fn scaled() -> Exclusive {
    exclusive(&["transaction.abort.timed.out.transaction.cleanup.interval.ms=200"])
}

fn append(running: &Running, epoch: Epoch, sequences: std::ops::Range<u64>) {
    sequences.for_each(|sequence| running.put(&sealed(epoch, 1, sequence, 100)));
}

/// Flows go on coming for so long; the number of batches so far.
fn append_for(running: &Running, epoch: Epoch, from: u64, time: Duration) -> u64 {
    let (until, mut sequence) = (Instant::now() + time, from);
    while Instant::now() < until {
        append(running, epoch, sequence..sequence + 1);
        sequence += 1;
        std::thread::park_timeout(Duration::from_millis(10));
    }
    sequence
}

/// All of it is there once, and in order.
fn assert_whole(broker: &Broker, prefix: &str, epoch: Epoch, batches: u64) {
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences[&(epoch, StreamId(1))], all_below(batches));
}

#[test]
fn a_broker_that_crashes_in_the_middle_loses_and_doubles_nothing() {
    whole_behind_a_crash(Running::start);
}

#[test]
fn a_broker_that_crashes_in_the_middle_loses_and_doubles_nothing_in_memory() {
    whole_behind_a_crash(Running::in_memory);
}

fn whole_behind_a_crash(start: impl FnOnce(Box<Kafka>) -> Running) {
    let (broker, prefix, epoch) = (scaled(), new_prefix(), new_epoch());
    let running = start(sink(&broker.bootstrap, &prefix));
    append(&running, epoch, 0..50);
    running.wait_acknowledged(100);
    append(&running, epoch, 50..300);
    broker.kill();
    append(&running, epoch, 300..400);
    broker.start();
    append(&running, epoch, 400..500);
    assert_eq!(running.finish()[0].acknowledged, 50_000);
    assert_whole(&broker, &prefix, epoch, 500);
}

#[test]
fn a_broker_that_is_restarted_in_order_in_mid_transaction_loses_and_doubles_nothing() {
    let (broker, prefix, epoch) = (scaled(), new_prefix(), new_epoch());
    let running = Running::start(sink(&broker.bootstrap, &prefix));
    append(&running, epoch, 0..50);
    running.wait_acknowledged(100);
    append(&running, epoch, 50..400);
    broker.stop();
    broker.start();
    assert_eq!(running.finish()[0].acknowledged, 40_000);
    assert_whole(&broker, &prefix, epoch, 400);
}

#[test]
fn a_broker_that_stays_away_for_long_gets_everything_soon_after() {
    let (broker, prefix, epoch) = (scaled(), new_prefix(), new_epoch());
    let running = Running::start(sink_at(&broker.url(), options(&prefix, &SCALED)));
    append(&running, epoch, 0..50);
    running.wait_acknowledged(100);
    append(&running, epoch, 50..300);
    broker.kill();
    let batches = append_for(&running, epoch, 300, 2 * TRANSACTION_TIMEOUT);
    running.wait_said("batches are kept and sent when it answers again");
    let waiting = running.outbox.terms()[0].in_spool;
    assert!(waiting >= 100 * (batches - 300), "{waiting} records wait");
    broker.start();
    running.wait_acknowledged(100 * batches);
    assert!(!running.said().contains(FENCED), "{}", running.said());
    running.wait_said("the broker takes batches again");
    running.finish();
    assert_whole(&broker, &prefix, epoch, batches);
}

#[test]
fn a_broker_that_stands_still_loses_and_doubles_nothing() {
    let (broker, prefix, epoch) = (scaled(), new_prefix(), new_epoch());
    let running = Running::start(sink_at(&broker.url(), options(&prefix, &SCALED)));
    append(&running, epoch, 0..1);
    running.wait_acknowledged(100);
    broker.pause();
    let batches = append_for(&running, epoch, 1, TRANSACTION_TIMEOUT + Duration::from_secs(1));
    append(&running, epoch, batches..batches + 200);
    broker.resume();
    running.wait_acknowledged(100 * (batches + 200));
    assert!(!running.said().contains(FENCED), "{}", running.said());
    running.finish();
    assert_whole(&broker, &prefix, epoch, batches + 200);
}

/// What is in flight cannot be discarded, what waits in memory is: so it shows how much of it there is.
#[test]
fn a_broker_that_stands_still_holds_no_more_than_a_transaction() {
    let (broker, prefix, epoch) = (scaled(), new_prefix(), new_epoch());
    let running = Running::in_memory(sink(&broker.bootstrap, &prefix));
    append(&running, epoch, 0..1);
    running.wait_acknowledged(100);
    broker.pause();
    append(&running, epoch, 1..501);
    running.wait_said("the broker has not answered for");
    running.outbox.abandon(Discard::DrainTimeout);
    let in_flight = running.outbox.terms()[0].in_spool;
    broker.resume();
    assert!((1..=64 * 100).contains(&in_flight), "{in_flight} records were in flight");
    let terms = running.finish().remove(0);
    assert_eq!(terms.discarded[&Discard::DrainTimeout], 50_000 - in_flight);
}

#[test]
fn a_broker_whose_disk_is_full_gets_everything_when_it_has_room_again() {
    let broker = Broker::on_small_disk(12, &[]);
    let (prefix, epoch) = (new_prefix(), new_epoch());
    let running = Running::start(sink(&broker.bootstrap, &prefix));
    const BATCHES: u64 = 600;
    (0..BATCHES).for_each(|sequence| running.put(&incompressible(epoch, sequence)));
    // Kafka's broker ends when its only disk fails.
    running.wait_said("batches are kept and sent when it answers again");
    assert!(running.acknowledged() < BATCHES * 1_000, "the disk was not full");
    broker.kill();
    assert!(broker.log().contains("No space left on device"), "it ended for another reason");
    broker.resize_disk(512);
    broker.start();
    assert_eq!(running.finish()[0].acknowledged, BATCHES * 1_000);
    let seen = committed(&broker.bootstrap, &format!("{prefix}.flow"));
    assert_eq!(seen.sequences[&(epoch, StreamId(0))], all_below(BATCHES));
}
