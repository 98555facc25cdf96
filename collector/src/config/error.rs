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
         zmq-encryption-key"
    )]
    File {
        /// As given.
        path: PathBuf,
        /// What is wrong in it.
        cause: Box<figment::Error>,
    },
}
