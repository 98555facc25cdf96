//! From a batch's seal to its acknowledgement: how long each stream's batches take.
//!
//! ```text
//!   append ─► sealed: when, by sequence ──────────────┐
//!   next ───► handed: stamps, per seat ─► acknowledge ─► time of the stream's batch
//! ```
//! Of a batch, not of a packet: a stamp and a look at the clock among a thousand records.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use flow_wire::batch::Sealed;
use flow_wire::stamp::{Epoch, Stamp, StreamId};
use hdrhistogram::Histogram;

use crate::worker::{Stage, Stages};

/// Of so many batches of a stream it is known when they were sealed, 16 octets each: a million records a second for a minute. Of
/// those before, the oldest one's age is counted: they took at least so long.
const REMEMBERED: usize = 1 << 16;

/// The batches of this run.
#[derive(Debug, Default)]
pub(super) struct Delays {
    streams: BTreeMap<StreamId, Delay>,
    /// What each seat's sink was handed, in order.
    handed: BTreeMap<usize, VecDeque<Stamp>>,
}

#[derive(Debug)]
struct Delay {
    epoch: Epoch,
    /// Of the batches from this sequence on.
    first: u64,
    sealed: VecDeque<Instant>,
    times: Histogram<u64>,
}

impl Delays {
    /// Sealed just now.
    pub(super) fn appended(&mut self, stamp: Stamp, now: Instant) {
        if stamp.stream == StreamId::CONTROL {
            return;
        }
        let empty = || Delay {
            epoch: stamp.epoch,
            first: stamp.sequence.0,
            sealed: VecDeque::new(),
            times: Stages::new().of(Stage::Acknowledge).clone(),
        };
        let delay = self.streams.entry(stamp.stream).or_insert_with(empty);
        // Another epoch's are batches that a killed run left behind: their times are not this run's.
        if delay.epoch != stamp.epoch {
            return;
        }
        if delay.first + delay.sealed.len() as u64 != stamp.sequence.0 {
            (delay.first, delay.sealed) = (stamp.sequence.0, VecDeque::new());
        }
        if delay.sealed.len() == REMEMBERED {
            delay.sealed.pop_front();
            delay.first += 1;
        }
        delay.sealed.push_back(now);
    }

    pub(super) fn handed(&mut self, seat: usize, batches: &[Arc<Sealed>]) {
        let stamps = batches.iter().map(|sealed| sealed.header.stamp);
        self.handed.entry(seat).or_default().extend(stamps);
    }

    /// The first `count` that the seat was handed have arrived.
    pub(super) fn acknowledged(&mut self, seat: usize, count: usize, now: Instant) {
        let Some(handed) = self.handed.get_mut(&seat) else { return };
        for stamp in handed.drain(..count.min(handed.len())) {
            if let Some(delay) = self.streams.get_mut(&stamp.stream) {
                delay.acknowledged(stamp, now);
            }
        }
    }

    /// One of them never will.
    pub(super) fn discarded(&mut self, seat: usize, stamp: Stamp) {
        self.handed.entry(seat).or_default().retain(|handed| *handed != stamp);
    }

    /// They come again.
    pub(super) fn given_back(&mut self, seat: usize) {
        self.handed.remove(&seat);
    }

    /// Times of a stream's batches, of all sinks; `None` = none has been sealed.
    pub(super) fn of(&self, stream: StreamId) -> Option<&Histogram<u64>> {
        self.streams.get(&stream).map(|delay| &delay.times)
    }
}

impl Delay {
    fn acknowledged(&mut self, stamp: Stamp, now: Instant) {
        if stamp.epoch != self.epoch {
            return;
        }
        let index = stamp.sequence.0.saturating_sub(self.first) as usize;
        if let Some(sealed) = self.sealed.get(index) {
            self.times.saturating_record(now.saturating_duration_since(*sealed).as_nanos() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flow_wire::bus::Kind;
    use flow_wire::header::Header;
    use flow_wire::ledger::Amount;
    use flow_wire::stamp::{ProbeId, Sequence};
    use uuid::Uuid;

    use super::*;

    fn stamp(epoch: u128, sequence: u64) -> Stamp {
        let (probe, epoch) = (ProbeId(Uuid::nil()), Epoch(Uuid::from_u128(epoch)));
        Stamp { probe, epoch, stream: StreamId(2), sequence: Sequence(sequence) }
    }

    fn sealed(stamp: Stamp) -> Arc<Sealed> {
        let header = Header::seal(Kind::Flows, stamp, 1, b"x");
        Arc::new(Sealed { header, body: b"x".to_vec(), exported: Amount::ZERO })
    }

    /// Milliseconds of each, within what a histogram tells apart.
    fn times(delays: &Delays) -> Vec<u64> {
        let times = delays.of(StreamId(2)).unwrap();
        times.iter_recorded().map(|value| (value.value_iterated_to() + 500_000) / 1_000_000).collect()
    }

    #[test]
    fn the_time_of_a_batch_is_from_its_seal_to_its_last_acknowledgement() {
        let (mut delays, begun) = (Delays::default(), Instant::now());
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        for (sequence, time) in [(0, 0), (1, 10)] {
            delays.appended(stamp(1, sequence), at(time));
        }
        let both = [sealed(stamp(1, 0)), sealed(stamp(1, 1))];
        delays.handed(0, &both);
        // A transaction that was aborted: the batches come again.
        delays.given_back(0);
        delays.handed(0, &both);
        delays.acknowledged(0, 1, at(64));
        assert_eq!(times(&delays).len(), 1);
        delays.acknowledged(0, 1, at(26));
        let times = times(&delays);
        assert_eq!(times.len(), 2);
        assert!((15..=18).contains(&times[0]) && (62..=68).contains(&times[1]), "{times:?}");
    }

    #[test]
    fn what_was_discarded_and_what_another_run_sealed_has_no_time() {
        let (mut delays, now) = (Delays::default(), Instant::now());
        (0..3).for_each(|sequence| delays.appended(stamp(1, sequence), now));
        delays.handed(0, &[sealed(stamp(9, 7)), sealed(stamp(1, 0)), sealed(stamp(1, 1))]);
        delays.discarded(0, stamp(1, 0));
        delays.acknowledged(0, 2, now + Duration::from_millis(32));
        assert_eq!(delays.of(StreamId(2)).unwrap().len(), 1);
        assert!(delays.of(StreamId::CONTROL).is_none());
    }

    #[test]
    fn of_a_long_backlog_the_oldest_that_is_remembered_counts() {
        let (mut delays, now) = (Delays::default(), Instant::now());
        (0..=REMEMBERED as u64).for_each(|sequence| delays.appended(stamp(1, sequence), now));
        delays.handed(0, &[sealed(stamp(1, 0))]);
        delays.acknowledged(0, 1, now + Duration::from_secs(4));
        assert_eq!(delays.of(StreamId(2)).unwrap().len(), 1);
    }
}
