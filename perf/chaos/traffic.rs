//! Known traffic, round after round, each of flows that no other round has.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use perf::flows::{self, Flows};
use perf::process::Program;
use serde_json::Value;

use super::site::Site;

/// Flows of a round, and packets of each: at the rate below a round lasts a second.
const FLOWS: u32 = 100;
const PACKETS: u32 = 10;

/// Frames a second: a probe that stands still for seconds has room for them in its ring.
const RATE: u32 = 1_000;

/// A round takes a second, and more on a machine that does other things as well.
const ROUND_BOUND: Duration = Duration::from_secs(60);

/// What was sent.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) flows: Flows,
    pub(crate) packets: u64,
    pub(crate) rounds: u64,
}

/// A thread that sends until it is stopped.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Sent>>,
}

impl Traffic {
    /// `seed` chooses the keys.
    pub(crate) fn start(site: &Site, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, namespace, truth) = (Arc::clone(&stop), site.sender.name().to_owned(), site.file("truth"));
        let thread = std::thread::spawn(move || {
            let mut sent = Sent::default();
            while !flag.load(Ordering::Relaxed) {
                round(&namespace, &truth, seed << 20 | sent.rounds, &mut sent);
            }
            sent
        });
        Self { stop, thread: Some(thread) }
    }

    /// After the round that runs.
    pub(crate) fn stop(mut self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().unwrap();
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn round(namespace: &str, truth: &PathBuf, seed: u64, sent: &mut Sent) {
    let mut command = std::process::Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(perf::process::path("gannet-replay").unwrap());
    let words = format!(
        "send --interface out --by packet-socket --flows {FLOWS} --packets-per-flow {PACKETS} --rate {RATE} --seed {seed}"
    );
    let program = Program::foreign("gannet-replay", command)
        .args(words.split_whitespace())
        .args(["--truth"])
        .args([truth]);
    let finished = program.run(ROUND_BOUND).unwrap();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    sent.packets += report["arrived"]["packets"].as_u64().unwrap();
    sent.rounds += 1;
    for line in std::fs::read_to_string(truth).unwrap().lines() {
        flows::add(&mut sent.flows, &serde_json::from_str(line).unwrap());
    }
}
