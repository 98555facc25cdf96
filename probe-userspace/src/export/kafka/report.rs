//! What a person hears of a broker: once when it begins, seldom while it lasts, once when it is over.

use std::time::{Duration, Instant};

use flow_wire::stamp::Stamp;

use super::failure::Failure;

/// So often a lasting trouble is reported.
const REPORT: Duration = Duration::from_secs(30);

/// The state of a sink, as far as people know it.
pub(super) struct Reporter {
    sink: String,
    trouble: Option<Trouble>,
    patience: Option<Duration>,
}

struct Trouble {
    since: Instant,
    reported: Instant,
    times: u64,
}

impl Reporter {
    pub(super) fn new(sink: String, patience: Option<Duration>) -> Self {
        Self { sink, trouble: None, patience }
    }

    pub(super) fn connected(&mut self, description: String) {
        tracing::info!(sink = self.sink, "connected: {description}");
    }

    /// Something failed; the batches are kept.
    pub(super) fn trouble(&mut self, failure: &Failure) {
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert(Trouble { since: now, reported: now, times: 0 });
        trouble.times += 1;
        if trouble.times > 1 && now.duration_since(trouble.reported) < REPORT {
            return;
        }
        trouble.reported = now;
        let seconds = trouble.since.elapsed().as_secs();
        if let (1, Some(patience)) = (trouble.times, self.patience) {
            tracing::warn!(
                sink = self.sink,
                "a capture file waits {} s for a broker that takes nothing; then what waits is discarded, and counted as \
                 drain_timeout",
                patience.as_secs()
            );
        }
        match failure {
            Failure::Away(_) | Failure::Aborted(_) => {
                tracing::warn!(sink = self.sink, times = trouble.times, seconds, "{failure}");
            }
            _ => tracing::error!(sink = self.sink, times = trouble.times, seconds, "{failure}"),
        }
    }

    /// A capture file waited long enough.
    pub(super) fn gave_up(&self, batches: usize) {
        let sink = &self.sink;
        tracing::error!(
            sink,
            batches,
            "the broker took nothing in time: what waited is discarded, and counted as drain_timeout"
        );
    }

    /// A transaction was committed: whatever was wrong is over.
    pub(super) fn fine(&mut self) {
        if let Some(trouble) = self.trouble.take() {
            let seconds = trouble.since.elapsed().as_secs();
            tracing::info!(
                sink = self.sink,
                times = trouble.times,
                seconds,
                "the broker takes batches again"
            );
        }
    }

    /// Each of these is a loss, which a person must know.
    pub(super) fn refused(&self, stamp: &Stamp, reason: &str) {
        let (stream, sequence) = (stamp.stream.0, stamp.sequence.0);
        tracing::error!(
            sink = self.sink,
            stream,
            sequence,
            reason,
            "the broker will never take this batch: it is counted as refused_by_bus; raise max.message.bytes of the topic"
        );
    }

    pub(super) fn no_transactions(&mut self, reason: &str) {
        tracing::warn!(
            sink = self.sink,
            "no transactions here ({reason}): at least once instead of exactly once, and readers must deduplicate by \
             the stamp in the headers; permit Write and Describe on the transactional id gannet/*"
        );
    }
}
