//! Who sealed a batch, and which one it is: what makes "stored once" decidable.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The probe: made at first start, kept in its state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProbeId(pub Uuid);

/// One start of a probe: 128 random bits, never continued. Order never relies on a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub Uuid);

/// A sequence of batches without gaps: one per worker, and [`StreamId::CONTROL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub u16);

impl StreamId {
    /// The in-band ledger messages of the probe. Workers count from 0.
    pub const CONTROL: Self = Self(u16::MAX);
}

/// Counts the batches of a stream from 0, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

/// Identity of a sealed batch. Two batches with one stamp are the same batch, or a conflict (the CRC tells).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Which probe.
    pub probe: ProbeId,
    /// Which start of it.
    pub epoch: Epoch,
    /// Which worker.
    pub stream: StreamId,
    /// Which batch.
    pub sequence: Sequence,
}
