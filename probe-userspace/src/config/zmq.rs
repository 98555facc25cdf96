//! `--zmq-acknowledge`, the keys of `--zmq-encryption`, and what ntopng is sent.

use std::path::{Path, PathBuf};

use flow_wire::endpoint::Endpoint;

use super::ntopng::{self, Ntop};
use super::words::AcknowledgeWord;
use super::{Error, Words};
use crate::export::zmq::{Acknowledge, Encryption, ReaderKey};

/// How ZMQ sinks are opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zmq {
    /// Whether batches are kept for stores.
    pub acknowledge: Acknowledge,
    /// `None` = in the clear.
    pub encryption: Option<Encryption>,
    /// What goes to ntopng.
    pub ntop: Ntop,
}

/// Who names a key or a list of keys wants encryption: nothing goes out in the clear because a word is missing.
pub(super) fn zmq(words: &Words, sinks: &[Endpoint]) -> Result<Zmq, Error> {
    let acknowledge = acknowledge(words, sinks)?;
    let (key, reader) = keys(words.zmq_encryption_key.as_deref());
    let clients = words.zmq_clients.clone();
    if reader.is_some() && clients.is_some() {
        return Err(Error::Word {
            option: "--zmq-clients",
            value: clients.unwrap_or_default().display().to_string(),
            reason: "--zmq-encryption-key has a reader's public key: that reader is the server, and lets in whom it likes".to_owned(),
            mend: "leave one of the two out".to_owned(),
        });
    }
    let is_wanted = words.zmq_encryption || key.is_some() || reader.is_some() || clients.is_some();
    let encryption = Encryption { state_dir: super::check::state_dir(words), key, reader, clients };
    Ok(Zmq { acknowledge, encryption: is_wanted.then_some(encryption), ntop: ntopng::ntop(words, sinks)? })
}

/// nProbe's meaning is ntopng's public key, as text; in a file it ends with `.pub`, as ntopng and we write it. Any other file has our own secret key.
fn keys(word: Option<&Path>) -> (Option<PathBuf>, Option<ReaderKey>) {
    let Some(word) = word else { return (None, None) };
    let text = word.to_str().and_then(|text| text.parse().ok()).filter(|_| !word.exists());
    match text {
        Some(key) => (None, Some(ReaderKey::Text(key))),
        None if word.extension().is_some_and(|extension| extension == "pub") => {
            (None, Some(ReaderKey::File(word.to_owned())))
        }
        None => (Some(word.to_owned()), None),
    }
}

fn acknowledge(words: &Words, sinks: &[Endpoint]) -> Result<Acknowledge, Error> {
    match words.zmq_acknowledge.unwrap_or_default() {
        AcknowledgeWord::Require if !sinks.iter().any(|sink| matches!(sink, Endpoint::Zmq(_))) => {
            Err(Error::Word {
                option: "--zmq-acknowledge",
                value: "require".to_owned(),
                reason: "there is no ZMQ endpoint whose batches could be kept".to_owned(),
                mend: "name one, as in --ntopng zmq://HOST:PORT, or leave the option out".to_owned(),
            })
        }
        AcknowledgeWord::Require => Ok(Acknowledge::Require),
        AcknowledgeWord::Auto => Ok(Acknowledge::Auto),
        AcknowledgeWord::Off => Ok(Acknowledge::Off),
    }
}
