//! Entry point: the command line, and the exit code.
#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use collector::config::{Command, CommandLine, Settings};
use collector::terminal::Exit;
use collector::{run, terminal};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let exit = match &line.command {
        Some(Command::Query(query)) => terminal::query(query).map(|()| Exit::Done).unwrap_or_else(failed),
        Some(Command::Ledger(books)) => terminal::ledger(books).unwrap_or_else(failed),
        Some(Command::Lua(lua)) => terminal::lua(lua).unwrap_or_else(failed),
        Some(Command::LuaChild { .. }) => return collector::script::child::run(),
        None => collect(&line),
    };
    ExitCode::from(exit as u8)
}

fn collect(line: &CommandLine) -> Exit {
    log();
    if let Err(error) = flow_wire::fault::plan() {
        say(&error);
        return Exit::Usage;
    }
    let settings = match Settings::read(&line.collect) {
        Ok(settings) => settings,
        Err(error) => {
            say(&error);
            return Exit::Usage;
        }
    };
    match run::run(&settings) {
        Ok(()) => Exit::Done,
        Err(error) => {
            say(&error);
            Exit::Failed
        }
    }
}

/// To stderr; `RUST_LOG` says how much, and without it: what an operator needs.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_env_filter(filter)
        .with_target(false)
        .init();
}

fn failed(error: terminal::Error) -> Exit {
    say(&error);
    error.exit()
}

fn say(error: &dyn std::error::Error) {
    eprintln!("gannet-collector: {error}");
}
