//! The hand that goes over the buckets and takes out what is due, in steps that end soon.
//!
//! ```text
//! clock ─────────────────────────────────┬─► now
//! hand  ───────────────► gone its way    │
//!                        └───── owed ────┘   never more than one round
//! ```

use super::{BUCKET_RECORDS, Cache};
use crate::flow::Records;
use crate::flow::buckets::{Slot, Tick, WAYS};

/// The hand goes over all buckets in this time, so that a flow that has ended leaves at most so much later, as long as
/// [`Cache::expire`] is called with a sufficient budget.
const ROUND_NANOSECONDS: u64 = 1_000_000_000;

/// How much work one call of [`Cache::expire`] may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Buckets passed: one that is quiet costs a nanosecond.
    pub buckets: usize,
    /// Looks at what may be due, each a miss of the processor's cache or more: a bucket, and each of its entries. The
    /// bucket under way is finished, so there may be sixteen more of them.
    pub looks: usize,
}

/// How the hand stands after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// Nothing is owed.
    Level,
    /// The budget is used up, and something is owed still.
    Behind,
    /// The same, and there is no room for a record: to go on at once would bring nothing.
    NoRoom,
}

impl Cache {
    /// Moves the hand on as far as the time since the last call demands, the budget allows and `out` has room for;
    /// what is owed is made up for by later calls, but never more than one round.
    pub fn expire(&mut self, now: u64, budget: Budget, out: &mut impl Records) -> Hand {
        self.advance(now);
        self.tend_shunts(out);
        let count = self.buckets.count() as u64;
        let elapsed = self.clock.saturating_sub(self.hand_at).min(ROUND_NANOSECONDS);
        self.hand_at = self.clock - elapsed;
        let owed = elapsed * count / ROUND_NANOSECONDS;
        let most = owed.min(budget.buckets as u64);
        let (mut done, mut looks) = (0, 0);
        let tick = self.tick(self.clock);
        while done < most && looks < budget.looks && out.room() >= BUCKET_RECORDS {
            looks += self.visit(tick, out);
            done += 1;
        }
        self.hand_at += (done * ROUND_NANOSECONDS).div_ceil(count).min(elapsed);
        match done == owed {
            true => Hand::Level,
            false if out.room() < BUCKET_RECORDS => Hand::NoRoom,
            false => Hand::Behind,
        }
    }

    /// The bucket under the hand; how many looks it took.
    #[inline]
    fn visit(&mut self, now: Tick, out: &mut impl Records) -> usize {
        let bucket = self.hand;
        self.hand = if bucket + 1 == self.buckets.count() { 0 } else { bucket + 1 };
        if self.buckets.is_quiet(bucket, now) { 0 } else { self.visit_due(bucket, now, out) }
    }

    #[inline(never)]
    fn visit_due(&mut self, bucket: usize, now: Tick, out: &mut impl Records) -> usize {
        let mut looks = 1;
        for slot in (0..WAYS).map(|way| Slot { bucket, way }) {
            if !self.buckets.may_be_due(slot, now) {
                continue;
            }
            looks += 1;
            if self.settle_due(slot, out) {
                let due = self.tick(self.timeouts.deadline(&self.entries[slot.index()]));
                self.buckets.postpone(slot, due);
            }
        }
        self.buckets.settle(bucket);
        looks
    }
}
