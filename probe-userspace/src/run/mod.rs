//! From a configuration to running threads, and back.
//!
//! ```text
//! Config ─► interfaces and queues ─► sources, workers, exporter ─► control loop ─► stop, drain ─► books ─► Exit
//! ```

mod exit;
pub mod host;
pub mod identity;
pub mod mode;
pub mod notify;
pub mod plan;
pub mod warnings;

pub use exit::Exit;

use crate::config::{CommandLine, Config};

/// Runs what the command line says, and says how it ended. Messages go to stderr.
pub fn run(command_line: &CommandLine) -> Exit {
    let config = match host::interfaces().map_err(Into::into).and_then(|all| command_line.config(&all)) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("gannet-probe: {error}");
            return Exit::Usage;
        }
    };
    for sentence in &config.output.deprecations {
        eprintln!("gannet-probe: {sentence}");
    }
    if command_line.check_config {
        describe(&config);
        return Exit::Done;
    }
    Exit::Failed
}

fn describe(config: &Config) {
    println!("{config:#?}");
}
