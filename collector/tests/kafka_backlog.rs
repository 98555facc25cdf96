//! What gathered while the collector was away: memory stays bounded whatever it is, and a stop in the middle of it is quick.
//! So is one while the broker does not answer.
//!
//! `GANNET_BACKLOG_BATCHES=20000` makes it one of twenty million records: so the journal was measured.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support {
    pub(crate) mod collector;
    pub(crate) mod kafka;
}

use std::time::{Duration, Instant};

use support::collector::{Collector, wait_until, wait_within};
use support::kafka::{Broker, Producer};

/// Rows of a full batch.
const ROWS: u64 = 1_000;

/// Of one transaction of the probe.
const BATCHES_AT_ONCE: u64 = 50;

/// DuckDB's 2 GiB, 64 MiB that librdkafka fetches ahead, the channel, one transaction twice.
const PEAK_MAX: u64 = 3 << 30;

/// The bound of a stop: contracts.md.
const STOP_MAX: Duration = Duration::from_secs(10);

/// A hundred probes, five minutes away.
const PROBES: u128 = 100;
const SECONDS: u64 = 300;

/// A multiple of what two busy cores need.
const BACKLOG_OF_WORDS_MAX: Duration = Duration::from_secs(25);

fn batches() -> u64 {
    let asked = std::env::var("GANNET_BACKLOG_BATCHES").ok();
    asked.map_or(1_000, |text| text.parse().unwrap())
}

#[test]
fn a_backlog_is_worked_off_in_bounded_memory_and_a_stop_in_it_says_what_is_left() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let (store, url) = (directory.path().join("store"), broker.url());
    broker.make_topics("gannet", 1);
    let mut producer = Producer::new(&broker, "gannet", 1);
    for _ in 0..batches() / BATCHES_AT_ONCE {
        producer.send_and_forget(BATCHES_AT_ONCE, ROWS);
    }
    producer.cut(true);

    let collector = Collector::start(&store, &[&url]);
    wait_until("the first of it is stored", || collector.rows() > 0);
    let begun = Instant::now();
    let log = store.with_extension("log");
    let code = collector.stop();
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(code, Some(0), "{said}");
    assert!(begun.elapsed() < STOP_MAX, "{:?}", begun.elapsed());
    assert!(said.contains("offsets unread: Kafka keeps them"), "{said}");

    let collector = Collector::start(&store, &[&url]);
    let begun = Instant::now();
    let before = collector.rows();
    // A twentieth of what two idle cores do.
    let patience = support::collector::PATIENCE + Duration::from_millis(250 * batches());
    // Cheaper than a query: the machine is to read.
    let stored = || collector.get("/health").1["store"]["rows"].as_u64().unwrap();
    wait_within(patience, "all of it is stored", || stored() == producer.rows());
    let rate = (producer.rows() - before) as f64 / begun.elapsed().as_secs_f64();
    let peak = collector.peak_octets();
    eprintln!("{} records, {rate:.0} records/s, peak {} MiB", producer.rows(), peak >> 20);
    assert!(peak < PEAK_MAX, "{peak}");
    let ledger = collector.ask(&["ledger", "--check", "--wait", "60"]);
    assert_eq!(
        (&ledger["verdict"], &ledger["doubled"]["batches"]),
        (&"balanced".into(), &0.into()),
        "{ledger:#}"
    );
}

#[test]
fn a_backlog_of_ledger_messages_is_read_at_once() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    let (store, url) = (directory.path().join("store"), broker.url());
    broker.make_topics("gannet", 1);
    let producer = Producer::new(&broker, "gannet", 1);
    producer.speak(PROBES, SECONDS);

    let begun = Instant::now();
    let collector = Collector::start(&store, &[&url]);
    let last_words = || {
        let ledger = collector.ask(&["ledger"]);
        let epochs = ledger["epochs"].as_array().unwrap();
        epochs.iter().filter(|epoch| epoch["message"]["time_nanoseconds"] == SECONDS - 1).count()
    };
    wait_within(4 * support::collector::PATIENCE, "all of it is read", || last_words() == PROBES as usize);
    let elapsed = begun.elapsed();
    let messages = PROBES as u64 * SECONDS;
    eprintln!("{messages} ledger messages in {:.1} s", elapsed.as_secs_f64());
    assert!(elapsed < BACKLOG_OF_WORDS_MAX, "{elapsed:?}");
}

#[test]
fn a_stop_waits_for_no_broker_that_hangs() {
    let broker = Broker::start();
    let directory = tempfile::tempdir().unwrap();
    broker.make_topics("gannet", 1);
    let mut producer = Producer::new(&broker, "gannet", 1);
    let collector = Collector::start(&directory.path().join("store"), &[&broker.url()]);
    // Some comes all the time, so that there is always something to be asked.
    wait_until("it reads", || {
        producer.send(1);
        collector.rows() > 20 * support::kafka::ROWS
    });
    broker.real().pause();
    let waits = || collector.get("/health").1.to_string().contains("waiting for a broker");
    wait_until("it waits for the broker", waits);
    let begun = Instant::now();
    // The next round of questions is the first to be asked of it from the begin on.
    wait_until("the round of questions is over", || begun.elapsed() > Duration::from_millis(5_300));
    let begun = Instant::now();
    let code = collector.stop();
    let elapsed = begun.elapsed();
    broker.real().resume();
    assert_eq!(code, Some(0));
    assert!(elapsed < STOP_MAX, "{elapsed:?}");
}
