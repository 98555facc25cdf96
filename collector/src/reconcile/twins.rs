//! Two probes that live at the same time under one identity: a host that was copied with its state directory. Nothing is stored twice for
//! it, since each start has an epoch of its own; but on Kafka they fence each other off, and no start closes the other's books rightly.

use std::collections::BTreeMap;

use flow_wire::ledger::Message;
use flow_wire::stamp::ProbeId;
use serde::Serialize;

use crate::store::EpochBooks;

/// A clock that is set, and a probe's last word that is said while the next one starts, are no second probe.
const OVERLAP_NANOSECONDS: u64 = 5_000_000_000;

/// An identity that several have.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Twins {
    /// The identity.
    pub probe_id: ProbeId,
    /// Names of the hosts, as far as they differ.
    pub exporters: Vec<String>,
}

/// Of all epochs that spoke for themselves: those that overlap by the probes' clocks. An order does not rely on a clock; an alarm may.
pub(super) fn twins(epochs: &[EpochBooks]) -> Vec<Twins> {
    let mut by_probe: BTreeMap<ProbeId, Vec<&Message>> = BTreeMap::new();
    for books in epochs.iter().filter(|books| books.closing.is_none()) {
        by_probe.entry(books.probe).or_default().extend(&books.message);
    }
    by_probe.into_iter().filter_map(|(probe, messages)| of_probe(probe, messages)).collect()
}

fn of_probe(probe_id: ProbeId, mut messages: Vec<&Message>) -> Option<Twins> {
    messages.sort_by_key(|message| message.epoch_start_nanoseconds);
    let overlap = |pair: &&[&Message]| {
        let until = pair[0].time_nanoseconds.min(pair[1].time_nanoseconds);
        until.saturating_sub(pair[1].epoch_start_nanoseconds) > OVERLAP_NANOSECONDS
    };
    let pair = messages.windows(2).rfind(overlap)?;
    let mut exporters: Vec<_> = pair.iter().map(|message| message.exporter.clone()).collect();
    exporters.dedup();
    Some(Twins { probe_id, exporters })
}

#[cfg(test)]
mod tests {
    use flow_wire::stamp::Epoch;
    use uuid::Uuid;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn epoch(number: u128, from: u64, until: u64, exporter: &str) -> EpochBooks {
        let message = Message {
            epoch_start_nanoseconds: from * SECOND,
            time_nanoseconds: until * SECOND,
            exporter: exporter.to_owned(),
            ..Message::default()
        };
        EpochBooks {
            probe: ProbeId(Uuid::from_u128(1)),
            epoch: Epoch(Uuid::from_u128(number)),
            message: Some(message),
            previous: None,
            closing: None,
            recovered_rows: None,
            anything_expired: false,
            drained: false,
            heard_nanoseconds: 0,
            streams: BTreeMap::new(),
        }
    }

    #[test]
    fn starts_one_after_the_other_are_one_probe() {
        // The second began while the first was draining; the third's clock was set back a little.
        let starts = [epoch(1, 100, 203, "a"), epoch(2, 200, 300, "a"), epoch(3, 298, 400, "a")];
        assert_eq!(twins(&starts), []);
    }

    #[test]
    fn two_that_live_at_once_are_named() {
        let starts = [epoch(2, 150, 300, "b"), epoch(1, 100, 301, "a")];
        let [Twins { exporters, .. }] = &*twins(&starts) else { panic!("not found") };
        assert_eq!(exporters, &["a", "b"]);
    }
}
