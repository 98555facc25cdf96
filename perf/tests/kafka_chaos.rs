//! A short run of the chaos harness over a real broker: `make chaos` is the long one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../chaos/chaos.rs"]
mod chaos;

use std::time::Duration;

use chaos::schedule::{self, Event, What, Whom};
use chaos::{Broken, Bus, Settings, Verdict};
use flow_wire::fault::Mutant;

fn run(bus: Bus, schedule: Vec<Event>, broken: Option<Broken>) -> Verdict {
    let settings = Settings { bus, seed: 1, schedule, broken };
    let verdict = chaos::run(&settings, |line| println!("{line}"));
    println!("{verdict}");
    verdict
}

#[test]
fn whatever_happens_every_flow_is_stored_once() {
    let kinds = chaos::kinds(Bus::Kafka);
    assert!(run(Bus::Kafka, schedule::make(1, kinds.len(), &kinds), None).is_good());
}

fn event(after: u64, whom: Whom, what: What, lasts: u64) -> Event {
    Event { after: Duration::from_secs(after), whom, what, lasts: Duration::from_secs(lasts) }
}

/// What is stored was sealed so, and is there once: what is wrong is that something is not there.
fn assert_only_loses(verdict: &Verdict) {
    assert!(verdict.shortfall.inexcusable > 0, "the mutant passes for sound");
    assert!(verdict.batches.missing.len() + verdict.batches.cut_off > 0, "what is lost was not sealed");
    assert!(verdict.batches.wrong.is_empty() && verdict.packets.doubled == 0, "it does something else");
}

/// The probe dies while it cannot reach the broker: what it was handed then, and had not sent, is gone for such a probe. The broker is cut
/// off in the middle between two seconds of the probe: what is handed next are flows, and not their books alone, which end a second.
#[test]
fn a_cursor_that_moves_before_the_acknowledgement_is_noticed() {
    let cut = Event { after: Duration::from_millis(6_500), ..event(0, Whom::Broker, What::Cut, 8) };
    let schedule = vec![cut, event(6, Whom::Probe, What::Kill, 1)];
    assert_only_loses(&run(Bus::Kafka, schedule, Some(Broken::Step(Mutant::CursorFirst))));
}

/// Two buses bring everything twice.
#[test]
fn a_store_that_does_not_look_at_stamps_is_noticed() {
    let schedule = vec![event(3, Whom::Collector, What::Pause, 1)];
    let verdict = run(Bus::Both, schedule, Some(Broken::Step(Mutant::NoDedupe)));
    assert!(verdict.packets.doubled > 0, "the mutant passes for sound");
    let Verdict { batches, shortfall, .. } = verdict;
    assert!(!batches.wrong.is_empty(), "no stamp is there twice");
    assert!(batches.missing.is_empty() && shortfall.inexcusable == 0, "it loses something as well");
}

/// What ZMQ brings while Kafka is cut off is newer than what Kafka brings then; what came while the collector was away, Kafka
/// alone brings.
fn newer_first() -> Vec<Event> {
    vec![event(3, Whom::Broker, What::Cut, 6), event(1, Whom::Collector, What::Kill, 2)]
}

/// The control of the next one, by the witnesses and by the books: what one sink discarded another brought.
#[test]
fn two_buses_are_stored_as_one() {
    assert!(run(Bus::Both, newer_first(), None).is_good());
}

#[test]
fn a_high_water_mark_is_noticed() {
    assert_only_loses(&run(Bus::Both, newer_first(), Some(Broken::Step(Mutant::HighWaterMark))));
}
