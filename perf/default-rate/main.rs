//! The probe with its default settings at a fixed rate, from wire to store, and every packet accounted for (root):
//!
//!     make measured && target/release/examples/default-rate --rate 500000 --seconds 60
//!
//! ```text
//!   gannet-replay verify ──veth, one queue──► gannet-probe ──ZMQ──► gannet-collector
//!   live frames, paced; CPU 1                 worker on CPU 0,      anywhere
//!                                             as it chooses itself
//! ```
//! One network namespace has both ends, so that generator, probe and collector see each other. A line of JSON: the generator's account, and what
//! each program cost. Exit code 1: something was lost, or is not explained.

mod site;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use perf::baseline::threads;
use perf::kernel::signal::Signal;
use site::Site;

/// The probe with its default settings at a fixed rate, from wire to store (root)
#[derive(Parser)]
#[command(name = "default-rate", version)]
struct Cli {
    /// Packets a second
    #[arg(long, default_value_t = 500_000)]
    rate: u64,
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Flows; each packet is of another one than the packet before
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2..=128_000))]
    flows: u32,
    /// CPU of the generator, and of the kernel's receive path, which it pays for; the probe's worker takes the first
    #[arg(long, default_value_t = 1)]
    generator_cpu: usize,
    /// Further arguments of gannet-probe
    #[arg(last = true)]
    probe: Vec<String>,
}

/// Programs are up, and down again, within this.
const BOUND: Duration = Duration::from_secs(60);
/// Behind the last packet: flows end by idle time-out (30 s), and are stored.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("default-rate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<bool> {
    let site = Site::build()?;
    let mut probe = site.probe(&cli.probe)?;
    probe.wait_for_line("ready:", BOUND)?;
    let mut collector = site.collector()?;
    collector.wait_for_line("receiving", BOUND)?;
    let worker = threads::named(probe.pid(), "worker-0");
    let placed = worker.map(threads::allowed_cpus).unwrap_or_default();
    let costs = || [&probe, &collector].map(|running| threads::process_cpu_time(running.pid()));
    let before = costs();
    let verified = site.verify(cli)?.wait(BOUND + PATIENCE + Duration::from_secs(cli.seconds))?;
    let after = costs();
    anyhow::ensure!(
        [0, 3, 4].contains(&verified.code()),
        "gannet-replay verify ended with {}: {}",
        verified.code(),
        verified.stderr
    );
    let account: serde_json::Value = serde_json::from_str(&verified.stdout)?;
    let probe = probe.stop(Signal::Terminate, BOUND)?;
    let collector = collector.stop(Signal::Terminate, BOUND)?;
    anyhow::ensure!(
        collector.code() == 0,
        "the collector ended with {}: {}",
        collector.code(),
        collector.stderr
    );
    let books = site.books()?;
    let residual = books["total"]["residual"].as_u64();
    let is_whole = verified.code() == 0 && probe.code() == 0 && residual == Some(0);
    let spent = |which: usize| (after[which] - before[which]).as_secs_f64();
    let report = serde_json::json!({
        "rate": cli.rate,
        "seconds": cli.seconds,
        "flows": cli.flows,
        "account": account,
        "is_whole": is_whole,
        "residual": residual,
        "probe_cpu_seconds": spent(0),
        "collector_cpu_seconds": spent(1),
        "worker_cpus": placed,
        "generator_cpu": cli.generator_cpu,
    });
    println!("{report}");
    Ok(is_whole)
}
