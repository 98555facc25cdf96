//! Who is told of flows once they are stored: each batch at most once, whatever the bus doubles.

use flow_wire::stamp::Stamp;

use crate::store::Batch;

/// Takes stored flows, and never waits: the writer calls it between two transactions.
pub trait Tap: Send {
    /// They are in the store.
    fn stored(&mut self, batches: Vec<Batch>);
}

/// Of the batches of a transaction those that it added, by the store's own word. One whose stamp comes twice was added the
/// first time.
pub(super) fn stored(batches: Vec<Batch>, added: Vec<Stamp>) -> Vec<Batch> {
    let mut added = added.into_iter().peekable();
    batches.into_iter().filter(|batch| added.next_if_eq(&batch.stamp).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{batch, record, stamp};

    #[test]
    fn of_a_batch_that_came_twice_or_was_there_one_is_told_at_most() {
        let came = [1, 2, 1, 3, 3, 4].map(|sequence| batch(stamp(0, sequence), &[record(sequence)]));
        let told = stored(came.to_vec(), [1, 3, 4].map(|sequence| stamp(0, sequence)).to_vec());
        let told: Vec<_> = told.iter().map(|batch| batch.stamp.sequence.0).collect();
        assert_eq!(told, [1, 3, 4]);
    }
}
