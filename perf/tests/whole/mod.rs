//! Probe, bus and collector as a user starts them, and a capture that is known exactly.
#![allow(dead_code, reason = "each test uses its part of it")]

#[path = "../../../deploy/kafka/broker.rs"]
pub(crate) mod broker;
pub(crate) mod site;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use perf::craft::{self, Ethernet, LinkType, Pcap, Record};
use perf::kernel::signal::Signal;
use perf::process::{self, Finished, Program, Running};
use perf::wait::wait_until;
use serde_json::Value;

/// Room for a machine that does other things as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const START_NANOSECONDS: u64 = 1_700_000_000_000_000_000;
const MILLISECOND: u64 = 1_000_000;

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A capture of so many UDP flows, each of two packets there and one back; the first port tells captures apart.
pub(crate) fn capture(path: &Path, first_port: u16, flows: u16) {
    let server: SocketAddr = "198.51.100.2:53".parse().unwrap();
    let mut records = Vec::new();
    for port in first_port..first_port + flows {
        let client = SocketAddr::from(([192, 0, 2, 1], port));
        for (from, to) in [(client, server), (server, client), (client, server)] {
            let time = START_NANOSECONDS + records.len() as u64 * MILLISECOND;
            let frame = Ethernet::default().frame(&craft::packet(&craft::udp(from, to, b"payload")));
            records.push(Record::whole(time, frame));
        }
    }
    std::fs::write(path, Pcap::new(LinkType::Ethernet).file(&records)).unwrap();
}

/// A program of ours: of the ordinary build, or of that with faults (`make build` makes both).
pub(crate) fn program(name: &str, fault: Option<&str>) -> Program {
    match fault {
        None => Program::ours(name).unwrap(),
        Some(fault) => with_fault(name, Command::new(faulty(name)), fault),
    }
}

/// The path of a program of the build with faults.
pub(crate) fn faulty(name: &str) -> PathBuf {
    let ordinary = process::path(name).unwrap();
    let path = ordinary.ancestors().nth(2).unwrap().join("fault-injection").join(name);
    assert!(path.is_file(), "{} is not there: build it with `make build`", path.display());
    path
}

/// Arms it.
pub(crate) fn with_fault(name: &str, command: Command, fault: &str) -> Program {
    Program::foreign(name, command).env(flow_wire::fault::VARIABLE, fault)
}

/// The hop that a probe names first when its books do not balance; empty where they do.
pub(crate) fn hop_named_by(probe: &Finished) -> &str {
    let said = probe.stderr.split_once("do not balance at the hop ");
    said.and_then(|(_, rest)| rest.split_once(':')).map_or("", |(hop, _)| hop)
}

/// Runs a probe over a capture, to its end.
pub(crate) fn probe(capture: &Path, fault: Option<&str>, arguments: &[&str]) -> Finished {
    reader(capture, fault, arguments).run(PATIENCE).unwrap()
}

/// A probe that is about to read a capture.
pub(crate) fn reader(capture: &Path, fault: Option<&str>, arguments: &[&str]) -> Program {
    let state = capture.parent().unwrap().join("state");
    program("gannet-probe", fault)
        .args([Path::new("-i"), capture, Path::new("--state-dir"), &state])
        .args(arguments)
}

/// A running collector.
pub(crate) struct Collector {
    running: Running,
    http: String,
}

impl Collector {
    pub(crate) fn start(store: &Path, fault: Option<&str>, arguments: &[&str]) -> Self {
        let http = format!("127.0.0.1:{}", free_port());
        let running = program("gannet-collector", fault)
            .args(["--http", &http, "--store"])
            .args([store])
            .args(arguments)
            .start()
            .unwrap();
        let collector = Self { running, http };
        wait_until("the collector answers", PATIENCE, || collector.ask(&["query", "top"]).code() == 0)
            .unwrap();
        collector
    }

    /// The URL of a page.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// What it said so far.
    pub(crate) fn said(&self) -> String {
        self.running.stderr() + &self.running.stdout()
    }

    /// A question of the command line.
    pub(crate) fn ask(&self, words: &[&str]) -> Finished {
        Program::ours("gannet-collector")
            .unwrap()
            .args(words)
            .args(["--http", &self.http])
            .run(PATIENCE)
            .unwrap()
    }

    /// The closed books: the exit code of the check, and what it says.
    pub(crate) fn check(&self) -> (i32, Value) {
        self.check_with(&[])
    }

    /// The same, with further words. A residual may show before all is there, and lie elsewhere then: hence the end of
    /// every epoch is waited for, and not the first verdict.
    pub(crate) fn check_with(&self, words: &[&str]) -> (i32, Value) {
        wait_until("every epoch is closed and drained", PATIENCE, || {
            let ledger: Value =
                serde_json::from_str(&self.ask(&["ledger", "--format", "json"]).stdout).unwrap_or_default();
            let is_over = |epoch: &Value| epoch["state"] == "closed" && epoch["drained"] == true;
            ledger["epochs"].as_array().is_some_and(|epochs| !epochs.is_empty() && epochs.iter().all(is_over))
        })
        .unwrap();
        let finished = self.ask(&[&["ledger", "--check", "--format", "json"], words].concat());
        (finished.code(), serde_json::from_str(&finished.stdout).unwrap_or_default())
    }

    /// Rows in the store.
    pub(crate) fn rows(&self) -> u64 {
        let finished = self.ask(&["query", "top", "--measure", "flows", "--format", "json"]);
        let answer: Value = serde_json::from_str(&finished.stdout).unwrap();
        answer["total"]["flows"].as_u64().unwrap()
    }

    /// Sends it a signal and goes on.
    pub(crate) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// What it said so far.
    pub(crate) fn log(&self) -> String {
        self.running.stderr()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(self) {
        self.running.kill().unwrap();
    }

    pub(crate) fn stop(self) {
        let finished = self.running.stop(Signal::Terminate, PATIENCE).unwrap();
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
    }
}
