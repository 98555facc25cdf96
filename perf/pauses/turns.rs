//! What the times of the stages cost: the worker's loop over packets in memory, with its stopwatch and without. For callgrind
//! (instructions of `Worker::run` by the packets), and for whoever wants to see the table.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use flow_wire::ledger::{Amount, QueueTerms};
use perf::baseline::naive::{Packets, Sizes};
use probe::flow::{Cache, Settings};
use probe::meter::Shard;
use probe::source::{BURST_CAPACITY, Error, Frame, ObservationPoint, Source, State};
use probe::survive::{Parts, Shape};
use probe::worker::{Clock, Control, Handover, Outlet, WhenFull, Worker};
use xsk::wait::Wake;

use crate::expiry::model;

/// The worker's loop, over packets in memory.
#[derive(Args)]
pub(crate) struct Turns {
    /// Flows
    #[arg(long, default_value_t = 20_000)]
    flows: u32,
    /// How often all packets come
    #[arg(long, default_value_t = 4)]
    rounds: usize,
    /// Without the times of the stages
    #[arg(long)]
    untimed: bool,
}

pub(crate) fn run(command: &Turns) -> anyhow::Result<serde_json::Value> {
    let packets = Arc::new(Packets::of(&model(command.flows, 1), Sizes::Pareto)?);
    let day = Duration::from_secs(86_400);
    let settings = Settings {
        active_timeout: day,
        active_perturbation: Duration::ZERO,
        idle_timeout: day,
        capacity: command.flows as usize,
        hash_size: None,
        observation_domain_id: 1,
    };
    let shape = Shape { buckets: Cache::buckets_for(&settings), ring: 1 << 15, places: 0 };
    let Parts { shard, out, lane } = Parts::anonymous(shape)?;
    // Nobody reads: what evictions and the end write is dropped.
    drop(lane);
    let outlet = Outlet::new(out, WhenFull::Discard, Handover::mesh(1)?.remove(0));
    let worker = Worker::new(Shard::new(0, &settings, shard), outlet, Clock::monotonic());
    let worker = if command.untimed { worker.untimed() } else { worker };
    let source = Memory::boxed(&packets, command.rounds);
    let start = Instant::now();
    worker.run(vec![source], &mut Patient);
    let all = (packets.count() * command.rounds) as f64;
    Ok(serde_json::json!({
        "way": "turns",
        "timed": !command.untimed,
        "packets": all,
        "nanoseconds": start.elapsed().as_nanos() as f64 / all,
    }))
}

/// All packets, so many times.
struct Memory {
    point: ObservationPoint,
    packets: Arc<Packets>,
    at: usize,
    left: usize,
    received: Amount,
}

impl Memory {
    fn boxed(packets: &Arc<Packets>, rounds: usize) -> Box<dyn Source> {
        let point = ObservationPoint { interface: "memory".into(), ingress_interface: 1, queue: 0 };
        let packets = Arc::clone(packets);
        Box::new(Self { point, packets, at: 0, left: rounds, received: Amount::ZERO })
    }
}

impl Source for Memory {
    fn observation_point(&self) -> &ObservationPoint {
        &self.point
    }

    fn receive(&mut self, now: u64, lend: &mut dyn FnMut(&[Frame<'_>])) -> Result<State, Error> {
        if self.left == 0 {
            return Ok(State::Ended);
        }
        let mut frames = [Frame::whole(&[], now); BURST_CAPACITY];
        let mut count = 0;
        let next = self.packets.iter().skip(self.at).take(BURST_CAPACITY);
        for (place, bytes) in frames.iter_mut().zip(next) {
            *place = Frame::whole(bytes, now);
            self.received += Amount::one(bytes.len() as u64);
            count += 1;
        }
        self.at += count;
        if self.at == self.packets.count() {
            (self.at, self.left) = (0, self.left - 1);
        }
        lend(&frames[..count]);
        Ok(State::Some)
    }

    fn wait(&mut self, _timeout: Duration) -> Result<(), Error> {
        Ok(())
    }

    fn terms(&mut self) -> Result<QueueTerms, Error> {
        Ok(QueueTerms { interface: "memory".into(), received: self.received, ..QueueTerms::default() })
    }
}

/// Lets the source come to its end.
struct Patient;

impl Control for Patient {
    fn is_stopping(&mut self) -> bool {
        false
    }

    fn wait(&mut self, _sources: &mut [Box<dyn Source>], _wake: &Wake, _timeout: Duration) {}

    fn broken(&mut self, error: Error) {
        eprintln!("{error}");
    }

    fn notice(&mut self, _sentence: String) {}
}
