//! A disk that fills, spoils what it keeps and outlives kills, under a bus that keeps the cursor: nothing arrives twice, nothing waits for
//! ever, and what did not arrive is counted.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append(u32),
    Hand(usize),
    Acknowledge(usize),
    GiveBack,
    /// An octet of a batch in a segment that is closed: of which, by their numbers.
    Damage(usize, usize),
    Full,
    Room,
    Tend,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1_u32..20).prop_map(Step::Append),
        4 => (1_usize..9).prop_map(Step::Hand),
        3 => (1_usize..9).prop_map(Step::Acknowledge),
        2 => Just(Step::GiveBack),
        1 => (0_usize..8, 0_usize..16).prop_map(|(segment, batch)| Step::Damage(segment, batch)),
        1 => Just(Step::Full),
        1 => Just(Step::Room),
        1 => Just(Step::Tend),
        1 => Just(Step::Kill),
    ]
}

/// A batch: epoch and sequence.
type One = (u64, u64);

struct World {
    disk: MemoryDisk,
    bench: Bench,
    rows: BTreeMap<One, u64>,
    handed: Vec<One>,
    arrived: BTreeSet<One>,
    /// Where the bus would have the cursor go on.
    committed: Option<Position>,
    /// Killed while nothing could be written, not even that something was discarded; and what they had discarded until then.
    silenced: BTreeMap<u64, u64>,
    /// Rows that this epoch's spool would not keep.
    refused: u64,
}

impl World {
    fn new() -> Self {
        let disk = MemoryDisk::default();
        let bench = Bench::open(&disk);
        let (rows, arrived) = (BTreeMap::new(), BTreeSet::new());
        let silenced = BTreeMap::new();
        Self { disk, bench, rows, handed: Vec::new(), arrived, committed: None, silenced, refused: 0 }
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Append(rows) => {
                self.rows.insert((self.bench.number, self.bench.sequence), rows.into());
                if let Appended::Discarded(_) = self.bench.append(rows) {
                    self.refused += u64::from(rows);
                }
            }
            Step::Hand(count) => self.handed.extend(self.bench.hand(count)),
            Step::Acknowledge(count) => self.acknowledge(count)?,
            Step::GiveBack => self.give_back(),
            Step::Damage(segment, batch) => self.damage(segment, batch),
            Step::Full => self.disk.state().room = Some(0),
            Step::Room => self.disk.state().room = None,
            Step::Tend => self.bench.spool.tend(NOW),
            Step::Kill => {
                let is_full = self.disk.state().room.is_some();
                self.silenced.insert(self.bench.number, if is_full { self.refused } else { 0 });
                self.refused = 0;
                self.disk = self.disk.copy();
                self.bench = Bench::open(&self.disk);
                self.handed.clear();
                if let Some(committed) = self.committed {
                    self.bench.spool.resume(self.bench.cursor, committed);
                }
            }
        }
        Ok(())
    }

    /// A transaction of the first so many.
    fn acknowledge(&mut self, count: usize) -> Result<(), TestCaseError> {
        let count = count.min(self.handed.len());
        let Some(position) = self.bench.spool.position_after(self.bench.cursor, count) else {
            return Ok(());
        };
        self.committed = Some(position);
        for one in self.handed.drain(..count) {
            prop_assert!(self.arrived.insert(one), "{one:?} arrives twice");
        }
        self.bench.spool.acknowledge(self.bench.cursor, count);
        Ok(())
    }

    fn give_back(&mut self) {
        self.bench.spool.give_back(self.bench.cursor);
        self.handed.clear();
    }

    fn damage(&self, segment: usize, batch: usize) {
        let closed = self.bench.spool.segments.len().saturating_sub(1);
        let Some(segment) = self.bench.spool.segments.iter().take(closed).nth(segment) else { return };
        let mut walk = segment.walk(segment.begin().offset);
        let entries = std::iter::from_fn(|| walk.step().ok().flatten());
        let Some(found) = entries.filter(|found| found.head.kind == super::entry::Kind::Batch).nth(batch)
        else {
            return;
        };
        let middle = usize::midpoint(found.place.offset as usize, found.after.offset as usize);
        let name = super::segment::name(segment.serial);
        self.disk.state().files[&name].content.lock().unwrap()[middle] ^= 1;
    }

    fn finish(&mut self) -> Result<(), TestCaseError> {
        self.disk.state().room = None;
        self.give_back();
        loop {
            let handed = self.bench.hand(7);
            if handed.is_empty() {
                break;
            }
            let count = handed.len();
            self.handed = handed;
            self.acknowledge(count)?;
        }
        prop_assert!(self.bench.spool.is_empty(self.bench.cursor));
        for epoch in 1..=self.bench.number {
            let sum = |which: &dyn Fn(&One) -> bool| -> u64 {
                self.rows.iter().filter(|(one, _)| one.0 == epoch && which(one)).map(|(_, rows)| rows).sum()
            };
            let (appended, arrived) = (sum(&|_| true), sum(&|one| self.arrived.contains(one)));
            let (out, acknowledged, waiting, discarded) = self.bench.books(epoch);
            let untold = appended.saturating_sub(out);
            prop_assert!(
                untold <= self.silenced.get(&epoch).copied().unwrap_or(0),
                "{} of {}",
                out,
                appended
            );
            prop_assert!(waiting == 0 && out <= appended && acknowledged <= arrived);
            prop_assert!(
                arrived + discarded + untold >= appended,
                "epoch {}: {} and {}",
                epoch,
                arrived,
                discarded
            );
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn on_a_sick_disk_nothing_arrives_twice_and_what_does_not_is_counted(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step)?;
        }
        world.finish()?;
    }
}
