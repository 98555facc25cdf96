//! A plain subscription promises nothing, but what it loses is counted: to the record and the packet, with a residual of 0.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod whole;

use perf::kernel::signal::Signal;
use perf::wait::wait_until;
use serde_json::Value;
use whole::PATIENCE;
use whole::site::{FLOOD, FLOWS, STRETCH_PACKETS, STRETCH_RECORDS, Site, wait_for_rows};

/// Rows of a flood that are stored when the queue is short again, for certain.
const HELD: u64 = 400_000;

/// Every reader is a plain subscriber.
const PLAIN: [&str; 2] = ["--zmq-acknowledge", "off"];

/// Residual 0, this is lost, and the rest of what was sent in stretches is stored.
fn assert_lost(ledger: &Value, stretches: u64, records: u64, packets: u64) {
    assert_eq!((&ledger["residual"]["packets"], &ledger["hops"][0]), (&0.into(), &Value::Null), "{ledger:#}");
    let epoch = &ledger["epochs"][0];
    assert_eq!(ledger["lost"]["records"], records, "{ledger:#}");
    assert_eq!(epoch["streams"][0]["missing"]["records"], records);
    assert_eq!(epoch["streams"][0]["missing"]["packets"], packets);
    assert_eq!(epoch["total"]["stored"]["records"], stretches * STRETCH_RECORDS - records);
    assert_eq!(epoch["total"]["stored"]["packets"], stretches * STRETCH_PACKETS - packets);
}

#[test]
fn what_an_absent_collector_missed_is_counted_and_held_against_max_loss() {
    let (mut site, first) = Site::start(&PLAIN);
    site.send();
    wait_for_rows(&first, FLOWS);
    first.stop();
    site.wait_for("the last subscriber went", 1);
    site.send();
    site.wait_for("these batches are gone", 1);
    let second = site.collector(&[]);
    site.wait_for("a subscriber came", 2);
    site.send();
    let folder = site.end();
    // The stretch in the middle; the flow of its last packet ended later, but that of the one before in its place.
    let (records, packets) = (STRETCH_RECORDS, STRETCH_PACKETS);
    let (code, ledger) = second.check();
    assert_eq!(code, 0, "{ledger:#}");
    assert_lost(&ledger, 3, records, packets);
    for (most, code) in [(packets - 1, 4), (packets, 0)] {
        assert_eq!(second.check_with(&["--max-loss", &most.to_string()]).0, code, "--max-loss {most}");
    }
    drop((second, folder));
}

#[test]
fn a_collector_that_stands_still_for_a_while_loses_nothing_that_the_queue_holds() {
    let (mut site, collector) = Site::start(&PLAIN);
    site.send();
    wait_for_rows(&collector, FLOWS);
    collector.signal(Signal::Stop);
    site.send();
    let folder = site.end();
    collector.signal(Signal::Continue);
    let (code, ledger) = collector.check();
    assert_eq!((code, &ledger["verdict"]), (0, &"balanced".into()), "{ledger:#}");
    assert_lost(&ledger, 2, 0, 0);
    drop((collector, folder));
}

#[test]
fn what_the_queue_of_a_collector_that_stands_still_cannot_hold_is_counted() {
    let (mut site, collector) = Site::start(&PLAIN);
    collector.signal(Signal::Stop);
    site.flood();
    collector.signal(Signal::Continue);
    // Then there is room in the queue again, or the next batch and the closed books would be lost as well.
    wait_until("what was held is stored", PATIENCE, || collector.rows() >= HELD).unwrap();
    site.send();
    let folder = site.end();
    let (code, ledger) = collector.check();
    assert_eq!((code, &ledger["residual"]["packets"], &ledger["hops"][0]), (0, &0.into(), &Value::Null));
    let number = |pointer| ledger.pointer(pointer).and_then(Value::as_u64).unwrap();
    let lost = number("/lost/records");
    let stored = number("/epochs/0/total/stored/records");
    assert!(lost > 0 && lost == FLOOD + STRETCH_RECORDS - stored, "{lost} lost, {stored} stored");
    let packets = number("/epochs/0/streams/0/missing/packets");
    assert_eq!(packets, FLOOD + STRETCH_PACKETS - number("/epochs/0/total/stored/packets"));
    assert_eq!(collector.check_with(&["--max-loss", "0"]).0, 4);
    drop((collector, folder));
}
