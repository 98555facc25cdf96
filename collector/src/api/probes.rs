//! Who ever sent something.

use std::collections::BTreeSet;

use flow_wire::stamp::{Epoch, ProbeId, StreamId};
use serde::Serialize;

use crate::reconcile::{State, state};
use crate::store::{EpochBooks, StoreTerms, Stored};

/// Body of `/api/v1/probes`.
#[derive(Debug, Serialize)]
pub(super) struct Probes {
    probes: Vec<Probe>,
}

#[derive(Debug, Serialize)]
struct Probe {
    probe_id: ProbeId,
    epoch: Epoch,
    exporter: Option<String>,
    state: State,
    epoch_start_nanoseconds: Option<u64>,
    last_heard_nanoseconds: u64,
    active_timeout_seconds: Option<u32>,
    interfaces: BTreeSet<String>,
    streams: Vec<StreamId>,
    stored: Stored,
}

/// Latest heard first.
pub(super) fn probes(terms: &StoreTerms, now_nanoseconds: u64) -> Probes {
    Probes { probes: terms.epochs.iter().map(|books| probe(books, now_nanoseconds)).collect() }
}

fn probe(books: &EpochBooks, now_nanoseconds: u64) -> Probe {
    let message = books.message.as_ref();
    let flows = || books.streams.iter().filter(|(stream, _)| **stream != StreamId::CONTROL);
    let sum =
        |of: fn(&Stored) -> u64| flows().map(|(_, books)| of(&books.stored)).fold(0, u64::saturating_add);
    Probe {
        probe_id: books.probe,
        epoch: books.epoch,
        exporter: message.map(|message| message.exporter.clone()),
        state: state::of(books, now_nanoseconds),
        epoch_start_nanoseconds: message.map(|message| message.epoch_start_nanoseconds),
        last_heard_nanoseconds: books.heard_nanoseconds,
        active_timeout_seconds: message.map(|message| message.active_timeout_seconds),
        interfaces: message
            .into_iter()
            .flat_map(|message| message.queues.iter().map(|queue| queue.interface.clone()))
            .collect(),
        streams: books.streams.keys().copied().collect(),
        stored: Stored {
            batches: sum(|stored| stored.batches),
            records: sum(|stored| stored.records),
            packets: sum(|stored| stored.packets),
            octets: sum(|stored| stored.octets),
        },
    }
}
