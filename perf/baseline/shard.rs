//! The probe's shard over packets in memory: parse, hash, look up, update, and the hand that looks for flows that are due.

use std::path::Path;
use std::time::Duration;

use flow_wire::record::FlowRecord;
use flow_wire::stamp::{Epoch, ProbeId};
use perf::baseline::naive::Packets;
use probe::flow::{Cache, Records, Settings};
use probe::meter::{Given, Owners, Shard};
use probe::packet::Packet;
use probe::source::{BURST_CAPACITY, Frame};
use probe::survive::directory::Own;
use probe::survive::{Directory, Owner, Parts, Shape};
use probe::worker::EXPIRY;
use uuid::Uuid;

const START_NANOSECONDS: u64 = 1_700_000_000_000_000_000;

const PROBE: ProbeId = ProbeId(Uuid::nil());

/// A shard and its clock.
pub(crate) struct Meter {
    shard: Shard,
    /// When the first packet comes of those that are added next.
    start: u64,
    out: Nowhere,
}

/// Counts records and keeps none.
struct Nowhere(u64);

impl Records for Nowhere {
    fn record(&mut self, _record: FlowRecord) {
        self.0 += 1;
    }

    fn sequence(&self) -> u64 {
        self.0
    }

    fn room(&self) -> usize {
        usize::MAX
    }
}

impl Owners for Nowhere {
    fn owns(&self, _packet: &Packet) -> bool {
        true
    }

    fn give(&mut self, _packet: &Packet) -> Given {
        Given::Own
    }
}

impl Meter {
    /// With room for so many flows, and time-outs that no run here reaches: the naive tables have none.
    /// `memory`: a folder of a tmpfs or hugetlbfs, for a flow cache that outlives a kill; else it is memory of this process's own.
    pub(crate) fn new(flows: usize, memory: Option<&Path>) -> anyhow::Result<Self> {
        let day = Duration::from_secs(86_400);
        let settings = Settings {
            active_timeout: day,
            active_perturbation: Duration::ZERO,
            idle_timeout: day,
            capacity: flows,
            hash_size: None,
            observation_domain_id: 1,
        };
        let shape = Shape { buckets: Cache::buckets_for(&settings), ring: 1, places: 0 };
        let own = Own::default();
        let parts = match memory {
            Some(base) => lasting(base, shape, &own)?,
            None => Parts::anonymous(shape)?,
        };
        // It stays mapped without its name.
        own.end(true);
        if let Some(base) = memory {
            std::fs::remove_dir(base.join(PROBE.0.to_string()))?;
        }
        let shard = Shard::new(0, &settings, parts.shard);
        Ok(Self { shard, start: START_NANOSECONDS, out: Nowhere(0) })
    }

    /// Meters them, a burst at a time: as on an interface one has one time, that of its first packet.
    pub(crate) fn add(&mut self, packets: &Packets) {
        let mut all = packets.iter();
        let mut done = 0;
        loop {
            let now = self.start + packets.time(done);
            let mut frames = [Frame::whole(&[], 0); BURST_CAPACITY];
            let mut count = 0;
            for (place, bytes) in frames.iter_mut().zip(all.by_ref().take(BURST_CAPACITY)) {
                *place = Frame::whole(bytes, now);
                count += 1;
            }
            if count == 0 {
                break;
            }
            done += count;
            self.shard.process(&frames[..count], 1, &mut self.out);
            self.shard.expire(now, EXPIRY, &mut self.out);
        }
        // The next ones come behind these.
        self.start += packets.time(done.saturating_sub(1)) + 1;
    }

    /// Flows that are open, and packets metered.
    pub(crate) fn totals(&self) -> (usize, u64) {
        (self.shard.cache().open_flows(), self.shard.cache().metered().packets)
    }

    /// Records written: of flows that TCP ended, or that a full bucket pushed out.
    pub(crate) fn records(&self) -> u64 {
        self.out.0
    }
}

fn lasting(base: &Path, shape: Shape, own: &Own) -> anyhow::Result<Parts> {
    let owner = Owner {
        probe: PROBE,
        epoch: Epoch(Uuid::nil()),
        epoch_start_nanoseconds: 0,
        worker: 0,
        files: 1,
        ring_slots: 0,
        observation_domain_id: 1,
    };
    Ok(Directory::open(base, owner.probe)?.make(owner, shape, own)?)
}
