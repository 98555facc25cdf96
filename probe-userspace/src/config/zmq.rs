//! `--zmq-acknowledge` and the keys of `--zmq-encryption`.

use super::Words;
use super::words::AcknowledgeWord;
use crate::export::zmq::{Acknowledge, Encryption};

/// How ZMQ sinks are opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zmq {
    /// Whether batches are kept for stores.
    pub acknowledge: Acknowledge,
    /// `None` = in the clear.
    pub encryption: Option<Encryption>,
}

/// Who names a key or a list of keys wants encryption: nothing goes out in the clear because a word is missing.
pub(super) fn zmq(words: &Words) -> Zmq {
    let acknowledge = match words.zmq_acknowledge.unwrap_or_default() {
        AcknowledgeWord::Require => Acknowledge::Require,
        AcknowledgeWord::Auto => Acknowledge::Auto,
        AcknowledgeWord::Off => Acknowledge::Off,
    };
    let (key, clients) = (words.zmq_encryption_key.clone(), words.zmq_clients.clone());
    let is_wanted = words.zmq_encryption || key.is_some() || clients.is_some();
    let encryption = Encryption { state_dir: super::check::state_dir(words), key, clients };
    Zmq { acknowledge, encryption: is_wanted.then_some(encryption) }
}
