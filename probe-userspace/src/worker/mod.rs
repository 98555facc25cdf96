//! The loop of one core: its sources, its shard, its ring to the exporter.
//!
//! ```text
//! sources ─burst─► shard ─records─► ring of Export ─► exporter
//!   other workers ──┘▲└──once a second──► Cut ──┘     (in the ring, behind the records it covers)
//!        rings of packets, one per pair
//! ```
//! Everything comes from the caller: time ([`Clock`]), when to stop and how to sleep ([`Control`]), what to do when the ring
//! is full ([`WhenFull`]). A file is metered by the same loop as a live interface.

mod clock;
mod handover;
mod outlet;
mod ring;
mod sightings;
mod stages;
mod steering;
#[cfg(test)]
mod tests;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use flow_wire::ledger::QueueTerms;
use xsk::wait::Wake;

use crate::flow::{Budget, Hand};
use crate::meter::Shard;
use crate::packet::Packet;
use crate::source::{self, BURST_CAPACITY, Source, State};

pub use clock::Clock;
pub use handover::Handover;
pub(crate) use outlet::discarded_of;
pub use outlet::{Outlet, WhenFull};
pub(crate) use ring::{Consumer, Producer, remains, ring, ring_octets};
pub use ring::{Cut, Export};
pub use sightings::Sightings;
use stages::Stopwatch;
pub use stages::{Stage, Stages};
pub use steering::Steering;
pub use wait::{NAP_FRAMES, Wait};
use wait::{Next, Patience};

/// What the hand of the cache may do after a burst, so that packets wait for it no longer than some 40 us whatever ends: at
/// 64 bursts a second a quiet cache of a million flows is still gone over once a second, and a million flows that end
/// at once are out after 8,000 bursts (`perf/journal/2026-11-27-expiry.md`).
pub const EXPIRY: Budget = Budget { buckets: 2048, looks: 128 };

/// The same for a file, whose packets wait for the worker: a pipe may bring the next one much later, and what is due is written before.
const EXPIRY_OF_FILE: Budget = Budget { looks: usize::MAX, ..EXPIRY };

/// How long a worker sleeps at most: flows end and cuts are due without packets, too.
const TICK: Duration = Duration::from_millis(100);

/// Between two looks whether shunts have ended.
const SHUNT_PAUSE: Duration = Duration::from_millis(1);

/// The same where the hand waits for the exporter.
const NO_ROOM_TICK: Duration = Duration::from_millis(1);

/// Between two cuts of a live worker.
const CUT_NANOSECONDS: u64 = 1_000_000_000;

/// Packets between two cuts of a file: its seconds pass at any speed, and each cut closes a batch.
const CUT_PACKETS: u64 = 1 << 17;

/// What the caller decides while the loop runs.
pub trait Control {
    /// Whether to end: sources are emptied, flows written, the last cut sent.
    fn is_stopping(&mut self) -> bool;

    /// Sleeps until one of the sources may have something, somebody calls `wake` (another worker that handed something
    /// over, or who wants this one to stop), or the time-out.
    fn wait(&mut self, sources: &mut [Box<dyn Source>], wake: &Wake, timeout: Duration);

    /// At the end: whether what is still to be written has to be given up, for the exporter does not take it in time.
    fn is_out_of_time(&mut self) -> bool {
        false
    }

    /// A source cannot go on, or its statistics cannot be read. The others do.
    fn broken(&mut self, error: source::Error);

    /// Something a person should know of a source that has ended.
    fn notice(&mut self, sentence: String);
}

/// One worker, put together and not started.
pub struct Worker {
    sources: Vec<Feed>,
    shard: Shard,
    outlet: Outlet,
    /// Packets that other workers handed over, a burst at most.
    taken: Vec<Packet>,
    clock: Clock,
    patience: Patience,
    watch: Stopwatch,
    /// When the next cut is due: nanoseconds of the clock, or packets received.
    next_cut: u64,
}

/// A source with what the loop remembers of it. Index for index with the boxes that [`Control::wait`] sees.
struct Feed {
    ingress_interface: u32,
    /// It has lent a burst.
    begun: bool,
    ended: bool,
    /// The last terms that could be read.
    terms: QueueTerms,
}

/// What a turn found.
struct Found {
    /// There were packets, and may be more.
    packets: bool,
    hand: Hand,
}

impl Worker {
    /// A worker with its shard and its way out.
    pub fn new(shard: Shard, outlet: Outlet, clock: Clock) -> Self {
        let taken = Vec::with_capacity(BURST_CAPACITY);
        let (patience, next_cut) = (Patience::default(), clock.now().unwrap_or(0));
        let watch = Stopwatch::new(clock);
        Self { sources: Vec::new(), shard, outlet, taken, clock, patience, watch, next_cut }
    }

    /// The same, waiting in this way.
    #[must_use]
    pub fn waiting(mut self, wait: Wait) -> Self {
        self.patience = Patience::new(wait);
        self
    }

    /// The same, without taking the times of its stages: for who measures what that costs.
    #[must_use]
    pub fn untimed(mut self) -> Self {
        self.watch.stop();
        self
    }

    /// Meters all that comes from `sources` until they have all ended, or `control` wants to stop; then empties them,
    /// ends all flows and sends the last cut.
    pub fn run(mut self, mut sources: Vec<Box<dyn Source>>, control: &mut impl Control) {
        self.sources = sources.iter().map(|source| Feed::of(source.as_ref())).collect();
        loop {
            let stopping = control.is_stopping();
            let now = self.clock.now();
            self.watch.turn(now);
            let found = self.turn(&mut sources, now, control);
            let ended = self.sources.iter().all(|feed| feed.ended);
            // A live source is emptied first; a file has as much left as it likes. What the hand owes is written at the end.
            if ended || (stopping && (!found.packets || self.clock == Clock::OfPackets)) {
                break;
            }
            // A hand that is behind goes on instead of sleeping.
            if found.packets || found.hand == Hand::Behind {
                self.patience.moved(now);
                self.watch.moved(now);
            } else {
                self.rest(&mut sources, now, found.hand, control);
            }
        }
        self.finish(&mut sources, control);
    }

    /// After a turn that found nothing.
    fn rest(
        &mut self,
        sources: &mut [Box<dyn Source>],
        now: Option<u64>,
        hand: Hand,
        control: &mut impl Control,
    ) {
        let longest = if hand == Hand::NoRoom { NO_ROOM_TICK } else { TICK };
        let handover = self.outlet.handover();
        match self.patience.idle(now) {
            Next::Again => std::hint::spin_loop(),
            Next::Look => control.wait(sources, handover.wake(), Duration::ZERO),
            Next::Nap => {
                control.wait(sources, handover.wake(), Duration::ZERO);
                self.watch.sleeps();
                std::thread::sleep(wait::NAP);
            }
            Next::Sleep if handover.lie_down() => {
                self.watch.sleeps();
                control.wait(sources, handover.wake(), longest);
                handover.get_up();
            }
            Next::Sleep => {}
        }
    }

    /// One turn: a burst of each source, one of each other worker, expiry, and a cut if one is due.
    fn turn(
        &mut self,
        sources: &mut [Box<dyn Source>],
        now: Option<u64>,
        control: &mut impl Control,
    ) -> Found {
        let mut moved = false;
        for (index, source) in sources.iter_mut().enumerate() {
            if self.sources[index].ended {
                continue;
            }
            moved |= self.receive(index, source.as_mut(), now, control);
            // Files are read one after the other: in turns, their times would go back and forth.
            if self.clock == Clock::OfPackets {
                break;
            }
        }
        self.outlet.handover_mut().call();
        // As many bursts as were received: what others give grows with the sources that they have, too.
        for _ in 0..sources.len() {
            if !self.take_over() {
                break;
            }
            moved = true;
        }
        self.watch.lap(Stage::HandOver);
        let now = now.unwrap_or_else(|| self.shard.clock());
        let budget = if self.clock == Clock::OfPackets { EXPIRY_OF_FILE } else { EXPIRY };
        let hand = self.shard.expire(now, budget, &mut self.outlet);
        self.watch.lap(Stage::Expire);
        self.cut_if_due(now, sources, control);
        Found { packets: moved, hand }
    }

    fn receive(
        &mut self,
        index: usize,
        source: &mut dyn Source,
        now: Option<u64>,
        control: &mut impl Control,
    ) -> bool {
        let Self { shard, outlet, sources, watch, .. } = self;
        let feed = &mut sources[index];
        let state = source.receive(now.unwrap_or(0), &mut |frames| {
            watch.lap(Stage::Receive);
            if !feed.begun && now.is_none() {
                shard.rewind(frames[0].timestamp_nanoseconds, outlet);
            }
            feed.begun = true;
            shard.process(frames, feed.ingress_interface, outlet);
            outlet.handover_mut().look(shard.burst(), now.unwrap_or(0));
            watch.lap(Stage::Process);
        });
        watch.lap(Stage::Receive);
        match state {
            Ok(State::Some) => return true,
            Ok(State::Idle) => return false,
            Ok(State::Ended) => {}
            Err(error) => control.broken(error),
        }
        feed.ended = true;
        if let Some(sentence) = source.notice() {
            control.notice(sentence);
        }
        // Another file may follow.
        true
    }

    /// A burst of what other workers handed over.
    fn take_over(&mut self) -> bool {
        self.taken.clear();
        self.outlet.handover_mut().take(BURST_CAPACITY, |packet| self.taken.push(*packet));
        self.shard.take_over(&self.taken, &mut self.outlet);
        !self.taken.is_empty()
    }

    /// The end: nothing goes to other workers any more, what they still send is metered, all flows are written.
    fn finish(&mut self, sources: &mut [Box<dyn Source>], control: &mut impl Control) {
        self.outlet.handover_mut().close();
        loop {
            let alone = self.outlet.handover().is_alone();
            let moved = self.take_over();
            // Out of time, another worker is stuck: what it may still hand over nobody meters, and the books say so.
            if !moved && (alone || control.is_out_of_time()) {
                break;
            }
            std::thread::yield_now();
        }
        self.outlet.begin_to_finish();
        self.leave_shunts(control);
        let mut next = Some(0);
        while let Some(bucket) = next {
            next = self.shard.flush(bucket, &mut self.outlet);
            if next.is_some() && control.is_out_of_time() {
                self.outlet.give_up();
            } else if next.is_some() {
                self.outlet.wait_for_room();
            }
        }
        let now = self.clock.now().unwrap_or_else(|| self.shard.clock());
        let cut = self.cut(now, true, sources, control);
        self.outlet.send(cut);
    }

    /// What the XDP program has counted comes home: some ten milliseconds, for a grace period of the kernel.
    fn leave_shunts(&mut self, control: &mut impl Control) {
        self.shard.leave_shunts();
        while !self.shard.has_left_shunts(&mut self.outlet) {
            if control.is_out_of_time() {
                return self.shard.abandon_shunts(&mut self.outlet);
            }
            std::thread::sleep(SHUNT_PAUSE);
        }
    }

    fn cut_if_due(&mut self, now: u64, sources: &mut [Box<dyn Source>], control: &mut impl Control) {
        let (progress, interval) = match self.clock {
            Clock::OfPackets => (self.shard.received().packets, CUT_PACKETS),
            Clock::Monotonic { .. } => (now, CUT_NANOSECONDS),
        };
        // A ring without room for a cut gets it in the next turn.
        if progress < self.next_cut || !self.outlet.has_room_for_cut() {
            return;
        }
        let since = self.clock.now();
        let cut = self.cut(now, false, sources, control);
        self.outlet.send(cut);
        self.watch.ended(Stage::Cut, since);
        self.next_cut = progress.saturating_add(interval);
    }

    fn cut(
        &mut self,
        time_nanoseconds: u64,
        last: bool,
        sources: &mut [Box<dyn Source>],
        control: &mut impl Control,
    ) -> Cut {
        for (feed, source) in self.sources.iter_mut().zip(sources) {
            match source.terms() {
                Ok(terms) => feed.terms = terms,
                Err(error) => control.broken(error),
            }
        }
        let mut worker = self.shard.terms();
        worker.discarded = self.outlet.discarded();
        worker.split_flows = self.outlet.handover().split_flows();
        let sources = self.sources.iter().map(|feed| feed.terms.clone()).collect();
        let stages = self.watch.stages().cloned().map(Arc::new);
        Cut { time_nanoseconds, worker, sources, stages, last }
    }
}

impl Feed {
    fn of(source: &dyn Source) -> Self {
        let point = source.observation_point();
        let terms =
            QueueTerms { interface: point.interface.clone(), queue: point.queue, ..QueueTerms::default() };
        Self { ingress_interface: point.ingress_interface, begun: false, ended: false, terms }
    }
}
