//! The packets of a mix in the order of their times; only flows that are under way are in memory.
//!
//! ```text
//!   arrivals ──► flows under way, a queue by the time of their next packet ──► frame
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::flow::Flow;
use super::frame::Links;
use super::key::{Key, Protocol};
use super::sizes::{Sizes, Zipf};
use super::truth::Truth;
use super::{FrameSize, Mix};
use crate::flows::{Amount, Line};
use crate::traffic::random::{Random, exp};
use crate::traffic::{Burst, Shot, Source};

/// Ephemeral ports, as Linux has them (net.ipv4.ip_local_port_range): the first, and how many.
const CLIENT_PORTS: (u16, u32) = (32_768, 28_232);
/// Services over TCP, as often as they stand here.
const TCP_PORTS: [u16; 10] = [443, 443, 443, 443, 443, 443, 80, 80, 22, 25];
/// Services over UDP.
const UDP_PORTS: [u16; 10] = [53, 53, 53, 53, 443, 443, 443, 443, 123, 51_820];

/// Between two of a train: a full frame at 10 Gbit/s.
const TRAIN_GAP_NANOSECONDS: u64 = 1_200;
/// No flow has less between two packets on average: full frames at 600 Mbit/s, so that the largest last as they do.
const GAP_LEAST_NANOSECONDS: f64 = 20_000.0;
/// No flow is drawn to last longer: the tail of a log-normal would reach beyond the time stamps of a file.
const DURATION_MOST_SECONDS: f64 = 3_600.0;

/// The stream of random numbers that arrivals have; flow `n` has number `n`.
const ARRIVALS: u64 = u64::MAX - 1;

const NANOSECONDS: f64 = 1e9;

/// Times between events that come one by one, or in trains.
#[derive(Clone, Copy, Debug)]
struct Spacing {
    mean_nanoseconds: f64,
    /// Events of a train, on average.
    train: f64,
}

impl Spacing {
    fn draw(self, random: &mut Random) -> u64 {
        if self.train > 1.0 && random.unit() * self.train > 1.0 {
            return TRAIN_GAP_NANOSECONDS;
        }
        (random.exponential() * self.mean_nanoseconds * self.train) as u64
    }
}

/// When flows begin.
#[derive(Clone, Debug)]
struct Arrivals {
    random: Random,
    spacing: Spacing,
    /// The next flow's number, and when it begins.
    number: u32,
    time: u64,
}

/// A mix while it is sent.
#[derive(Clone, Debug)]
pub struct Stream {
    mix: Mix,
    links: Links,
    sizes: Sizes,
    clients: Zipf,
    servers: Zipf,
    /// That of the loop under way: each loop has other flows.
    seed: u64,
    loops_left: u64,
    arrivals: Arrivals,
    flows: Vec<Flow>,
    free: Vec<u32>,
    /// Time of the next packet, and of which flow.
    queue: BinaryHeap<Reverse<(u64, u32)>>,
    truth: Option<Truth>,
    /// Time of the last packet, in nanoseconds.
    now: u64,
}

impl Stream {
    /// At its beginning. The truth takes memory for every key, so it is kept only where it is wanted.
    pub(super) fn new(mix: Mix, loops: u64, with_truth: bool) -> Self {
        let mut stream = Self {
            links: Links::new(mix.vlan),
            sizes: Sizes::new(mix.sizes, mix.alpha, mix.packets_max, mix.packets_per_flow),
            clients: Zipf::new(mix.clients, 1.0),
            servers: Zipf::new(mix.servers, 1.0),
            seed: mix.seed,
            loops_left: loops,
            arrivals: arrivals(&mix, mix.seed, 0),
            flows: Vec::new(),
            free: Vec::new(),
            queue: BinaryHeap::new(),
            truth: with_truth.then(Truth::default),
            now: 0,
            mix,
        };
        stream.loops_left = stream.loops_left.saturating_sub(1);
        if loops == 0 {
            stream.arrivals.number = stream.mix.flows;
        }
        stream
    }

    /// The next packet, appended to the burst; `false` = all is sent.
    fn step(&mut self, burst: &mut Burst) -> bool {
        self.begin_flows();
        let Some(Reverse((time, index))) = self.queue.pop() else { return false };
        self.now = time;
        let flow = &mut self.flows[index as usize];
        let packet = flow.next(self.mix.frame_size, self.links.octets());
        let (key, number) = (flow.key, 2 * flow.slot + usize::from(!packet.forward));
        let links = &self.links;
        burst.push(1, Duration::from_nanos(time), number, |octets| links.write(key, &packet, octets));
        if flow.is_over() {
            self.free.push(index);
        } else {
            let spacing = Spacing { mean_nanoseconds: flow.gap_nanoseconds, train: self.mix.burstiness };
            let time = time + spacing.draw(&mut flow.random);
            self.queue.push(Reverse((time, index)));
        }
        true
    }

    /// Begins all flows that are due before the next packet of those under way.
    fn begin_flows(&mut self) {
        if self.queue.is_empty() && self.arrivals.number == self.mix.flows && self.loops_left > 0 {
            self.loops_left -= 1;
            self.seed = self.seed.wrapping_add(1);
            self.arrivals = arrivals(&self.mix, self.seed, self.now);
        }
        while self.arrivals.number < self.mix.flows {
            if self.queue.peek().is_some_and(|Reverse((time, _))| *time < self.arrivals.time) {
                break;
            }
            let flow = self.flow(self.arrivals.number);
            let index = self.place(flow);
            self.queue.push(Reverse((self.arrivals.time, index)));
            self.arrivals.number += 1;
            self.arrivals.time += self.arrivals.spacing.draw(&mut self.arrivals.random);
        }
    }

    fn place(&mut self, flow: Flow) -> u32 {
        if let Some(index) = self.free.pop() {
            self.flows[index as usize] = flow;
            return index;
        }
        self.flows.push(flow);
        (self.flows.len() - 1) as u32
    }

    /// Flow `number` of this loop: all of it follows from seed and number.
    fn flow(&mut self, number: u32) -> Flow {
        let mut random = Random::new(self.seed, u64::from(number));
        let key = self.key(&mut random);
        let packets = self.sizes.draw(&mut random);
        let resets = random.unit() * 100.0 <= self.mix.resets_percent;
        let duration = self.mix.duration_seconds * exp(self.mix.duration_sigma * random.normal());
        let mut flow = Flow::new(key, packets, resets, random);
        let gaps = f64::from(flow.packets().max(2) - 1);
        let gap = duration.min(DURATION_MOST_SECONDS) * NANOSECONDS / gaps;
        flow.gap_nanoseconds = gap.max(GAP_LEAST_NANOSECONDS);
        flow.slot = self.truth.as_mut().map_or(0, |truth| truth.slot(key));
        flow
    }

    fn key(&self, random: &mut Random) -> Key {
        let ranks = [self.clients.draw(random), self.servers.draw(random)];
        let protocol = self.mix.transports.draw(random);
        let ipv6 = random.unit() * 100.0 <= self.mix.ipv6_percent;
        let client_port = CLIENT_PORTS.0 + random.below(CLIENT_PORTS.1) as u16;
        let service = random.below(10) as usize;
        let ports = match protocol {
            Protocol::Tcp => [client_port, TCP_PORTS[service]],
            Protocol::Udp => [client_port, UDP_PORTS[service]],
            Protocol::Echo => [0, 0],
        };
        Key::new(self.seed, ranks, ports, protocol, ipv6)
    }
}

fn arrivals(mix: &Mix, seed: u64, time: u64) -> Arrivals {
    let mean_nanoseconds = NANOSECONDS / mix.flows_per_second;
    let spacing = Spacing { mean_nanoseconds, train: mix.burstiness };
    Arrivals { random: Random::new(seed, ARRIVALS), spacing, number: 0, time }
}

impl Source for Stream {
    fn fill(&mut self, burst: &mut Burst, most: u32) {
        burst.clear();
        for _ in 0..most {
            if !self.step(burst) {
                break;
            }
        }
    }

    fn arrived(&mut self, burst: &Burst, shot: &Shot, copies: u64) {
        let Some(truth) = &mut self.truth else { return };
        let layer2_octets = burst.frame(shot).len() as u64 * copies;
        let amount = Amount { packets: copies, octets: shot.ip_octets * copies, layer2_octets };
        truth.add(shot.number / 2, shot.number.is_multiple_of(2), amount);
    }

    fn truth(&self) -> Box<dyn Iterator<Item = Line> + '_> {
        match &self.truth {
            Some(truth) => Box::new(truth.lines(self.mix.vlan)),
            None => Box::new(std::iter::empty()),
        }
    }
}

impl FrameSize {
    /// Octets of the next frame of data.
    pub(super) fn draw(self, random: &mut Random) -> usize {
        match self {
            Self::Fixed(octets) => octets,
            Self::Imix => match random.below(12) {
                0..7 => 60,
                7..11 => 590,
                _ => Self::IMIX_LONGEST,
            },
        }
    }
}
