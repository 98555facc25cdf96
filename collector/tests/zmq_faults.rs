//! A build with faults loses or doubles one thing at a hop of the collector, and the check must name that hop:
//! `cargo test -p collector --features fault-injection --test zmq_faults`.
#![cfg(feature = "fault-injection")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support {
    pub(crate) mod collector;
    pub(crate) mod publisher;
}

use support::collector::Collector;
use support::publisher::{Publisher, batch};

/// Three batches through a collector with that fault: the exit code of the check, and the hops that it names.
fn check(fault: Option<&str>) -> (Option<i32>, serde_json::Value) {
    let directory = tempfile::tempdir().unwrap();
    let publisher = Publisher::bind();
    let collector = Collector::start_with_fault(&directory.path().join("store"), &[&publisher.url], fault);
    publisher.wait_for_subscriber();
    let batches: Vec<_> = (0..3).map(batch).collect();
    for batch in &batches {
        publisher.send(batch);
    }
    publisher.cut(0, 3, &batches.iter().collect::<Vec<_>>(), true);
    collector.ask(&["ledger", "--wait", "30"]);
    let checked = collector.run(&["ledger", "--check", "--format", "json"]);
    let ledger: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    (checked.status.code(), ledger["hops"].clone())
}

#[test]
fn without_a_fault_nothing_is_named() {
    assert_eq!(check(None), (Some(0), serde_json::json!([])));
}

#[test]
fn what_ingest_loses_is_named() {
    let (code, hops) = check(Some("ingest:lose"));
    assert_eq!((code, &hops[0]), (Some(3), &"ingest".into()), "{hops}");
}

#[test]
fn what_ingest_doubles_is_named() {
    let (code, hops) = check(Some("ingest:double"));
    assert_eq!((code, &hops[0]), (Some(3), &"ingest".into()), "{hops}");
}

#[test]
fn what_the_store_loses_is_named() {
    let (code, hops) = check(Some("store:lose"));
    assert_eq!((code, &hops[0]), (Some(3), &"store".into()), "{hops}");
}

#[test]
fn what_the_store_doubles_is_named() {
    let (code, hops) = check(Some("store:double"));
    assert_eq!((code, &hops[0]), (Some(3), &"store".into()), "{hops}");
}
