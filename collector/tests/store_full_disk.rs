//! A full disk stops the collector from consuming, visibly; when there is room it goes on, and nothing is lost.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support {
    pub(crate) mod collector;
    pub(crate) mod kafka;
}

use std::path::Path;
use std::process::Command;

use collector::store::{RESERVE_OCTETS, Room};
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

    /// Leaves half of the reserve.
    fn fill(&self) {
        let ballast = Room::of(self.path()).unwrap().free - RESERVE_OCTETS / 2;
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

    disk.fill();
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
