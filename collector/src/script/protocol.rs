//! What host and process say to each other. One job at a time: while it runs the process may ask, and each question has one answer.
//!
//! ```text
//! host:    LOAD                 RUN | FLOWS              ANSWER                     (the end: the socket closes)
//! process:       (nothing)                  SAID Ask ──►        ──► SAID .. SAID Done    SAID Kafka, Log: at any time
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::settings::Allowed;

/// Host: the first frame, [`Load`].
pub(super) const LOAD: u8 = 1;
/// Host: run this source, once.
pub(super) const RUN: u8 = 2;
/// Host: flows, an Arrow IPC stream.
pub(super) const FLOWS: u8 = 3;
/// Host: an [`Answer`].
pub(super) const ANSWER: u8 = 4;
/// Process: a [`Said`].
pub(super) const SAID: u8 = 5;

/// What a process must know. It is the only way in for secrets.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Load {
    pub(super) name: String,
    pub(super) directory: String,
    /// Of a script for flows; others come with each run.
    pub(super) source: Option<String>,
    pub(super) time_limit: Duration,
    pub(super) memory_octets: usize,
    /// For every producer.
    pub(super) kafka: Vec<(String, String)>,
    pub(super) allowed: Allowed,
}

/// What a process is to do.
#[derive(Clone, Copy, Debug)]
pub enum Job<'a> {
    /// Run this source.
    Run(&'a str),
    /// See these flows: an Arrow IPC stream.
    Flows(&'a [u8]),
}

/// How loud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// For who looks for it.
    Debug,
    /// What `print` says.
    Info,
    /// Look at it.
    Warn,
    /// It needs a person.
    Error,
}

/// Messages of `ntop.sendKafkaMessage` since the last time that this was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kafka {
    /// The client took them.
    pub queued: u64,
    /// It did not.
    pub refused: u64,
    /// A broker has them.
    pub delivered: u64,
    /// It has not, and will not.
    pub failed: u64,
}

/// A job has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What Lua says; of flows, the first one.
    pub error: Option<String>,
    /// Flows that the script was called with.
    pub flows: u64,
    /// Of them: where it ended with an error.
    pub failed_flows: u64,
}

/// A process says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Said {
    Log(Level, String),
    Alert(Level, String),
    Kafka(Kafka),
    Ask(Question),
    Done(Done),
}

/// A process asks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Question {
    SetCache {
        key: String,
        value: String,
        seconds: u32,
    },
    GetCache(String),
    DelCache(String),
    /// The source of a module.
    Module(String),
    /// An answer of the API.
    Api {
        path: String,
        pairs: Vec<(String, String)>,
    },
}

/// `Ok(None)` = there is none; an error is a sentence.
pub(super) type Answer = Result<Option<String>, String>;
