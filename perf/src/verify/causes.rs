//! What a loss comes from, and what an operator turns to mend it.

/// The knob for a reason of loss, as the books name it.
pub(super) fn mend(reason: &str) -> &'static str {
    match reason {
        "rx_ring_full" => {
            "the worker came too late: larger --ring-size, more queues and --workers, --wait spin"
        }
        "rx_dropped" => "no free frame, or a frame that fits none: larger --ring-size, a smaller MTU",
        "not_delivered" => "between program and socket: `ethtool -S` of the interface names the queue",
        "handover_full" => "fragments for another worker: more --workers share them",
        "discarded.export_queue_full" => "the exporter came too late: a core of its own, or a faster bus",
        "discarded.spool_quota" | "discarded.spool_age" => "the bus was away too long: larger --spool-size",
        _ if reason.starts_with("device_missed") => {
            "the device itself was too slow: larger `ethtool -G` rings"
        }
        _ => "see the operator's guide for this reason",
    }
}
