//! What happens to whom, when, and for how long: a list that a seed makes, the same every time.

use std::fmt;
use std::time::Duration;

/// Who it happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whom {
    Probe,
    Broker,
    Collector,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// SIGKILL; later it is started again.
    Kill,
    /// SIGTERM; later it is started again.
    Stop,
    /// SIGSTOP; later SIGCONT.
    Pause,
    /// Its disk is full; later there is room again.
    Fill,
    /// Its link goes down; later it comes up.
    Cut,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Since the event before.
    pub(crate) after: Duration,
    pub(crate) whom: Whom,
    pub(crate) what: What,
    /// Until it is mended.
    pub(crate) lasts: Duration,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after, whom, what, lasts } = self;
        let line = format!("{what:?} {whom:?}").to_lowercase();
        write!(f, "+{:>5.2} s  {line:<16} for {:.2} s", after.as_secs_f64(), lasts.as_secs_f64())
    }
}

/// Between two events, in milliseconds: from "at the same moment" to long enough for all to be well again.
const GAP_MILLISECONDS: (u64, u64) = (50, 2_500);

/// How long one lasts. Below what the record ring of a probe that stands still holds at the rate of the traffic.
const LASTS_MILLISECONDS: (u64, u64) = (100, 4_000);

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn within(&mut self, (least, most): (u64, u64)) -> Duration {
        Duration::from_millis(least + self.next() % (most - least))
    }
}

/// So many events of these kinds. Each kind comes as often as any other; which comes when is up to the seed.
pub(crate) fn make(seed: u64, events: usize, kinds: &[(Whom, What)]) -> Vec<Event> {
    let mut random = Random(seed);
    let mut deck = Vec::new();
    let mut event = || {
        if deck.is_empty() {
            deck = kinds.to_vec();
        }
        let (whom, what) = deck.swap_remove(random.next() as usize % deck.len());
        let (after, lasts) = (random.within(GAP_MILLISECONDS), random.within(LASTS_MILLISECONDS));
        Event { after, whom, what, lasts }
    };
    (0..events).map(|_| event()).collect()
}
