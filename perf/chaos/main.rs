//! The long run: `make chaos N=200 SEED=1 BUS=kafka`. Exit code 0 = nothing lost, nothing doubled, books without residual.
#![allow(clippy::unwrap_used, reason = "a harness that cannot go on panics")]

#[path = "chaos.rs"]
mod chaos;

use std::process::ExitCode;

use chaos::{Bus, Settings, schedule};
use clap::Parser;
use flow_wire::fault::Mutant;

/// Kills, stops, pauses and cuts off probe, broker and collector while known traffic flows; then judges (root).
#[derive(Parser)]
struct Cli {
    /// What batches go over.
    #[arg(long, value_enum, default_value = "kafka")]
    bus: Bus,
    /// How much happens.
    #[arg(long, default_value_t = 200)]
    events: usize,
    /// What happens when: the same seed makes the same schedule.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Probe and collector get this step of the protocol wrong: cursor-first, high-water-mark or no-dedupe. It must not pass.
    #[arg(long, value_parser = mutant)]
    mutant: Option<Mutant>,
    /// Print the schedule, and do nothing.
    #[arg(long)]
    schedule: bool,
}

fn mutant(name: &str) -> Result<Mutant, String> {
    let known = Mutant::ALL.into_iter().find(|mutant| mutant.name() == name);
    known.ok_or_else(|| format!("there is none of that name: {:?}", Mutant::ALL.map(Mutant::name)))
}

fn main() -> ExitCode {
    let Cli { bus, events, seed, mutant, schedule: only_schedule } = Cli::parse();
    let schedule = schedule::make(seed, events, &chaos::kinds(bus));
    if only_schedule {
        schedule.iter().for_each(|event| println!("{event}"));
        return ExitCode::SUCCESS;
    }
    let settings = Settings { bus, seed, schedule, mutant };
    let verdict = chaos::run(&settings, |line| eprintln!("chaos: {line}"));
    println!("{verdict}");
    if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
