//! A short run of the chaos harness over a real broker: `make chaos` is the long one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../chaos/chaos.rs"]
mod chaos;

use std::time::Duration;

use chaos::schedule::{self, Event, What, Whom};
use chaos::{Bus, Settings, Verdict};
use flow_wire::fault::Mutant;

fn run(schedule: Vec<Event>, mutant: Option<Mutant>) -> Verdict {
    let settings = Settings { bus: Bus::Kafka, seed: 1, schedule, mutant };
    let verdict = chaos::run(&settings, |line| println!("{line}"));
    println!("{verdict}");
    verdict
}

#[test]
fn whatever_happens_every_flow_is_stored_once() {
    assert!(run(schedule::make(1, 14, &chaos::kinds(Bus::Kafka)), None).is_good());
}

/// The probe dies while it cannot reach the broker: what it was handed then, and had not sent, is gone for such a probe.
#[test]
fn a_cursor_that_moves_before_the_acknowledgement_is_noticed() {
    let event = |after, whom, what, lasts| Event {
        after: Duration::from_secs(after),
        whom,
        what,
        lasts: Duration::from_secs(lasts),
    };
    let schedule = vec![event(6, Whom::Broker, What::Cut, 8), event(6, Whom::Probe, What::Kill, 1)];
    let verdict = run(schedule, Some(Mutant::CursorFirst));
    assert!(!verdict.batches.missing.is_empty(), "the mutant passes for sound");
}
