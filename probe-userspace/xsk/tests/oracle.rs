//! Rings, frames and bursts held against a model that knows nothing of cursors and owners: a place for every chunk, queues of packets.
//!
//! Any sequence of what user and kernel may do, and of what a broken kernel might, must leave every chunk where the model has it, hand
//! over each packet once, whole and in order, and count each that it does not hand over. No system call: runs under Miri too.
#![cfg(not(loom))]
#![expect(unsafe_code, reason = "a test that plays the kernel promises to give each chunk to one user")]

#[path = "oracle/bench.rs"]
mod bench;

use bench::{Bench, Step};
use proptest::prelude::*;

/// Miri is some hundred times slower; what it looks for shows in few cases.
const CASES: u32 = if cfg!(miri) { 4 } else { 512 };
/// Steps of a case.
const STEPS: usize = if cfg!(miri) { 40 } else { 200 };

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..40_u32).prop_map(Step::Fill),
        8 => (0..6_000_usize).prop_map(Step::Packet),
        4 => Just(Step::Receive),
        4 => Just(Step::GiveBack),
        3 => (0..2_100_u32).prop_map(Step::Send),
        2 => Just(Step::KernelSends),
        2 => Just(Step::TakeSent),
        1 => Just(Step::BeyondChunk),
        1 => Just(Step::Outside),
        1 => Just(Step::NotLent),
        1 => Just(Step::TooLong),
        1 => Just(Step::Halves),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_chunk_is_where_the_model_has_it(
        start in prop_oneof![Just(0_u32), Just(u32::MAX - 70), any::<u32>()],
        steps in prop::collection::vec(step(), 1..STEPS),
    ) {
        let mut bench = Bench::new(start);
        for step in &steps {
            bench.apply(step);
            bench.check(step);
        }
        bench.drain();
    }
}
