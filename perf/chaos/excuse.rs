//! What may be missing, and no more: what nobody metered, since the probe was dead. By the wire's counter, the harness's clock and the
//! log of sealed batches; the books of the probe have no say.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use perf::flows::Flows;

use super::oracle::{self, Log};
use super::store::Stamp;
use super::tally::Carried;
use super::traffic::Round;

/// What a probe that is killed has not metered yet lies in the kernel's rings: a worker that does not get its core looks late.
const UNMETERED_MAX: Duration = Duration::from_millis(500);

/// When the probe did not meter, and which batches a kill may have cut off.
#[derive(Default)]
pub(crate) struct Excuses {
    /// Up to when everything was metered, and when it was dead. It meters again when it says so.
    kills: Vec<(Instant, Instant)>,
    /// The last time that it stood still.
    stood: Option<(Instant, Instant)>,
    /// Epochs whose probe is gone.
    ended: BTreeSet<String>,
    /// The last batch of each stream when its probe was killed.
    cut_off: BTreeSet<Stamp>,
}

impl Excuses {
    pub(crate) fn stood_still(&mut self, since: Instant) {
        self.stood = Some((since, Instant::now()));
    }

    /// Behind a kill that was made at `moment`.
    pub(crate) fn killed(&mut self, moment: Instant, log: &Log) {
        let unmetered = moment.checked_sub(UNMETERED_MAX).unwrap_or(moment);
        let stood = self.stood.filter(|(_, until)| *until > unmetered).map(|(since, _)| since);
        self.kills.push((stood.map_or(unmetered, |since| since.min(unmetered)), moment));
        self.killed_at_rest(log);
    }

    /// Behind a kill to which nothing may be lost. What is in the log now is all that the probe sealed; the last of it may not have
    /// come to the spool, and then comes in the next epoch.
    pub(crate) fn killed_at_rest(&mut self, log: &Log) {
        let mut last: BTreeMap<(&str, u16), &Stamp> = BTreeMap::new();
        for stamp in log.keys().filter(|stamp| !self.ended.contains(&stamp.0)) {
            last.insert((&stamp.0, stamp.1), stamp);
        }
        self.cut_off.extend(last.into_values().cloned());
        self.stopped(log);
    }

    /// Behind a stop, which excuses nothing.
    pub(crate) fn stopped(&mut self, log: &Log) {
        self.ended.extend(log.keys().map(|stamp| stamp.0.clone()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kills.is_empty()
    }

    pub(crate) fn cut_off(&self) -> &BTreeSet<Stamp> {
        &self.cut_off
    }

    /// The frames of the wire, by number, that nobody may have metered; `metering` is when each start said that it meters.
    pub(crate) fn unheard(&self, metering: &[Instant], carried: &Carried) -> Vec<Range<u64>> {
        let window = |(metered, dead): &(Instant, Instant)| {
            let next = metering.iter().find(|moment| *moment > dead);
            carried.least_at(*metered)..next.map_or(carried.total(), |moment| carried.most_at(*moment))
        };
        self.kills.iter().map(window).collect()
    }
}

/// Packets that no row tells of, and how they are excused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shortfall {
    /// Of these so many at most may be missing.
    pub(crate) bound: u64,
    /// So many are, and that is excused.
    pub(crate) excused: u64,
    /// So many are missing of rounds that lie outside, or more than lie inside.
    pub(crate) inexcusable: u64,
}

/// Round by round: each may lack as many as it had on the wire while nobody metered.
pub(crate) fn shortfall(rounds: &[Round], stored: &Flows, unheard: &[Range<u64>]) -> Shortfall {
    let mut shortfall = Shortfall::default();
    let mut begin = 0;
    for round in rounds {
        let end = begin + round.packets;
        let bound = overlap(begin..end, unheard);
        let lost = oracle::lost(&round.flows, stored);
        shortfall.bound += bound;
        shortfall.excused += lost.min(bound);
        shortfall.inexcusable += lost.saturating_sub(bound);
        begin = end;
    }
    shortfall
}

/// Numbers of a round that lie in any of these, which may overlap.
fn overlap(round: Range<u64>, unheard: &[Range<u64>]) -> u64 {
    let mut parts: Vec<_> =
        unheard.iter().map(|part| part.start.max(round.start)..part.end.min(round.end)).collect();
    parts.sort_by_key(|part| part.start);
    let (mut covered, mut all) = (round.start, 0);
    for part in parts.iter().filter(|part| part.start < part.end) {
        all += part.end.saturating_sub(part.start.max(covered));
        covered = covered.max(part.end);
    }
    all
}
