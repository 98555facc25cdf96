//! The terms of the books, as they stand in files, in messages and in the collector's tables.

use std::collections::BTreeMap;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use super::reason::{Discard, Pass, Refuse, Unshunted};
use crate::stamp::{Epoch, Sequence, StreamId};

/// Packets, with their octets (frame length without FCS; of the original frame, not of what a capture kept).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Packets.
    pub packets: u64,
    /// Octets of their frames.
    pub octets: u64,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self { packets: 0, octets: 0 };
    /// One packet of so many octets.
    pub const fn one(octets: u64) -> Self {
        Self { packets: 1, octets }
    }
}

impl Message {
    /// Marks the cursors of the sink that brought this message, by the number in its header.
    pub fn read_from(&mut self, sink: u16) {
        for cursor in &mut self.cursors {
            cursor.read_here = sink != 0 && cursor.number == sink;
        }
    }
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { packets: self.packets + other.packets, octets: self.octets + other.octets }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Amounts by reason; a reason that never happened is absent.
pub type ByReason<R> = BTreeMap<R, Amount>;

/// What the kernel says of one queue of one interface (for a file: what its reader says; `queue` 0).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueTerms {
    /// Interface name, or path of the capture file.
    pub interface: String,
    /// Receive queue.
    pub queue: u32,
    /// What arrived at the device, where it says so.
    pub offered: Option<Amount>,
    /// Dropped by the device before XDP, by the device's counter.
    pub device_missed: BTreeMap<String, u64>,
    /// What the program (or the packet socket, or the file reader) saw.
    pub seen: Amount,
    /// Passed to the stack.
    pub passed: ByReason<Pass>,
    /// Counted by the shunt and dropped.
    pub shunted: Amount,
    /// The same by the counters of the flows; of all queues of the interface together, said at the first.
    #[serde(default)]
    pub shunt_counted: Amount,
    /// Handed to sockets.
    pub redirected: Amount,
    /// Refused by the kernel.
    pub refused: ByReason<Refuse>,
    /// A packet socket: the kernel drops before anything counts what is handed over, and knows no octets of what it saw. So
    /// the ring's losses stand beside `redirected`, not behind it: `seen = passed + redirected + rx_ring_full + rx_dropped`
    /// in packets, `redirected = received`. The octets of `seen` are those of what was taken from the ring.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped_before_redirect: bool,
    /// Received from the sockets' rings (summed over the queue's sockets).
    pub received: Amount,
    /// XDP_STATISTICS `rx_ring_full`, or `tp_drops`: packets only, the kernel counts no octets here.
    pub rx_ring_full: u64,
    /// XDP_STATISTICS `rx_dropped`: packets only.
    pub rx_dropped: u64,
    /// The driver's drops less the sockets'; `None` where the driver has no such counter.
    pub not_delivered: Option<u64>,
    /// Explains `rx_dropped`, never a term: XDP_STATISTICS `rx_fill_ring_empty_descs`.
    pub rx_fill_ring_empty_descs: u64,
}

/// What one worker says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerTerms {
    /// Its number, which is its stream.
    pub worker: u16,
    /// Packets taken from its sources.
    pub received: Amount,
    /// Packets that were put into a flow.
    pub metered: Amount,
    /// Packets that the shunt counted, put into the flows that they are of.
    #[serde(default)]
    pub shunt_merged: Amount,
    /// Broken packets, by reason.
    pub undecodable: ByReason<xdp_abi::headers::Undecodable>,
    /// Packets that are not IP, by kind.
    pub non_flow: ByReason<xdp_abi::headers::NonFlow>,
    /// Packets that the expression of `-f` did not select: taken, and put into no flow.
    #[serde(default)]
    pub not_selected: Amount,
    /// Packets that went to another worker, whose flow they belong to (fragments; split queues without symmetric RSS).
    /// `received + taken_over = metered + undecodable + non_flow + not_selected + handed_over + handover_full`; over all workers
    /// `handed_over = taken_over`, once drained.
    #[serde(default)]
    pub handed_over: Amount,
    /// Packets that other workers handed over.
    #[serde(default)]
    pub taken_over: Amount,
    /// Digests that found the ring to another worker full.
    pub handover_full: Amount,
    /// Packets in records that went out, summed from the encoded batches.
    pub exported: Amount,
    /// Packets in open flows, summed from the cache.
    pub open: Amount,
    /// Open flows: not a term, but what people ask first.
    #[serde(default)]
    pub open_flows: u64,
    /// Packets in records between worker and exporter, and in the open batch.
    pub in_record_ring: Amount,
    /// Packets in records that were dropped.
    pub discarded: ByReason<Discard>,
    /// Packets of flows that a later epoch found when this one had been killed, and exports: its records are marked.
    #[serde(default)]
    pub recovered: Amount,
    /// Packets that were metered and that no record will carry, since the process was killed.
    #[serde(default)]
    pub lost_at_crash: Amount,
    /// Packets in the marked records of this epoch: an earlier one metered them.
    #[serde(default)]
    pub inherited: Amount,
    /// Records sealed into batches, cumulative.
    pub records: u64,
    /// Later fragments metered with port 0, since their first was not seen (they are in `metered`).
    pub fragments_without_first: u64,
    /// Of queues that each belong to one worker: sampled flows that came by another worker as well. Once there are some, flows are
    /// handed over to one owner each.
    #[serde(default)]
    pub split_flows: u64,
    /// Flows that the shunt counts now.
    #[serde(default)]
    pub shunted_flows: u64,
    /// Flows that it ever began to count.
    #[serde(default)]
    pub shunts: u64,
    /// Elephants that were not shunted, by reason.
    #[serde(default)]
    pub unshunted: BTreeMap<Unshunted, u64>,
    /// Flows that a full bucket pushed out (they are exported: lack-of-resources, or end-of-flow where TCP had closed them).
    pub evicted_flows: u64,
}

/// Where a stream stands for one sink, in records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorTerms {
    /// The sink's endpoint, without secrets.
    pub sink: String,
    /// Its number among the probe's sinks, from 1: the same as in the headers of what it sends. 0 = not said.
    #[serde(default)]
    pub number: u16,
    /// Set by a collector, never by a probe: this sink brought the message that the terms are from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_here: bool,
    /// Which stream.
    pub stream: StreamId,
    /// What the sink promises.
    pub guarantee: Guarantee,
    /// Records sealed for it.
    pub records_out: u64,
    /// Records that the bus acknowledged.
    pub acknowledged: u64,
    /// Records waiting in the outbox or in flight.
    pub in_spool: u64,
    /// Records dropped, by reason.
    pub discarded: BTreeMap<Discard, u64>,
    /// Packets and layer-2 octets in those records.
    #[serde(default)]
    pub discarded_amounts: ByReason<Discard>,
    /// Batches that held them: the gaps that a collector will see.
    pub discarded_batches: u64,
}

impl CursorTerms {
    /// Records dropped, whatever for.
    pub fn discarded_records(&self) -> u64 {
        self.discarded.values().copied().fold(0, u64::saturating_add)
    }
}

/// How often a reader of a sink sees what the sink acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// Kafka with transactions, for readers of committed messages.
    ExactlyOnce,
    /// Kafka where transactions are not permitted, and a store that acknowledges on ZMQ: duplicates carry the same stamp, and
    /// a gap is a residual.
    AtLeastOnce,
    /// Plain ZMQ: what a slow or absent subscriber misses is gone, and shows as a gap in the sequences.
    AtMostOnce,
}

/// Up to where a stream's terms reach: all batches below `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCut {
    /// Which stream.
    pub stream: StreamId,
    /// The sequence of the next batch.
    pub next: Sequence,
    /// Records in the batches below it.
    pub records: u64,
    /// Packets and layer-2 octets in those records, summed when they were encoded.
    pub exported: Amount,
}

/// The in-band message: once a second, and a last one at the stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Grows when a field changes its meaning (fields are only added).
    pub version: u16,
    /// Name of the host, for people.
    pub exporter: String,
    /// When the epoch began, and when this was cut: nanoseconds since the UNIX epoch, for people and plots.
    pub epoch_start_nanoseconds: u64,
    /// See `epoch_start_nanoseconds`.
    pub time_nanoseconds: u64,
    /// Active timeout of the probe, so that a reader knows which buckets can still change.
    pub active_timeout_seconds: u32,
    /// Per queue.
    pub queues: Vec<QueueTerms>,
    /// Per worker.
    pub workers: Vec<WorkerTerms>,
    /// Per sink and stream.
    pub cursors: Vec<CursorTerms>,
    /// Per stream: what the collector must have once it has stored all batches below `next`.
    pub cuts: Vec<StreamCut>,
    /// The last of its epoch: everything is drained, and every identity must be exact.
    pub closed: bool,
    /// The books of an earlier epoch of the same probe, which could not close them itself, or of which batches were still
    /// waiting: all terms of the message are that epoch's. `None` = of the epoch in the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes: Option<Closes>,
    /// Of an epoch that was killed: packets that its XDP program had handed to sockets and that no worker metered, since they lay in
    /// the rings. Of which queue the workers had received theirs nobody knows, so `received` of the queues says nothing then.
    /// `None` = of any other epoch, and of one whose kernel side did not outlive it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_in_rings: Option<u64>,
    /// Batches that will never come over this bus, said once: they were discarded since the message before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tombstones: Vec<Tombstone>,
    /// Written by a collector, never by a probe: it reads a publisher that is none of ours, and these are the books of what came of it. Then there are no
    /// queues and no workers, and nothing upstream of `publisher` is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<Box<super::PublisherTerms>>,
}

/// Whose books a message closes instead of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closes {
    /// The epoch that ended.
    pub epoch: Epoch,
    /// Counts the starts of the probe's spool: of two messages that close one epoch the one of the later start holds,
    /// and of one start the one with the higher sequence.
    pub generation: u64,
    /// What the worker terms say is a bound: the process ended without its last books, and its flow cache did not outlive
    /// it. Cuts and cursors are exact all the same.
    pub is_bound: bool,
}

/// Batches of one stream that a sink will not send any more. A reader need not wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Of which epoch.
    pub epoch: Epoch,
    /// Of which stream.
    pub stream: StreamId,
    /// The sequences, both ends included.
    pub first: Sequence,
    /// See `first`.
    pub last: Sequence,
    /// Number of the sink: another one may still send them.
    pub sink: u16,
    /// Why.
    pub reason: Discard,
    /// Records in them.
    pub records: u64,
}
