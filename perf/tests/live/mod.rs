//! A probe on one end of a wire, a sender on the other, and what the probe wrote.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod lasting;

use std::path::{Path, PathBuf};
use std::time::Duration;

use perf::flows::{self, Flows};
use perf::kernel::signal::Signal;
use perf::netns::{End, Netns, Wire};
use perf::process::{Finished, Program, Running};
use serde_json::Value;

/// Nothing here takes longer on a machine that is not stuck.
pub(crate) const BOUND: Duration = Duration::from_secs(60);
/// An interface's run is drained within this (contracts.md).
pub(crate) const STOP_BOUND: Duration = Duration::from_secs(10);

/// A wire with a sender on its left (`out`) and a probe on its right (`in`).
pub(crate) struct Room {
    pub(crate) left: Netns,
    pub(crate) right: Netns,
    pub(crate) folder: tempfile::TempDir,
}

/// What a run of the probe left behind.
pub(crate) struct Books {
    pub(crate) finished: Finished,
    pub(crate) flows: Flows,
    pub(crate) ledger: Value,
}

impl Room {
    pub(crate) fn new(queues: u32, mtu: u32) -> Self {
        let [left, right] = ["capture", "capture"].map(|label| Netns::new(label).unwrap());
        Wire { queues, mtu }.lay(End::new(&left, "out"), End::new(&right, "in")).unwrap();
        Self { left, right, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a probe on `in`, and waits until it meters.
    pub(crate) fn probe(&self, arguments: &str) -> Running {
        self.probe_with(arguments, &[])
    }

    /// The same, with further arguments that may have spaces.
    pub(crate) fn probe_with(&self, arguments: &str, further: &[&str]) -> Running {
        let mut probe = self.program(&format!("-i in {arguments}")).args(further).start().unwrap();
        probe.wait_for_line("ready:", BOUND).unwrap();
        probe
    }

    /// The probe with its outputs in the folder.
    fn program(&self, arguments: &str) -> Program {
        Program::ours_in(&self.right, "gannet-probe")
            .unwrap()
            .args(arguments.split_whitespace())
            .args([Path::new("--flows"), &self.path("flows")])
            .args([Path::new("--ledger"), &self.path("ledger")])
    }

    /// Stops a probe by SIGINT and reads what it wrote.
    pub(crate) fn stop(&self, probe: Running) -> Books {
        self.books(probe.stop(Signal::Interrupt, STOP_BOUND).unwrap())
    }

    /// Waits until a probe has ended by itself, and reads what it wrote.
    pub(crate) fn ended(&self, probe: Running) -> Books {
        self.books(probe.wait(BOUND).unwrap())
    }

    /// Meters a capture file.
    pub(crate) fn offline(&self, capture: &Path) -> Books {
        self.offline_with(capture, &[])
    }

    /// The same, with further arguments that may have spaces.
    pub(crate) fn offline_with(&self, capture: &Path, further: &[&str]) -> Books {
        self.books(self.program(&format!("-i {}", capture.display())).args(further).run(BOUND).unwrap())
    }

    fn books(&self, finished: Finished) -> Books {
        let read = |name| std::fs::read_to_string(self.path(name)).unwrap();
        let flows = flows::read(&read("flows")).unwrap();
        let ledger = serde_json::from_str(&read("ledger")).unwrap_or_else(|error| {
            panic!("the ledger is no JSON: {error}\n{}", finished.stderr);
        });
        Books { finished, flows, ledger }
    }

    /// Sends from `out` and gives the generator's report.
    pub(crate) fn send(&self, arguments: &str) -> Value {
        let finished = self.sender(arguments).run(BOUND).unwrap();
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
        serde_json::from_str(&finished.stdout).unwrap()
    }

    pub(crate) fn sender(&self, arguments: &str) -> Program {
        let arguments = format!("send --interface out {arguments}");
        Program::ours_in(&self.left, "gannet-replay").unwrap().args(arguments.split_whitespace())
    }
}

impl Books {
    /// A number of the ledger by its JSON pointer below `total`.
    pub(crate) fn total(&self, pointer: &str) -> u64 {
        let found = self.ledger["total"].pointer(pointer);
        found.and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {}", self.ledger["total"]))
    }

    /// Exit code 0, residual 0, and every identity holds.
    pub(crate) fn assert_balanced(&self, case: &str) {
        assert_eq!(self.finished.code(), 0, "{case}: {}", self.finished.stderr);
        assert_eq!(self.total("/residual"), 0, "{case}: {:#}", self.ledger["identities"]);
        assert_eq!(self.ledger["closed"], true, "{case}");
    }
}
