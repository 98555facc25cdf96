//! `gannet-replay verify` and `ramp`, on one host with both ends of the wire: generator, probe, collector.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::path::PathBuf;
use std::time::Duration;

use perf::kernel::signal::Signal;
use perf::netns::{End, Netns, Wire};
use perf::process::{Finished, Program, Running};
use serde_json::Value;

const BOUND: Duration = Duration::from_secs(120);
/// In the namespace nobody else has these.
const PROBE: &str = "127.0.0.1:9100";
const COLLECTOR: &str = "127.0.0.1:3000";
const BUS: &str = "zmq://127.0.0.1:5556";

struct Host {
    namespace: Netns,
    folder: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let namespace = Netns::new("verify").unwrap();
        Wire { queues: 1, mtu: 1500 }.lay(End::new(&namespace, "out"), End::new(&namespace, "in")).unwrap();
        Self { namespace, folder: tempfile::tempdir().unwrap() }
    }

    fn program(&self, name: &str, words: &str) -> Program {
        Program::ours_in(&self.namespace, name).unwrap().args(words.split_whitespace())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn probe(&self, words: &str) -> Running {
        let words = format!("-i in --capture xdp --http {PROBE} -d 1 -t 2 {words}");
        let state = ["--state-dir".into(), self.path("state")];
        let mut probe = self.program("gannet-probe", &words).args(state).start().unwrap();
        probe.wait_for_line("ready:", BOUND).unwrap();
        probe
    }

    fn collector(&self) -> Running {
        let words = format!("-i {BUS} --http {COLLECTOR} --store {}", self.path("store").display());
        let mut collector = self.program("gannet-collector", &words).start().unwrap();
        collector.wait_for_line("receiving", BOUND).unwrap();
        collector
    }

    fn replay(&self, words: &str) -> Finished {
        self.program("gannet-replay", words).run(BOUND).unwrap()
    }
}

fn number(account: &Value, pointer: &str) -> u64 {
    account.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {account}"))
}

#[test]
fn what_is_stored_to_the_packet_passes() {
    let host = Host::new();
    let probe = host.probe(&format!("--ntopng {BUS}"));
    let collector = host.collector();
    let verify = format!(
        "verify --probe http://{PROBE} --collector {COLLECTOR} -i out --flows 200 --packets-per-flow 50 --rate 20000"
    );
    // Twice: the second account must not have the first one's packets.
    for seed in 1..=2 {
        let verified = host.replay(&format!("{verify} --json --seed {seed}"));
        assert_eq!(verified.code(), 0, "{}{}", verified.stdout, verified.stderr);
        let account: Value = serde_json::from_str(&verified.stdout).unwrap();
        for pointer in ["/sent", "/arrived", "/probe/seen", "/probe/metered", "/stored/packets"] {
            assert_eq!(number(&account, pointer), 10_000, "{pointer} of {account}");
        }
    }
    assert_eq!(probe.stop(Signal::Terminate, BOUND).unwrap().code(), 0);
    assert_eq!(collector.stop(Signal::Terminate, BOUND).unwrap().code(), 0);
}

#[test]
fn what_a_small_ring_loses_is_told_with_its_knob() {
    let host = Host::new();
    let probe = host.probe("--flows /dev/null --ring-size 64");
    let flat_out = "-i out --flows 2000 --packets-per-flow 500 --burst 256";
    let verified = host.replay(&format!("verify --probe {PROBE} {flat_out} --seconds 1"));
    assert_eq!(verified.code(), 4, "{}{}", verified.stdout, verified.stderr);
    let is_told = |line: &str| {
        line.starts_with("lost") && line.contains("rx_ring_full") && line.contains("--ring-size")
    };
    assert!(verified.stdout.lines().any(is_told), "{}", verified.stdout);
    assert!(verified.stdout.trim_end().ends_with("LOSS"), "{}", verified.stdout);

    let (report, plot) = (host.path("report.json"), host.path("plot.svg"));
    let files = format!("--report {} --plot {}", report.display(), plot.display());
    let ramp = host.replay(&format!("ramp --probe {PROBE} {flat_out} --seconds 0.3 --resolution 25 {files}"));
    // Whether any rate passes is the machine's affair; that every packet of every trial has its place is ours.
    assert!([0, 4].contains(&ramp.code()), "{}{}", ramp.stdout, ramp.stderr);
    let trials: Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    let trials = trials["trials"].as_array().unwrap();
    assert!(trials.len() > 1, "it was searched: {}", ramp.stderr);
    for trial in trials {
        let account = &trial["account"];
        let lost: u64 =
            account["probe"]["lost"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(number(account, "/probe/metered") + lost, number(account, "/arrived"), "{account}");
    }
    assert!(std::fs::read_to_string(&plot).unwrap().starts_with("<svg"));
    assert_eq!(probe.stop(Signal::Terminate, BOUND).unwrap().code(), 0);
}

#[test]
fn who_does_not_answer_is_named() {
    let host = Host::new();
    let verified = host.replay(&format!("verify --probe {PROBE} -i out --by packet-socket --count 1"));
    assert_eq!(verified.code(), 1);
    assert!(verified.stderr.contains(&format!("http://{PROBE}/metrics")), "{}", verified.stderr);
    assert!(verified.stderr.contains("--http"), "{}", verified.stderr);
}
