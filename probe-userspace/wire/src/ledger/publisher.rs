//! A publisher that is none of ours: an nProbe, or whoever speaks like one. It has no books, so these are the collector's, of what it could see.
//!
//! ```text
//! bus        numbered = messages + missed_messages            per source; counted at both ends of the numbers, message by message, and by their gaps
//! ingest     records_read = sealed + records_refused          by the decoder, by the encoded batches, and where a record was refused
//! ```
//!
//! From the batches on everything is as with a probe of ours. Upstream nothing is: what was in a message that is missing nobody knows, a message that comes
//! twice cannot be told from two, and `told` is the publisher's word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::identity::{Identity, Unit};
use super::reason::Told;
use crate::fault::Hop;

/// Terms of one source, cumulative since the collector first heard it in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublisherTerms {
    /// Its number in the headers.
    pub source: u32,
    /// Program and release, by its events.
    pub program: Option<String>,
    /// From the first number to the last, both included; summed over its restarts.
    pub numbered: u64,
    /// Messages that came with a number, of all topics.
    pub messages: u64,
    /// Numbers that did not come.
    pub missed_messages: u64,
    /// Messages without a number: nobody knows what is missing between them.
    pub unnumbered_messages: u64,
    /// The numbers began anew: it was started again, they wrapped, or two publishers have one source number.
    pub restarts: u64,
    /// Messages that could not be read to their end.
    pub refused_messages: u64,
    /// Flows that were read.
    pub records_read: u64,
    /// Of them: they lack what a flow needs, or have a value that does not fit.
    pub records_refused: u64,
    /// Values of keys that no column is for.
    pub values_left_out: u64,
    /// What it says that it lost itself since it was heard first.
    pub told: BTreeMap<Told, u64>,
}

impl PublisherTerms {
    /// What must hold, with the records that were sealed.
    pub(super) fn identities(&self, sealed: u64) -> Vec<Identity> {
        let scope = format!("source {}", self.source);
        vec![
            Identity::new("numbered", Hop::Bus, &*scope, Unit::Messages)
                .left("numbered", self.numbered)
                .right("messages", self.messages)
                .right("missed_messages", self.missed_messages),
            Identity::new("records_read", Hop::Ingest, scope, Unit::Records)
                .left("records_read", self.records_read)
                .right("sealed", sealed)
                .right("records_refused", self.records_refused),
        ]
    }

    /// All that it says that it lost, packets and flows in one sum.
    pub fn told_sum(&self) -> u64 {
        self.told.values().copied().fold(0, u64::saturating_add)
    }
}
