//! What is on the way to one store: numbered, sent, arrived, committed. No clock and no socket: both are the caller's.
//!
//! ```text
//!      committed: gone        first │ arrived           │ on the way       │ not sent yet    │
//!      ─────────────────────────────┼───────────────────┼──────────────────┼─────────────────┤
//!                                   first               received           next              first + batches.len()
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_wire::batch::Sealed;
use flow_wire::upstream::Ack;
use uuid::Uuid;

/// Time without an arrival after which what is on the way is sent again. A connection loses nothing while it lasts, so this
/// is for what a broken one had taken, and for messages that the socket dropped at its high-water mark.
const RESEND_AFTER: Duration = Duration::from_secs(5);

/// One session of a store.
#[derive(Debug)]
pub(super) struct Window {
    /// Known to those alone who read the private topic.
    pub(super) session: Uuid,
    batches: VecDeque<Arc<Sealed>>,
    first: u64,
    received: u64,
    next: u64,
    /// Above every number that was ever sent: no ACK can be higher.
    sent: u64,
    /// When something arrived, or was sent where nothing was on the way.
    moved: Instant,
}

impl Window {
    pub(super) fn new(session: Uuid, now: Instant) -> Self {
        Self { session, batches: VecDeque::new(), first: 0, received: 0, next: 0, sent: 0, moved: now }
    }

    /// Batches that are not committed.
    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Octets of their bodies.
    pub(super) fn octets(&self) -> usize {
        self.batches.iter().map(|sealed| sealed.body.len()).sum()
    }

    /// Puts batches behind the others.
    pub(super) fn extend(&mut self, batches: Vec<Arc<Sealed>>) {
        self.batches.extend(batches);
    }

    /// The next to be sent, with its number; it counts as sent.
    pub(super) fn send(&mut self, now: Instant) -> Option<(u64, Arc<Sealed>)> {
        let index = usize::try_from(self.next - self.first).ok()?;
        let sealed = Arc::clone(self.batches.get(index)?);
        let number = self.next;
        if number == self.received {
            self.moved = now;
        }
        self.next += 1;
        self.sent = self.sent.max(self.next);
        Some((number, sealed))
    }

    /// Takes what the store says of this session; the number of batches that are committed now. `None` = it cannot be true.
    pub(super) fn acknowledge(&mut self, ack: &Ack, now: Instant) -> Option<usize> {
        if ack.received > self.sent || ack.committed > ack.received {
            return None;
        }
        if ack.received > self.received {
            (self.received, self.moved) = (ack.received, now);
            self.next = self.next.max(self.received);
        }
        // An older ACK may come behind a newer one, by another connection of the same store.
        let committed = usize::try_from(ack.committed.saturating_sub(self.first)).ok()?;
        self.batches.drain(..committed.min(self.batches.len()));
        self.first += committed as u64;
        Some(committed)
    }

    /// What is on the way will not arrive: it is sent again, under its numbers.
    pub(super) fn rewind(&mut self, now: Instant) {
        (self.next, self.moved) = (self.received, now);
    }

    /// Whether something has been on the way for too long.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.next > self.received && now.duration_since(self.moved) >= RESEND_AFTER
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::export::zmq::tests::sealed;

    fn ack(window: &Window, received: u64, committed: u64) -> Ack {
        Ack { store: Uuid::nil(), session: window.session, credit: 0, received, committed }
    }

    fn window(batches: u64) -> (Window, Instant) {
        let now = Instant::now();
        let mut window = Window::new(Uuid::nil(), now);
        window.extend((0..batches).map(sealed).collect());
        (window, now)
    }

    fn send_all(window: &mut Window, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| window.send(now)).map(|(number, _)| number).collect()
    }

    #[test]
    fn what_is_on_the_way_for_too_long_is_sent_again_under_its_numbers() {
        let (mut window, now) = window(3);
        assert_eq!(send_all(&mut window, now), [0, 1, 2]);
        let one = ack(&window, 1, 0);
        assert_eq!(window.acknowledge(&one, now), Some(0));
        assert!(!window.is_overdue(now) && window.is_overdue(now + RESEND_AFTER));
        window.rewind(now + RESEND_AFTER);
        assert!(!window.is_overdue(now + RESEND_AFTER * 2), "nothing is on the way");
        assert_eq!(send_all(&mut window, now), [1, 2]);
        assert_eq!(window.len(), 3);
        let all = ack(&window, 3, 3);
        assert_eq!((window.acknowledge(&all, now), window.len()), (Some(3), 0));
    }

    #[test]
    fn a_store_that_takes_its_time_to_commit_is_not_sent_the_same_again() {
        let (mut window, now) = window(2);
        send_all(&mut window, now);
        let arrived = ack(&window, 2, 0);
        window.acknowledge(&arrived, now).unwrap();
        assert!(!window.is_overdue(now + RESEND_AFTER * 100));
    }

    #[test]
    fn an_ack_of_what_was_never_sent_is_not_believed() {
        let (mut window, now) = window(3);
        window.send(now);
        let hostile = ack(&window, 2, 2);
        assert_eq!((window.acknowledge(&hostile, now), window.len()), (None, 3));
    }

    proptest! {
        /// Whatever is lost, late or doubled on either way: what the probe forgets, the store has committed, once and in order.
        #[test]
        fn nothing_is_forgotten_that_is_not_committed(steps in proptest::collection::vec((0u8..8, any::<u8>()), 1..200)) {
            let (mut window, now) = window(20);
            let (mut arrived, mut committed, mut acknowledged) = (0, 0, 0);
            let (mut way, mut acks) = (Vec::new(), vec![ack(&window, 0, 0)]);
            let mut content = BTreeMap::new();
            for (step, choice) in steps {
                match step {
                    0 | 1 => way.extend(window.send(now)),
                    2 | 3 if !way.is_empty() => {
                        let (number, sealed) = way.remove(0);
                        let sequence = sealed.header.stamp.sequence;
                        prop_assert_eq!(*content.entry(number).or_insert(sequence), sequence);
                        arrived += u64::from(number == arrived);
                    }
                    4 => way.clear(),
                    5 => window.rewind(now),
                    6 => {
                        committed += u64::from(choice) % (arrived - committed + 1);
                        acks.push(ack(&window, arrived, committed));
                    }
                    _ => {
                        let any = acks[usize::from(choice) % acks.len()];
                        acknowledged += window.acknowledge(&any, now).unwrap() as u64;
                    }
                }
                prop_assert!(acknowledged <= committed && window.len() as u64 == 20 - acknowledged);
            }
        }
    }
}
