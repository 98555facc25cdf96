//! How long it is tried.

use std::time::{Duration, Instant};

use super::LOOK;
use super::failure::Failure;
use crate::export::outbox::Cursor;

/// What the end grants: below `FAREWELL` of the exporter.
const LAST: Duration = Duration::from_millis(600);

/// A patience once it has run out, until the broker takes something again: the rest of a long file does not wait as long each
/// time that the outbox is full.
const NEXT_PATIENCE: Duration = Duration::from_secs(2);

/// How it is tried, and how long: until nothing is appended any more, and then for [`LAST`]; with a patience only so long after
/// the broker took something, or there was nothing for it to take.
pub(super) struct Limit {
    end: Option<Instant>,
    patience: Option<Duration>,
    contact: Instant,
    has_given_up: bool,
    /// Batches that go one by one: a broker refuses messages together, and does not say which of them it means.
    pub(super) singly: usize,
    /// A message of the protocol has one of ours: a topic takes so small ones only.
    pub(super) alone: bool,
    /// The pause of a fenced producer was cut short by the stop: once.
    has_hastened: bool,
}

impl Limit {
    pub(super) fn new(patience: Option<Duration>) -> Self {
        let contact = Instant::now();
        Self {
            end: None,
            patience,
            contact,
            has_given_up: false,
            singly: 0,
            alone: false,
            has_hastened: false,
        }
    }

    /// To be connected is not enough: a broker that refuses every write would be waited for without end.
    pub(super) fn contact(&mut self) {
        self.contact = Instant::now();
        self.has_given_up = false;
    }

    pub(super) fn is_out_of_patience(&self) -> bool {
        let shorten =
            |patience: Duration| if self.has_given_up { patience.min(NEXT_PATIENCE) } else { patience };
        self.patience.is_some_and(|patience| self.contact.elapsed() >= shorten(patience))
    }

    pub(super) fn give_up(&mut self) {
        self.contact = Instant::now();
        self.has_given_up = true;
    }

    pub(super) fn is_over(&mut self, cursor: &Cursor) -> bool {
        if self.end.is_none() && cursor.is_ending() {
            self.end = Some(Instant::now() + LAST);
        }
        self.end.is_some_and(|end| Instant::now() >= end) || self.is_out_of_patience()
    }

    /// Waits before the next try, in steps short enough that the end is noticed. A fenced producer waits long, and the
    /// end cuts that short: one more try is worth more than the rest of the pause.
    pub(super) fn wait(&mut self, cursor: &Cursor, failure: &Failure) {
        let until = Instant::now() + failure.pause();
        while Instant::now() < until && !self.is_over(cursor) {
            if matches!(failure, Failure::Fenced(_)) && !self.has_hastened && cursor.is_draining() {
                self.has_hastened = true;
                return;
            }
            std::thread::park_timeout(LOOK.min(until.saturating_duration_since(Instant::now())));
        }
    }
}

#[cfg(test)]
mod tests {
    use flow_wire::ledger::Guarantee;

    use super::super::FENCED_PAUSE;
    use super::*;
    use crate::export::outbox::Outbox;

    #[test]
    fn the_stop_ends_the_pause_of_a_fenced_producer_once() {
        let outbox = Outbox::new(&[("kafka://test".to_owned(), Guarantee::ExactlyOnce)], 1);
        let cursor = outbox.cursor(0);
        let fenced = Failure::Fenced("test".to_owned());
        let mut limit = Limit::new(None);
        outbox.hasten();
        let begin = Instant::now();
        limit.wait(&cursor, &fenced);
        assert!(begin.elapsed() < LAST, "it went on pausing");
        outbox.end();
        limit.wait(&cursor, &fenced);
        assert!(begin.elapsed() >= LAST, "it was tried again and again");
        assert!(begin.elapsed() < FENCED_PAUSE);
    }
}
