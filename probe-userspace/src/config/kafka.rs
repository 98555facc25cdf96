//! How topics are made, and the settings of the Kafka client.

use std::path::Path;
use std::time::Duration;

use flow_wire::kafka_conf::KafkaConf;

use super::check::{ranged, word};
use super::{Error, Words};
use crate::export::kafka::Options;

/// More partitions than any cluster of collectors has members, and few enough that a slip does not burden a broker.
const MOST_PARTITIONS: u64 = 1_024;
/// Kafka keeps the count in 16 bits; nobody replicates further.
const MOST_REPLICAS: u64 = 16;
/// As Kafka limits a topic's name (249), less the longest suffix.
const LONGEST_PREFIX: usize = 200;
/// An hour: a collector must have the time to come back. Ten years: a slip of the keyboard, and below Kafka's bound.
const RETENTION: std::ops::RangeInclusive<u64> = 3_600..=315_360_000;

/// Settings that are not the user's: exactly-once delivery hangs on them.
const OURS: [&str; 8] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "transactional.id",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "message.timeout.ms",
    "delivery.timeout.ms",
];

/// What all sinks of Kafka have; `settings_file` is where the settings stand, if not on the command line.
pub(super) fn options(words: &Words, settings_file: Option<&Path>) -> Result<Options, Error> {
    let count = |option, asked: Option<u64>, most, mend| {
        let count = asked.map(|count| ranged((option, count), (1, most, "of them"), mend)).transpose()?;
        Ok::<_, Error>(count.map(|count| count as u16))
    };
    Ok(Options {
        prefix: prefix(words)?,
        partitions: count(
            "--topic-partitions",
            words.topic_partitions,
            MOST_PARTITIONS,
            "4 serve four collectors",
        )?,
        replication: count(
            "--topic-replication",
            words.topic_replication,
            MOST_REPLICAS,
            "leave it out for the broker's default",
        )?,
        retention: words.topic_retention.as_deref().map(retention).transpose()?,
        settings: KafkaConf::read(&words.kafka_conf, settings_file, &OURS)?,
    })
}

fn prefix(words: &Words) -> Result<String, Error> {
    let prefix = words.topic_prefix.clone().unwrap_or_else(|| "gannet".into());
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !prefix.is_empty() && prefix.len() <= LONGEST_PREFIX && prefix.chars().all(legal) {
        return Ok(prefix);
    }
    let reason = "a topic's name has letters, digits, dot, underscore and dash, 1 to 200 of them";
    Err(word("--topic-prefix", prefix, reason, "take such a word, or leave it out for `gannet`".into()))
}

fn retention(text: &str) -> Result<Duration, Error> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = unit.and_then(|unit| number.parse::<u64>().ok()?.checked_mul(unit));
    match seconds.filter(|seconds| RETENTION.contains(seconds)) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err(word(
            "--topic-retention",
            text,
            "not hours or days, from 1h to 3650d",
            "write for example 36h or 7d, or leave it out for the broker's default".into(),
        )),
    }
}
