//! The probe as it is, measured from outside: by its own counters, and by the scheduler's of its threads.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Context;
use perf::baseline::{Placement, Report, threads};
use perf::kernel::signal::Signal;
use perf::kernel::thread::in_network;
use perf::process::{Program, Running};
use perf::wait::wait_for;

use super::BOUND;
use super::site::Site;

/// Between the first packet and the window: every flow has come by then, and its entry lies in the cache.
const WARM_UP: Duration = Duration::from_millis(500);
/// Between two looks at the counters, which change once a second: a look costs the probe some 0.1 ms of its core.
const LOOK: Duration = Duration::from_millis(20);

/// What stands at one end of the window: at the moment when new counters came.
struct Reading {
    at: Instant,
    packets: u64,
    shunted: u64,
    octets: u64,
    drops: BTreeMap<String, u64>,
    worker: Duration,
    process: Duration,
    /// Turns that found something.
    turns: Duration,
    napi: Option<Duration>,
}

/// Starts it, sends, measures, stops it, and looks into its books.
pub(crate) fn probe(site: &Site<'_>, wait: &str, shunt: Option<u32>) -> anyhow::Result<Report> {
    let (state, ledger) = (site.folder.path().join("state"), site.folder.path().join("ledger"));
    let program = Program::ours_in(&site.right, "gannet-probe")?
        .args(["-i", &site.device, "--capture", "xdp", "--wait", wait])
        .args(["--cpu-affinity", &site.cli.application_cpu.to_string()])
        .args(["--http", "127.0.0.1:0", "--user", "root", "--no-recovery", "--no-spool"])
        .args([
            std::ffi::OsStr::new("--state-dir"),
            state.as_os_str(),
            "--ledger".as_ref(),
            ledger.as_os_str(),
        ])
        .args(shunt.map(|packets| format!("--shunt={packets}")))
        .args(&site.cli.probe);
    let mut probe = site.receiver(program)?;
    probe.wait_for_line("ready:", BOUND)?;
    let sender = site.sender()?;
    let report = window(site, &probe, wait)?;
    sender.stop(Signal::Interrupt, BOUND)?;
    let finished = probe.stop(Signal::Interrupt, BOUND)?;
    anyhow::ensure!(finished.code() == 0, "the probe ended with {}: {}", finished.code(), finished.stderr);
    let books: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&ledger)?)?;
    anyhow::ensure!(books["total"]["residual"] == 0, "the books do not balance: {:#}", books["identities"]);
    Ok(report)
}

fn window(site: &Site<'_>, probe: &Running, wait: &str) -> anyhow::Result<Report> {
    let said = probe.stderr();
    let address = said.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let address = address.context("the probe does not say where its metrics are")?;
    let worker = threads::named(probe.pid(), "worker-0").context("the probe has no thread worker-0")?;
    let napi = threads::napi_of(&site.device);
    let look = |after: u64| -> anyhow::Result<Reading> {
        let changed = wait_for("new counters come", BOUND, || {
            std::thread::sleep(LOOK);
            let page = page(site, address)?;
            (sum(&page, "probe_source_received_packets_total", "") > after).then_some(page)
        })?;
        Ok(reading(&changed, (probe.pid(), worker), &napi))
    };
    look(0)?;
    std::thread::sleep(WARM_UP);
    let first =
        look(page(site, address).map_or(0, |page| sum(&page, "probe_source_received_packets_total", "")))?;
    std::thread::sleep(Duration::from_secs_f64(site.cli.seconds).saturating_sub(Duration::from_secs(1)));
    let last =
        look(page(site, address).map_or(0, |page| sum(&page, "probe_source_received_packets_total", "")))?;
    let placement = Placement {
        receiver: threads::allowed_cpus(worker),
        napi: napi.into_iter().map(|(name, thread)| (name, threads::allowed_cpus(thread))).collect(),
    };
    Ok(last.since(&first, (wait, &site.device), placement))
}

/// The probe's metrics; `None` where it does not answer at the moment.
fn page(site: &Site<'_>, address: &str) -> Option<String> {
    let mut connection = in_network(site.right.name(), || TcpStream::connect(address)).ok()?.ok()?;
    connection.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").ok()?;
    let mut page = String::new();
    connection.read_to_string(&mut page).ok()?;
    Some(page)
}

/// The values of a metric, of those lines that contain `label`.
fn values<'a, T: std::str::FromStr>(
    page: &'a str,
    metric: &'a str,
    label: &'a str,
) -> impl Iterator<Item = T> + 'a {
    let ours = page.lines().filter(move |line| line.starts_with(metric) && line.contains(label));
    ours.filter_map(|line| line.rsplit(' ').next()?.parse().ok())
}

fn sum(page: &str, metric: &str, label: &str) -> u64 {
    values::<u64>(page, metric, label).sum()
}

fn seconds(page: &str, metric: &str, label: &str) -> f64 {
    values::<f64>(page, metric, label).sum()
}

fn reading(page: &str, (process, worker): (u32, u32), napi: &[(String, u32)]) -> Reading {
    let dropped = |reason: &str| {
        let label = format!("reason=\"{reason}\"");
        (reason.to_owned(), sum(page, "probe_source_dropped_packets_total", &label))
    };
    // Received by the worker, or counted by the XDP program itself.
    let counted = |unit: &str| {
        let of = |way: &str| sum(page, &format!("probe_source_{way}_{unit}_total"), "");
        of("received") + of("shunted")
    };
    let times = napi.iter().map(|(_, thread)| threads::cpu_time(*thread));
    Reading {
        at: Instant::now(),
        packets: counted("packets"),
        shunted: sum(page, "probe_source_shunted_packets_total", ""),
        octets: counted("bytes"),
        drops: ["rx_ring_full", "rx_dropped"].map(dropped).into(),
        worker: threads::cpu_time(worker).unwrap_or_default(),
        process: threads::process_cpu_time(process),
        turns: Duration::from_secs_f64(seconds(page, "probe_worker_stage_seconds_sum", "stage=\"turn\"")),
        napi: (!napi.is_empty()).then(|| times.sum::<Option<Duration>>()).flatten(),
    }
}

impl Reading {
    fn since(&self, first: &Self, (wait, interface): (&str, &str), placement: Placement) -> Report {
        let seconds = (self.at - first.at).as_secs_f64();
        let packets = self.packets - first.packets;
        let (worker, process) =
            (self.worker.saturating_sub(first.worker), self.process.saturating_sub(first.process));
        Report {
            way: "probe".to_owned(),
            wait: wait.to_owned(),
            interface: interface.to_owned(),
            packets,
            shunted_packets: self.shunted - first.shunted,
            octets: self.octets - first.octets,
            seconds,
            packets_per_second: packets as f64 / seconds,
            cpu_seconds: worker.as_secs_f64(),
            process_cpu_seconds: process.as_secs_f64(),
            turn_seconds: Some(self.turns.saturating_sub(first.turns).as_secs_f64()),
            napi_cpu_seconds: self.napi.zip(first.napi).map(|(now, then)| (now - then).as_secs_f64()),
            drops: self.drops.iter().map(|(cause, now)| (cause.clone(), now - first.drops[cause])).collect(),
            placement,
        }
    }
}
