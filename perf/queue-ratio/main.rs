//! What two workers do that one does not, by CPU time: a machine with two cores cannot show it by the clock (root):
//!
//!     make release && cargo build --release --workspace --examples
//!     target/release/examples/queue-ratio --rounds 5
//!
//! ```text
//!   CPU 0: generator 0 ─► queue 0 ─► worker 0         each queue gets the same rate, so that each worker's bursts are alike;
//!   CPU 1: generator 1 ─► queue 1 ─► worker 1         capacity = sum over the workers of packets per second of their CPU time
//! ```
//! NAPI runs where the generator calls (not threaded: beside a paced generator on its core a NAPI thread comes too late for the
//! device's queue of 256), so that its time is the generator's but for what an interrupt takes from whoever runs.
//! Capacities of two workers are held against that of one worker, pair by pair within a round. Workers sleep when nothing comes
//! (`--wait poll`): one that spins takes all the time that there is.

mod turn;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Parser;
use turn::{Turn, measure};

/// Two workers on two queues against one on one, by CPU time, in turns (root)
#[derive(Parser)]
#[command(name = "queue-ratio", version)]
pub(crate) struct Cli {
    /// How often each way takes its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a measurement, seconds
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Packets a second into each queue
    #[arg(long, default_value_t = 100_000)]
    rate: u64,
    /// Flows of each queue
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(2..=128_000))]
    flows: u32,
    /// All rounds as JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// A way to serve queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    One,
    Split,
    Spread,
    Asymmetric,
}

/// Turns until one is even.
const ATTEMPTS: usize = 5;

const WAYS: [Way; 4] = [Way::One, Way::Split, Way::Spread, Way::Asymmetric];

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::One => "1 worker, 1 queue",
            Self::Split => "2 workers, 2 queues, split",
            Self::Spread => "2 workers, 2 queues, spread",
            Self::Asymmetric => "2 workers, 2 queues, split, each flow by both queues: handed over",
        })
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("queue-ratio: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let mut rounds: Vec<Vec<Turn>> = Vec::new();
    for round in 0..cli.rounds {
        let mut turns = Vec::new();
        for way in WAYS {
            let turn = even(cli, way)?;
            eprintln!("round {round}: {way}: {turn:?}");
            turns.push(turn);
        }
        rounds.push(turns);
    }
    if cli.json {
        println!("{}", json(cli, &rounds));
    } else {
        table(&rounds);
    }
    Ok(())
}

/// Round by round, by the way's short name.
fn json(cli: &Cli, rounds: &[Vec<Turn>]) -> serde_json::Value {
    let of =
        |at: usize, of: &dyn Fn(&Turn) -> f64| rounds.iter().map(|round| of(&round[at])).collect::<Vec<_>>();
    let ways = WAYS.iter().enumerate().map(|(at, way)| {
        let turns = serde_json::json!({
            "nanoseconds": of(at, &Turn::nanoseconds),
            "capacity": of(at, &Turn::capacity),
            "handed_over": of(at, &Turn::handed_over),
            "lost": of(at, &Turn::lost),
        });
        (format!("{way:?}").to_lowercase(), turns)
    });
    serde_json::json!({ "rate": cli.rate, "flows": cli.flows, "ways": ways.collect::<BTreeMap<_, _>>() })
}

fn table(rounds: &[Vec<Turn>]) {
    println!("| | worker CPU, ns a packet | capacity / that of one worker | handed over | lost |");
    println!("|---|---|---|---|---|");
    for (at, way) in WAYS.iter().enumerate() {
        let column =
            |of: &dyn Fn(&[Turn]) -> f64| spread(rounds.iter().map(|round| of(round)).collect::<Vec<_>>());
        let cost = column(&|round| round[at].nanoseconds());
        let ratio = column(&|round| round[at].capacity() / round[0].capacity());
        let lost = column(&|round| round[at].lost());
        let crossed = column(&|round| round[at].handed_over());
        println!("| {way} | {cost} | {ratio} | {crossed} | {lost} |");
    }
}

/// A turn in which the queues got alike: on a machine that others use a generator may be put aside for seconds, or find its device
/// full and end, and a worker that has nothing to do has no capacity.
fn even(cli: &Cli, way: Way) -> anyhow::Result<Turn> {
    for _ in 0..ATTEMPTS {
        match measure(cli, way) {
            Ok(turn) if turn.is_even() => return Ok(turn),
            Ok(turn) => eprintln!("uneven, once more: {way}: {turn:?}"),
            Err(error) => eprintln!("failed, once more: {way}: {error:#}"),
        }
    }
    anyhow::bail!(
        "{way}: the queues did not get alike in {ATTEMPTS} attempts: lower --rate, or a machine that does nothing else"
    )
}

/// Median, least and most.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    format!("{:.2} ({:.2} to {:.2})", at(values.len() / 2), at(0), at(values.len().saturating_sub(1)))
}
