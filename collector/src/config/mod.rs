//! What the user asked for: command line over file over defaults.

mod ask;
mod error;
mod script;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::{Args, Parser};
use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use flow_wire::bus::TOPIC_PREFIX;
use flow_wire::endpoint::Endpoint;
use flow_wire::kafka_conf::KafkaConf;
use serde::{Deserialize, Serialize};

pub use ask::{Books, Command, Format, Lua, Query, Question, Whom};
pub use error::Error;
pub use script::Scripts;

use crate::store::duckdb::RETENTION_DAYS;

/// Where state is, unless said otherwise.
pub const STORE: &str = "/var/lib/gannet";
/// Where the API listens, unless said otherwise.
pub const HTTP: &str = "127.0.0.1:3000";

/// Flows from the bus, stored once, queried, shown; the books closed.
#[derive(Debug, Parser)]
#[command(version, name = "gannet-collector", args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage; of ledger --check: 1 still open after --wait or no probe heard, 3 residual, 4 loss above --max-loss"
)]
pub struct CommandLine {
    /// Ask instead of collecting.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of the collector itself.
    #[command(flatten)]
    pub collect: Collect,
}

/// `gannet-collector -i ...`
#[derive(Debug, Default, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Collect {
    /// kafka://HOST[:PORT][,..], kafka-ssl://.., zmq://HOST:PORT; several are read at once
    #[arg(short = 'i', long = "input", value_name = "URL")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<String>,
    /// Directory of the store [default: /var/lib/gannet]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<PathBuf>,
    /// Days of flows that are kept; fewer where the store would have more than 80 % of its disk [default: 30d]
    #[arg(long, value_name = "DAYS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// Where page and API listen [default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDR:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// First part of the topics' names [default: gannet]
    #[arg(long, value_name = "PREFIX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_prefix: Option<String>,
    /// A setting of librdkafka, or a file of them: passwords belong there; repeatable
    #[arg(long, value_name = "KEY=VALUE|@FILE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kafka_conf: Vec<String>,
    /// Read encrypted ZMQ (CURVE); needs --zmq-encryption-key, which turns it on as well
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub zmq_encryption: bool,
    /// File with the probe's public key (its zmq-key.pub), or lines 'zmq://HOST:PORT KEY' for several
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zmq_encryption_key: Option<PathBuf>,
    /// Scripts.
    #[command(flatten)]
    #[serde(flatten)]
    pub scripts: Scripts,
    /// A TOML file with the same keys; the command line wins
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

/// What stands in the file, and what the defaults are.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    input: Vec<String>,
    store: PathBuf,
    retention: String,
    http: String,
    topic_prefix: String,
    kafka_conf: Vec<String>,
    zmq_encryption: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zmq_encryption_key: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scripts_dir: Option<PathBuf>,
    script_time_limit: String,
    script_memory_limit: u64,
    script_queue: u64,
    script_kafka_conf: Vec<String>,
    script_allow: Vec<String>,
}

impl Default for File {
    fn default() -> Self {
        let (input, kafka_conf) = (vec![], vec![]);
        let retention = format!("{RETENTION_DAYS}d");
        let script::Keys {
            scripts_dir,
            script_time_limit,
            script_memory_limit,
            script_queue,
            script_kafka_conf,
            script_allow,
        } = script::Keys::default();
        Self {
            scripts_dir,
            script_time_limit,
            script_memory_limit,
            script_queue,
            script_kafka_conf,
            script_allow,
            input,
            store: STORE.into(),
            retention,
            http: HTTP.into(),
            topic_prefix: TOPIC_PREFIX.into(),
            kafka_conf,
            zmq_encryption: false,
            zmq_encryption_key: None,
        }
    }
}

/// Checked, and ready to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    /// At least one.
    pub inputs: Vec<Endpoint>,
    /// Directory of the store.
    pub store: PathBuf,
    /// Days of ingest that are kept.
    pub retention_days: u32,
    /// Where page and API listen.
    pub http: SocketAddr,
    /// First part of the topics' names.
    pub topic_prefix: String,
    /// Settings of librdkafka: security, time-outs. May hold secrets.
    pub kafka_conf: KafkaConf,
    /// `None` = no scripts.
    pub scripts: Option<crate::script::Settings>,
    /// Public keys of the probes: ZMQ inputs are encrypted with them.
    pub zmq_keys: Option<PathBuf>,
}

/// Ten years: each day is a file that is attached and looked through.
const RETENTION_DAYS_MAX: u32 = 3_660;

/// Longest prefix: a topic's name has at most 249 characters.
const PREFIX_CHARACTERS_MAX: usize = 200;

impl Settings {
    /// From command line, file and defaults.
    pub fn read(line: &Collect) -> Result<Self, Error> {
        let mut figment = Figment::from(Serialized::defaults(File::default()));
        if let Some(path) = &line.config {
            // Opened first, since figment takes a file that is not there for an empty one.
            std::fs::File::open(path).map_err(|source| Error::Unreadable { path: path.clone(), source })?;
            figment = figment.merge(Toml::file_exact(path));
        }
        let file: File = figment.merge(Serialized::defaults(line)).extract().map_err(|cause| {
            Error::File { path: line.config.clone().unwrap_or_default(), cause: Box::new(cause) }
        })?;
        if file.input.is_empty() {
            return Err(Error::NoInput);
        }
        let inputs: Vec<Endpoint> = file.input.iter().map(|url| url.parse()).collect::<Result<_, _>>()?;
        for (at, endpoint) in inputs.iter().enumerate() {
            // By their canonical form: `tcp://` is `zmq://`.
            let name = endpoint.to_string();
            if inputs[..at].iter().any(|other| other.to_string() == name) {
                return Err(Error::TwiceInput(name));
            }
        }
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let prefix = file.topic_prefix;
        if prefix.is_empty() || prefix.len() > PREFIX_CHARACTERS_MAX || !prefix.chars().all(sound) {
            return Err(Error::Prefix(prefix));
        }
        // Words of a list are those of the command line, or those of the file: they are not mixed.
        let settings_file = line.config.as_deref().filter(|_| line.kafka_conf.is_empty());
        let kafka_conf = KafkaConf::read(&file.kafka_conf, settings_file, &OURS)?;
        check(&kafka_conf)?;
        for endpoint in inputs.iter().filter_map(Endpoint::kafka) {
            kafka_conf.security_protocol(endpoint)?;
        }
        if file.zmq_encryption && file.zmq_encryption_key.is_none() {
            return Err(Error::NoKey);
        }
        let settings_file = line.config.as_deref().filter(|_| line.scripts.script_kafka_conf.is_empty());
        let scripts = script::Keys {
            scripts_dir: file.scripts_dir,
            script_time_limit: file.script_time_limit,
            script_memory_limit: file.script_memory_limit,
            script_queue: file.script_queue,
            script_kafka_conf: file.script_kafka_conf,
            script_allow: file.script_allow,
        };
        Ok(Self {
            scripts: scripts.settings(settings_file)?,
            inputs,
            store: file.store,
            retention_days: days(&file.retention)?,
            http: address(&file.http)?,
            topic_prefix: prefix,
            kafka_conf,
            zmq_keys: file.zmq_encryption_key,
        })
    }
}

/// Whole days: `30d`, since a file is a day.
fn days(text: &str) -> Result<u32, Error> {
    let number = text.strip_suffix('d').and_then(|number| number.parse().ok());
    number
        .filter(|days| (1..=RETENTION_DAYS_MAX).contains(days))
        .ok_or_else(|| Error::Retention(text.to_owned()))
}

/// Whether librdkafka takes each of them. Values may be secrets: a refusal names the key alone.
fn check(conf: &KafkaConf) -> Result<(), Error> {
    for (key, value) in conf.pairs() {
        if rdkafka::ClientConfig::new().set(key, value).create_native_config().is_err() {
            let cause = "librdkafka does not take this key with this value".to_owned();
            return Err(Error::KafkaConf { key: key.clone(), cause });
        }
    }
    Ok(())
}

/// Settings that are not the user's.
const OURS: [&str; 9] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "isolation.level",
    "auto.offset.reset",
    "allow.auto.create.topics",
    "statistics.interval.ms",
];

/// An address to listen at, or to ask.
pub fn address(text: &str) -> Result<SocketAddr, Error> {
    let mut found = text.to_socket_addrs().map_err(|_| Error::Http(text.to_owned()))?;
    found.next().ok_or_else(|| Error::Http(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Settings, Error> {
        let line = CommandLine::try_parse_from(std::iter::once(&"gannet-collector").chain(words)).unwrap();
        Settings::read(&line.collect)
    }

    #[test]
    fn the_readme_lines_work() {
        let settings = read(&["-i", "kafka://192.168.2.225", "-i", "zmq://127.0.0.1:1234"]).unwrap();
        assert_eq!(settings.inputs[0].to_string(), "kafka://192.168.2.225:9092");
        assert_eq!((settings.store.as_os_str(), settings.http.port()), (STORE.as_ref(), 3000));
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = "input = [\"zmq://a:1\"]\nhttp = \"[::1]:4000\"\ntopic-prefix = \"x\"\n";
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let path = &file.path().to_str().unwrap().to_owned();
        let settings = read(&["--config", path, "--topic-prefix", "y"]).unwrap();
        assert_eq!((settings.topic_prefix.as_str(), settings.http.port()), ("y", 4000));
        assert_eq!(read(&["--config", path, "-i", "zmq://b:2"]).unwrap().inputs.len(), 1);
        std::io::Write::write_all(&mut file, b"stoer = \"/x\"\n").unwrap();
        let refused = read(&["--config", path]).unwrap_err().to_string();
        assert!(refused.contains("stoer") && refused.matches(&**path).count() >= 2, "{refused}");
    }

    #[test]
    fn the_shipped_file_runs_and_shows_every_key_with_its_default() {
        let shipped = include_str!("../../../deploy/config/collector.toml");
        let every: String = shipped
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(key) if key.contains(" = ") && !key.starts_with(' ') => format!("{key}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        for text in [shipped, &every] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let settings = read(&["--config", file.path().to_str().unwrap()]).unwrap();
            assert_eq!(
                (settings.store.as_os_str(), settings.http.to_string().as_str()),
                (STORE.as_ref(), HTTP)
            );
            assert_eq!(
                (settings.topic_prefix.as_str(), settings.retention_days),
                (TOPIC_PREFIX, RETENTION_DAYS)
            );
        }
        let keys = [
            "input",
            "store",
            "retention",
            "http",
            "topic-prefix",
            "kafka-conf",
            "zmq-encryption",
            "zmq-encryption-key",
        ];
        for key in keys.into_iter().chain(script::Keys::NAMES) {
            assert!(every.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
        }
    }

    #[test]
    fn wrong_usage_names_option_value_and_mend() {
        assert!(matches!(read(&[]), Err(Error::NoInput)));
        assert!(matches!(read(&["-i", "http://x"]), Err(Error::Endpoint(_))));
        assert!(matches!(read(&["-i", "zmq://a:1", "-i", "tcp://a:1"]), Err(Error::TwiceInput(_))));
        assert!(matches!(read(&["-i", "kafka://a", "-i", "kafka://a:9092"]), Err(Error::TwiceInput(_))));
        assert!(matches!(read(&["-i", "zmq://a:1", "--http", "3000"]), Err(Error::Http(_))));
        assert!(matches!(read(&["-i", "zmq://a:1", "--topic-prefix", "a b"]), Err(Error::Prefix(_))));
        assert!(matches!(read(&["-i", "zmq://a:1", "--config", "/nowhere"]), Err(Error::Unreadable { .. })));
        for wrong in ["30", "0d", "5h", "99999d"] {
            assert!(matches!(read(&["-i", "zmq://a:1", "--retention", wrong]), Err(Error::Retention(_))));
        }
        assert_eq!(read(&["-i", "zmq://a:1", "--retention", "7d"]).unwrap().retention_days, 7);
        assert!(matches!(read(&["-i", "zmq://a:1", "--zmq-encryption"]), Err(Error::NoKey)));
        let keys = read(&["-i", "zmq://a:1", "--zmq-encryption-key", "/keys"]).unwrap().zmq_keys;
        assert_eq!(keys.as_deref(), Some(std::path::Path::new("/keys")));
        let script = |words: &[&str]| read(&[&["-i", "zmq://a:1", "--scripts-dir", "/s"], words].concat());
        let settings =
            script(&["--script-allow", "a:1", "--script-time-limit", "10s"]).unwrap().scripts.unwrap();
        assert_eq!((settings.time_limit.as_secs(), settings.memory_octets), (10, 64 << 20));
        assert!(settings.allowed.lets("a", 1) && !settings.allowed.lets("b", 1));
        assert!(matches!(script(&["--script-time-limit", "0s"]), Err(Error::ScriptTime(_))));
        assert!(matches!(script(&["--script-queue", "0"]), Err(Error::Megabytes { .. })));
        assert!(matches!(script(&["--script-allow", "http://a/"]), Err(Error::Allow(_))));
        let refusal = script(&["--script-kafka-conf", "no.such.key=s3cret"]).unwrap_err().to_string();
        assert!(refusal.contains("--script-kafka-conf") && !refusal.contains("s3cret"), "{refusal}");
        let conf = |text: &str| read(&["-i", "zmq://a:1", "--kafka-conf", text]);
        assert_eq!(conf("sasl.password=a=b").unwrap().kafka_conf.get("sasl.password"), Some("a=b"));
        for wrong in ["group.id=x", "isolation.level=read_uncommitted", "no.such.key=s3cret", "s3cret"] {
            let refusal = conf(wrong).unwrap_err().to_string();
            assert!(refusal.starts_with("--kafka-conf") && !refusal.contains("s3cret"), "{refusal}");
        }
        let downgrade = ["-i", "kafka-ssl://a", "--kafka-conf", "security.protocol=plaintext"].as_slice();
        assert!(matches!(read(downgrade), Err(Error::Conf(_))));
    }
}
