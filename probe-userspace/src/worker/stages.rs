//! How long the stages of a worker's turn take, as HdrHistograms: what packets wait for, and so which knob to turn.
//!
//! ```text
//! turn   receive ─► process ─► hand-over ─► expire ─► cut, once a second ─► next turn
//! rest   sleep ───────────────────────────────────────────────────────────► next turn
//! ```
//! Wall time by the monotonic clock, not CPU time: a packet waits for the scheduler as well, and it is stalls that are looked for.
//! The length of every turn costs no clock: it ends when the next one begins, whose time is read anyway. Its parts cost a read each,
//! so one turn in [`SAMPLED`] is taken apart; cuts and sleep are rare enough to be measured each.

use hdrhistogram::Histogram;

use super::Clock;

/// Of so many turns one is taken apart: five clock reads of some 30 ns among sixteen turns of some microseconds are a thousandth.
const SAMPLED: u32 = 16;

/// What is told apart: 64 ns to a minute, within a sixteenth.
const LEAST_NANOSECONDS: u64 = 64;
const MOST_NANOSECONDS: u64 = 60_000_000_000;
const DIGITS: u8 = 1;

/// A stage of a worker, or of what is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A turn that found something, whole.
    Turn,
    /// Frames taken from the sources' rings and given back, in a turn.
    Receive,
    /// Frames parsed and metered, in a turn.
    Process,
    /// Packets called out to other workers, and taken over from them, in a turn.
    HandOver,
    /// The hand over the flow cache, in a turn.
    Expire,
    /// The books of a second: a statistics call for each socket.
    Cut,
    /// From lying down to the next turn.
    Sleep,
    /// From a batch's first record to its seal, in the exporter.
    Seal,
    /// From a batch's seal to a sink's acknowledgement.
    Acknowledge,
}

impl Stage {
    /// All, in the order of the data path.
    pub const ALL: [Self; 9] = [
        Self::Turn,
        Self::Receive,
        Self::Process,
        Self::HandOver,
        Self::Expire,
        Self::Cut,
        Self::Sleep,
        Self::Seal,
        Self::Acknowledge,
    ];

    /// As metrics and the table of the end have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Receive => "receive",
            Self::Process => "process",
            Self::HandOver => "hand_over",
            Self::Expire => "expire",
            Self::Cut => "cut",
            Self::Sleep => "sleep",
            Self::Seal => "seal",
            Self::Acknowledge => "acknowledge",
        }
    }
}

/// The parts of a turn, which are summed over its sources.
const PARTS: [Stage; 4] = [Stage::Receive, Stage::Process, Stage::HandOver, Stage::Expire];

/// A histogram of nanoseconds for each stage, since the start.
#[derive(Clone, Debug)]
pub struct Stages([Histogram<u64>; Stage::ALL.len()]);

impl Default for Stages {
    fn default() -> Self {
        Self::new()
    }
}

impl Stages {
    /// Empty ones: the only allocation, some 30 kB.
    ///
    /// # Panics
    /// Never: the bounds are constants that a histogram takes.
    pub fn new() -> Self {
        let empty = Histogram::new_with_bounds(LEAST_NANOSECONDS, MOST_NANOSECONDS, DIGITS)
            .expect("bounds of a histogram");
        Self(std::array::from_fn(|_| empty.clone()))
    }

    /// The histogram of a stage.
    pub fn of(&self, stage: Stage) -> &Histogram<u64> {
        &self.0[stage as usize]
    }

    /// Counts a time; a longer one than a minute as a minute.
    #[inline]
    pub(crate) fn record(&mut self, stage: Stage, nanoseconds: u64) {
        self.0[stage as usize].saturating_record(nanoseconds);
    }

    /// Puts another's histogram in the place of a stage's.
    pub(crate) fn put(&mut self, stage: Stage, histogram: Histogram<u64>) {
        self.0[stage as usize] = histogram;
    }
}

/// Takes the times of one worker. Without a clock (files) it takes none.
pub(super) struct Stopwatch {
    clock: Clock,
    stages: Stages,
    turns: u32,
    /// One turn in so many is taken apart; 0 = nothing is timed at all.
    sampled: u32,
    /// What began when, and ends with the next turn.
    under_way: Option<(Stage, u64)>,
    /// In a turn that is taken apart: when the last part ended.
    lap: Option<u64>,
    parts: [u64; PARTS.len()],
}

impl Stopwatch {
    pub(super) fn new(clock: Clock) -> Self {
        let parts = [0; PARTS.len()];
        let sampled = if clock == Clock::OfPackets { 0 } else { SAMPLED };
        Self { clock, stages: Stages::new(), turns: 0, sampled, under_way: None, lap: None, parts }
    }

    /// It takes no times, as for files.
    pub(super) fn stop(&mut self) {
        self.sampled = 0;
    }

    /// What was taken; `None` without a clock.
    pub(super) fn stages(&self) -> Option<&Stages> {
        (self.sampled > 0).then_some(&self.stages)
    }

    /// A turn begins.
    #[inline]
    pub(super) fn turn(&mut self, now: Option<u64>) {
        let Some(now) = now.filter(|_| self.sampled > 0) else { return };
        if let Some((stage, since)) = self.under_way.take() {
            self.stages.record(stage, now.saturating_sub(since));
        }
        self.turns += 1;
        self.lap = None;
        if self.turns == self.sampled {
            self.turns = 0;
            self.lap = Some(now);
            self.parts = [0; PARTS.len()];
        }
    }

    /// A part of the turn ends.
    #[inline]
    pub(super) fn lap(&mut self, part: Stage) {
        if let Some(since) = self.lap {
            self.lap = self.clock.now();
            let spent = self.lap.unwrap_or(since) - since;
            if let Some(place) = PARTS.iter().position(|stage| *stage == part) {
                self.parts[place] += spent;
            }
        }
    }

    /// The turn, which began at `began`, has found something.
    #[inline]
    pub(super) fn moved(&mut self, began: Option<u64>) {
        self.under_way = began.map(|began| (Stage::Turn, began));
        if self.lap.is_some() {
            for (stage, spent) in PARTS.into_iter().zip(self.parts) {
                self.stages.record(stage, spent);
            }
        }
    }

    /// The worker lies down.
    pub(super) fn sleeps(&mut self) {
        self.under_way = self.clock.now().map(|now| (Stage::Sleep, now));
    }

    /// What began at `since` has ended.
    pub(super) fn ended(&mut self, stage: Stage, since: Option<u64>) {
        if let (Some(since), Some(now)) = (since, self.clock.now()) {
            self.stages.record(stage, now.saturating_sub(since));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_with_the_next_and_an_idle_one_is_none() {
        let mut watch = Stopwatch::new(Clock::monotonic());
        for (began, moved) in [(1_000, true), (3_000, false), (9_000, true), (10_000, true)] {
            watch.turn(Some(began));
            if moved {
                watch.moved(Some(began));
            }
        }
        let turns = watch.stages().unwrap().of(Stage::Turn);
        assert_eq!(
            (turns.len(), turns.count_between(900, 1_100), turns.count_between(1_900, 2_100)),
            (2, 1, 1)
        );
    }

    #[test]
    fn one_turn_in_sixteen_is_taken_apart_and_its_parts_are_no_longer_than_it() {
        let clock = Clock::monotonic();
        let mut watch = Stopwatch::new(clock);
        for _ in 0..=2 * SAMPLED {
            let began = clock.now();
            watch.turn(began);
            PARTS.into_iter().for_each(|part| watch.lap(part));
            watch.moved(began);
        }
        let stages = watch.stages().unwrap();
        assert_eq!(stages.of(Stage::Turn).len(), u64::from(2 * SAMPLED));
        assert!(PARTS.into_iter().all(|part| stages.of(part).len() == 2));
    }

    #[test]
    fn files_have_no_times() {
        let mut watch = Stopwatch::new(Clock::OfPackets);
        watch.turn(None);
        watch.moved(None);
        watch.sleeps();
        assert!(watch.stages().is_none());
    }
}
