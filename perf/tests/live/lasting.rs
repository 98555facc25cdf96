//! A room whose probes know each other, and leave what outlives them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use perf::bpffs::BpfFs;
use perf::kernel::thread::in_network;
use perf::process::{Program, Running};
use perf::wait::wait_until;
use serde_json::Value;

use super::{BOUND, Books, Room};

/// Every start is the same probe.
pub(crate) const PROBE: &str = "11111111-2222-4333-8444-555555555555";
/// The line of a probe that has exported what a killed one left.
pub(crate) const DONE: &str = "what a killed run had left is exported";

/// A room with a place in memory, and one in a BPF file system.
pub(crate) struct Lasting {
    pub(crate) room: Room,
    pub(crate) place: tempfile::TempDir,
    bpf: BpfFs,
    /// Last: the file system is mounted in it.
    _mounted: tempfile::TempDir,
}

impl Lasting {
    pub(crate) fn new() -> Self {
        let mounted = tempfile::tempdir().unwrap();
        Self {
            room: Room::new(1, 1500),
            place: tempfile::tempdir_in("/dev/shm").unwrap(),
            bpf: BpfFs::mount(mounted.path().join("bpf")),
            _mounted: mounted,
        }
    }

    pub(crate) fn probe(&self, arguments: &str) -> Running {
        self.probe_of(PROBE, arguments)
    }

    pub(crate) fn probe_of(&self, identity: &str, arguments: &str) -> Running {
        self.room.probe(&self.words(identity, arguments))
    }

    /// One that may not come to meter.
    pub(crate) fn start(&self, arguments: &str) -> Program {
        let arguments = format!("-i in {}", self.words(PROBE, arguments));
        Program::ours_in(&self.room.right, "gannet-probe").unwrap().args(arguments.split_whitespace())
    }

    fn words(&self, identity: &str, arguments: &str) -> String {
        let (place, bpf) = (self.place.path().display(), self.bpf.path().display());
        let lasting = format!("--probe-id {identity} --recovery-dir {place} --bpf-dir {bpf}");
        format!("{lasting} --http 127.0.0.1:0 {arguments}")
    }

    /// Directories of epochs in the BPF file system.
    pub(crate) fn epochs(&self) -> Vec<PathBuf> {
        below(self.bpf.path().join(PROBE))
    }

    /// What is pinned, by its path below the epoch.
    pub(crate) fn pins(&self) -> Vec<PathBuf> {
        let mut pins = Vec::new();
        for epoch in self.epochs() {
            let all = below(epoch.clone()).into_iter().flat_map(below);
            pins.extend(all.map(|path| path.strip_prefix(&epoch).unwrap().to_owned()));
        }
        pins.sort();
        pins
    }

    /// Until the probe's books say that so many packets are metered.
    pub(crate) fn wait_for_metered(&self, probe: &Running, packets: u64) {
        let said = probe.stderr();
        let address = said.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        let metered = || -> u64 {
            let connect = in_network(self.room.right.name(), || TcpStream::connect(&address));
            let mut connection = connect.unwrap().unwrap();
            connection.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
            let mut page = String::new();
            connection.read_to_string(&mut page).unwrap();
            let lines = page.lines().filter(|line| line.starts_with("probe_worker_metered_packets_total"));
            lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
        };
        wait_until("everything is metered", BOUND, || metered() == packets).unwrap();
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.room.path("flows")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What the flow cache lies in.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        below(self.place.path().join(PROBE))
    }

    /// A next probe with these arguments, until it has exported what was left; and what it wrote.
    pub(crate) fn successor(&self, arguments: &str) -> Books {
        let mut probe = self.probe(arguments);
        probe.wait_for_line(DONE, BOUND).unwrap();
        self.room.stop(probe)
    }
}

fn below(path: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

pub(crate) fn packets(lines: &[Value]) -> u64 {
    let of = |line: &Value, key: &str| line[key].as_u64().unwrap();
    lines.iter().map(|line| of(line, "packet_delta_count") + of(line, "reverse_packet_delta_count")).sum()
}

pub(crate) fn origins(lines: &[Value]) -> BTreeSet<Option<&str>> {
    lines.iter().map(|line| line["recovered_from"].as_str()).collect()
}
