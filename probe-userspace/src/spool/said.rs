//! What a person hears of the disk: once when it begins, seldom while it lasts.

use std::io;
use std::time::{Duration, Instant};

use flow_wire::ledger::Discard;

/// So often a lasting trouble is reported.
const REPORT: Duration = Duration::from_secs(30);

/// When each was reported last.
#[derive(Debug, Default)]
pub(super) struct Said {
    full: Option<Instant>,
    discarded: Option<Instant>,
    failed: Option<Instant>,
}

fn is_due(last: &mut Option<Instant>) -> bool {
    // A clock for how often a sentence is repeated, and for nothing else here.
    let due = last.is_none_or(|last| last.elapsed() >= REPORT);
    if due {
        *last = Some(Instant::now());
    }
    due
}

impl Said {
    pub(super) fn discarded(&mut self, reason: Discard, cursor: &str, records: u64) {
        if is_due(&mut self.discarded) {
            tracing::error!(
                sink = cursor,
                records,
                "batches of the spool are discarded: {}",
                match reason {
                    Discard::SpoolQuota =>
                        "the sink has not taken them while there was room, in --spool-size or on the disk (spool_quota)",
                    Discard::SpoolAge => "the sink has not taken them in time (spool_age)",
                    Discard::CursorDropped => "nobody waits for them any more (cursor_dropped)",
                    _ => "the disk does not give them back, or does not keep them (spool_failed)",
                }
            );
        }
    }

    pub(super) fn full(&mut self, quota_octets: u64) {
        if is_due(&mut self.full) {
            tracing::error!(
                quota_octets,
                "the spool is at its quota, and what could go is in flight: new batches are discarded, and counted as spool_quota"
            );
        }
    }

    pub(super) fn disk_full(&mut self, error: &io::Error) {
        if is_due(&mut self.full) {
            tracing::error!(
                %error,
                "the disk of the spool is full: new batches are discarded, and counted as spool_quota; make room, or move \
                 --state-dir"
            );
        }
    }

    pub(super) fn failed(&mut self, operation: &str, error: &io::Error) {
        if is_due(&mut self.failed) {
            tracing::error!(%error, "the disk of the spool fails at {operation}: look after it, or move --state-dir");
        }
    }
}
