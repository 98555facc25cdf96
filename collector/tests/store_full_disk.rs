//! A full disk stops the collector from consuming, visibly; when there is room it goes on, and nothing is lost.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support {
    pub(crate) mod collector;
    pub(crate) mod kafka;
}

use std::path::Path;
use std::process::Command;

use collector::store::duckdb::DuckDb;
use collector::store::{Depth, Error, Intake, RESERVE_OCTETS, Room, Writer as _};
use collector::testing::{batch, intake, record, stamp};
use support::collector::{Collector, wait_until};
use support::kafka::{Broker, Producer};

/// A file system of its own in memory, twice as large as the reserve; gone with the test.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={}", 2 * RESERVE_OCTETS);
        let mount = ["-t", "tmpfs", "-o", &size, "gannet-full-disk"];
        let status = Command::new("mount").args(mount).arg(directory.path()).status().unwrap();
        assert!(status.success(), "mounting a tmpfs takes root");
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves so many octets.
    fn fill(&self, free: u64) {
        let ballast = Room::of(self.path()).unwrap().free - free;
        let command = ["-l", &ballast.to_string()];
        let file = self.path().join("ballast");
        assert!(Command::new("fallocate").args(command).arg(file).status().unwrap().success());
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a collector that is being killed may still hold it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_stops_consuming_visibly_until_there_is_room() {
    let (broker, disk) = (Broker::start(), Disk::mount());
    broker.make_topics("gannet", 1);
    let mut producer = Producer::new(&broker, "gannet", 1);
    producer.send(3);
    let collector = Collector::start(&disk.path().join("store"), &[&broker.url()]);
    wait_until("the first batches are there", || collector.rows() == producer.rows());

    disk.fill(RESERVE_OCTETS / 2);
    let before = collector.rows();
    producer.send(5);
    wait_until("it says so", || collector.get("/health").0 == 503);
    let (_, health) = collector.get("/health");
    let error = health["store"]["error"].as_str().unwrap();
    assert!(error.contains("MiB left") && error.contains("make room"), "{error}");
    assert_eq!(collector.rows(), before, "queries are answered, and nothing is stored");

    disk.make_room();
    wait_until("it goes on", || collector.rows() == producer.rows());
    wait_until("it is well again", || collector.get("/health").0 == 200);
    producer.cut(true);
    let ledger = collector.ask(&["ledger", "--check", "--wait", "60"]);
    assert_eq!(
        (&ledger["verdict"], &ledger["lost"]["records"]),
        (&"balanced".into(), &0.into()),
        "{ledger:#}"
    );
    assert_eq!(collector.stop(), Some(0));
}

/// One batch on a day of its own.
fn of_day(day: u64) -> Intake {
    let now_nanoseconds = (20_000 + day) * 86_400_000_000_000;
    Intake { now_nanoseconds, ..intake(vec![batch(stamp(0, day), &[record(day)])], vec![]) }
}

#[test]
fn the_oldest_days_go_where_the_store_has_too_much_of_its_disk() {
    let disk = Disk::mount();
    let directory = disk.path().join("store");
    let mut store = DuckDb::open(&directory, None).unwrap();
    for day in 0..3 {
        store.commit(&of_day(day)).unwrap();
    }
    let files = || {
        let entries = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "duckdb")).count()
    };
    assert_eq!(files(), 3);
    // Less is free than a tenth of what the store has. It looks once a minute.
    disk.fill(64 << 10);
    let minutes_later = Intake { now_nanoseconds: of_day(2).now_nanoseconds + 300_000_000_000, ..of_day(3) };
    assert!(matches!(store.commit(&minutes_later), Err(Error::Space { .. })), "that is not room enough");
    assert!(files() < 3, "the oldest is gone");
    disk.make_room();
    store.commit(&minutes_later).unwrap();
    let terms = store.reader().unwrap().books(Depth::DoubledRows).unwrap();
    let stream = &terms.epochs[0].streams[&stamp(0, 0).stream];
    assert_eq!((stream.stored.records, terms.rows < 4), (4, true));
}
