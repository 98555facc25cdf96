//! The long run: `make chaos N=200 SEED=1 BUS=kafka`. Exit code 0 = nothing lost, nothing doubled, books without residual.
#![allow(clippy::unwrap_used, reason = "a harness that cannot go on panics")]

#[path = "chaos.rs"]
mod chaos;

use std::process::ExitCode;

use chaos::{Broken, Bus, Settings, schedule};
use clap::Parser;

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
    /// Something is wrong on purpose: cursor-first, high-water-mark, no-dedupe (steps of the protocol) or no-recovery. It must not pass.
    #[arg(long, value_parser = Broken::named)]
    mutant: Option<Broken>,
    /// Print the schedule, and do nothing.
    #[arg(long)]
    schedule: bool,
}

fn main() -> ExitCode {
    let Cli { bus, events, seed, mutant, schedule: only_schedule } = Cli::parse();
    let schedule = schedule::make(seed, events, &chaos::kinds(bus));
    if only_schedule {
        schedule.iter().for_each(|event| println!("+{:>4.1} s  {event}", event.after.as_secs_f64()));
        return ExitCode::SUCCESS;
    }
    let settings = Settings { bus, seed, schedule, broken: mutant };
    let verdict = chaos::run(&settings, |line| eprintln!("chaos: {line}"));
    println!("{verdict}");
    if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
