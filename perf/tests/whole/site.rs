//! A probe that reads a pipe and publishes on ZMQ, so that a test says when it has what; and the store of its collector.
//!
//! A flow ends when a later packet lies beyond the idle time-out, and its batch goes out a second after.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use perf::craft::{LinkType, Pcap, Record, packet, udp};
use perf::netns::Netns;
use perf::process::{Program, Running};
use perf::wait::wait_until;
use tempfile::TempDir;

use super::{Collector, PATIENCE, free_port, program};

/// Flows of a stretch, below the 1,000 records that close a batch: each stretch is a batch.
pub(crate) const FLOWS: u64 = 200;
/// Packets of each of them.
pub(crate) const PACKETS: u64 = 2;
/// From one stretch to the next; its last packet comes in the middle, beyond the idle time-out (30 s) of those before it.
const STRETCH_NANOSECONDS: u64 = 100_000_000_000;

/// Flows of one packet each, 1,000 to a batch: far more than the probe's socket holds for a collector that stands still
/// (512 batches) and the kernel's buffers on the way (some 10 MB, of 100 kB batches).
pub(crate) const FLOOD: u64 = 900_000;
/// A stretch with its last packet, which ends the flows before it and is a flow of its own.
pub(crate) const STRETCH_RECORDS: u64 = FLOWS + 1;
pub(crate) const STRETCH_PACKETS: u64 = FLOWS * PACKETS + 1;

/// The probe, its pipe, and what its collector needs to be started.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) url: String,
    pipe: File,
    pub(crate) probe: Running,
    stretches: u64,
}

impl Site {
    /// With a collector that listens.
    pub(crate) fn start(words: &[&str]) -> (Self, Collector) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("zmq://127.0.0.1:{}", free_port());
        let collector = collector(folder.path(), &url, &[]);
        let site = Self::alone(folder, url, words);
        site.wait_for("a subscriber came", 1);
        (site, collector)
    }

    /// Without one yet.
    pub(crate) fn alone(folder: TempDir, url: String, words: &[&str]) -> Self {
        Self::of(program("gannet-probe", None), folder, url, words)
    }

    /// The same on another host.
    pub(crate) fn alone_in(namespace: &Netns, folder: TempDir, url: String, words: &[&str]) -> Self {
        Self::of(Program::ours_in(namespace, "gannet-probe").unwrap(), folder, url, words)
    }

    fn of(program: Program, folder: TempDir, url: String, words: &[&str]) -> Self {
        let path = folder.path().join("pipe");
        let begun = make_pipe(&path);
        // A small cache: the flows of a stretch are found to have ended at one go, and those of a flood push each other out.
        let mut probe = program
            .args([Path::new("-i"), &path, Path::new("--state-dir"), &folder.path().join("state")])
            .args(["--ntopng", &url, "-M", "1000"])
            .args(words)
            .start()
            .unwrap();
        probe.wait_for_line("ready:", PATIENCE).unwrap();
        // From now on for writing alone: if the probe dies, writing fails.
        let pipe = OpenOptions::new().write(true).open(&path).unwrap();
        drop(begun);
        Self { folder, url, pipe, probe, stretches: 0 }
    }

    pub(crate) fn collector(&self, words: &[&str]) -> Collector {
        collector(self.folder.path(), &self.url, words)
    }

    /// Writes a stretch. Its last packet's flow ends with the next one, or with the capture.
    pub(crate) fn send(&mut self) {
        let begin = self.stretches * STRETCH_NANOSECONDS;
        let flows = (0..FLOWS * PACKETS).map(|number| (begin + number, 1_000 + number % FLOWS));
        let last = (begin + STRETCH_NANOSECONDS / 2, 9);
        let record = |(time, port)| format().record(&Record::whole(time, datagram(port as u16)));
        let bytes: Vec<u8> = flows.chain([last]).flat_map(record).collect();
        self.pipe.write_all(&bytes).unwrap();
        self.stretches += 1;
    }

    /// Writes a flood, of flows that no stretch has.
    pub(crate) fn flood(&mut self) {
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
    pub(crate) fn wait_for(&self, words: &str, times: usize) {
        let said = || self.probe.stderr().matches(words).count() >= times;
        wait_until(words, PATIENCE, said).unwrap_or_else(|error| panic!("{error}\n{}", self.probe.stderr()));
    }

    /// Ends the probe as a crash does.
    pub(crate) fn kill(self) -> (TempDir, String) {
        self.probe.kill().unwrap();
        (self.folder, self.url)
    }

    /// Ends the capture: the probe drains and closes its books, which balance.
    pub(crate) fn end(self) -> TempDir {
        drop(self.pipe);
        let probe = self.probe.wait(PATIENCE).unwrap();
        assert_eq!(probe.code(), 0, "{}", probe.stderr);
        self.folder
    }
}

fn collector(folder: &Path, url: &str, words: &[&str]) -> Collector {
    Collector::start(&folder.join("store"), None, &[&["-i", url], words].concat())
}

fn format() -> Pcap {
    Pcap::new(LinkType::Raw)
}

/// Opened for reading as well: that does not wait for the other end.
fn make_pipe(path: &PathBuf) -> File {
    // That of a probe that was killed is taken over.
    assert!(path.exists() || Command::new("mkfifo").arg(path).status().unwrap().success());
    let mut pipe = OpenOptions::new().read(true).write(true).open(path).unwrap();
    pipe.write_all(&format().header()).unwrap();
    pipe
}

fn datagram(port: u16) -> Vec<u8> {
    let (near, far) = (SocketAddr::from(([10, 1, 0, 1], port)), SocketAddr::from(([10, 2, 0, 1], 53)));
    packet(&udp(near, far, &[]))
}

pub(crate) fn wait_for_rows(collector: &Collector, rows: u64) {
    wait_until(&format!("{rows} rows are stored"), PATIENCE, || collector.rows() == rows).unwrap();
}
