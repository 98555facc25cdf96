//! The worker threads: each on its core, with its sources, its shard and its way out.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use xsk::wait::Wake;

use super::control::{Failures, LiveControl, Stop};
use crate::config::{Error, Flows};
use crate::flow::{Cache, Settings, Shunts};
use crate::meter::Shard;
use crate::source::Source;
use crate::source::xdp::shunt::Shunt;
use crate::survive::file::{OutMemory, ShardMemory};
use crate::worker::{Clock, Handover, Outlet, Wait, WhenFull, Worker};

/// Workers have said their last within this after the order to stop: see `control::WRITE_MOST`, and a moment to give up.
const WORKERS_MOST: Duration = Duration::from_secs(5);

/// What a worker is given.
pub(super) struct Post {
    /// Where its packets come from.
    pub sources: Vec<Box<dyn Source>>,
    /// Its core, where it is pinned.
    pub core: Option<usize>,
    /// Its ends to the others.
    pub handover: Handover,
}

/// The worker threads.
pub(super) struct Crew {
    threads: Vec<JoinHandle<()>>,
    wakes: Vec<Wake>,
}

impl Crew {
    /// Starts a worker on each post, and returns once every one of them has its flow cache.
    pub(super) fn start(
        posts: Vec<(Post, ShardMemory, OutMemory)>,
        (clock, wait): (Clock, Wait),
        (settings, shunt): (&Settings, Option<(u64, Shunt)>),
        (stop, failures): (&Stop, &Failures),
    ) -> Result<Self, super::Error> {
        let settings = *settings;
        let when_full = if clock == Clock::OfPackets { WhenFull::Wait } else { WhenFull::Discard };
        let mut crew = Self { threads: Vec::new(), wakes: Vec::new() };
        let (made, all_made) = std::sync::mpsc::channel::<()>();
        for (number, (Post { sources, core, handover }, mut shard, out)) in (0..).zip(posts) {
            let made = made.clone();
            crew.wakes.push(handover.wake().clone());
            let mut control = LiveControl::new(stop, failures, clock);
            let shunt = shunt.clone();
            let body = move || {
                pin(core);
                // Made here: memory of the process's own is touched first, and so lies next to its core.
                let shunts = shunt.zip(shard.shunts.take());
                let shunts = shunts.map(|((threshold, shunt), memory)| Shunts::new(shunt, threshold, memory));
                let shard = Shard::new(number, &settings, shard).with_shunts(shunts);
                let outlet = Outlet::new(out, when_full, handover);
                describe(number, &shard, &settings);
                drop(made);
                let worker = Worker::new(shard, outlet, clock);
                worker.waiting(wait).run(sources, &mut control);
            };
            let name = format!("worker-{number}");
            let thread = std::thread::Builder::new().name(name).spawn(body).map_err(super::Error::Thread)?;
            crew.threads.push(thread);
        }
        // Touching some hundred megabytes takes longer than a ring lasts: no door opens before. This ends when every
        // worker has dropped its end, by a panic too.
        drop(made);
        let _every_end_is_dropped = all_made.recv();
        Ok(crew)
    }

    /// Wakes all and waits for their end.
    pub(super) fn join(self) -> Parted {
        self.wakes.iter().for_each(Wake::wake);
        let until = Instant::now() + WORKERS_MOST;
        let mut parted = Parted { panicked: false, stuck: Vec::new() };
        for (worker, thread) in self.threads.into_iter().enumerate() {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            if thread.is_finished() {
                parted.panicked |= thread.join().is_err();
            } else {
                parted.stuck.push(worker);
            }
        }
        parted
    }
}

/// How the workers ended.
pub(super) struct Parted {
    /// One of them did by a panic.
    pub panicked: bool,
    /// Those that have not: they end with the process.
    pub stuck: Vec<usize>,
}

/// Whether the caches fit into so many octets: an allocation that fails ends the process, and one that succeeds and is then
/// touched may end another.
pub(super) fn check_memory(flows: Flows, workers: usize, available: u64) -> Result<(), Error> {
    let octets = Cache::octets_for(&shard_settings(flows, workers)).saturating_mul(workers.max(1)) as u64;
    if octets <= available {
        return Ok(());
    }
    let buckets = flows.buckets.map_or(String::new(), |buckets| format!(" -w {buckets}"));
    let options = format!("-M {}{buckets}", flows.capacity);
    Err(Error::Memory { options, needed: octets >> 20, available: available >> 20 })
}

/// An equal part of the cache for each shard.
pub(super) fn shard_settings(flows: Flows, workers: usize) -> Settings {
    let workers = workers.max(1);
    Settings {
        active_timeout: flows.active_timeout,
        active_perturbation: flows.active_perturbation,
        idle_timeout: flows.idle_timeout,
        capacity: flows.capacity.div_ceil(workers),
        hash_size: flows.buckets.map(|buckets| buckets.div_ceil(workers)),
        observation_domain_id: super::OBSERVATION_DOMAIN_ID,
    }
}

/// What `-M` and `-w` amount to: a hint that was given is answered.
fn describe(worker: u16, shard: &Shard, settings: &Settings) {
    let (flows, buckets) = (settings.capacity, shard.cache().bucket_count());
    let megabytes = shard.cache().memory_octets() >> 20;
    match settings.hash_size {
        Some(_) => {
            tracing::info!("worker {worker}: {flows} flows in {buckets} buckets of 16, {megabytes} MB")
        }
        None => tracing::debug!("worker {worker}: {flows} flows in {buckets} buckets of 16, {megabytes} MB"),
    }
}

fn pin(core: Option<usize>) {
    if let Some(id) = core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        tracing::warn!("cannot pin a worker to core {id}: it runs where the scheduler puts it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_beyond_the_memory_is_refused_before_it_is_allocated() {
        let second = Duration::from_secs(1);
        let flows = |capacity| Flows {
            active_timeout: second,
            active_perturbation: Duration::ZERO,
            idle_timeout: second,
            capacity,
            buckets: None,
        };
        let message = check_memory(flows(1 << 28), 2, 8 << 30).unwrap_err().to_string();
        assert!(message.contains("-M 268435456") && message.contains("8192 MB are available"), "{message}");
        check_memory(flows(1 << 18), 2, 8 << 30).unwrap();
    }
}
