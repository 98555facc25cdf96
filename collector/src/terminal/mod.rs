//! The questions of the command line: `query`, `ledger`. Data on stdout, everything else on stderr.

mod client;
mod ledger;
mod lua;
mod query;
mod report;
mod table;

use std::io::Write;

use serde_json::Value;

use crate::api::{Problem, Service};
use crate::config::{self, Whom};
use crate::ingest::now_nanoseconds;
use crate::query::BadParameter;
use crate::store::Writer as _;
use crate::store::duckdb::DuckDb;

pub use ledger::ledger;
pub use lua::lua;
pub use query::query;

/// Exit codes, as contracts.md has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// Something is unaccounted for.
    Residual = 3,
    /// More was lost than allowed.
    Loss = 4,
}

/// Why there is nothing on stdout.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A wrong word.
    #[error("--{0}")]
    Bad(BadParameter),
    /// A wrong option.
    #[error(transparent)]
    Option(#[from] config::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The collector does not answer.
    #[error(
        "no collector answers at {address}: {source}; start it, give its --http, or --store DIR to open the store itself"
    )]
    Silent {
        /// Asked there.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It answers something else.
    #[error("{address} answers, but not as a collector of this version: {what}")]
    Foreign {
        /// Asked there.
        address: String,
        /// What it said.
        what: String,
    },
    /// A script, or its process.
    #[error("script: {0}")]
    Script(#[from] crate::script::Ended),
    /// It could not answer.
    #[error("the collector could not answer: {0}")]
    Failed(String),
    /// stdout is closed.
    #[error("stdout: {0}")]
    Output(#[from] std::io::Error),
}

impl Error {
    /// The code of contracts.md.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Bad(_) | Self::Option(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

/// Asks the running collector, or opens the store.
enum Source {
    Http(String),
    Store(Box<Service>),
}

impl Source {
    fn of(whom: &Whom) -> Result<Self, Error> {
        let Some(directory) = &whom.store else { return Ok(Self::Http(whom.http.clone())) };
        let reader = DuckDb::open_existing(directory)?.reader()?;
        let path = directory.display().to_string();
        Ok(Self::Store(Box::new(Service::offline(reader, path))))
    }

    fn ask(&self, path: &str, pairs: &[(String, String)]) -> Result<Value, Error> {
        let text = match self {
            Self::Http(address) => client::get(address, path, pairs)?,
            Self::Store(service) => {
                service.answer(path, pairs, now_nanoseconds()).map_err(|problem| match problem {
                    Problem::Bad(bad) => Error::Bad(bad),
                    Problem::Store(error) => Error::Store(error),
                    Problem::Json(_) | Problem::Unknown(_) => Error::Failed(problem.to_string()),
                })?
            }
        };
        serde_json::from_str(&text).map_err(|error| Error::Failed(error.to_string()))
    }
}

/// To stdout. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<(), Error> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
