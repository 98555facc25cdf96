//! Entry point: the command line, the messages on standard error, and the exit code.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use probe::config::{CommandLine, ntop};
use probe::run::Exit;
use tracing_subscriber::EnvFilter;

/// What is logged, in the words of `tracing_subscriber`: `GANNET_LOG=debug`.
const LOG_VARIABLE: &str = "GANNET_LOG";

fn main() -> ExitCode {
    let words = match ntop::arguments(std::env::args_os()) {
        Ok(words) => words,
        Err(error) => {
            eprintln!("gannet-probe: {error}");
            return Exit::Usage.into();
        }
    };
    let command_line = CommandLine::parse_from(words);
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    // No time of our own: the journal has one, and a person at a terminal a clock.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
    probe::run::run(&command_line).into()
}
