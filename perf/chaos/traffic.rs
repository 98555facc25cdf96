//! Known traffic, round after round, each of flows that no other round has.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use perf::flows::{self, Flows};
use perf::process::Program;
use perf::wait::wait_until;
use serde_json::Value;

use super::site::{Site, TAP};

/// Flows of a round, and packets of each: at the rate below a round lasts a second.
const FLOWS: u32 = 100;
const PACKETS: u32 = 10;

/// Frames a second: a probe that stands still for seconds has room for them in its ring.
pub(crate) const RATE: u32 = 1_000;

/// Between two looks of a thread that rests.
const REST: Duration = Duration::from_millis(10);

/// A round takes a second, and more on a machine that does other things as well.
const ROUND_BOUND: Duration = Duration::from_secs(60);

/// What was sent: round by round, in this order.
#[derive(Default)]
pub(crate) struct Sent(pub(crate) Vec<Round>);

/// Keys that no other round has.
#[derive(Default)]
pub(crate) struct Round {
    pub(crate) flows: Flows,
    pub(crate) packets: u64,
}

impl Sent {
    pub(crate) fn packets(&self) -> u64 {
        self.0.iter().map(|round| round.packets).sum()
    }

    pub(crate) fn flows(&self) -> Flows {
        self.0.iter().flat_map(|round| round.flows.clone()).collect()
    }
}

/// A thread that sends until it is stopped.
pub(crate) struct Traffic {
    control: Arc<Control>,
    thread: Option<JoinHandle<Sent>>,
}

/// What the thread is told, and what it tells.
#[derive(Default)]
struct Control {
    stop: AtomicBool,
    rest: AtomicBool,
    /// Between two rounds, and told to rest.
    rests: AtomicBool,
}

impl Traffic {
    /// `seed` chooses the keys.
    pub(crate) fn start(site: &Site, seed: u64) -> Self {
        let control = Arc::new(Control::default());
        let (told, namespace, truth) =
            (Arc::clone(&control), site.sender.name().to_owned(), site.file("truth"));
        let thread = std::thread::spawn(move || {
            let mut sent = Sent::default();
            while !told.stop.load(Ordering::Relaxed) {
                let rests = told.rest.load(Ordering::Acquire);
                told.rests.store(rests, Ordering::Release);
                if rests {
                    std::thread::park_timeout(REST);
                } else {
                    let number = sent.0.len() as u64;
                    sent.0.push(round(&namespace, &truth, seed << 20 | number));
                }
            }
            sent
        });
        Self { control, thread: Some(thread) }
    }

    /// Sends nothing from the end of the round that runs, for which it waits, until [`Traffic::go_on`].
    pub(crate) fn rest(&self) {
        self.control.rest.store(true, Ordering::Release);
        wait_until("a round is over", ROUND_BOUND, || self.control.rests.load(Ordering::Acquire)).unwrap();
    }

    pub(crate) fn go_on(&self) {
        self.control.rest.store(false, Ordering::Release);
        wait_until("the next round begins", ROUND_BOUND, || !self.control.rests.load(Ordering::Acquire))
            .unwrap();
    }

    /// After the round that runs.
    pub(crate) fn stop(mut self) -> Sent {
        self.control.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().unwrap();
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.control.stop.store(true, Ordering::Relaxed);
    }
}

fn round(namespace: &str, truth: &PathBuf, seed: u64) -> Round {
    let mut command = std::process::Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(perf::process::path("gannet-replay").unwrap());
    let words = format!(
        "send --interface {TAP} --by packet-socket --flows {FLOWS} --packets-per-flow {PACKETS} --rate {RATE} --seed {seed}"
    );
    let program = Program::foreign("gannet-replay", command)
        .args(words.split_whitespace())
        .args(["--truth"])
        .args([truth]);
    let finished = program.run(ROUND_BOUND).unwrap();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    let packets = report["arrived"]["packets"].as_u64().unwrap();
    let mut flows = Flows::new();
    for line in std::fs::read_to_string(truth).unwrap().lines() {
        flows::add(&mut flows, &serde_json::from_str(line).unwrap());
    }
    Round { flows, packets }
}
