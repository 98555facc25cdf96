//! A short run of the chaos harness over a real broker: `make chaos` is the long one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../chaos/chaos.rs"]
mod chaos;

use chaos::{Bus, Settings, Verdict};
use flow_wire::fault::Mutant;

fn run(seed: u64, events: usize, mutant: Option<Mutant>) -> Verdict {
    let verdict = chaos::run(&Settings { bus: Bus::Kafka, seed, events, mutant }, |line| println!("{line}"));
    println!("{verdict}");
    verdict
}

#[test]
fn whatever_happens_every_flow_is_stored_once() {
    assert!(run(1, 12, None).is_good());
}
