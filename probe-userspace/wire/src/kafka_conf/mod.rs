//! `--kafka-conf` of probe and collector: settings of librdkafka, as words (`KEY=VALUE`) or from a file (`@FILE`, which
//! has a setting a line, as `kcat -F` reads it).
//!
//! Passwords belong into a file: the words of a command line are for everybody to read. Values are shown nowhere, neither
//! by `Debug` nor by an error.

mod file;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::endpoint::Kafka;

/// Settings in their order; a later one of the same key wins.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaConf {
    pairs: Vec<(String, String)>,
    /// `USER:PASSWORD` of a schema registry, which is none of librdkafka's business.
    registry_login: Option<String>,
    sentences: Vec<String>,
}

/// What is wrong, without any value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `=`.
    #[error(
        "--kafka-conf: a word is neither KEY=VALUE nor @FILE; write for example ssl.ca.location=/etc/ssl/ca.pem"
    )]
    Word,
    /// A key that is ours.
    #[error("--kafka-conf {0}: exactly-once delivery hangs on it, it cannot be set; leave it out")]
    Ours(String),
    /// A key of a registry's client that is not understood here.
    #[error(
        "--kafka-conf {0}: of a schema registry's client only {REGISTRY_LOGIN}=USER:PASSWORD is known here"
    )]
    Registry(String),
    /// No file.
    #[error("--kafka-conf {key}{}: {source}; name a file that this user may read", path.display())]
    Unreadable {
        /// `@`, or the key that names it, with `=`.
        key: String,
        /// As given.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Something else.
    #[error("--kafka-conf @{}: {cause}; write a setting a line: KEY=VALUE, and # before comments", path.display())]
    File {
        /// As given.
        path: PathBuf,
        /// What is wrong in it.
        cause: String,
    },
    /// A secret that others can read.
    #[error(
        "{} has {key}, and its mode {mode:03o} lets others read or change it: chmod 600 {}", path.display(), path.display()
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Which secret.
        key: String,
        /// Its permissions.
        mode: u32,
    },
    /// The URL asks for TLS.
    #[error(
        "--kafka-conf security.protocol={value} turns off the TLS that kafka-ssl:// asks for: leave it out"
    )]
    Downgrade {
        /// No secret.
        value: String,
    },
}

/// As Confluent's clients call it.
const REGISTRY_LOGIN: &str = "schema.registry.basic.auth.user.info";
const OF_REGISTRY: &str = "schema.registry.";

impl KafkaConf {
    /// From the words of the option. They stand in the file `config`, or else on the command line; `ours` are keys that
    /// nobody may set.
    ///
    /// # Errors
    /// A word or a file is not as it should be; a secret lies where others read it.
    pub fn read(words: &[String], config: Option<&Path>, ours: &[&str]) -> Result<Self, Error> {
        let mut conf = Self::default();
        for word in words {
            match word.strip_prefix('@') {
                Some(path) => conf.pairs.extend(file::pairs(Path::new(path))?),
                None => conf.word(word, config)?,
            }
        }
        if let Some((key, _)) = conf.pairs.iter().find(|(key, _)| ours.contains(&key.as_str())) {
            return Err(Error::Ours(key.clone()));
        }
        let is_of_registry = |pair: &(String, String)| pair.0.starts_with(OF_REGISTRY);
        let (of_registry, pairs): (Vec<_>, _) = conf.pairs.into_iter().partition(is_of_registry);
        conf.pairs = pairs;
        conf.registry_login = registry_login(of_registry)?;
        for pair in &mut conf.pairs {
            file::embed(pair)?;
        }
        Ok(conf)
    }

    fn word(&mut self, word: &str, config: Option<&Path>) -> Result<(), Error> {
        let pair = pair(word).ok_or(Error::Word)?;
        if is_secret(&pair.0) {
            match config {
                Some(path) => file::check_mode(path, &pair.0)?,
                None => self.sentences.push(format!(
                    "--kafka-conf {}: everybody on this host can read it in the list of processes: put it into a file \
                     that only this user reads, and give --kafka-conf @FILE",
                    pair.0
                )),
            }
        }
        self.pairs.push(pair);
        Ok(())
    }

    /// What librdkafka gets.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// `USER:PASSWORD` of a schema registry: a secret.
    pub fn registry_login(&self) -> Option<&str> {
        self.registry_login.as_deref()
    }

    /// The value of a key that is in force.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// `security.protocol` for this broker: TLS by its URL, SASL where a setting is of SASL.
    ///
    /// # Errors
    /// A setting contradicts the URL.
    pub fn security_protocol(&self, endpoint: &Kafka) -> Result<&str, Error> {
        match self.get("security.protocol") {
            Some(value) if endpoint.tls && !value.to_ascii_lowercase().ends_with("ssl") => {
                Err(Error::Downgrade { value: value.to_owned() })
            }
            Some(value) => Ok(value),
            None => Ok(match (endpoint.tls, self.has_sasl()) {
                (true, true) => "sasl_ssl",
                (true, false) => "ssl",
                (false, true) => "sasl_plaintext",
                (false, false) => "plaintext",
            }),
        }
    }

    /// What a person should know of the settings for these brokers.
    pub fn sentences<'a>(&self, endpoints: impl IntoIterator<Item = &'a Kafka>) -> Vec<String> {
        let mut sentences = self.sentences.clone();
        let is_plain = self.mechanism().is_some_and(|mechanism| mechanism.eq_ignore_ascii_case("PLAIN"));
        let open = |endpoint: &&Kafka| {
            self.security_protocol(endpoint)
                .is_ok_and(|protocol| protocol.eq_ignore_ascii_case("sasl_plaintext"))
        };
        if let Some(endpoint) = endpoints.into_iter().find(open).filter(|_| is_plain) {
            let servers = endpoint.bootstrap_servers();
            sentences.push(format!(
                "SASL PLAIN to {servers} without TLS: the password crosses the network in the clear; use kafka-ssl://, or \
                 SCRAM-SHA-512"
            ));
        }
        sentences
    }

    fn mechanism(&self) -> Option<&str> {
        self.get("sasl.mechanism").or_else(|| self.get("sasl.mechanisms"))
    }

    fn has_sasl(&self) -> bool {
        self.pairs.iter().any(|(key, _)| key.starts_with("sasl."))
    }
}

impl FromIterator<(String, String)> for KafkaConf {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self { pairs: pairs.into_iter().collect(), ..Self::default() }
    }
}

impl fmt::Debug for KafkaConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.pairs.iter().map(|(key, _)| key)).finish()
    }
}

/// Whether a value is nobody's business.
pub fn is_secret(key: &str) -> bool {
    key.contains("password")
        || key.contains("secret")
        || key.contains("passphrase")
        || key.ends_with("key.pem")
        || matches!(key, "sasl.oauthbearer.config" | REGISTRY_LOGIN)
}

fn registry_login(pairs: Vec<(String, String)>) -> Result<Option<String>, Error> {
    let mut login = None;
    for (key, value) in pairs {
        if key != REGISTRY_LOGIN || !value.contains(':') {
            return Err(Error::Registry(key));
        }
        login = Some(value);
    }
    Ok(login)
}

fn pair(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=')?;
    let key = key.trim();
    (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests;
