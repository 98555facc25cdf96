//! What each loss comes from, and the knob that mends it: one table for summary, metrics, guide and verdict.

use super::Discard;

/// What an operator can find in the books, and turn something for. The first group are losses; what follows [`Cause::FillRingEmpty`] is none,
/// but explains one or announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The device dropped it before XDP.
    DeviceMissed,
    /// The socket's RX ring was full.
    RxRingFull,
    /// The kernel had no frame for it, or none that it fits.
    RxDropped,
    /// The driver dropped it between redirect and socket.
    NotDelivered,
    /// The ring to the worker of its flow was full.
    HandoverFull,
    /// A finished record that was dropped.
    Discarded(Discard),
    /// The kernel found the fill ring empty: explains [`Cause::RxDropped`].
    FillRingEmpty,
    /// A full bucket pushed a flow out; it is exported.
    EvictedFlows,
    /// Later fragments without their first: metered with port 0.
    FragmentsWithoutFirst,
    /// Flows came by queues of several workers, though these are split.
    SplitFlows,
}

/// The reasons of [`Discard`], all of them.
const DISCARDS: [Discard; 12] = [
    Discard::ExportQueueFull,
    Discard::OutboxFull,
    Discard::SpoolQuota,
    Discard::SpoolAge,
    Discard::SpoolFailed,
    Discard::CursorDropped,
    Discard::NoSubscriber,
    Discard::RefusedByBus,
    Discard::NotEncodable,
    Discard::WriteFailed,
    Discard::DrainTimeout,
    Discard::NoSink,
];

impl Cause {
    /// All of them, upstream first.
    pub fn all() -> impl Iterator<Item = Self> {
        use Cause as C;
        let before = [C::DeviceMissed, C::RxRingFull, C::RxDropped, C::NotDelivered, C::HandoverFull];
        let behind = [C::FillRingEmpty, C::EvictedFlows, C::FragmentsWithoutFirst, C::SplitFlows];
        before.into_iter().chain(DISCARDS.map(C::Discarded)).chain(behind)
    }

    /// The one that the books or metrics name so; a group before the reason (`discarded.`) and a device's counter behind it
    /// (`device_missed.rx_missed_errors`) are passed over.
    pub fn named(name: &str) -> Option<Self> {
        let parts = || name.split('.');
        Self::all().find(|cause| parts().any(|part| part == cause.name()))
    }

    /// As the books name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceMissed => "device_missed",
            Self::RxRingFull => "rx_ring_full",
            Self::RxDropped => "rx_dropped",
            Self::NotDelivered => "not_delivered",
            Self::HandoverFull => "handover_full",
            Self::Discarded(reason) => name_of_discard(reason),
            Self::FillRingEmpty => "rx_fill_ring_empty_descs",
            Self::EvictedFlows => "evicted_flows",
            Self::FragmentsWithoutFirst => "fragments_without_first",
            Self::SplitFlows => "split_flows",
        }
    }

    /// What it comes from.
    pub const fn why(self) -> &'static str {
        match self {
            Self::DeviceMissed => "the device itself was too slow",
            Self::RxRingFull => "the worker came too late",
            Self::RxDropped => "no free frame, or a packet longer than one without multi-buffer",
            Self::NotDelivered => "dropped by the driver between program and socket",
            Self::HandoverFull => "the worker of the flow came too late for what another handed over",
            Self::Discarded(reason) => why_of_discard(reason),
            Self::FillRingEmpty => "frames came back to the kernel too late",
            Self::EvictedFlows => "the flow cache is too small, so that flows end early",
            Self::FragmentsWithoutFirst => "fragments whose first was not seen have port 0",
            Self::SplitFlows => "RSS is not symmetric, though queues are split",
        }
    }

    /// What to turn.
    pub const fn knob(self) -> &'static str {
        match self {
            Self::DeviceMissed => "`ethtool -G`, `ethtool -L`, interrupts on cores of their own",
            Self::RxRingFull => "--ring-size, --cpu-affinity, --workers, --wait spin",
            Self::RxDropped => "--ring-size, --frame-size 4096, a smaller MTU",
            Self::NotDelivered => "`ethtool -S` names the queue; report it",
            Self::HandoverFull => "--workers, symmetric RSS",
            Self::Discarded(reason) => knob_of_discard(reason),
            Self::FillRingEmpty => "--ring-size, --cpu-affinity",
            Self::EvictedFlows => "-M",
            Self::FragmentsWithoutFirst => "none, where the network reorders; else look at what is lost",
            Self::SplitFlows => "`ethtool -X`, --queue-mode spread",
        }
    }
}

/// As serde names it; a test holds the two together.
const fn name_of_discard(reason: Discard) -> &'static str {
    match reason {
        Discard::ExportQueueFull => "export_queue_full",
        Discard::OutboxFull => "outbox_full",
        Discard::SpoolQuota => "spool_quota",
        Discard::SpoolAge => "spool_age",
        Discard::SpoolFailed => "spool_failed",
        Discard::CursorDropped => "cursor_dropped",
        Discard::NoSubscriber => "no_subscriber",
        Discard::RefusedByBus => "refused_by_bus",
        Discard::NotEncodable => "not_encodable",
        Discard::WriteFailed => "write_failed",
        Discard::DrainTimeout => "drain_timeout",
        Discard::NoSink => "no_sink",
    }
}

const fn why_of_discard(reason: Discard) -> &'static str {
    match reason {
        Discard::ExportQueueFull => "the exporter came too late",
        Discard::OutboxFull => "the bus was away for longer than the memory lasts",
        Discard::SpoolQuota => "the bus was away for longer than the spool lasts",
        Discard::SpoolAge => "the bus was away for too long",
        Discard::SpoolFailed => "the disk of the spool failed",
        Discard::CursorDropped => "a reader of the spool was dropped, or nobody had used it",
        Discard::NoSubscriber => "nobody read the ZMQ socket",
        Discard::RefusedByBus => "the broker will never take it",
        Discard::NotEncodable => "its counts do not fit into 64 bits",
        Discard::WriteFailed => "the file or pipe could not be written",
        Discard::DrainTimeout => "the time to drain ran out at the stop",
        Discard::NoSink => "no output was asked for",
    }
}

const fn knob_of_discard(reason: Discard) -> &'static str {
    match reason {
        Discard::ExportQueueFull => "a core for the exporter (fewer --workers), longer -d and -t",
        Discard::OutboxFull => "a spool (without --no-spool)",
        Discard::SpoolQuota => "--spool-size, room in --state-dir",
        Discard::SpoolAge => "--spool-age",
        Discard::SpoolFailed => "look after the disk of --state-dir",
        Discard::CursorDropped => "--cursor-ttl",
        Discard::NoSubscriber => "--zmq-acknowledge require",
        Discard::RefusedByBus => "max.message.bytes of the topic",
        Discard::NotEncodable => "report it",
        Discard::WriteFailed => "room for --flows",
        Discard::DrainTimeout => "a spool (without --no-spool), a bus that answers at the stop",
        Discard::NoSink => "--ntopng",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ledger::probe::named as name_in_json;

    #[test]
    fn discards_are_named_as_in_json_and_none_is_missing() {
        for reason in DISCARDS {
            assert_eq!(name_of_discard(reason), name_in_json(&reason));
        }
        // The last variant's number: a further one makes this fail.
        assert_eq!(DISCARDS.len(), Discard::NoSink as usize + 1);
    }

    #[test]
    fn every_cause_is_found_by_its_name_and_has_its_own() {
        let names: BTreeSet<_> = Cause::all().map(Cause::name).collect();
        assert_eq!(names.len(), Cause::all().count());
        for cause in Cause::all() {
            assert_eq!(Cause::named(cause.name()), Some(cause));
            assert!(!cause.why().is_empty() && !cause.knob().is_empty());
        }
        assert_eq!(Cause::named("device_missed.rx_missed_errors"), Some(Cause::DeviceMissed));
        assert_eq!(Cause::named("discarded.spool_quota"), Some(Cause::Discarded(Discard::SpoolQuota)));
        assert_eq!(Cause::named("rx_ring"), None);
    }
}
