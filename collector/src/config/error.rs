//! Wrong usage: the option, the value, the mend.

use std::path::PathBuf;

/// Each ends the program with exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to read.
    #[error("no input: give -i kafka://HOST or -i zmq://HOST:PORT")]
    NoInput,
    /// A URL.
    #[error("-i: {0}")]
    Endpoint(#[from] flow_wire::endpoint::Error),
    /// Everything would come twice.
    #[error("-i {0} is given twice: give it once")]
    TwiceInput(String),
    /// An address.
    #[error("--http '{0}' is not an address and port: write 127.0.0.1:3000 or [::]:3000")]
    Http(String),
    /// An age.
    #[error("--retention '{0}' is not 1 to 3660 whole days: write 30d")]
    Retention(String),
    /// A prefix.
    #[error("--topic-prefix '{0}' is not 1 to 200 letters, digits, dots, dashes and underscores")]
    Prefix(String),
    /// Settings of librdkafka, before it sees them.
    #[error(transparent)]
    Conf(#[from] flow_wire::kafka_conf::Error),
    /// A setting of librdkafka.
    #[error("--kafka-conf {key}: {cause}; write KEY=VALUE with a key of librdkafka's CONFIGURATION.md")]
    KafkaConf {
        /// Which; its value may be a secret.
        key: String,
        /// Why not.
        cause: String,
    },
    /// Of scripts.
    #[error("--script-time-limit '{0}' is not 1 to 300 whole seconds: write 5s")]
    ScriptTime(String),
    /// Of scripts.
    #[error("{option} {value} is not {least} to {most} megabytes: write 64")]
    Megabytes {
        /// Which option.
        option: &'static str,
        /// As given.
        value: u64,
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// Of scripts.
    #[error(
        "--script-allow '{0}' is not a host, or a host and a port: write hooks.example.org or kafka1:9092, once for each"
    )]
    Allow(String),
    /// Settings of the producers of scripts.
    #[error("of --script-kafka-conf: {0}")]
    ScriptConf(flow_wire::kafka_conf::Error),
    /// One of them.
    #[error("of --script-kafka-conf: {0}")]
    ScriptKey(Box<Error>),
    /// Scripts themselves.
    #[error(transparent)]
    Scripts(#[from] crate::script::Error),
    /// Nothing to encrypt with.
    #[error(
        "--zmq-encryption needs --zmq-encryption-key FILE: a file with the probe's public key, its zmq-key.pub"
    )]
    NoKey,
    /// No file.
    #[error("--config {path}: {source}; give a TOML file that this user may read")]
    Unreadable {
        /// As given.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file with something else in it.
    #[error(
        "--config {path}: {cause}; the keys are input, store, http, topic-prefix, kafka-conf, zmq-encryption, \
         zmq-encryption-key, scripts-dir, script-time-limit, script-memory-limit, script-queue, script-kafka-conf, script-allow"
    )]
    File {
        /// As given.
        path: PathBuf,
        /// What is wrong in it.
        cause: Box<figment::Error>,
    },
}
