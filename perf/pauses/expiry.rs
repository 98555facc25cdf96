//! What a worker's packets wait for when very many flows end at once: the CPU time of each call of the shard, packets going on.
//!
//! The clock is made up: a burst of 64 packets every 64 us of it, behind a silence in which all came due. So the hand owes a whole round when
//! the packets begin, which is the worst that can be asked of it.

use std::time::Duration;

use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use perf::baseline::naive::{Packets, Sizes};
use perf::kernel::thread;
use perf::traffic::{Model, Transport};
use probe::flow::{Budget, Cache, Hand, Settings};
use probe::meter::Shard;
use probe::source::{BURST_CAPACITY, Frame};
use probe::survive::{LaneMemory, Parts, Shape};
use probe::worker::{EXPIRY, Handover, Outlet, WhenFull};

const START_NANOSECONDS: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
/// 1 Mpps.
const STEP_NANOSECONDS: u64 = BURST_CAPACITY as u64 * 1_000;
/// Of the flows that go on.
const LIVELY: u32 = 10_000;
const TIMEOUT: Duration = Duration::from_secs(30);
const LONGER: Duration = Duration::from_secs(60);

/// What becomes of all flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fate {
    /// The idle time-out ends them.
    Idle,
    /// The active time-out writes a record of each, and they go on.
    Active,
    /// Each has had a packet since: they are looked at, and nothing is due.
    Kept,
    /// Nothing ends, but the cache is full, and each packet begins a flow.
    Flood,
}

/// All flows come due in the same moment.
#[derive(Args)]
pub(crate) struct Expiry {
    /// Flows that began in the same moment
    #[arg(long, default_value_t = 1_000_000)]
    flows: u32,
    /// What becomes of them
    #[arg(long, value_enum, default_value = "idle")]
    fate: Fate,
    /// By so much less may a record live, as the probe's --lifetime-perturbation
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    perturbation: u64,
    /// Places in the hash table, as the probe's -w [default: two for each flow]
    #[arg(long)]
    hash_size: Option<usize>,
    /// Buckets that the hand may pass in a call [default: the worker's]
    #[arg(long)]
    buckets: Option<usize>,
    /// Looks that it may take in a call; 0 = as many as it likes [default: the worker's]
    #[arg(long)]
    looks: Option<usize>,
    /// CPU to run on [default: any]
    #[arg(long)]
    cpu: Option<usize>,
}

/// A shard with its way out, and nobody who reads there: the ring has room for all.
struct Run {
    shard: Shard,
    out: Outlet,
    _lane: LaneMemory,
    now: u64,
    budget: Budget,
    process: Histogram<u64>,
    expire: Histogram<u64>,
}

pub(crate) fn run(command: &Expiry) -> anyhow::Result<serde_json::Value> {
    if let Some(cpu) = command.cpu {
        thread::pin(cpu)?;
    }
    let masses = Packets::of(&model(command.flows, 1), Sizes::Even)?;
    let others = if command.fate == Fate::Flood { command.flows } else { LIVELY };
    let others = Packets::of(&model(others, 2), Sizes::Even)?;
    let mut run = Run::new(command)?;
    run.settle(&masses);
    if command.fate == Fate::Kept {
        run.now += TIMEOUT.as_nanos() as u64 - SECOND / 10;
        run.settle(&masses);
        run.now += SECOND / 10;
    } else if command.fate != Fate::Flood {
        run.now += TIMEOUT.as_nanos() as u64;
    }
    let calls = run.measure(&others);
    Ok(run.report(command, calls))
}

/// UDP over IPv4; another seed has other keys.
pub(crate) fn model(flows: u32, seed: u64) -> Model {
    Model {
        flows,
        packets_per_flow: 2,
        frame_octets: 60,
        ipv6: false,
        transport: Transport::Udp,
        vlan: None,
        seed,
        one_way: false,
    }
}

impl Run {
    fn new(command: &Expiry) -> anyhow::Result<Self> {
        let (active_timeout, idle_timeout) =
            if command.fate == Fate::Active { (TIMEOUT, LONGER) } else { (LONGER, TIMEOUT) };
        let flows = command.flows as usize;
        let settings = Settings {
            active_timeout,
            active_perturbation: Duration::from_secs(command.perturbation),
            idle_timeout,
            capacity: if command.fate == Fate::Flood { flows } else { flows + LIVELY as usize },
            hash_size: command.hash_size,
            observation_domain_id: 1,
        };
        let ring = 3 * flows.max(1_000_000);
        let Parts { shard, out, lane } =
            Parts::anonymous(Shape { buckets: Cache::buckets_for(&settings), ring, places: 0 })?;
        let alone = Handover::mesh(1)?.remove(0);
        let looks = match command.looks {
            None => EXPIRY.looks,
            Some(0) => usize::MAX,
            Some(looks) => looks,
        };
        Ok(Self {
            shard: Shard::new(0, &settings, shard),
            out: Outlet::new(out, WhenFull::Discard, alone),
            _lane: lane,
            now: START_NANOSECONDS,
            budget: Budget { buckets: command.buckets.unwrap_or(EXPIRY.buckets), looks },
            process: Histogram::new_with_bounds(1, SECOND, 3)?,
            expire: Histogram::new_with_bounds(1, SECOND, 3)?,
        })
    }

    /// Meters all in one moment.
    fn settle(&mut self, packets: &Packets) {
        let mut all = packets.iter();
        let mut frames = [Frame::whole(&[], 0); BURST_CAPACITY];
        while let count @ 1.. = fill(&mut frames, &mut all, self.now) {
            self.shard.process(&frames[..count], 1, &mut self.out);
        }
    }

    /// Bursts for two seconds of the clock, and until nothing is owed; calls that left something owed.
    fn measure(&mut self, packets: &Packets) -> u64 {
        let mut all = packets.iter();
        let mut frames = [Frame::whole(&[], 0); BURST_CAPACITY];
        let (until, mut behind, mut level) = (self.now + 2 * SECOND, 0, true);
        while self.now < until || !level {
            self.now += STEP_NANOSECONDS;
            let mut count = fill(&mut frames, &mut all, self.now);
            if count == 0 {
                all = packets.iter();
                count = fill(&mut frames, &mut all, self.now);
            }
            let start = thread::cpu_time();
            self.shard.process(&frames[..count], 1, &mut self.out);
            let between = thread::cpu_time();
            level = self.shard.expire(self.now, self.budget, &mut self.out) == Hand::Level;
            let end = thread::cpu_time();
            behind += u64::from(!level);
            self.process.saturating_record((between - start).as_nanos() as u64);
            self.expire.saturating_record((end - between).as_nanos() as u64);
        }
        behind
    }

    fn report(&self, command: &Expiry, behind: u64) -> serde_json::Value {
        let terms = self.shard.terms();
        serde_json::json!({
            "way": "expiry",
            "fate": format!("{:?}", command.fate).to_lowercase(),
            "flows": command.flows,
            "looks": self.budget.looks,
            "evicted_flows": terms.evicted_flows,
            "open_flows": terms.open_flows,
            "calls_behind": behind,
            "process_nanoseconds": spread(&self.process),
            "expire_nanoseconds": spread(&self.expire),
        })
    }
}

/// The next packets into a burst: how many.
fn fill<'a>(
    frames: &mut [Frame<'a>; BURST_CAPACITY],
    packets: &mut impl Iterator<Item = &'a [u8]>,
    now: u64,
) -> usize {
    let mut count = 0;
    for (place, bytes) in frames.iter_mut().zip(packets) {
        *place = Frame::whole(bytes, now);
        count += 1;
    }
    count
}

fn spread(histogram: &Histogram<u64>) -> serde_json::Value {
    let at = |quantile| histogram.value_at_quantile(quantile);
    serde_json::json!({
        "calls": histogram.len(),
        "median": at(0.5),
        "p99": at(0.99),
        "p99.9": at(0.999),
        "max": histogram.max(),
        "sum": (histogram.mean() * histogram.len() as f64) as u64,
    })
}
