//! `--scripts-dir` and what goes with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use flow_wire::kafka_conf::KafkaConf;
use serde::{Deserialize, Serialize};

use super::{Error, check};
use crate::script::{Allowed, Settings};

/// Longest run: a script that needs more is a program of its own.
const TIME_SECONDS_MAX: u64 = 300;

/// Least and most of a Lua state.
const MEMORY_MEGABYTES: std::ops::RangeInclusive<u64> = 1..=4_096;

/// Least and most of flows that wait.
const QUEUE_MEGABYTES: std::ops::RangeInclusive<u64> = 1..=4_096;

/// What the collector allows scripts; each option has the heading "Scripts".
#[derive(Clone, Debug, Default, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scripts {
    /// Directory of Lua scripts: second, minute, 5mins, hourly, daily, flow (.lua, or folders of them); without it there are none
    #[arg(long, value_name = "DIR", help_heading = "Scripts")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scripts_dir: Option<PathBuf>,
    /// Time of a run, or a batch of flows: beyond it it ends with an error, or its process is killed [default: 5s]
    #[arg(long, value_name = "SECONDS", help_heading = "Scripts")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_time_limit: Option<String>,
    /// Memory of a script's Lua state [default: 64]
    #[arg(long, value_name = "MB", help_heading = "Scripts")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_memory_limit: Option<u64>,
    /// Stored flows that wait for one script; beyond it they are dropped for it, and counted [default: 64]
    #[arg(long, value_name = "MB", help_heading = "Scripts")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_queue: Option<u64>,
    /// A setting for the Kafka producers of all scripts, or a file of them: passwords belong there; repeatable
    #[arg(long, value_name = "KEY=VALUE|@FILE", help_heading = "Scripts")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub script_kafka_conf: Vec<String>,
    /// The only hosts that scripts may speak to; repeatable [default: all]
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Scripts")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub script_allow: Vec<String>,
}

/// The same in the file.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Keys {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) scripts_dir: Option<PathBuf>,
    pub(super) script_time_limit: String,
    pub(super) script_memory_limit: u64,
    pub(super) script_queue: u64,
    pub(super) script_kafka_conf: Vec<String>,
    pub(super) script_allow: Vec<String>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            scripts_dir: None,
            script_time_limit: "5s".to_owned(),
            script_memory_limit: 64,
            script_queue: 64,
            script_kafka_conf: Vec::new(),
            script_allow: Vec::new(),
        }
    }
}

impl Keys {
    /// The names of all.
    #[cfg(test)]
    pub(super) const NAMES: [&str; 6] = [
        "scripts-dir",
        "script-time-limit",
        "script-memory-limit",
        "script-queue",
        "script-kafka-conf",
        "script-allow",
    ];

    /// `None` = no scripts. `config` = the file, where the settings of Kafka stand in it.
    pub(super) fn settings(self, config: Option<&Path>) -> Result<Option<Settings>, Error> {
        let time_limit = seconds(&self.script_time_limit)?;
        let memory_octets = megabytes("--script-memory-limit", self.script_memory_limit, &MEMORY_MEGABYTES)?;
        let queue_octets = megabytes("--script-queue", self.script_queue, &QUEUE_MEGABYTES)?;
        let kafka_conf =
            KafkaConf::read(&self.script_kafka_conf, config, &["bootstrap.servers", "metadata.broker.list"])
                .map_err(Error::ScriptConf)?;
        check(&kafka_conf).map_err(|error| Error::ScriptKey(Box::new(error)))?;
        let allowed = self.script_allow;
        if let Some(wrong) =
            allowed.iter().find(|host| host.is_empty() || host.contains(['/', ' ', ',', '@']))
        {
            return Err(Error::Allow(wrong.clone()));
        }
        let allowed = Allowed(allowed);
        let of =
            |directory| Settings { directory, time_limit, memory_octets, queue_octets, kafka_conf, allowed };
        Ok(self.scripts_dir.map(of))
    }
}

fn seconds(text: &str) -> Result<Duration, Error> {
    let number = text.strip_suffix('s').unwrap_or(text).parse().ok();
    let seconds = number.filter(|seconds| (1..=TIME_SECONDS_MAX).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| Error::ScriptTime(text.to_owned()))
}

fn megabytes(
    option: &'static str,
    value: u64,
    range: &std::ops::RangeInclusive<u64>,
) -> Result<usize, Error> {
    if !range.contains(&value) {
        return Err(Error::Megabytes { option, value, least: *range.start(), most: *range.end() });
    }
    usize::try_from(value << 20).map_err(|_| Error::Megabytes { option, value, least: 1, most: 2_047 })
}
