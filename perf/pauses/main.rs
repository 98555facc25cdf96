//! `gannet-pauses`: what may hold up a worker's packets, measured over packets in memory. A line of JSON each.

mod expiry;
mod turns;

use clap::{Parser, Subcommand};

/// What holds up a worker's packets; a line of JSON each.
#[derive(Parser)]
#[command(name = "gannet-pauses", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Very many flows of the shard come due at once while packets go on
    Expiry(expiry::Expiry),
    /// The worker's loop, with the times of its stages and without
    Turns(turns::Turns),
}

fn main() -> anyhow::Result<()> {
    let report = match Cli::parse().command {
        Command::Expiry(command) => expiry::run(&command)?,
        Command::Turns(command) => turns::run(&command)?,
    };
    println!("{report}");
    Ok(())
}
