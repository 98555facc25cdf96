//! A publisher with the documented frames, and the real collector behind it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support {
    pub(crate) mod collector;
    pub(crate) mod publisher;
}

use std::collections::BTreeMap;

use collector::testing::{message, stamp};
use flow_wire::batch::Sealed;
use flow_wire::ledger::{Amount, CursorTerms, Discard, Guarantee};
use flow_wire::stamp::StreamId;
use support::collector::{Collector, free_port, wait_until};
use support::publisher::{Publisher, batch};

#[test]
fn what_zmq_loses_is_counted_as_lost() {
    let directory = tempfile::tempdir().unwrap();
    let publisher = Publisher::bind();
    let collector = Collector::start(&directory.path().join("store"), &[&publisher.url]);
    publisher.wait_for_subscriber();
    let batches: Vec<_> = (0..6).map(batch).collect();
    for sequence in [0, 1, 2, 4, 5] {
        publisher.send(&batches[sequence]);
    }
    publisher.socket.send_multipart([&b"gannet.flow"[..], b"not", b"ours"], 0).unwrap();
    publisher.cut(0, 6, &batches.iter().collect::<Vec<_>>(), true);

    let ledger = collector.ask(&["ledger", "--wait", "30"]);
    assert_eq!(ledger["verdict"], "balanced", "{ledger}");
    let stream = &ledger["epochs"][0]["streams"][0];
    assert_eq!(stream["missing"]["ranges"], serde_json::json!([[3, 3]]));
    assert_eq!((&stream["missing"]["records"], &ledger["lost"]["records"]), (&10.into(), &10.into()));
    assert_eq!(stream["missing"]["packets"], batches[3].exported.packets);
    assert_eq!(ledger["refused"], serde_json::json!({"header": 1}));
    assert_eq!(collector.rows(), 50);
    assert_eq!(collector.run(&["ledger", "--check"]).status.code(), Some(0));
    let lost = batches[3].exported.packets;
    let code =
        |most: u64| collector.run(&["ledger", "--check", "--max-loss", &most.to_string()]).status.code();
    assert_eq!((code(lost - 1), code(lost)), (Some(4), Some(0)));
    assert_eq!(collector.stop(), Some(0));
}

/// The terms of a sink that discarded so many batches of ten records for want of a subscriber.
fn cursor(number: u16, batches: u64, discarded: u64) -> CursorTerms {
    CursorTerms {
        sink: format!("zmq://test:{number}"),
        number,
        read_here: false,
        stream: StreamId(0),
        guarantee: Guarantee::AtMostOnce,
        records_out: batches * 10,
        acknowledged: (batches - discarded) * 10,
        in_spool: 0,
        discarded: BTreeMap::from([(Discard::NoSubscriber, discarded * 10)]),
        discarded_amounts: BTreeMap::new(),
        discarded_batches: discarded,
    }
}

#[test]
fn of_two_sinks_the_books_of_the_one_that_is_read_count() {
    let directory = tempfile::tempdir().unwrap();
    let publisher = Publisher::bind();
    let collector = Collector::start(&directory.path().join("store"), &[&publisher.url]);
    publisher.wait_for_subscriber();
    let batches: Vec<_> = (0..3).map(batch).collect();
    // Nobody heard the first batch here, and none at all at the other sink.
    batches[1..].iter().for_each(|sealed| publisher.send_as(2, sealed));
    let exported = batches.iter().fold(Amount::ZERO, |sum, one| sum + one.exported);
    let mut said = message(&[(0, 3, 30, exported)], true);
    said.cursors = vec![cursor(1, 3, 3), cursor(2, 3, 1)];
    publisher.send_as(2, &Sealed::ledger(&said, stamp(StreamId::CONTROL.0, 0)).unwrap());

    let ledger = collector.ask(&["ledger", "--check", "--wait", "30"]);
    assert_eq!(
        (&ledger["verdict"], &ledger["lost"]["records"]),
        (&"balanced".into(), &10.into()),
        "{ledger}"
    );
    let lines = ledger["epochs"][0]["identities"].as_array().unwrap();
    let bus = lines.iter().find(|line| line["name"] == "sealed" && line["hop"] == "bus").unwrap();
    assert_eq!(bus["equation"], "sealed 30 = arrived 20 + discarded.no_subscriber 10, left over 0 records");
    assert_eq!(collector.rows(), 20);
}

#[test]
fn a_batch_that_the_bus_doubles_is_stored_once_and_said() {
    let directory = tempfile::tempdir().unwrap();
    let publisher = Publisher::bind();
    let collector = Collector::start(&directory.path().join("store"), &[&publisher.url]);
    publisher.wait_for_subscriber();
    let only = batch(0);
    publisher.send(&only);
    publisher.send(&only);
    // What a sink promised is judged only where the books tell of it.
    let mut said = message(&[(0, 1, 10, only.exported)], true);
    said.cursors = vec![cursor(1, 1, 0)];
    publisher.send(&Sealed::ledger(&said, stamp(StreamId::CONTROL.0, 0)).unwrap());
    let ledger = collector.ask(&["ledger", "--wait", "30"]);
    assert_eq!((&ledger["doubled"]["batches"], collector.rows()), (&1.into(), 10));
    assert_eq!(ledger["hops"], serde_json::json!(["bus"]));
    assert_eq!(collector.run(&["ledger", "--check"]).status.code(), Some(3));
}

#[test]
fn a_collector_can_bind_and_the_probe_connect() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let collector = Collector::start(&directory.path().join("store"), &[&format!("zmq://127.0.0.1:{port}c")]);
    let publisher = Publisher::connect(port);
    publisher.wait_for_subscriber();
    publisher.send(&batch(0));
    publisher.cut(0, 1, &[&batch(0)], true);
    assert_eq!(collector.ask(&["ledger", "--check", "--wait", "30"])["verdict"], "balanced");
    assert_eq!(collector.rows(), 10);
}

#[test]
fn a_check_of_nothing_and_an_end_that_does_not_come_are_failures_that_say_why() {
    let directory = tempfile::tempdir().unwrap();
    let publisher = Publisher::bind();
    let collector = Collector::start(&directory.path().join("store"), &[&publisher.url]);
    let check = |words: &[&str]| {
        let output = collector.run(&[&["ledger", "--check"], words].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, why) = check(&[]);
    assert!(code == Some(1) && why.contains("no probe was ever heard"), "{code:?}: {why}");

    // A probe that is killed here says no last word.
    publisher.wait_for_subscriber();
    publisher.send(&batch(0));
    publisher.cut(0, 1, &[&batch(0)], false);
    wait_until("the batch is stored", || collector.rows() == 10);
    assert_eq!(check(&[]).0, Some(0), "what a live probe said so far holds");
    let (code, why) = check(&["--wait", "1"]);
    assert!(code == Some(1) && why.contains("it is not closed"), "{code:?}: {why}");
}

#[test]
fn a_stop_stores_what_came() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let publisher = Publisher::bind();
    let collector = Collector::start(&store, &[&publisher.url]);
    publisher.wait_for_subscriber();
    publisher.send(&batch(0));
    wait_until("the batch came", || collector.log().contains("receiving"));
    assert_eq!(collector.stop(), Some(0));
    let again = Collector::start(&store, &[&publisher.url]);
    assert_eq!(again.rows(), 10);
}

#[test]
fn the_second_on_a_store_is_told_who_holds_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let collector = Collector::start(&store, &["zmq://127.0.0.1:9"]);
    let asked = collector.run(&["query"]);
    assert!(asked.status.success() && asked.stdout.is_empty());
    let program = env!("CARGO_BIN_EXE_gannet-collector");
    let second = std::process::Command::new(program).args(["query", "--store"]).arg(&store).output().unwrap();
    assert_eq!((second.status.code(), second.stdout.len()), (Some(1), 0));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("held by process") && said.contains("--http 127.0.0.1:"), "{said}");
    drop(collector);
    let alone = std::process::Command::new(program).args(["query", "--store"]).arg(&store).output().unwrap();
    assert!(alone.status.success());
}

#[test]
fn a_collector_without_an_input_left_fails_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let publisher = Publisher::bind();
    let taken = format!("{}c", publisher.url);
    let program = env!("CARGO_BIN_EXE_gannet-collector");
    let ended = std::process::Command::new(program)
        .args(["-i", &taken, "--http", &format!("127.0.0.1:{}", free_port()), "--store"])
        .arg(directory.path().join("store"))
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("no input is left") && said.contains("Address already in use"), "{said}");
}
