//! What each party has on its disk and in its memory, small enough that every state can be visited. A record is a number, and
//! a batch holds one.

use super::list::List;
use super::rules::{BATCHES_MAX, RECORDS_MAX, UPSTREAM_MAX};

/// Where a batch lies in the spool: `generation << 4 | index`.
pub(crate) type Position = u8;

/// Batches that are ever sealed: one a record, and another for each death between seal and append.
const BATCHES: usize = RECORDS_MAX as usize + 2;

/// Messages in the log: each batch, and what is sent again behind each fault.
const LOG: usize = 10;

/// Identity of a batch (of one stream of one probe).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stamp {
    pub(crate) epoch: u8,
    pub(crate) sequence: u8,
}

/// A batch in the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    pub(crate) stamp: Stamp,
    /// All records below it are in the spool or before: stored with the entry, so that recovery does not export twice.
    pub(crate) record: u8,
    /// The quota took it, and a tombstone says so.
    pub(crate) is_discarded: bool,
}

/// Everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) ring: Ring,
    pub(crate) spool: Spool,
    pub(crate) exporter: Option<Exporter>,
    pub(crate) broker: Broker,
    pub(crate) wire: Wire,
    pub(crate) store: Store,
    pub(crate) collector: Option<Collector>,
    pub(crate) faults: Faults,
}

/// Finished records between worker and exporter, in memory that outlives the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ring {
    /// Records that were metered.
    pub(crate) written: u8,
    /// Those below it were taken out.
    pub(crate) read: u8,
    /// Those that a power cut took, a bit each: the one loss that nobody can prevent below `--spool-sync batch`.
    pub(crate) cut_off: u8,
}

/// The probe's disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Spool {
    /// Starts of the probe.
    pub(crate) generation: u8,
    pub(crate) entries: List<Entry, BATCHES>,
    /// So many of them survive a power cut.
    pub(crate) synced: usize,
    /// The cursor's file: what lies below was acknowledged. It may be older than the truth.
    pub(crate) cursor: Position,
}

/// The probe's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Exporter {
    pub(crate) epoch: u8,
    pub(crate) next: u8,
    /// A sealed batch that is not in the spool yet.
    pub(crate) sealed: Option<(Stamp, u8)>,
    /// The record ring has not been told yet that this record is in the spool.
    pub(crate) covered: Option<u8>,
    pub(crate) sink: Sink,
}

/// The sink's thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sink {
    /// The bus is there, and the sink knows where it stands on it.
    pub(crate) is_connected: bool,
    /// Everything below it was acknowledged.
    pub(crate) acknowledged: Position,
    /// Everything below it was handed to the bus.
    pub(crate) handed: Position,
    /// Kafka without transactions: sent, and not acknowledged yet; whether the broker has it.
    pub(crate) flight: List<(Entry, bool), BATCHES_MAX>,
    /// ZMQ: batches that the collector takes yet.
    pub(crate) credit: u8,
    /// ZMQ: acknowledged before an elder one was.
    pub(crate) early: List<Position, BATCHES>,
}

/// Kafka.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Broker {
    /// What readers of committed messages see.
    pub(crate) log: List<Entry, LOG>,
    /// The open transaction.
    pub(crate) pending: List<Entry, BATCHES_MAX>,
    /// A request to commit it is under way, with this cursor.
    pub(crate) request: Option<Position>,
    /// The last commit has not been answered yet.
    pub(crate) answer: bool,
    /// The cursor that was committed with the batches.
    pub(crate) cursor: Option<Position>,
}

/// ZMQ: what is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Wire {
    pub(crate) down: List<Entry, BATCHES_MAX>,
    pub(crate) up: List<Upstream, UPSTREAM_MAX>,
}

/// What a collector says to a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Upstream {
    #[default]
    /// It is there, and takes [`CREDIT`](super::rules::CREDIT) batches.
    Hello,
    /// It has committed this one.
    Acknowledge(Entry),
}

/// The collector's disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    /// How often each record is there.
    pub(crate) rows: [u8; RECORDS_MAX as usize],
    /// Which batches are in, in the order of their stamps, and what they held (their CRC).
    pub(crate) received: List<(Stamp, u8), BATCHES>,
    /// How far the log was read.
    pub(crate) offset: usize,
    /// Two batches came under one stamp.
    pub(crate) has_conflict: bool,
}

/// The collector's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Collector {
    /// Not committed yet.
    pub(crate) intake: List<Entry, BATCHES_MAX>,
    /// The next message of the log.
    pub(crate) position: usize,
}

/// How often each may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// kill -9 of the probe.
    pub(crate) probe: u8,
    /// The probe's host loses power.
    pub(crate) power: u8,
    /// kill -9 of the collector.
    pub(crate) collector: u8,
    /// The connection breaks, or the broker does: answers get lost.
    pub(crate) breaks: u8,
    /// A single message gets lost (ZMQ's high-water mark), or is refused for now (Kafka).
    pub(crate) drops: u8,
    /// The spool's quota takes a batch.
    pub(crate) discards: u8,
}
