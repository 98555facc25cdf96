//! `--zmq-acknowledge`, the keys of `--zmq-encryption`, and what ntopng is sent.

use flow_wire::endpoint::Endpoint;

use super::ntopng::{self, Ntop};
use super::words::AcknowledgeWord;
use super::{Error, Words};
use crate::export::zmq::{Acknowledge, Encryption};

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
    let (key, clients) = (words.zmq_encryption_key.clone(), words.zmq_clients.clone());
    let is_wanted = words.zmq_encryption || key.is_some() || clients.is_some();
    let encryption = Encryption { state_dir: super::check::state_dir(words), key, clients };
    Ok(Zmq { acknowledge, encryption: is_wanted.then_some(encryption), ntop: ntopng::ntop(words, sinks)? })
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
