//! The whole way over a real broker: capture, flows, transactions, ingest, store, books. The collector is stopped, killed and
//! started again meanwhile; the probe starts three times. Nothing is lost, and nothing is doubled.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../../deploy/kafka/broker.rs"]
mod broker;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use broker::Broker;
use perf::craft::{Ethernet, LinkType, Pcap, Record, packet, udp};
use perf::kernel::signal::Signal;
use perf::process::{Program, Running};
use perf::wait::wait_until;
use serde_json::Value;
use tempfile::TempDir;

/// Programs start within seconds; the rest is room for a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(90);

/// Flows of one run of the probe, each of a packet in both directions.
const FLOWS: u64 = 2_500;

/// What happens to the collector while a probe sends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    Killed,
}

/// A broker, a store, a state directory of the probe.
struct Site {
    folder: TempDir,
    broker: Broker,
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("gannet-end-").tempdir().unwrap();
        Self { folder, broker: Broker::own() }
    }

    fn url(&self) -> String {
        self.broker.url()
    }

    fn collector(&self) -> Collector {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let http = listener.local_addr().unwrap().to_string();
        drop(listener);
        let store = self.folder.path().join("store");
        let words = ["-i", &self.url(), "--http", &http, "--store", store.to_str().unwrap()];
        let mut running = Program::ours("gannet-collector").unwrap().args(words).start().unwrap();
        running.wait_for_line("page and API", PATIENCE).unwrap();
        Collector { running, http }
    }

    /// One start of the probe over a capture file, to its end.
    fn probe(&self, capture: &Path) {
        let state = self.folder.path().join("probe");
        let words = [
            "-i",
            capture.to_str().unwrap(),
            "--ntopng",
            &self.url(),
            "--state-dir",
            state.to_str().unwrap(),
        ];
        let finished = Program::ours("gannet-probe").unwrap().args(words).run(PATIENCE).unwrap();
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
    }

    /// A capture of flows that no other run has.
    fn capture(&self, run: u64) -> PathBuf {
        let second = 1_700_000_000 + run * 1_000;
        let record = |at: u64, from: SocketAddr, to: SocketAddr| {
            let frame = Ethernet::default().frame(&packet(&udp(from, to, b"a packet of a known flow")));
            Record::whole(second * 1_000_000_000 + at * 1_000_000, frame)
        };
        let records: Vec<_> = (0..FLOWS)
            .flat_map(|flow| {
                let port = 10_000 + (flow % 50_000) as u16;
                let client: SocketAddr = format!("10.{run}.0.1:{port}").parse().unwrap();
                let server: SocketAddr = "192.0.2.53:53".parse().unwrap();
                [record(2 * flow, client, server), record(2 * flow + 1, server, client)]
            })
            .collect();
        let path = self.folder.path().join(format!("run{run}.pcap"));
        std::fs::write(&path, Pcap::new(LinkType::Ethernet).file(&records)).unwrap();
        path
    }
}

struct Collector {
    running: Running,
    http: String,
}

impl Collector {
    fn ask(&self, words: &[&str]) -> (i32, Value) {
        let words = [words, &["--format", "json", "--http", &self.http]].concat();
        let finished = Program::ours("gannet-collector").unwrap().args(words).run(PATIENCE).unwrap();
        let answer = serde_json::from_str(&finished.stdout);
        (finished.code(), answer.unwrap_or_else(|_| panic!("{}\n{}", finished.stderr, self.running.stderr())))
    }

    fn flows(&self) -> u64 {
        self.ask(&["query", "top", "--measure", "flows"]).1["total"]["flows"].as_u64().unwrap()
    }

    fn end(self, how: End) {
        let signal = if how == End::Stopped { Signal::Terminate } else { Signal::Kill };
        let finished = self.running.stop(signal, PATIENCE).unwrap();
        assert!(how == End::Killed || finished.code() == 0, "{}", finished.stderr);
    }
}

#[test]
fn a_collector_that_was_away_has_every_packet_once() {
    let site = Site::start();
    let captures = [1, 2, 3].map(|run| site.capture(run));

    // While it is there.
    let collector = site.collector();
    site.probe(&captures[0]);
    wait_until("the first run is stored", PATIENCE, || collector.flows() == FLOWS).unwrap();
    // While it is away, in order; then it is killed with more to read.
    collector.end(End::Stopped);
    site.probe(&captures[1]);
    site.collector().end(End::Killed);
    site.probe(&captures[2]);

    let collector = site.collector();
    let (code, ledger) = collector.ask(&["ledger", "--check", "--wait", "60"]);
    assert_eq!((code, &ledger["verdict"]), (0, &"balanced".into()), "{ledger:#}");
    assert_eq!((&ledger["residual"]["packets"], &ledger["lost"]["packets"]), (&0.into(), &0.into()));
    assert_eq!((ledger["epochs"].as_array().unwrap().len(), &ledger["doubled"]["batches"]), (3, &0.into()));

    // The generator is the oracle: of each run each flow once, with its two packets.
    let (_, runs) = collector.ask(&["query", "top", "--by", "src", "--measure", "flows,packets"]);
    let found: Vec<_> =
        runs["rows"].as_array().unwrap().iter().map(|row| (&row["flows"], &row["packets"])).collect();
    assert_eq!(found, [(&FLOWS.into(), &(2 * FLOWS).into()); 3], "{runs:#}");
    let words = ["query", "top", "--by", "src,sport", "--measure", "flows", "--limit", "1"];
    assert_eq!(collector.ask(&words).1["rows"][0]["flows"], 1);
    collector.end(End::Stopped);
}
