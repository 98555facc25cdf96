//! How many frames the wire had carried at any moment, by the kernel's counter of the generator's end: nobody's word is taken for
//! it. And, for people to look at, how many packets the store says it has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use perf::kernel::thread::in_network;
use serde_json::Value;

use super::site::{Site, TAP};

/// Between two readings of the counter: at the rate of the traffic some packets.
const EVERY: Duration = Duration::from_millis(5);

/// Between two questions to the store.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// What it counts, while it does.
pub(crate) struct Tally {
    shown: Arc<Shown>,
    thread: Option<JoinHandle<Carried>>,
}

#[derive(Default)]
struct Shown {
    stop: AtomicBool,
    sent: AtomicU64,
    stored: AtomicU64,
}

/// Frames since the beginning, by time.
#[derive(Debug, Default)]
pub(crate) struct Carried(Vec<Reading>);

/// Between these two moments the counter stood there; a busy machine makes them lie apart.
#[derive(Debug)]
struct Reading {
    from: Instant,
    until: Instant,
    count: u64,
}

impl Tally {
    pub(crate) fn start(site: &Site, store: SocketAddr) -> Self {
        let shown = Arc::<Shown>::default();
        let (told, sender) = (Arc::clone(&shown), site.sender.name().to_owned());
        // Before anything is sent.
        let begin = in_network(&sender, counter).unwrap();
        let thread = std::thread::spawn(move || in_network(&sender, || count(&told, begin)).unwrap());
        let (told, collector) = (Arc::clone(&shown), site.collector.name().to_owned());
        // Not waited for: a collector that stands still does not answer, and its namespace may be gone by then.
        std::thread::spawn(move || in_network(&collector, || ask(&told, store)));
        Self { shown, thread: Some(thread) }
    }

    /// Packets sent, and stored, so far.
    pub(crate) fn so_far(&self) -> [u64; 2] {
        [&self.shown.sent, &self.shown.stored].map(|count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn finish(mut self) -> Carried {
        self.shown.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.shown.stop.store(true, Ordering::Relaxed);
    }
}

impl Carried {
    /// Readings that took no time.
    pub(crate) fn of(readings: Vec<(Instant, u64)>) -> Self {
        let reading = |(moment, count)| Reading { from: moment, until: moment, count };
        Self(readings.into_iter().map(reading).collect())
    }

    /// So many at least had been carried then.
    pub(crate) fn least_at(&self, moment: Instant) -> u64 {
        let read = self.0.partition_point(|reading| reading.until <= moment);
        self.0[..read].last().map_or(0, |reading| reading.count)
    }

    /// So many at most.
    pub(crate) fn most_at(&self, moment: Instant) -> u64 {
        let unread = self.0.partition_point(|reading| reading.from < moment);
        self.0.get(unread).map_or_else(|| self.total(), |reading| reading.count)
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.0.last().map_or(0, |reading| reading.count)
    }
}

fn count(told: &Shown, begin: u64) -> Carried {
    let mut carried = Carried::default();
    loop {
        let stops = told.stop.load(Ordering::Relaxed);
        let from = Instant::now();
        let sent = counter() - begin;
        carried.0.push(Reading { from, until: Instant::now(), count: sent });
        told.sent.store(sent, Ordering::Relaxed);
        if stops {
            return carried;
        }
        std::thread::park_timeout(EVERY);
    }
}

/// Of the namespace that the thread is in.
fn counter() -> u64 {
    /// Behind eight of receiving.
    const SENT_PACKETS: usize = 9;
    let all = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = all.lines().find_map(|line| line.trim_start().strip_prefix(TAP)?.strip_prefix(':'));
    let words: Vec<&str> = line.unwrap_or_else(|| panic!("no {TAP}: {all}")).split_whitespace().collect();
    words[SENT_PACKETS].parse().unwrap()
}

fn ask(told: &Shown, store: SocketAddr) {
    while !told.stop.load(Ordering::Relaxed) {
        let answer = perf::http::request(store, "GET", "/api/v1/top?measure=packets", "");
        let answer = answer.ok().and_then(|answer| serde_json::from_str::<Value>(&answer.body).ok());
        if let Some(packets) = answer.and_then(|answer| answer["total"]["packets"].as_u64()) {
            told.stored.store(packets, Ordering::Relaxed);
        }
        std::thread::park_timeout(STORE_EVERY);
    }
}
