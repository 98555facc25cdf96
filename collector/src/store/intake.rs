//! What one commit takes in: everything that arrived since the last one, refusals and offsets included.

use arrow_array::RecordBatch;
use flow_wire::ledger::Message;
use flow_wire::stamp::{Epoch, ProbeId, Stamp, StreamId};

/// Which stream of which start of which probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// Which probe.
    pub probe: ProbeId,
    /// Which start of it.
    pub epoch: Epoch,
    /// Which worker.
    pub stream: StreamId,
}

impl From<Stamp> for StreamKey {
    fn from(stamp: Stamp) -> Self {
        Self { probe: stamp.probe, epoch: stamp.epoch, stream: stamp.stream }
    }
}

/// Counted when a message with a sound header came off the bus, before anything else could lose it: the books hold what
/// became of it against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// By its header.
    pub stamp: Stamp,
    /// Records in it; 0 for a ledger message.
    pub records: u32,
    /// Which kind of bus it came on.
    pub bus: Bus,
    /// Its body could not be used.
    pub refused: bool,
    /// A log is being read again, on purpose: a batch that is there already is no wonder.
    pub reread: bool,
    /// Where it lay on a bus that keeps things.
    pub place: Place,
}

/// A place on a bus that keeps things for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// `None` = on a bus that has no partitions.
    pub partition: Option<i32>,
    /// What its retention removed last.
    pub expiry: Expiry,
}

/// What the retention of a partition's log removed before it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Where the log began when it had last lost something that was not read yet; 0 = never.
    pub below: i64,
    /// When that was seen, by the collector's clock: what was written later cannot be among it.
    pub until_nanoseconds: u64,
}

/// A probe's clock may be ahead of the collector's by this: more than hosts drift apart between two looks at a time server, and
/// little beside the hours that a topic keeps things.
const CLOCKS_DIFFER_NANOSECONDS: u64 = 600 * 1_000_000_000;

impl Expiry {
    /// The log was seen to begin here, behind what was to be read next.
    pub fn seen(below: i64, now_nanoseconds: u64) -> Self {
        Self { below, until_nanoseconds: if below == 0 { 0 } else { now_nanoseconds } }
    }

    /// Whether it can have taken anything of an epoch that began then.
    pub fn reaches(self, epoch_start_nanoseconds: u64) -> bool {
        self.below != 0 && reaches(self.until_nanoseconds, epoch_start_nanoseconds)
    }
}

/// Whether something of an epoch that began then can have been gone at that time.
pub(super) fn reaches(until_nanoseconds: u64, epoch_start_nanoseconds: u64) -> bool {
    epoch_start_nanoseconds <= until_nanoseconds.saturating_add(CLOCKS_DIFFER_NANOSECONDS)
}

/// A kind of bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bus {
    /// `kafka://`, `kafka-ssl://`
    #[default]
    Kafka,
    /// `zmq://`
    Zmq,
}

impl Bus {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Kafka, Self::Zmq];

    /// How the endpoints of this kind begin.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Zmq => "zmq",
        }
    }
}

/// A decoded batch of flows.
#[derive(Clone, Debug)]
pub struct Batch {
    /// By its header; its columns say the same.
    pub stamp: Stamp,
    /// Of its body.
    pub crc32c: u32,
    /// The columns of the table, in its order.
    pub rows: RecordBatch,
    /// Packets in its records, both directions.
    pub packets: u64,
    /// Frame octets in its records, both directions.
    pub layer2_octets: u64,
    /// As it came, to be kept aside where its stamp is there with another CRC.
    pub body: Vec<u8>,
}

/// A decoded ledger message.
#[derive(Clone, Debug)]
pub struct Books {
    /// By its header.
    pub stamp: Stamp,
    /// Of its body.
    pub crc32c: u32,
    /// When it came off the bus, by the collector's clock.
    pub heard_nanoseconds: u64,
    /// Number of the sink that sent it, by its header; 0 = not said.
    pub sink: u16,
    /// Of its body.
    pub body_octets: usize,
    /// What it says.
    pub message: Message,
}

/// A message that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The input it came from, without secrets.
    pub source: String,
    /// A word of a closed list, for counters.
    pub reason: RefusalReason,
    /// A sentence.
    pub detail: String,
    /// Where its header could be read.
    pub stamp: Option<Stamp>,
    /// Records in it, as far as its header says so.
    pub records: u32,
    /// As it came, its first [`BODY_KEPT_OCTETS`] at most.
    pub body: Vec<u8>,
}

/// Octets of a body that are kept aside: every batch that a probe seals fits.
pub const BODY_KEPT_OCTETS: usize = flow_wire::bus::BODY_OCTETS_MAX;

/// Why a message could not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalReason {
    /// Header missing, malformed, or of an unknown version.
    Header,
    /// The body is longer than any probe sends.
    TooLong,
    /// The body's CRC is not the header's.
    Crc,
    /// The body is not what its kind says.
    Body,
    /// Its stamp is in the set with another CRC.
    Conflict,
    /// A message of a publisher that is none of ours: neither header nor payload as ntop has them.
    Publisher,
    /// A flow in such a message that lacks what a flow needs, or has a value that does not fit; the others of it are stored.
    Record,
    /// Its stream has as many gaps as a set can hold, or there are as many streams as the store takes.
    StreamFull,
}

impl RefusalReason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Header,
        Self::TooLong,
        Self::Crc,
        Self::Body,
        Self::Conflict,
        Self::Publisher,
        Self::Record,
        Self::StreamFull,
    ];

    /// As in tables, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::TooLong => "too_long",
            Self::Crc => "crc",
            Self::Body => "body",
            Self::Conflict => "conflict",
            Self::Publisher => "publisher",
            Self::Record => "record",
            Self::StreamFull => "stream_full",
        }
    }
}

/// How far a partition was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The broker's name of the cluster.
    pub cluster: String,
    /// Which topic.
    pub topic: String,
    /// Which partition.
    pub partition: i32,
    /// Of the last message that was taken in (not of the next one: transactions make holes).
    pub last: i64,
    /// Stamp and CRC of that message: another one there means that the log is a new one.
    pub mark: Option<Mark>,
    /// As [`Place::expiry`].
    pub expiry: Expiry,
}

/// What recognises a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its stamp.
    pub stamp: Stamp,
    /// CRC32C of its body.
    pub crc32c: u32,
}

/// Everything since the last commit.
#[derive(Debug, Default)]
pub struct Intake {
    /// When: nanoseconds since the UNIX epoch, by the collector's clock.
    pub now_nanoseconds: u64,
    /// All that had a sound header, stored or not.
    pub arrivals: Vec<Arrival>,
    /// Flows.
    pub batches: Vec<Batch>,
    /// Ledger messages.
    pub books: Vec<Books>,
    /// What could not be used.
    pub refusals: Vec<Refusal>,
    /// Partitions that moved; the last entry of a partition counts.
    pub offsets: Vec<Offset>,
    /// Everything that was on the bus then is in this intake or in an earlier one: by
    /// [`drained_at_nanoseconds`](Self::drained_at_nanoseconds).
    pub drained: bool,
    /// `None` = until now.
    pub drained_at_nanoseconds: Option<u64>,
}

impl Intake {
    /// Rows that it would add.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(|batch| batch.rows.num_rows()).sum()
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.arrivals.is_empty() && self.refusals.is_empty() && self.offsets.is_empty() && !self.drained
    }
}
