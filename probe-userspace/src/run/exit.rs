//! How a run ends, for scripts.

use std::process::ExitCode;

/// Exit codes; `gannet-probe --help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Something failed; stderr says what.
    Failed,
    /// Wrong usage; stderr names option, value and mend.
    Usage,
    /// The books do not balance.
    Residual,
    /// More was lost than `--max-loss` allows.
    Loss,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Residual => 3,
            Exit::Loss => 4,
        })
    }
}
