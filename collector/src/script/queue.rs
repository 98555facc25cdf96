//! Stored flows that wait for one script. Whoever stores them never waits: what finds no room is dropped, and counted.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counters::{Flows, Reason};

/// A batch, as it came from the bus.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) flows: u64,
    /// An Arrow IPC stream.
    pub(super) body: Vec<u8>,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Arc<Waiting>>,
    octets: usize,
    closed: bool,
}

/// Of one script.
pub(super) struct Queue {
    octets_max: usize,
    counts: Flows,
    state: Mutex<State>,
    came: Condvar,
}

impl Queue {
    pub(super) fn new(octets_max: usize, counts: Flows) -> Self {
        Self { octets_max, counts, state: Mutex::default(), came: Condvar::new() }
    }

    /// Puts a batch in, or drops it.
    pub(super) fn offer(&self, batch: &Arc<Waiting>) {
        let mut state = self.lock();
        self.counts.offer(batch.flows);
        if state.closed {
            self.counts.drop(batch.flows, Reason::Stopped);
        } else if state.octets + batch.body.len() > self.octets_max {
            self.counts.drop(batch.flows, Reason::QueueFull);
        } else {
            state.octets += batch.body.len();
            state.batches.push_back(Arc::clone(batch));
            self.came.notify_one();
        }
    }

    /// The next batch, or `None` where none came in time. Whoever takes one says what became of it, by [`Queue::counts`].
    pub(super) fn take(&self, patience: Duration) -> Option<Arc<Waiting>> {
        let state = self.lock();
        let waited = self.came.wait_timeout_while(state, patience, |state| state.batches.is_empty());
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let batch = state.batches.pop_front()?;
        state.octets -= batch.body.len();
        Some(batch)
    }

    /// Takes no more, and drops what waits.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let left: u64 = state.batches.drain(..).map(|batch| batch.flows).sum();
        state.octets = 0;
        self.counts.drop(left, Reason::Stopped);
    }

    pub(super) fn counts(&self) -> &Flows {
        &self.counts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::script::counters::Counters;

    fn batch(flows: u64, octets: usize) -> Arc<Waiting> {
        Arc::new(Waiting { flows, body: vec![0; octets] })
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_what_waits_keeps_its_order() {
        let counts = Counters::default().flows("flow.lua");
        let queue = Queue::new(100, counts.clone());
        [(1, 60), (2, 40), (3, 1)].into_iter().for_each(|(flows, octets)| queue.offer(&batch(flows, octets)));
        assert_eq!(counts.dropped(Reason::QueueFull), 3);
        let taken = queue.take(Duration::ZERO).unwrap();
        assert_eq!((taken.flows, queue.take(Duration::ZERO).unwrap().flows), (1, 2));
        assert!(queue.take(Duration::ZERO).is_none());
        counts.see(3);
        queue.offer(&batch(4, 100));
        queue.close();
        queue.offer(&batch(5, 1));
        assert_eq!((counts.dropped(Reason::Stopped), counts.waiting()), (9, 0));
    }

    proptest! {
        /// Whatever comes and goes: offered = seen + dropped + waiting.
        #[test]
        fn no_flow_is_unaccounted_for(steps in prop::collection::vec((0..4_u8, 1..50_u64, 1..60_usize), 0..200)) {
            let counts = Counters::default().flows("flow.lua");
            let queue = Queue::new(150, counts.clone());
            for (step, flows, octets) in steps {
                let taken = if step > 1 { queue.take(Duration::ZERO) } else { None };
                match (step, taken) {
                    (0 | 1, _) => queue.offer(&batch(flows, octets)),
                    (2, Some(taken)) => counts.see(taken.flows),
                    (_, Some(taken)) => counts.drop(taken.flows, Reason::ProcessEnded),
                    (_, None) => {}
                }
            }
            let dropped: u64 = Reason::ALL.into_iter().map(|reason| counts.dropped(reason)).sum();
            prop_assert_eq!(counts.offered(), counts.seen() + dropped + counts.waiting());
        }
    }
}
