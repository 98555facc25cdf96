//! Traffic as a link between clients and servers carries it: flow sizes with a heavy tail, TCP with its handshakes and
//! ends, UDP and ICMP echo, hosts by popularity.
//!
//! ```text
//!   Mix ──► Stream: arrivals of flows ──► Flow: its packets ──► Links: octets
//!           stream.rs, sizes.rs, key.rs   flow.rs               frame.rs
//!             └─► Truth: sums per key, of what arrived (truth.rs)
//! ```
//!
//! One seed gives the same octets on every machine. A key may be used again by a later flow, so the truth is the sum of
//! all flows that had it; a meter's records of one key, however it cuts them, must add up to that.

mod flow;
mod frame;
mod key;
mod sizes;
mod stream;
#[cfg(test)]
mod tests;
mod truth;

use std::str::FromStr;

pub use sizes::Law;
pub use stream::Stream;

use self::flow::FRAME_LEAST_OCTETS;
use self::key::{ENDS_MAX, Protocol};
use super::Impossible;
use super::random::Random;

/// Length of the frames, without FCS, VLAN tag included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameSize {
    /// All the same.
    Fixed(usize),
    /// Of twelve, seven with 60 octets, four with 590, one with 1514.
    Imix,
}

impl FrameSize {
    const IMIX_LONGEST: usize = 1514;

    /// Octets of the longest.
    #[must_use]
    pub fn longest(self) -> usize {
        match self {
            Self::Fixed(octets) => octets,
            Self::Imix => Self::IMIX_LONGEST,
        }
    }
}

impl std::fmt::Display for FrameSize {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(octets) => write!(formatter, "{octets}"),
            Self::Imix => formatter.write_str("imix"),
        }
    }
}

impl FromStr for FrameSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "imix" => Ok(Self::Imix),
            number => number.parse().map(Self::Fixed).map_err(|_| "give a number of octets, or imix"),
        }
    }
}

/// Which part of the flows each transport has; weights, so that they need not add up to 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transports {
    /// TCP.
    pub tcp: f64,
    /// UDP.
    pub udp: f64,
    /// ICMP echo.
    pub icmp: f64,
}

impl FromStr for Transports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut transports = Self { tcp: 0.0, udp: 0.0, icmp: 0.0 };
        for part in text.split(',') {
            let weight = part.split_once('=').and_then(|(name, weight)| Some((name, weight.parse().ok()?)));
            match weight.filter(|(_, weight): &(_, f64)| weight.is_finite() && *weight >= 0.0) {
                Some(("tcp", weight)) => transports.tcp = weight,
                Some(("udp", weight)) => transports.udp = weight,
                Some(("icmp", weight)) => transports.icmp = weight,
                _ => {
                    return Err(format!("{part:?} is none of tcp=, udp=, icmp= with a number of at least 0"));
                }
            }
        }
        if transports.tcp + transports.udp + transports.icmp > 0.0 {
            return Ok(transports);
        }
        Err("one of them must be above 0".to_owned())
    }
}

impl Transports {
    fn draw(self, random: &mut Random) -> Protocol {
        let point = random.unit() * (self.tcp + self.udp + self.icmp);
        if point <= self.tcp {
            Protocol::Tcp
        } else if point <= self.tcp + self.udp {
            Protocol::Udp
        } else {
            Protocol::Echo
        }
    }
}

/// A mix, by its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Flows of a loop.
    pub flows: u32,
    /// How many packets they have.
    pub sizes: Law,
    /// Exponent of Pareto and Zipf.
    pub alpha: f64,
    /// Most packets of a flow by Pareto or Zipf.
    pub packets_max: u32,
    /// Packets of each, where all have the same.
    pub packets_per_flow: u32,
    /// What they are.
    pub transports: Transports,
    /// Of TCP flows, how many end by RST.
    pub resets_percent: f64,
    /// Hosts that begin flows; the most active first, by 1/rank.
    pub clients: u32,
    /// Hosts that are asked; the most popular first, by 1/rank.
    pub servers: u32,
    /// Median duration of flows of several packets.
    pub duration_seconds: f64,
    /// Deviation of the logarithm of durations.
    pub duration_sigma: f64,
    /// How many begin, on average.
    pub flows_per_second: f64,
    /// How many packets of a flow, and how many flows, come together on average; 1 = each by itself.
    pub burstiness: f64,
    /// Length of frames with data. Others are the shortest that Ethernet has, and none is shorter than its headers.
    pub frame_size: FrameSize,
    /// Of all flows, how many are IPv6.
    pub ipv6_percent: f64,
    /// VLAN tag of every frame.
    pub vlan: Option<u16>,
    /// Another seed gives other flows; loop `n` of a mix is that of seed + n.
    pub seed: u64,
}

impl Mix {
    /// What figures are taken with: the defaults of `gannet-replay --mix` in frames of 60 octets, and 50,000 flows that begin in a second, which
    /// makes about a million packets a second.
    #[must_use]
    pub fn measured(flows: u32) -> Self {
        Self {
            flows,
            sizes: Law::Pareto,
            alpha: 1.1,
            packets_max: 1_000_000,
            packets_per_flow: 10,
            transports: Transports { tcp: 80.0, udp: 18.0, icmp: 2.0 },
            resets_percent: 5.0,
            clients: 65_536,
            servers: 16_384,
            duration_seconds: 1.0,
            duration_sigma: 1.5,
            flows_per_second: 50_000.0,
            burstiness: 1.0,
            frame_size: FrameSize::Fixed(60),
            ipv6_percent: 0.0,
            vlan: None,
            seed: 1,
        }
    }

    /// Its packets, loop by loop.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn stream(&self, loops: u64, with_truth: bool) -> Result<Stream, Impossible> {
        self.check()?;
        Ok(Stream::new(*self, loops, with_truth))
    }

    fn check(&self) -> Result<(), Impossible> {
        in_range("--alpha", self.alpha, 0.1, 10.0)?;
        in_range("--packets-max", f64::from(self.packets_max), 1.0, self.most_packets())?;
        in_range("--packets-per-flow", f64::from(self.packets_per_flow), 1.0, f64::from(u32::MAX))?;
        in_range("--resets", self.resets_percent, 0.0, 100.0)?;
        in_range("--clients", f64::from(self.clients), 1.0, f64::from(ENDS_MAX))?;
        in_range("--servers", f64::from(self.servers), 1.0, f64::from(ENDS_MAX))?;
        in_range("--duration", self.duration_seconds, 0.0, 3600.0)?;
        in_range("--duration-sigma", self.duration_sigma, 0.0, 10.0)?;
        in_range("--flows-per-second", self.flows_per_second, 0.001, 1e9)?;
        in_range("--burstiness", self.burstiness, 1.0, 1e6)?;
        in_range("--ipv6-share", self.ipv6_percent, 0.0, 100.0)?;
        if let FrameSize::Fixed(octets) = self.frame_size {
            // IPv6 counts 65,535 octets behind its header, IPv4 with it.
            in_range("--frame-size", octets as f64, FRAME_LEAST_OCTETS as f64, 65_535.0 + 14.0)?;
        }
        match self.vlan {
            Some(vlan @ 4095..) => Err(Impossible::Vlan { vlan }),
            _ => Ok(()),
        }
    }

    /// Zipf has a table of 8 octets per size.
    fn most_packets(&self) -> f64 {
        match self.sizes {
            Law::Zipf => f64::from(1 << 20),
            Law::Pareto | Law::Fixed => f64::from(u32::MAX),
        }
    }
}

fn in_range(option: &'static str, value: f64, least: f64, most: f64) -> Result<(), Impossible> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Impossible::OutOfRange { option, value, least, most })
}
