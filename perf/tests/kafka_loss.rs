//! ZMQ promises nothing, but what it loses is counted: to the record and the packet, with a residual of 0.
//!
//! The capture comes through a pipe, so that the test says when the probe has what; a flow ends when a later packet lies
//! beyond the idle time-out, and its batch goes out a second after.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod whole;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use perf::craft::{LinkType, Pcap, Record, packet, udp};
use perf::kernel::signal::Signal;
use perf::process::Running;
use perf::wait::wait_until;
use serde_json::Value;
use tempfile::TempDir;
use whole::{Collector, PATIENCE, free_port, reader};

/// Flows of a stretch, below the 1,000 records that close a batch: each stretch is a batch.
const FLOWS: u64 = 200;
/// Packets of each of them.
const PACKETS: u64 = 2;
/// From one stretch to the next; its last packet comes in the middle, beyond the idle time-out (30 s) of those before it.
const STRETCH_NANOSECONDS: u64 = 100_000_000_000;

/// Flows of one packet each, 1,000 to a batch: far more than the probe's socket holds for a collector that stands still
/// (512 batches) and the kernel's buffers on the way (some 10 MB, of 100 kB batches).
const FLOOD: u64 = 900_000;
/// Rows of it that are stored when the queue is short again, for certain.
const HELD: u64 = 400_000;

/// A stretch with its last packet, which ends the flows before it and is a flow of its own.
const STRETCH_RECORDS: u64 = FLOWS + 1;
const STRETCH_PACKETS: u64 = FLOWS * PACKETS + 1;

/// A probe that reads a pipe and publishes, and the store of its collector.
struct Site {
    folder: TempDir,
    url: String,
    pipe: File,
    probe: Running,
    stretches: u64,
}

impl Site {
    /// With a collector that listens.
    fn start() -> (Self, Collector) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("zmq://127.0.0.1:{}", free_port());
        let collector = collector(folder.path(), &url);
        let path = folder.path().join("pipe");
        let begun = make_pipe(&path);
        // A small cache: the flows of a stretch are found to have ended at one go, and those of a flood push each other out.
        let mut probe = reader(&path, None, &["--ntopng", &url, "-M", "1000"]).start().unwrap();
        probe.wait_for_line("ready:", PATIENCE).unwrap();
        // From now on for writing alone: if the probe dies, writing fails.
        let pipe = OpenOptions::new().write(true).open(&path).unwrap();
        drop(begun);
        let site = Self { folder, url, pipe, probe, stretches: 0 };
        site.wait_for("a subscriber came", 1);
        (site, collector)
    }

    fn collector(&self) -> Collector {
        collector(self.folder.path(), &self.url)
    }

    /// Writes a stretch. Its last packet's flow ends with the next one, or with the capture.
    fn send(&mut self) {
        let begin = self.stretches * STRETCH_NANOSECONDS;
        let flows = (0..FLOWS * PACKETS).map(|number| (begin + number, 1_000 + number % FLOWS));
        let last = (begin + STRETCH_NANOSECONDS / 2, 9);
        let record = |(time, port)| format().record(&Record::whole(time, datagram(port as u16)));
        let bytes: Vec<u8> = flows.chain([last]).flat_map(record).collect();
        self.pipe.write_all(&bytes).unwrap();
        self.stretches += 1;
    }

    /// Writes a flood, of flows that no stretch has.
    fn flood(&mut self) {
        let begin = self.stretches * STRETCH_NANOSECONDS;
        let mut record = format().record(&Record::whole(begin, datagram(0)));
        let source = record.len() - 16;
        let mut bytes = Vec::new();
        for number in 0..FLOOD as u32 {
            // Nobody checks the checksum.
            record[source..source + 4].copy_from_slice(&(0xac00_0000 | number).to_be_bytes());
            bytes.extend_from_slice(&record);
        }
        self.pipe.write_all(&bytes).unwrap();
        self.stretches += 1;
    }

    /// Until the probe has said so this often.
    fn wait_for(&self, words: &str, times: usize) {
        let said = || self.probe.stderr().matches(words).count() >= times;
        wait_until(words, PATIENCE, said).unwrap_or_else(|error| panic!("{error}\n{}", self.probe.stderr()));
    }

    /// Ends the capture: the probe drains and closes its books, which balance.
    fn end(self) -> TempDir {
        drop(self.pipe);
        let probe = self.probe.wait(PATIENCE).unwrap();
        assert_eq!(probe.code(), 0, "{}", probe.stderr);
        self.folder
    }
}

fn collector(folder: &Path, url: &str) -> Collector {
    Collector::start(&folder.join("store"), None, &["-i", url])
}

fn format() -> Pcap {
    Pcap::new(LinkType::Raw)
}

/// Opened for reading as well: that does not wait for the other end.
fn make_pipe(path: &PathBuf) -> File {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let mut pipe = OpenOptions::new().read(true).write(true).open(path).unwrap();
    pipe.write_all(&format().header()).unwrap();
    pipe
}

fn datagram(port: u16) -> Vec<u8> {
    let (near, far) = (SocketAddr::from(([10, 1, 0, 1], port)), SocketAddr::from(([10, 2, 0, 1], 53)));
    packet(&udp(near, far, &[]))
}

fn wait_for_rows(collector: &Collector, rows: u64) {
    wait_until(&format!("{rows} rows are stored"), PATIENCE, || collector.rows() == rows).unwrap();
}

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
    let (mut site, first) = Site::start();
    site.send();
    wait_for_rows(&first, FLOWS);
    first.stop();
    site.wait_for("the last subscriber went", 1);
    site.send();
    site.wait_for("these batches are gone", 1);
    let second = site.collector();
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
    let (mut site, collector) = Site::start();
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
    let (mut site, collector) = Site::start();
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
