//! What a person hears of batches that did not go out: the first at once, then sums, so that logs do not grow with traffic.

use std::time::{Duration, Instant};

use super::plain::Unsent;

/// So often a lasting loss is reported.
const REPORT: Duration = Duration::from_secs(60);

/// What was not sent since the last report.
pub(super) struct Reporter {
    sink: String,
    batches: u64,
    records: u64,
    reported: Option<Instant>,
}

impl Reporter {
    pub(super) fn new(sink: String) -> Self {
        Self { sink, batches: 0, records: 0, reported: None }
    }

    /// One more batch; says so when it is time.
    pub(super) fn lost(&mut self, unsent: &Unsent, records: u32) {
        if let Some((batches, records)) = self.count(records, Instant::now()) {
            let sink = &self.sink;
            tracing::error!(sink, batches, records, "{unsent}: these batches are gone, and counted");
        }
    }

    /// The sums that are to be reported now.
    fn count(&mut self, records: u32, now: Instant) -> Option<(u64, u64)> {
        self.batches += 1;
        self.records += u64::from(records);
        if self.reported.is_some_and(|at| now.duration_since(at) < REPORT) {
            return None;
        }
        self.reported = Some(now);
        Some((std::mem::take(&mut self.batches), std::mem::take(&mut self.records)))
    }
}

/// What peers say that they should not: counted, and said once a minute however much there is of it.
pub(super) struct Noise {
    sink: String,
    messages: u64,
    reported: Option<Instant>,
}

impl Noise {
    pub(super) fn new(sink: String) -> Self {
        Self { sink, messages: 0, reported: None }
    }

    /// One more; `what` is the last of them.
    pub(super) fn count(&mut self, what: &str, now: Instant) {
        self.messages += 1;
        if self.reported.is_none_or(|at| now.duration_since(at) >= REPORT) {
            self.reported = Some(now);
            let (sink, messages) = (&self.sink, self.messages);
            tracing::warn!(sink, messages, "{what}");
        }
    }

    /// So far.
    #[cfg(test)]
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_loss_is_said_and_then_one_sum_a_minute() {
        let mut reporter = Reporter::new("zmq://test".to_owned());
        let begin = Instant::now();
        assert_eq!(reporter.count(10, begin), Some((1, 10)));
        for millisecond in 1..1_000 {
            assert_eq!(reporter.count(10, begin + Duration::from_millis(millisecond)), None);
        }
        assert_eq!(reporter.count(10, begin + REPORT), Some((1_000, 10_000)));
    }
}
