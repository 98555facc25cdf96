//! Whatever is done to a spool, it hands what a list in memory would: in order, each batch that was not acknowledged, none that a
//! crash did not reach twice without need.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append(u32),
    Hand(usize),
    Acknowledge(usize),
    GiveBack,
    DiscardHanded(usize),
    Tend,
    /// The process dies, and the last so many octets never reached the disk.
    Crash(usize),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u32..20).prop_map(Step::Append),
        3 => (1_usize..6).prop_map(Step::Hand),
        3 => (1_usize..6).prop_map(Step::Acknowledge),
        1 => Just(Step::GiveBack),
        1 => (0_usize..4).prop_map(Step::DiscardHanded),
        1 => Just(Step::Tend),
        1 => (0_usize..3_000).prop_map(Step::Crash),
        1 => Just(Step::Close),
    ]
}

/// What a list would know.
#[derive(Default)]
struct Model {
    /// In order; what was torn off is taken out again.
    appended: Vec<(u64, u64)>,
    /// What has come to its end, of which the file of the cursor knows the first part only.
    ended: BTreeSet<(u64, u64)>,
    kept: BTreeSet<(u64, u64)>,
    handed: Vec<(u64, u64)>,
}

impl Model {
    fn waiting(&self) -> Vec<(u64, u64)> {
        self.appended.iter().filter(|one| !self.ended.contains(one)).copied().collect()
    }
}

/// Tears the tail of the last segment: what lies behind it stays, if the file is not new.
fn tear(disk: &MemoryDisk, octets: usize) {
    let (name, content) = disk.last_segment();
    let end = end_of(disk, &name);
    content.lock().unwrap()[end.saturating_sub(octets).max(64)..end].fill(0);
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut disk = MemoryDisk::default();
    let large = Options { quota_octets: 1 << 30, ..options() };
    let mut bench = Bench::with(&disk, large);
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Append(rows) => {
                model.appended.push((bench.number, bench.sequence));
                prop_assert!(matches!(bench.append(rows), Appended::Kept(_)));
            }
            Step::Hand(count) => {
                let handed = bench.hand(count);
                let waiting = model.waiting();
                let expected: Vec<_> =
                    waiting.into_iter().filter(|one| !model.handed.contains(one)).take(count).collect();
                prop_assert!(expected.starts_with(&handed) && handed.is_empty() == expected.is_empty());
                model.handed.extend(handed);
            }
            Step::Acknowledge(count) => {
                let count = count.min(model.handed.len());
                bench.spool.acknowledge(bench.cursor, count);
                model.ended.extend(model.handed.drain(..count));
            }
            Step::GiveBack => {
                bench.spool.give_back(bench.cursor);
                model.handed.clear();
            }
            Step::DiscardHanded(index) => {
                if index < model.handed.len() {
                    let (of, sequence) = model.handed.remove(index);
                    let stamp = sealed(of, sequence, 1).header.stamp;
                    prop_assert!(bench.spool.discard(bench.cursor, stamp, Discard::RefusedByBus));
                    model.ended.insert((of, sequence));
                }
            }
            Step::Tend => {
                bench.spool.tend(NOW);
                model.kept = model.ended.clone();
            }
            Step::Crash(octets) => {
                disk = disk.copy();
                if bench.spool.statistics().segments > 0 {
                    tear(&disk, octets);
                }
                bench = Bench::with(&disk, large);
                settle_after_crash(&mut model, &mut bench)?;
            }
            Step::Close => {
                bench.spool.close(NOW);
                disk = disk.copy();
                bench = Bench::with(&disk, large);
                model.handed.clear();
                model.kept = model.ended.clone();
            }
        }
        for of in 1..=bench.number {
            bench.books(of);
        }
    }
    bench.spool.give_back(bench.cursor);
    prop_assert_eq!(bench.hand_all(), model.waiting());
    Ok(())
}

/// What the cursor's file did not know comes again; what was torn off never comes.
fn settle_after_crash(model: &mut Model, bench: &mut Bench) -> Result<(), TestCaseError> {
    model.handed.clear();
    let found = bench.hand_all();
    bench.spool.give_back(bench.cursor);
    let torn: Vec<_> = model.waiting().into_iter().filter(|one| !found.contains(one)).collect();
    // Only a tail can be torn off: none of what is there lies behind what is not.
    prop_assert!(torn.iter().all(|lost| found.iter().all(|one| one < lost)), "{torn:?} {found:?}");
    model.appended.retain(|one| !torn.contains(one));
    // What comes again was sent, and nobody had written that down; in order it is the end of what was sent.
    let again: Vec<_> = found.iter().filter(|one| model.ended.contains(one)).copied().collect();
    prop_assert!(again.iter().all(|one| !model.kept.contains(one)), "{again:?}");
    model.ended.retain(|one| !again.contains(one));
    prop_assert_eq!(found, model.waiting());
    model.kept = model.ended.clone();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn a_spool_is_a_list_that_survives_crashes(steps in proptest::collection::vec(step(), 1..60)) {
        run(steps)?;
    }
}
