//! The closed list of reasons. Every loss and every exception of the product is one of these, kernel side included.

use serde::{Deserialize, Serialize};

/// Why a frame was passed to the stack instead of being captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// The capture filter did not select it.
    Filter,
    /// The host's own traffic.
    Own,
    /// No socket in the slot: the probe was stopping, or dead.
    NoSocket,
}

/// Why the kernel refused a frame that was to be redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refuse {
    /// The redirect helper returned neither XDP_REDIRECT nor the fallback action.
    RedirectFailed,
}

/// Why a finished record went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discard {
    /// The worker's record ring to the exporter was full.
    ExportQueueFull,
    /// The outbox in memory was full.
    OutboxFull,
    /// The spool was at its quota: the oldest batches made room for new ones.
    SpoolQuota,
    /// The batch was older than the spool keeps batches.
    SpoolAge,
    /// The spool's disk would not take the batch, or not give it back whole.
    SpoolFailed,
    /// The cursor that had not sent it was dropped: by hand, or because nobody had used it for too long.
    CursorDropped,
    /// Nobody had subscribed the topic of a ZMQ sink.
    NoSubscriber,
    /// The bus refused the batch for good.
    RefusedByBus,
    /// The batch could not be encoded: its counts do not fit into 64 bits.
    NotEncodable,
    /// The file or pipe of `--flows` could not be written.
    WriteFailed,
    /// The time to drain ran out at the stop.
    DrainTimeout,
    /// The process has no sink at all (`--flows` or statistics only): records are counted, then dropped.
    NoSink,
}

/// Why an elephant was not shunted: its packets come to the worker, as any other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unshunted {
    /// Another flow had the place in the program's table.
    PlaceTaken = 0,
    /// Half of its bucket in the flow cache was shunted.
    BucketFull = 1,
}

impl Unshunted {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::PlaceTaken, Self::BucketFull];
}

/// What a publisher that is none of ours says that it lost itself, each by a counter of its events. Its word alone: no term of ours stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Packets that it dropped before they were in a flow.
    PacketDrops,
    /// Flows for which its export queue had no room.
    ExportQueueFull,
    /// Flows for which its cache had no room.
    TooManyFlows,
    /// Samples of sFlow that it dropped.
    SflowSampleDrops,
    /// Flows that it did not receive from its exporters.
    FlowCollectionDrops,
    /// Datagrams that its UDP socket dropped.
    UdpSocketDrops,
}

impl Told {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::PacketDrops,
        Self::ExportQueueFull,
        Self::TooManyFlows,
        Self::SflowSampleDrops,
        Self::FlowCollectionDrops,
        Self::UdpSocketDrops,
    ];

    /// Where it stands in an event (RFC 6901).
    pub const fn pointer(self) -> &'static str {
        match self {
            Self::PacketDrops => "/packet_drops",
            Self::ExportQueueFull => "/drops/export_queue_full",
            Self::TooManyFlows => "/drops/too_many_flows",
            Self::SflowSampleDrops => "/drops/sflow_pkt_sample_drops",
            Self::FlowCollectionDrops => "/drops/flow_collection_drops",
            Self::UdpSocketDrops => "/drops/flow_collection_udp_socket_drops",
        }
    }
}

/// Any reason, for metrics and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Passed to the stack.
    Passed(Pass),
    /// Refused by the kernel.
    Refused(Refuse),
    /// Sound, not IP.
    NonFlow(xdp_abi::headers::NonFlow),
    /// The expression of `-f` did not select it; judged by the probe, after it was taken.
    NotSelected,
    /// Broken.
    Undecodable(xdp_abi::headers::Undecodable),
    /// A finished record that was dropped.
    Discarded(Discard),
    /// The socket's RX ring was full.
    RxRingFull,
    /// The kernel dropped it for another cause (no fill descriptor, too long for a frame).
    RxDropped,
    /// The device dropped it before XDP.
    DeviceMissed,
    /// The driver dropped it between redirect and socket.
    NotDelivered,
    /// The ring between two workers was full.
    HandoverFull,
    /// A message of a publisher that is none of ours did not come, by its numbers. What was in it nobody knows.
    PublisherMissed,
    /// Such a publisher says so.
    PublisherTold(Told),
}
