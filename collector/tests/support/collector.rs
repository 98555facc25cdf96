//! The collector as a process, and questions to it.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Room for a machine that does other things as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until it is so.
pub(crate) fn wait_until(description: &str, condition: impl FnMut() -> bool) {
    wait_within(PATIENCE, description, condition);
}

/// The same, for what takes its time.
pub(crate) fn wait_within(patience: Duration, description: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < patience, "waited in vain until {description}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A running collector; killed where a test fails.
pub(crate) struct Collector {
    process: Child,
    http: String,
    log: PathBuf,
}

impl Collector {
    /// Starts it with these inputs on a store, and waits until it answers.
    pub(crate) fn start(store: &Path, inputs: &[&str]) -> Self {
        Self::start_with_fault(store, inputs, None)
    }

    /// The same, with further words.
    pub(crate) fn start_with(store: &Path, inputs: &[&str], words: &[&str]) -> Self {
        Self::launch(store, inputs, words, None)
    }

    /// The same, in a build with faults.
    pub(crate) fn start_with_fault(store: &Path, inputs: &[&str], fault: Option<&str>) -> Self {
        Self::launch(store, inputs, &[], fault)
    }

    fn launch(store: &Path, inputs: &[&str], words: &[&str], fault: Option<&str>) -> Self {
        let http = format!("127.0.0.1:{}", free_port());
        let log = store.with_extension("log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_gannet-collector"))
            .args(inputs.iter().flat_map(|input| ["-i", input]))
            .args(words)
            .args(["--http", &http, "--store"])
            .arg(store)
            .envs(fault.map(|fault| (flow_wire::fault::VARIABLE, fault)))
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut collector = Self { process, http, log };
        wait_until("the collector answers", || {
            let ended = collector.process.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", collector.log());
            collector.run(&["query", "top"]).status.success()
        });
        collector
    }

    /// A question of the command line.
    pub(crate) fn run(&self, words: &[&str]) -> Output {
        let program = env!("CARGO_BIN_EXE_gannet-collector");
        Command::new(program).args(words).args(["--http", &self.http]).output().unwrap()
    }

    /// The same, as JSON.
    pub(crate) fn ask(&self, words: &[&str]) -> Value {
        let output = self.run(&[words, &["--format", "json"]].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{words:?}: {}{}", text(&output.stderr), text(&output.stdout));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Rows in the store.
    pub(crate) fn rows(&self) -> u64 {
        self.ask(&["query", "top", "--measure", "flows"])["total"]["flows"].as_u64().unwrap()
    }

    /// Status and body of an answer.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.text(path);
        (status, serde_json::from_str(&body).unwrap())
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it answers.
    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    /// The same, of any body.
    pub(crate) fn text(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// What it said on stderr, the runs before on the same store included.
    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        std::fs::File::open(&self.log).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// The most memory that it ever had, in octets: VmHWM.
    pub(crate) fn peak_octets(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        self.process.wait().unwrap().code()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended; there is nothing to be done about either.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
