//! Entry point: the command line, and the exit code.

use std::process::ExitCode;

use clap::Parser;
use probe::config::CommandLine;

fn main() -> ExitCode {
    probe::run::run(&CommandLine::parse()).into()
}
