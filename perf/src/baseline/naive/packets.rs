//! Packets one behind the other in memory, as a capture file has them.

use std::net::Ipv4Addr;

use crate::traffic::random::Random;
use crate::traffic::{Burst, Impossible, Mix, Model, Source};

/// How many packets flows have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sizes {
    /// Bounded Pareto, alpha 1.1: most have one or two, the largest 65,536.
    Pareto,
    /// Four each.
    Even,
}

const LARGEST: f64 = 65_536.0;
const ALPHA: f64 = 1.1;

/// Between two packets that have no times of their own: 1 Mpps.
const STEP_NANOSECONDS: u64 = 1_000;

/// Frames taken from a mix at a time.
const BURST: u32 = 1024;

/// Frames of one length, in an order.
#[derive(Debug)]
pub struct Packets {
    octets: Vec<u8>,
    frame_octets: usize,
    /// Nanoseconds since the first; empty = one each microsecond.
    times: Vec<u64>,
}

/// The inverse of the bounded Pareto distribution's function, from 1 on.
fn pareto(random: &mut Random) -> usize {
    let bound = LARGEST.powf(-ALPHA);
    (bound + random.unit() * (1.0 - bound)).powf(-1.0 / ALPHA) as usize
}

fn shuffle(order: &mut [u32], random: &mut Random) {
    for place in (1..order.len()).rev() {
        order.swap(place, random.below(place as u32 + 1) as usize);
    }
}

impl Packets {
    /// Every flow of the model with as many packets, shuffled: those that follow each other are of other flows, as on a wire
    /// with many of them. Either direction at random.
    ///
    /// # Errors
    /// As [`Model::traffic`].
    pub fn of(model: &Model, sizes: Sizes) -> Result<Self, Impossible> {
        let traffic = model.traffic()?;
        let mut random = Random::seeded(model.seed);
        let mut order = Vec::new();
        for flow in 0..model.flows {
            let size = if sizes == Sizes::Even { 4 } else { pareto(&mut random) };
            order.extend(std::iter::repeat_n(flow, size));
        }
        shuffle(&mut order, &mut random);
        let mut octets = Vec::with_capacity(order.len() * model.frame_octets);
        for flow in order {
            octets.extend_from_slice(traffic.frame(2 * flow as usize + random.below(2) as usize));
        }
        Ok(Self { octets, frame_octets: model.frame_octets, times: Vec::new() })
    }

    /// All packets of one loop of a mix, in their order and at their times.
    ///
    /// # Errors
    /// As [`Mix::stream`]; when its frames have not all one length, as those of 60 octets have.
    pub fn mixed(mix: &Mix) -> Result<Self, Impossible> {
        let mut stream = mix.stream(1, false)?;
        let frame_octets = mix.frame_size.longest();
        let (mut octets, mut times, mut burst) = (Vec::new(), Vec::new(), Burst::default());
        loop {
            stream.fill(&mut burst, BURST);
            if burst.shots().is_empty() {
                return Ok(Self { octets, frame_octets, times });
            }
            for shot in burst.shots() {
                let frame = burst.frame(shot);
                if frame.len() != frame_octets {
                    return Err(Impossible::SeveralLengths { frame_octets, other: frame.len() });
                }
                octets.extend_from_slice(frame);
                times.push(shot.time.as_nanos() as u64);
            }
        }
    }

    /// So many flows of UDP, each as often as every other, shuffled anew each time all had a packet: about `count` packets, and each flow at
    /// least once. Needs no memory beside the packets' own, so that there is room for many flows. 60 octets, no checksums.
    #[must_use]
    pub fn uniform(flows: u32, count: usize) -> Self {
        const OCTETS: usize = 60;
        let mut random = Random::seeded(1);
        let template =
            Model::small_datagrams(1).traffic().map(|traffic| traffic.frame(0).to_vec()).unwrap_or_default();
        let turns = (count / flows.max(1) as usize).max(1);
        let mut order: Vec<u32> = (0..flows).collect();
        let mut octets = Vec::with_capacity(order.len() * turns * OCTETS);
        for _ in 0..turns {
            shuffle(&mut order, &mut random);
            for flow in &order {
                let start = octets.len();
                octets.extend_from_slice(&template);
                address(&mut octets[start..], *flow, random.below(2) == 0);
            }
        }
        Self { octets, frame_octets: OCTETS, times: Vec::new() }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.octets.len() / self.frame_octets
    }

    /// In their order.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, u8> {
        self.octets.chunks_exact(self.frame_octets)
    }

    /// When the packet with this number comes, in nanoseconds since the first.
    #[must_use]
    pub fn time(&self, number: usize) -> u64 {
        self.times.get(number).copied().unwrap_or(number as u64 * STEP_NANOSECONDS)
    }
}

/// Gives a frame of UDP over IPv4 the addresses and ports of a flow.
fn address(frame: &mut [u8], flow: u32, forward: bool) {
    let spread = flow.wrapping_mul(0x9e37_79b1);
    let client = (Ipv4Addr::from(0x0a00_0000 | (flow & 0x00ff_ffff)), 1024 + (spread >> 17) as u16);
    let server = (Ipv4Addr::from(0xac10_0000 | (spread & 0x3fff)), 443);
    let (source, destination) = if forward { (client, server) } else { (server, client) };
    frame[26..30].copy_from_slice(&source.0.octets());
    frame[30..34].copy_from_slice(&destination.0.octets());
    frame[34..36].copy_from_slice(&source.1.to_be_bytes());
    frame[36..38].copy_from_slice(&destination.1.to_be_bytes());
}
