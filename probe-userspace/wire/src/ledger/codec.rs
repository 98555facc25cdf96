//! The in-band message as JSON: few and small, read by people and by tools of any kind.

use serde::Deserialize;

use super::Message;
use crate::bus::BODY_OCTETS_MAX;

/// What [`Message::version`] is now.
const VERSION: u16 = 1;

/// A ledger message that cannot be read, or written.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Written by a release whose terms mean something else.
    #[error(
        "ledger message has version {0}, this release reads {VERSION}: upgrade the collector before the probes"
    )]
    Version(u16),
    /// Not JSON, or not this JSON.
    #[error("ledger message: {0}")]
    Json(#[from] serde_json::Error),
    /// Longer than any body.
    #[error("ledger message has {0} octets, more than {BODY_OCTETS_MAX}")]
    TooLong(usize),
}

impl Message {
    /// What `version` is now.
    pub const VERSION: u16 = VERSION;

    /// As a body.
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        let body = serde_json::to_vec(self)?;
        if body.len() > BODY_OCTETS_MAX {
            return Err(MessageError::TooLong(body.len()));
        }
        Ok(body)
    }

    /// From a body. Keys that a later release added are skipped; another version is refused by its number, before the
    /// rest of it is looked at.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u16,
        }
        if body.len() > BODY_OCTETS_MAX {
            return Err(MessageError::TooLong(body.len()));
        }
        let Versioned { version } = serde_json::from_slice(body)?;
        if version != Self::VERSION {
            return Err(MessageError::Version(version));
        }
        Ok(serde_json::from_slice(body)?)
    }
}
