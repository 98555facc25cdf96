//! Live metering against the bare receivers, in turns in one run, on a veth pair of its own (root):
//!
//!     make release && cargo build --release --workspace --examples
//!     target/release/examples/live-ratio --placement two-core --rounds 5
//!
//! ```text
//!   two-core   CPU 0: generator, NAPI (SCHED_FIFO)       CPU 1: application
//!   one-core   CPU 0: generator                          CPU 1: NAPI, application
//! ```
//! NAPI is threaded in both, or the generator would be charged with receiving. In two-core it runs before the generator, which else
//! fills the device's queue of 256 and burns its time on refusals; in one-core it has no priority, or the application would starve.
//! The receivers are `gannet-baseline` (drop, xsk, tpacket) and `gannet-probe` as it is, whose books must balance.
//!
//! In one-core a generator flat out gets most of its frames refused, and gives them back under the same lock of its page pool as the
//! receiver: it costs every receiver some hundred nanoseconds a frame that no NIC has (`perf/journal/2026-11-27-shunt-look.md`).
//!
//! `--turns shunt` has the probe without and with a shunt instead, and `--elephants` the traffic for it.

mod measure;
mod site;
mod table;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use perf::baseline::Report;
use site::Site;

/// Live metering against XDP_DROP, a bare AF_XDP loop and TPACKET_V3, in turns (root)
#[derive(Parser)]
#[command(name = "live-ratio", version)]
pub(crate) struct Cli {
    /// Who shares a core with whom
    #[arg(long, value_enum, default_value = "two-core")]
    placement: Layout,
    /// Who takes turns
    #[arg(long, value_enum, default_value = "receivers")]
    turns: Turns,
    /// How often each way takes its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a measurement
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Flows of the traffic, 100,000 or fewer; each packet is of another flow than the one before
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2..=128_000))]
    flows: u32,
    /// So many flows have --elephant-share of the packets; --flows are the small ones then, at once
    #[arg(long)]
    elephants: Option<u32>,
    /// Percent
    #[arg(long, default_value_t = 90.0, requires = "elephants")]
    elephant_share: f64,
    /// Packets of a small flow
    #[arg(long, default_value_t = 10, requires = "elephants")]
    packets_per_flow: u32,
    /// Packets after which a flow is shunted, where one is
    #[arg(long, default_value_t = 64)]
    shunt: u32,
    /// Octets of a frame, without FCS
    #[arg(long, default_value_t = 60)]
    frame_size: usize,
    /// CPU of the generator
    #[arg(long, default_value_t = 0)]
    generator_cpu: usize,
    /// CPU of the application
    #[arg(long, default_value_t = 1)]
    application_cpu: usize,
    /// All rounds as JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Further arguments of gannet-probe
    #[arg(last = true)]
    probe: Vec<String>,
}

/// Where NAPI runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// With the generator.
    TwoCore,
    /// With the application.
    OneCore,
}

/// Who takes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Turns {
    /// The probe and the bare receivers.
    Receivers,
    /// The probe without a shunt and with one, and XDP_DROP.
    Shunt,
}

/// One of the receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Drop,
    Xsk(&'static str),
    Tpacket,
    Probe(&'static str),
    /// With a shunt.
    Shunted(&'static str),
}

impl Turns {
    /// In the order of a round: neighbours are those whose ratio counts.
    pub(crate) fn ways(self) -> &'static [Way] {
        match self {
            Self::Receivers => &[
                Way::Drop,
                Way::Xsk("poll"),
                Way::Probe("poll"),
                Way::Xsk("nap"),
                Way::Probe("nap"),
                Way::Xsk("spin"),
                Way::Probe("spin"),
                Way::Probe("adaptive"),
                Way::Tpacket,
            ],
            Self::Shunt => &[Way::Drop, Way::Probe("nap"), Way::Shunted("nap")],
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&match self {
            Self::Drop => "XDP_DROP".to_owned(),
            Self::Xsk(wait) => format!("bare AF_XDP, {wait}"),
            Self::Tpacket => "bare TPACKET_V3, poll".to_owned(),
            Self::Probe(wait) => format!("gannet-probe, {wait}"),
            Self::Shunted(wait) => format!("gannet-probe with a shunt, {wait}"),
        })
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("live-ratio: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let site = Site::build(cli)?;
    let mut rounds: Vec<Round> = Vec::new();
    for round in 0..cli.rounds {
        let mut reports = Round::new();
        for way in cli.turns.ways() {
            let report = site.measure(*way)?;
            eprintln!("round {round}: {}", serde_json::to_string(&report)?);
            reports.insert(*way, report);
        }
        rounds.push(reports);
    }
    if cli.json {
        println!("{}", table::json(cli, &rounds));
    } else {
        println!("{}", table::of(cli, &rounds));
    }
    Ok(())
}

/// What each way did in one round.
pub(crate) type Round = BTreeMap<Way, Report>;

/// Programs are up, and down again, within this.
const BOUND: Duration = Duration::from_secs(30);
