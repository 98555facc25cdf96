//! The flow cache of one shard: packets in, finished biflows out (RFC 5103, RFC 5470).
//!
//! ```text
//! Packet ─► fragments (ports of the first for the others) ─► cache ─► FlowRecord
//!                                                              │
//!                    bucket: 16 tags in one cache line ──► 16 entries that never move
//! ```
//!
//! What a flow is depends on its packets and their times alone, never on when the cache looks at it: every time-out is
//! judged by the clock of the packet that arrives, and the hand that goes over the buckets only takes out earlier what
//! that packet would have found ended. So a file gives the same flows every time.

mod buckets;
mod cache;
mod entry;
mod fragments;
mod hugepages;
#[cfg(test)]
mod model;
mod processor;
mod settings;
mod shunts;
#[cfg(test)]
mod tests;

pub(crate) use buckets::{Tags, WAYS};
pub use cache::{BUCKET_RECORDS, Budget, Cache, Hand, Place};
pub(crate) use entry::Entry;
pub use fragments::Fragments;
pub use settings::{Settings, TCP_LINGER};
pub(crate) use shunts::shunted_amount;
pub use shunts::{ShuntTerms, Shunts};

use flow_wire::record::FlowRecord;

#[cfg(test)]
impl Cache {
    /// A cache in memory of the test's own.
    pub(crate) fn of(settings: &Settings) -> Self {
        let shape = crate::survive::Shape { buckets: Self::buckets_for(settings), ring: 1, places: 0 };
        Self::new(settings, crate::survive::Parts::anonymous(shape).unwrap().shard.flows)
    }
}

/// Where finished records go.
pub trait Records {
    /// Takes a record. Never waits: what has no room is dropped and counted by the taker.
    fn record(&mut self, record: FlowRecord);

    /// How many records were ever taken. [`Records::record`] adds one by a single store, so that after a kill it can be told
    /// whether an entry's record was taken.
    fn sequence(&self) -> u64;

    /// How many records there is room for; expiry stops before it is exhausted and goes on later.
    fn room(&self) -> usize;
}
