//! What happens to whom, when, and for how long: a list that a seed makes, the same every time.

use std::fmt;
use std::time::Duration;

use perf::traffic::random::Random;

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
    /// The same, a second after the last packet, and none comes until the next start is ready: nothing may be missing for it.
    KillAtRest,
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
        let Self { whom, what, lasts, .. } = self;
        write!(f, "{:<18} for {:.1} s", name(*whom, *what), lasts.as_secs_f64())
    }
}

/// As people say it.
pub(crate) fn name(whom: Whom, what: What) -> String {
    let whom = format!("{whom:?}").to_lowercase();
    match what {
        What::KillAtRest => format!("kill {whom} at rest"),
        _ => format!("{} {whom}", format!("{what:?}").to_lowercase()),
    }
}

/// Between two events, in milliseconds: from "at the same moment" to long enough for all to be well again.
const GAP_MILLISECONDS: (u64, u64) = (50, 2_500);

/// How long one lasts. Below what the record ring of a probe that stands still holds at the rate of the traffic.
const LASTS_MILLISECONDS: (u64, u64) = (100, 4_000);

fn within(random: &mut Random, (least, most): (u64, u64)) -> Duration {
    Duration::from_millis(least + random.bits() % (most - least))
}

/// So many events of these kinds. Each kind comes as often as any other; which comes when is up to the seed.
pub(crate) fn make(seed: u64, events: usize, kinds: &[(Whom, What)]) -> Vec<Event> {
    let mut random = Random::seeded(seed);
    let mut deck = Vec::new();
    let mut event = || {
        if deck.is_empty() {
            deck = kinds.to_vec();
        }
        let (whom, what) = deck.swap_remove(random.bits() as usize % deck.len());
        let (after, lasts) = (within(&mut random, GAP_MILLISECONDS), within(&mut random, LASTS_MILLISECONDS));
        Event { after, whom, what, lasts }
    };
    (0..events).map(|_| event()).collect()
}
