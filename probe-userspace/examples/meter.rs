//! What a packet costs in a shard: bursts of 64 frames over so many flows, from memory, no kernel.
//!
//!     cargo run --release --example meter [-- DIR]
//!
//! Prints nanoseconds a packet, the fastest of several rounds (the others were disturbed), for a flow cache in memory of the
//! process's own, and for one in a file below DIR (tmpfs) that outlives a kill.

use std::time::{Duration, Instant};

use flow_wire::record::FlowRecord;
use flow_wire::stamp::{Epoch, ProbeId};
use probe::flow::{Cache, Records, Settings};
use probe::meter::{Given, Owners, Shard};
use probe::packet::Packet;
use probe::source::{BURST_CAPACITY, Frame, LinkLayer};
use probe::survive::directory::Own;
use probe::survive::{Directory, Owner, Parts, Shape};
use uuid::Uuid;

const ROUNDS: u32 = 15;
const BURSTS: usize = 20_000;

const SETTINGS: Settings = Settings {
    active_timeout: Duration::from_secs(120),
    idle_timeout: Duration::from_secs(30),
    capacity: 1 << 18,
    hash_size: None,
    observation_domain_id: 1,
};

/// Takes everything, keeps nothing.
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

/// A UDP packet of 28 octets of this flow.
fn udp(flow: u32) -> Vec<u8> {
    let [_, a, b, c] = flow.to_be_bytes();
    let mut bytes = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, a, b, c, 192, 0, 2, 2];
    bytes.extend([0x30, 0x39, 0, 53, 0, 8, 0, 0]);
    bytes
}

fn nanoseconds_a_packet(shard: &mut Shard, flows: u32) -> f64 {
    let packets: Vec<_> = (0..flows).map(udp).collect();
    let mut out = Nowhere(0);
    let mut next = 0;
    let mut fastest = f64::MAX;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..BURSTS {
            let frames: [Frame<'_>; BURST_CAPACITY] = std::array::from_fn(|at| {
                // A step that visits all flows and none of their neighbours.
                let flow = (next + at * 7_919) % packets.len();
                Frame {
                    bytes: &packets[flow],
                    further_octets: 0,
                    original_octets: 28,
                    timestamp_nanoseconds: 1_700_000_000_000_000_000,
                    link_layer: LinkLayer::Ip,
                    stripped_vlan: None,
                }
            });
            next = (next + BURST_CAPACITY * 7_919) % packets.len();
            shard.process(&frames, 1, &mut out);
        }
        let packets = (BURSTS * BURST_CAPACITY) as f64;
        fastest = fastest.min(begin.elapsed().as_nanos() as f64 / packets);
    }
    fastest
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shape = Shape { buckets: Cache::buckets_for(&SETTINGS), ring: 1 };
    for flows in [1_000, 100_000] {
        let mut shard = Shard::new(0, &SETTINGS, Parts::anonymous(shape)?.shard);
        println!("{flows} flows, own memory: {:.1} ns", nanoseconds_a_packet(&mut shard, flows));
        let Some(base) = std::env::args().nth(1) else { continue };
        let probe = ProbeId(Uuid::from_u128(1));
        let directory = Directory::open(base.as_ref(), probe)?;
        let epoch = Epoch(Uuid::from_u128(2));
        let owner = Owner { probe, epoch, epoch_start_nanoseconds: 0, worker: 0, observation_domain_id: 1 };
        let mut own = Own::default();
        let mut shard = Shard::new(0, &SETTINGS, directory.make(owner, shape, &mut own)?.shard);
        println!("{flows} flows, file:       {:.1} ns", nanoseconds_a_packet(&mut shard, flows));
        own.end(true);
    }
    Ok(())
}
