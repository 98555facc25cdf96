//! A short run of the chaos harness over acknowledged ZMQ: `make chaos BUS=zmq` is the long one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../chaos/chaos.rs"]
mod chaos;

use std::time::Duration;

use chaos::schedule::{self, Event, What, Whom};
use chaos::{Broken, Bus, Settings};

#[test]
fn whatever_happens_every_flow_is_stored_once() {
    let schedule = schedule::make(2, 14, &chaos::kinds(Bus::Zmq));
    let settings = Settings { bus: Bus::Zmq, seed: 2, schedule, broken: None };
    let verdict = chaos::run(&settings, |line| println!("{line}"));
    println!("{verdict}");
    assert!(verdict.is_good());
}

/// Nothing may be missing for a kill at rest, so that not even a flow that was open then may be.
#[test]
fn a_probe_that_does_not_export_what_a_killed_one_had_metered_is_noticed() {
    let (after, lasts) = (Duration::from_secs(2), Duration::from_millis(200));
    let schedule = vec![Event { after, whom: Whom::Probe, what: What::KillAtRest, lasts }];
    let settings = Settings { bus: Bus::Zmq, seed: 3, schedule, broken: Some(Broken::NoRecovery) };
    let verdict = chaos::run(&settings, |line| println!("{line}"));
    println!("{verdict}");
    assert!(verdict.shortfall.inexcusable > 0, "the mutant passes for sound");
    // For that reason alone: what was sealed is there, and there once.
    assert_eq!((verdict.shortfall.excused, verdict.packets.doubled), (0, 0));
    assert!(verdict.batches.missing.is_empty() && verdict.batches.wrong.is_empty());
}
