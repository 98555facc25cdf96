//! What a person hears of a broker: once when it begins, seldom while it lasts, once when it is over.

use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use flow_wire::ledger::Guarantee;
use flow_wire::stamp::Stamp;

use super::client::Client;
use super::failure::Failure;

/// So often a lasting trouble is reported.
const REPORT: Duration = Duration::from_secs(30);

/// The state of a sink, as far as people know it.
pub(super) struct Reporter {
    sink: String,
    trouble: Option<Trouble>,
    patience: Option<Duration>,
    /// What a reader does about a message that comes twice.
    twice: &'static str,
    /// What was said last of connection and topics: it is no news after each try.
    connected: String,
    differences: Vec<String>,
    without_transactions: bool,
    refused: Option<Refused>,
}

struct Trouble {
    since: Instant,
    times: u64,
    /// Each kind, with the time at which it was said last.
    said: Vec<(Discriminant<Failure>, Instant)>,
}

struct Refused {
    said: Instant,
    since_said: u64,
}

impl Reporter {
    pub(super) fn new(sink: String, patience: Option<Duration>, has_stamp: bool) -> Self {
        Self {
            sink,
            trouble: None,
            patience,
            twice: match has_stamp {
                true => "readers must deduplicate by the stamp in the headers",
                false => "readers cannot tell a message that came twice",
            },
            connected: String::new(),
            differences: Vec::new(),
            without_transactions: false,
            refused: None,
        }
    }

    pub(super) fn connected(&mut self, client: &Client, guarantee: Guarantee) {
        let description = client.describe(guarantee);
        if description != self.connected {
            tracing::info!(sink = self.sink, "connected: {description}");
            self.connected = description;
        }
        for difference in client.differences() {
            if !self.differences.contains(difference) {
                tracing::warn!(sink = self.sink, "{difference}");
            }
        }
        self.differences = client.differences().cloned().collect();
    }

    /// Something failed; the batches are kept.
    pub(super) fn trouble(&mut self, failure: &Failure) {
        let now = Instant::now();
        let trouble = self.trouble.get_or_insert(Trouble { since: now, times: 0, said: Vec::new() });
        trouble.times += 1;
        if !trouble.is_news(failure, now) {
            return;
        }
        let (times, seconds) = (trouble.times, trouble.since.elapsed().as_secs());
        if let (1, Some(patience)) = (times, self.patience) {
            tracing::warn!(
                sink = self.sink,
                "a capture file waits {} s for a broker that takes nothing; then what waits stays in the spool, or without \
                 one is counted as drain_timeout",
                patience.as_secs()
            );
        }
        if failure.needs_a_person() {
            tracing::error!(sink = self.sink, times, seconds, "{failure}");
        } else {
            tracing::warn!(sink = self.sink, times, seconds, "{failure}");
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

    /// The same where a spool keeps it.
    pub(super) fn left(&self, records: u64) {
        let sink = &self.sink;
        tracing::warn!(
            sink,
            records,
            "the broker took nothing in time: what waits stays in the spool, and goes out at the next start with this state \
             directory"
        );
    }

    /// The cursor's file is up to a second behind what has arrived.
    pub(super) fn no_place(&self, topic: &str, reason: &str) {
        let (sink, twice) = (&self.sink, self.twice);
        tracing::warn!(
            sink,
            "the broker does not keep the spool's cursor ({reason}; permit Read on the groups gannet-spool/* and on topic \
             {topic}): a probe that is killed sends what it sent in its last second once more, and {twice}"
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

    /// A batch that the spool has given back, and that is not what it was.
    pub(super) fn unreadable(&self, stamp: &Stamp, reason: &str) {
        let (sink, stream, sequence) = (&self.sink, stamp.stream.0, stamp.sequence.0);
        tracing::error!(
            sink,
            stream,
            sequence,
            "this batch cannot be read back ({reason}): it is counted as not_encodable; look at the memory and the disk of \
             this host"
        );
    }

    /// A topic that takes only small sets of messages gets each flow in a set of its own.
    pub(super) fn alone(&self, topic: &str) {
        let sink = &self.sink;
        tracing::warn!(
            sink,
            "topic '{topic}' does not take as many flows together as a batch has: each goes alone from now on, which costs throughput; \
             raise its max.message.bytes to 1048588 (kafka-configs.sh --alter --entity-type topics --entity-name {topic})"
        );
    }

    /// Each of these is a loss, which a person must know; the first is said at once, the others together.
    pub(super) fn refused(&mut self, stamp: &Stamp, reason: &str) {
        let now = Instant::now();
        let refused = self.refused.get_or_insert(Refused { said: now, since_said: 0 });
        refused.since_said += 1;
        let count = refused.since_said;
        if count > 1 && now.duration_since(refused.said) < REPORT {
            return;
        }
        *refused = Refused { said: now, since_said: 1 };
        let (sink, stream, sequence) = (&self.sink, stamp.stream.0, stamp.sequence.0);
        let others = count.saturating_sub(2);
        tracing::error!(
            sink,
            stream,
            sequence,
            others,
            "the broker will never take this batch ({reason}): it is counted as refused_by_bus; raise max.message.bytes of \
             the topic"
        );
    }

    pub(super) fn no_transactions(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.without_transactions, true) {
            let (sink, twice) = (&self.sink, self.twice);
            tracing::warn!(
                sink,
                "no transactions here ({reason}): at least once instead of exactly once, and {twice}; permit Write and Describe on the transactional id gannet/*, then start the probe \
                 again"
            );
        }
    }
}

impl Trouble {
    /// The first of its kind, or a long time after the last one that was said.
    fn is_news(&mut self, failure: &Failure, now: Instant) -> bool {
        let kind = discriminant(failure);
        match self.said.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, said)) if now.duration_since(*said) < REPORT => false,
            Some((_, said)) => {
                *said = now;
                true
            }
            None => {
                self.said.push((kind, now));
                true
            }
        }
    }
}
