//! A short run of the chaos harness over acknowledged ZMQ: `make chaos BUS=zmq` is the long one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../chaos/chaos.rs"]
mod chaos;

use chaos::{Bus, Settings, schedule};

#[test]
fn whatever_happens_every_flow_is_stored_once() {
    let schedule = schedule::make(2, 14, &chaos::kinds(Bus::Zmq));
    let settings = Settings { bus: Bus::Zmq, seed: 2, schedule, mutant: None };
    let verdict = chaos::run(&settings, |line| println!("{line}"));
    println!("{verdict}");
    assert!(verdict.is_good());
}
