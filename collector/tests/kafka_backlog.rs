//! What gathered while the collector was away: memory stays bounded whatever it is, and a stop in the middle of it is quick.
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

/// The bound of a stop, and room for a machine that does other things as well.
const STOP_MAX: Duration = Duration::from_secs(15);

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
