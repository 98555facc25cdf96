//! A short run of the chaos harness over a real broker: `make chaos` is the long one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../chaos/chaos.rs"]
mod chaos;

use std::time::Duration;

use chaos::oracle::Packets;
use chaos::schedule::{self, Event, What, Whom};
use chaos::{Bus, Settings, Verdict};
use flow_wire::fault::Mutant;

fn run(bus: Bus, schedule: Vec<Event>, mutant: Option<Mutant>) -> Verdict {
    let settings = Settings { bus, seed: 1, schedule, mutant };
    let verdict = chaos::run(&settings, |line| println!("{line}"));
    println!("{verdict}");
    verdict
}

#[test]
fn whatever_happens_every_flow_is_stored_once() {
    assert!(run(Bus::Kafka, schedule::make(1, 14, &chaos::kinds(Bus::Kafka)), None).is_good());
}

fn event(after: u64, whom: Whom, what: What, lasts: u64) -> Event {
    Event { after: Duration::from_secs(after), whom, what, lasts: Duration::from_secs(lasts) }
}

/// The probe dies while it cannot reach the broker: what it was handed then, and had not sent, is gone for such a probe.
#[test]
fn a_cursor_that_moves_before_the_acknowledgement_is_noticed() {
    let schedule = vec![event(6, Whom::Broker, What::Cut, 8), event(6, Whom::Probe, What::Kill, 1)];
    let Verdict { batches, residual, .. } = run(Bus::Kafka, schedule, Some(Mutant::CursorFirst));
    // The last batch of a stream may be missing for another reason: the books know it then.
    assert!(!batches.missing.is_empty() || residual > 0, "the mutant passes for sound");
}

/// Two buses bring everything twice.
#[test]
fn a_store_that_does_not_look_at_stamps_is_noticed() {
    let verdict = run(Bus::Both, vec![event(3, Whom::Collector, What::Pause, 1)], Some(Mutant::NoDedupe));
    assert!(verdict.packets.doubled > 0, "the mutant passes for sound");
}

/// What ZMQ brings while Kafka is cut off is newer than what Kafka brings then; what came while the collector was away, Kafka
/// alone brings.
fn newer_first() -> Vec<Event> {
    vec![event(3, Whom::Broker, What::Cut, 6), event(1, Whom::Collector, What::Kill, 2)]
}

/// The control of the next one: by the witnesses alone, since what one sink discarded and another brought is in no book yet.
#[test]
fn two_buses_are_stored_as_one() {
    let Verdict { packets, batches, .. } = run(Bus::Both, newer_first(), None);
    assert_eq!((packets, batches.missing.len(), batches.wrong.len()), (Packets::default(), 0, 0));
}

#[test]
fn a_high_water_mark_is_noticed() {
    let verdict = run(Bus::Both, newer_first(), Some(Mutant::HighWaterMark));
    assert!(!verdict.batches.missing.is_empty(), "the mutant passes for sound");
}
