//! From a real broker to stored rows: nothing lost, nothing doubled, whoever is away for a while.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support {
    pub(crate) mod collector;
    pub(crate) mod kafka;
}

use support::collector::{Collector, wait_until};
use support::kafka::{Broker, Producer};

/// The books of a probe that has ended: exact, from the rows themselves.
fn assert_exact(collector: &Collector, producer: &Producer) {
    let ledger = collector.ask(&["ledger", "--check", "--wait", "60"]);
    assert_eq!(ledger["verdict"], "balanced", "{ledger:#}\n{}", collector.log());
    assert_eq!((&ledger["residual"]["packets"], &ledger["lost"]["records"]), (&0.into(), &0.into()));
    assert_eq!(collector.rows(), producer.rows());
}

#[test]
fn a_collector_that_was_away_gets_everything_once() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let url = broker.url();

    // Before any probe ever ran there are no topics: it waits, and says for what.
    let collector = Collector::start(&store, &[&url]);
    wait_until("it says what it waits for", || collector.log().contains("waiting for topic gannet.flow"));
    broker.make_topics("gannet", 2);
    let mut producer = Producer::new(&broker, "gannet", 2);
    producer.send(5);
    producer.cut(false);
    wait_until("the first batches are there", || collector.rows() == producer.rows());
    assert_eq!(collector.stop(), Some(0));

    // Away, in order.
    producer.send(20);
    let collector = Collector::start(&store, &[&url]);
    wait_until("what came meanwhile is there", || collector.rows() == producer.rows());

    // Away, killed, while more comes.
    producer.send(7);
    collector.kill();
    producer.send(7);
    let collector = Collector::start(&store, &[&url]);
    producer.send(3);
    producer.cut(true);
    assert_exact(&collector, &producer);
    let ledger = collector.ask(&["ledger"]);
    assert_eq!(ledger["doubled"]["batches"], 0, "the store's own offsets made nothing come twice");
}

/// Deletes the topics and makes them again, with everything in them that was there and more.
fn replace_log(broker: &Broker, producer: &mut Producer, noticed: impl FnMut() -> bool) {
    broker.delete_topics("gannet");
    wait_until("a collector that reads has noticed", noticed);
    broker.make_topics("gannet", 1);
    let old = std::mem::replace(producer, Producer::new(broker, "gannet", 1));
    producer.take_over(old);
    producer.resend_all();
    producer.send(4);
}

#[test]
fn a_new_log_under_the_same_name_is_read_from_its_beginning() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let url = broker.url();
    broker.make_topics("gannet", 1);
    let mut producer = Producer::new(&broker, "gannet", 1);
    producer.send(6);
    producer.cut(false);
    let collector = Collector::start(&store, &[&url]);
    wait_until("the first log is read", || collector.rows() == producer.rows());
    assert_eq!(collector.stop(), Some(0));

    replace_log(&broker, &mut producer, || true);
    let collector = Collector::start(&store, &[&url]);
    wait_until("the second log is read", || collector.rows() == producer.rows());

    // While it reads.
    replace_log(&broker, &mut producer, || collector.log().contains("waiting for topic"));
    producer.cut(true);
    assert_exact(&collector, &producer);
}

#[test]
fn a_crash_of_the_broker_and_a_foreign_message_stop_nothing() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let url = broker.url();
    broker.make_topics("gannet", 1);
    let mut producer = Producer::new(&broker, "gannet", 1);
    let collector = Collector::start(&directory.path().join("store"), &[&url]);
    producer.send(3);
    wait_until("the first batches are there", || collector.rows() == producer.rows());
    broker.crash_and_restart();
    producer.send_garbage();
    producer.send(3);
    producer.cut(true);
    assert_exact(&collector, &producer);
    assert_eq!(collector.ask(&["ledger"])["refused"], serde_json::json!({"header": 1}));
}

#[test]
fn a_client_that_sees_no_broker_for_long_is_made_anew_and_goes_on_where_it_was() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    broker.make_topics("gannet", 2);
    let mut producer = Producer::new(&broker, "gannet", 2);
    let collector = Collector::start(&directory.path().join("store"), &[&broker.url()]);
    producer.send(5);
    producer.cut(false);
    wait_until("the first batches are there", || collector.rows() == producer.rows());
    broker.crash();
    wait_until("it asks with a new client", || collector.log().contains("asking with a new client"));
    broker.restart();
    producer.send(5);
    producer.cut(true);
    assert_exact(&collector, &producer);
    assert_eq!(collector.ask(&["ledger"])["doubled"]["batches"], 0);
}

#[test]
fn what_the_broker_expired_unread_is_named_counted_and_no_residual() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let (store, url) = (directory.path().join("store"), broker.url());
    broker.make_topics("gannet", 1);
    let mut producer = Producer::new(&broker, "gannet", 1);
    producer.send(2);
    let collector = Collector::start(&store, &[&url]);
    wait_until("the first batches are there", || collector.rows() == producer.rows());
    assert_eq!(collector.stop(), Some(0));

    // Each send has an aborted transaction before the committed one, each with a mark behind it: 2 + 1 + 2 + 1 offsets, and
    // then 3 + 1 before the batches 2, 3 and 4, of which the first two go.
    producer.send(3);
    broker.expire_below("gannet", 12);
    producer.cut(true);
    let collector = Collector::start(&store, &[&url]);
    let ledger = collector.ask(&["ledger", "--check", "--wait", "60"]);
    assert_eq!(
        (&ledger["verdict"], &ledger["residual"]["packets"]),
        (&"balanced".into(), &0.into()),
        "{ledger:#}"
    );
    let stream = &ledger["epochs"][0]["streams"][0];
    let fate = serde_json::json!([{"fate": "expired", "reason": null, "batches": 2, "ranges": [[2, 3]]}]);
    assert_eq!((&stream["fates"], &stream["missing"]["ranges"]), (&fate, &serde_json::json!([[2, 3]])));
    assert_eq!(ledger["lost"]["records"], 2 * support::kafka::ROWS);
    assert_eq!(collector.rows(), producer.rows() - 2 * support::kafka::ROWS);
    assert!(collector.log().contains("removed what was not read yet"), "{}", collector.log());
    let table = String::from_utf8(collector.run(&["ledger"]).stdout).unwrap();
    assert!(table.contains("expired  stream 0: 2 batches: 2-3"), "{table}");
    let check = collector.run(&["ledger", "--check", "--max-loss", "1"]);
    assert_eq!(check.status.code(), Some(4), "a counted loss");

    // What it knew it knows still.
    assert_eq!(collector.stop(), Some(0));
    let collector = Collector::start(&store, &[&url]);
    assert_eq!(collector.ask(&["ledger", "--wait", "60"])["verdict"], "balanced");
}

#[test]
fn what_expires_while_the_collector_reads_is_named_as_well() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    broker.make_topics("gannet", 1);
    let mut producer = Producer::new(&broker, "gannet", 1);
    producer.send(2);
    let collector = Collector::start(&directory.path().join("store"), &[&broker.url()]);
    wait_until("the first batches are there", || collector.rows() == producer.rows());

    // It is stopped for a while: a fetch that is under way brings the next batches at most, never the last ones.
    collector.signal("STOP");
    producer.send(1);
    producer.send(6);
    producer.send(1);
    // 2 + 1 + 2 + 1, 1 + 1 + 1 + 1, 6 + 1, and five of six that were committed.
    broker.expire_below("gannet", 22);
    collector.signal("CONT");
    producer.cut(true);
    let ledger = collector.ask(&["ledger", "--check", "--wait", "60"]);
    assert_eq!(
        (&ledger["verdict"], &ledger["residual"]["packets"]),
        (&"balanced".into(), &0.into()),
        "{ledger:#}"
    );
    let fate = &ledger["epochs"][0]["streams"][0]["fates"][0];
    assert_eq!((&fate["fate"], fate["batches"].as_u64().unwrap() >= 5), (&"expired".into(), true), "{fate}");
    let lost = ledger["lost"]["records"].as_u64().unwrap();
    assert_eq!(collector.rows() + lost, producer.rows());
}

#[test]
fn a_store_made_after_the_log_was_shortened_says_what_is_not_in_it() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    broker.make_topics("gannet", 1);
    let mut producer = Producer::new(&broker, "gannet", 1);
    producer.send(4);
    producer.cut(true);
    // Four aborted, a mark, and two of the four that were committed.
    broker.expire_below("gannet", 7);
    let collector = Collector::start(&directory.path().join("store"), &[&broker.url()]);
    let ledger = collector.ask(&["ledger", "--check", "--wait", "60"]);
    assert_eq!(ledger["verdict"], "balanced", "{ledger:#}");
    assert_eq!(ledger["epochs"][0]["streams"][0]["fates"][0]["ranges"], serde_json::json!([[0, 1]]));
    assert_eq!(collector.rows(), 2 * support::kafka::ROWS);
}

#[test]
fn two_collectors_on_one_topic_hold_everything_each_and_new_partitions_are_noticed() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let url = broker.url();
    broker.make_topics("gannet", 2);
    let mut producer = Producer::new(&broker, "gannet", 2);
    producer.send(6);
    let collectors = ["one", "two"].map(|name| Collector::start(&directory.path().join(name), &[&url]));
    let all_there = |producer: &Producer| collectors.iter().all(|one| one.rows() == producer.rows());
    wait_until("each has the first batches", || all_there(&producer));

    broker.add_partitions("gannet", 4);
    // Another connection, which knows of them.
    let mut more = Producer::new(&broker, "gannet", 4);
    more.take_over(producer);
    let mut producer = more;
    producer.send(9);
    wait_until("each reads the new partitions", || all_there(&producer));
    producer.cut(true);
    for collector in &collectors {
        assert_exact(collector, &producer);
    }
}
