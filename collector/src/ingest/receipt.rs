//! Whom to tell that a message is committed: the way back from the writer to the input that it came from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far the messages of one sender are committed: all before this number.
#[derive(Clone, Debug, Default)]
pub(super) struct Committed(Arc<AtomicU64>);

/// Of one message.
#[derive(Debug)]
pub struct Receipt {
    committed: Committed,
    next: u64,
}

impl Committed {
    /// The number of the first message that is not committed yet.
    pub(super) fn next(&self) -> u64 {
        // The commit itself orders what it wrote; this is a number alone.
        self.0.load(Ordering::Relaxed)
    }

    /// For the message with this number. Messages of one sender go through one channel, in order.
    pub(super) fn receipt(&self, number: u64) -> Receipt {
        Receipt { committed: self.clone(), next: number + 1 }
    }
}

impl Receipt {
    /// It is in the store, and stays there whatever happens.
    pub(super) fn commit(self) {
        self.committed.0.fetch_max(self.next, Ordering::Relaxed);
    }
}
