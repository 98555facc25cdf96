//! What the run tells its workers, and they the run.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use xsk::wait::{self, Wake};

use crate::source::{self, Source};
use crate::worker::{Clock, Control};

/// Sources say within this time that they are drained: a packet socket hands its last block over after some tens of
/// milliseconds, and reading a full ring takes some hundred. A worker that is not believed drained goes on all the same.
const DRAIN_MOST: Duration = Duration::from_millis(500);
/// The last flows are written within this after the order to stop: some million, in a release build. What is left then is
/// counted as `drain_timeout`.
const WRITE_MOST: Duration = Duration::from_secs(3);
/// Between two looks whether a source is drained.
const DRAIN_PAUSE: Duration = Duration::from_millis(5);

/// The order to stop, given once, to all workers.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<OnceLock<Instant>>);

impl Stop {
    /// Gives it. Workers that sleep have to be woken.
    pub(super) fn order(&self) {
        let _the_first_counts = self.0.set(Instant::now());
    }

    /// Whether it was given.
    pub(super) fn is_ordered(&self) -> bool {
        self.0.get().is_some()
    }

    /// How long ago it was given; `None` = it was not.
    fn age(&self) -> Option<Duration> {
        self.0.get().map(Instant::elapsed)
    }
}

/// How often something failed that must not stop the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures(Arc<AtomicU64>);

impl Failures {
    /// So far.
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Reported failures at most: the same one comes back every turn, and a log must not grow with traffic.
const REPORTS_MOST: u64 = 16;

/// One worker's side of it.
#[derive(Debug)]
pub(super) struct LiveControl {
    stop: Stop,
    failures: Failures,
    clock: Clock,
    drained: bool,
}

impl LiveControl {
    /// For a worker of this run.
    pub(super) fn new(stop: &Stop, failures: &Failures, clock: Clock) -> Self {
        Self { stop: stop.clone(), failures: failures.clone(), clock, drained: false }
    }

    /// Called when nothing has come and the run is to end: whether nothing will.
    fn drain(&mut self, sources: &mut [Box<dyn Source>]) {
        // A source that cannot say is not waited for.
        let drained = sources.iter_mut().all(|source| source.is_drained().unwrap_or(true));
        self.drained = drained || self.stop.age().is_some_and(|age| age >= DRAIN_MOST);
        if !self.drained {
            std::thread::sleep(DRAIN_PAUSE);
        }
    }
}

impl Control for LiveControl {
    /// Of an interface only once its sources are drained: a turn that finds nothing then is the last one. Of a file at
    /// once: what was not read was not seen.
    fn is_stopping(&mut self) -> bool {
        match self.clock {
            Clock::OfPackets => self.stop.is_ordered(),
            // Whoever has something else to do than to wait may never come to look whether they are.
            Clock::Monotonic { .. } => self.drained || self.stop.age().is_some_and(|age| age >= DRAIN_MOST),
        }
    }

    fn wait(&mut self, sources: &mut [Box<dyn Source>], wake: &Wake, timeout: Duration) {
        if self.stop.is_ordered() {
            return self.drain(sources);
        }
        sources.iter_mut().for_each(|source| source.before_sleep());
        let mut descriptors = [wake.as_fd(); wait::DESCRIPTORS];
        let mut count = 1;
        for descriptor in sources.iter().filter_map(|source| source.descriptor()) {
            // The plan gives a worker no more sources than there is room for.
            if let Some(place) = descriptors.get_mut(count) {
                *place = descriptor;
                count += 1;
            }
        }
        if let Err(error) = wait::until_readable(&descriptors[..count], Some(timeout)) {
            self.broken(source::Error::System { interface: "the sources".into(), operation: "ppoll", error });
        }
    }

    fn is_out_of_time(&mut self) -> bool {
        self.stop.age().is_some_and(|age| age >= WRITE_MOST)
    }

    fn broken(&mut self, error: source::Error) {
        if self.failures.add() < REPORTS_MOST {
            tracing::error!("{error}");
        }
    }

    fn notice(&mut self, sentence: String) {
        tracing::warn!("{sentence}");
    }
}
