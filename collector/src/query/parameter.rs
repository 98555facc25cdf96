//! A refused parameter: what was given, what is wrong, what to write instead.

use serde::{Deserialize, Serialize};

/// Body of a 400, and the message of exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{parameter} '{value}': {error}; {mend}")]
pub struct BadParameter {
    /// What is wrong.
    pub error: String,
    /// Its name.
    pub parameter: String,
    /// As given, cut to [`SHOWN_CHARACTERS`].
    pub value: String,
    /// What to write instead.
    pub mend: String,
}

/// Characters of a value that a message repeats: enough to recognise it, too few to fill a log.
const SHOWN_CHARACTERS: usize = 200;

impl BadParameter {
    /// `error` and `mend` as sentences without a full stop.
    pub fn new(parameter: &str, value: &str, error: &str, mend: impl Into<String>) -> Self {
        Self {
            error: error.to_owned(),
            parameter: parameter.to_owned(),
            value: value.chars().take(SHOWN_CHARACTERS).collect(),
            mend: mend.into(),
        }
    }
}
