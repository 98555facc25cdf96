//! One turn: a wire, a probe, a generator for each queue, and a window in which packets and CPU time are read.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use perf::baseline::threads;
use perf::http;
use perf::kernel::signal::Signal;
use perf::kernel::thread::in_network;
use perf::netns::{End, Netns, Wire};
use perf::process::{Program, Running};

use super::{Cli, Way};

/// Programs are up, and down again, within this.
const BOUND: Duration = Duration::from_secs(30);
/// Every flow has come by then, and workers that are to hand over do.
const WARM_UP: Duration = Duration::from_secs(2);
/// A probe that meters has new counters within this.
const SILENCE: Duration = Duration::from_secs(4);
/// Between two looks at counters that change once a second.
const LOOK: Duration = Duration::from_millis(10);

/// What the workers did in the window.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Packets metered, and seconds of CPU time, of each.
    workers: Vec<(u64, f64)>,
    handed_over: u64,
    dropped: u64,
}

impl Turn {
    /// Packets in a second of CPU time of each worker, summed.
    pub(crate) fn capacity(&self) -> f64 {
        self.workers.iter().map(|(packets, seconds)| *packets as f64 / seconds).sum()
    }

    pub(crate) fn nanoseconds(&self) -> f64 {
        let sum = |of: fn(&(u64, f64)) -> f64| self.workers.iter().map(of).sum::<f64>();
        sum(|(_, seconds)| seconds * 1e9) / sum(|(packets, _)| *packets as f64)
    }

    /// No worker got less than three quarters of what another did.
    pub(crate) fn is_even(&self) -> bool {
        let counts = || self.workers.iter().map(|(packets, _)| *packets);
        counts().min().unwrap_or(0) * 4 >= counts().max().unwrap_or(0) * 3
    }

    pub(crate) fn lost(&self) -> f64 {
        self.dropped as f64 / (self.dropped + self.packets()).max(1) as f64
    }

    pub(crate) fn handed_over(&self) -> f64 {
        self.handed_over as f64 / self.packets().max(1) as f64
    }

    fn packets(&self) -> u64 {
        self.workers.iter().map(|(packets, _)| packets).sum()
    }
}

/// The counters at one end of the window.
struct Reading {
    metered: Vec<u64>,
    times: Vec<Duration>,
    handed_over: u64,
    dropped: u64,
}

/// Lays a wire, runs a probe on it, sends into each queue, and reads.
pub(crate) fn measure(cli: &Cli, way: Way) -> anyhow::Result<Turn> {
    let (queues, mode) = match way {
        Way::One => (1, "auto"),
        Way::Split | Way::Asymmetric => (2, "split"),
        Way::Spread => (2, "spread"),
    };
    let (left, right) = (Netns::new("queues")?, Netns::new("queues")?);
    Wire { queues, ..Wire::default() }.lay(End::new(&left, "out"), End::new(&right, "in"))?;
    let folder = tempfile::tempdir()?;
    let ledger = folder.path().join("ledger");
    let arguments = format!(
        "-i in --capture xdp --workers {queues} --queue-mode {mode} --http 127.0.0.1:0 --user root --no-recovery --no-spool \
         --state-dir {} --ledger {}",
        folder.path().display(),
        ledger.display()
    );
    let program = Program::ours_in(&right, "gannet-probe")?.args(arguments.split_whitespace());
    let mut probe = program.start()?;
    probe.wait_for_line("ready:", BOUND)?;
    let senders = (0..queues).map(|cpu| sender(cli, &left, way, cpu)).collect::<Result<Vec<_>, _>>()?;
    std::thread::sleep(WARM_UP);
    let first = reading(&probe, &right, queues)?;
    std::thread::sleep(Duration::from_secs(cli.seconds));
    let last = reading(&probe, &right, queues)?;
    for mut sender in senders {
        anyhow::ensure!(!sender.ended(), "a generator ended within the window: {}", sender.stderr());
        let finished = sender.stop(Signal::Interrupt, BOUND)?;
        anyhow::ensure!(finished.code() == 0, "a generator failed: {}", finished.stderr);
    }
    let finished = probe.stop(Signal::Interrupt, BOUND)?;
    anyhow::ensure!(finished.code() == 0, "the probe ended with {}: {}", finished.code(), finished.stderr);
    let books: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&ledger)?)?;
    anyhow::ensure!(books["total"]["residual"] == 0, "the books do not balance: {:#}", books["identities"]);
    Ok(last.since(&first))
}

/// The generator of a queue: on veth live frames go by the queue of the CPU that sends. The flows of two queues are others, unless they
/// are to come by both.
fn sender(cli: &Cli, left: &Netns, way: Way, cpu: u32) -> anyhow::Result<Running> {
    let seed = if way == Way::Asymmetric { 1 } else { 1 + cpu };
    let arguments = format!(
        "send --interface out --by live-frames --flows 2 --packets-per-flow 640000 --one-way --burst 64 --rate {} \
         --source-ports {} --seed {seed} --cpu {cpu} --seconds {}",
        cli.rate,
        cli.flows / 2,
        cli.seconds + 2 * BOUND.as_secs(),
    );
    Ok(Program::ours_in(left, "gannet-replay")?.args(arguments.split_whitespace()).start()?)
}

fn reading(probe: &Running, right: &Netns, workers: u32) -> anyhow::Result<Reading> {
    let said = probe.stderr();
    let address = said.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let address: SocketAddr = address.context("the probe does not say where its metrics are")?.parse()?;
    let page = next_page(address, right)?;
    let times = (0..workers).map(|worker| {
        let thread = threads::named(probe.pid(), &format!("worker-{worker}"))?;
        threads::cpu_time(thread)
    });
    Ok(Reading {
        times: times.collect::<Option<_>>().context("a worker is gone")?,
        metered: (0..workers)
            .map(|worker| sum(&page, "probe_worker_metered_packets_total", &format!("worker=\"{worker}\"")))
            .collect(),
        handed_over: sum(&page, "probe_worker_handed_over_packets_total", ""),
        dropped: sum(&page, "probe_source_dropped_packets_total", "")
            + sum(&page, "probe_worker_handover_full_packets_total", ""),
    })
}

/// The metrics at the moment when they change, once a second: times that are read then are of the same moment.
fn next_page(address: SocketAddr, right: &Netns) -> anyhow::Result<String> {
    let look = || -> anyhow::Result<String> {
        Ok(in_network(right.name(), || http::request(address, "GET", "/metrics", ""))??.body)
    };
    let metered = |page: &str| sum(page, "probe_worker_metered_packets_total", "");
    let before = metered(&look()?);
    let until = Instant::now() + SILENCE;
    loop {
        let page = look()?;
        if metered(&page) != before {
            return Ok(page);
        }
        anyhow::ensure!(Instant::now() < until, "nothing is metered any more");
        std::thread::sleep(LOOK);
    }
}

/// The sum of a metric over its labels, of those lines that contain `label`.
fn sum(page: &str, metric: &str, label: &str) -> u64 {
    let ours = page.lines().filter(|line| line.starts_with(metric) && line.contains(label));
    ours.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

impl Reading {
    fn since(&self, first: &Self) -> Turn {
        let metered = self.metered.iter().zip(&first.metered).map(|(now, then)| now - then);
        let times = self.times.iter().zip(&first.times).map(|(now, then)| (*now - *then).as_secs_f64());
        Turn {
            workers: metered.zip(times).collect(),
            handed_over: self.handed_over - first.handed_over,
            dropped: self.dropped - first.dropped,
        }
    }
}
