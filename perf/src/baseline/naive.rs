//! The least that can be called metering: the 5-tuple of each packet, a hash map, two additions. No time-outs, no records.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use crate::traffic::random::Random;
use crate::traffic::{Impossible, Model};

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

/// Packets one behind the other in memory, as a capture file has them.
#[derive(Debug)]
pub struct Packets {
    octets: Vec<u8>,
    frame_octets: usize,
}

/// The inverse of the bounded Pareto distribution's function, from 1 on.
fn pareto(random: &mut Random) -> usize {
    let bound = LARGEST.powf(-ALPHA);
    (bound + random.unit() * (1.0 - bound)).powf(-1.0 / ALPHA) as usize
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
        for place in (1..order.len()).rev() {
            order.swap(place, random.below(place as u32 + 1) as usize);
        }
        let mut octets = Vec::with_capacity(order.len() * model.frame_octets);
        for flow in order {
            octets.extend_from_slice(traffic.frame(2 * flow as usize + random.below(2) as usize));
        }
        Ok(Self { octets, frame_octets: model.frame_octets })
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
}

/// A flow, whichever way its packets go.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    addresses: u64,
    ports: u32,
    protocol: u8,
}

impl Key {
    /// Of an IPv4 packet of UDP or TCP behind plain Ethernet.
    #[inline]
    fn of(frame: &[u8]) -> Option<Self> {
        if frame.get(12..14)? != [8, 0] {
            return None;
        }
        let ip = &frame[14..];
        let header = usize::from(ip.first()? & 15) * 4;
        let number = |at: usize| Some(u32::from_be_bytes(ip.get(at..at + 4)?.try_into().ok()?));
        let (source, destination, ports) = (number(12)?, number(16)?, number(header)?);
        let protocol = *ip.get(9)?;
        let joined = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        if source <= destination {
            return Some(Self { addresses: joined(source, destination), ports, protocol });
        }
        Some(Self { addresses: joined(destination, source), ports: ports.rotate_left(16), protocol })
    }
}

/// A table, and what it counted.
#[derive(Default)]
pub struct Table<S> {
    flows: HashMap<Key, (u64, u64), S>,
}

impl<S: BuildHasher + Default> Table<S> {
    /// Adds each packet to its flow.
    pub fn add(&mut self, packets: &Packets) {
        for frame in packets.iter() {
            let Some(key) = Key::of(frame) else { continue };
            let (packets, octets) = self.flows.entry(key).or_default();
            *packets += 1;
            *octets += frame.len() as u64;
        }
    }

    /// Flows and packets in it.
    #[must_use]
    pub fn totals(&self) -> (usize, u64) {
        (self.flows.len(), self.flows.values().map(|(packets, _)| packets).sum())
    }
}

/// A hash of three multiplications, as compilers' tables have it: who compares with the default of the library (SipHash, against
/// chosen keys) compares with the hash.
#[derive(Clone, Copy, Default)]
pub struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = self.0.wrapping_add(value).wrapping_mul(0xf135_7aea_2e62_a9c5);
        self.0 ^= self.0 >> 32;
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasherDefault, RandomState};

    use super::*;
    use crate::traffic::Transport;

    #[test]
    fn every_packet_is_added_to_its_flow_whichever_way_it_goes() {
        let (flows, transport) = (1000, Transport::Udp);
        let (frame_octets, seed) = (60, 1);
        let model = Model {
            flows,
            packets_per_flow: 2,
            frame_octets,
            ipv6: false,
            transport,
            vlan: None,
            seed,
            one_way: false,
        };
        for sizes in [Sizes::Even, Sizes::Pareto] {
            let packets = Packets::of(&model, sizes).unwrap();
            let mut quick = Table::<BuildHasherDefault<Quick>>::default();
            let mut standard = Table::<RandomState>::default();
            quick.add(&packets);
            standard.add(&packets);
            assert_eq!(quick.totals(), (1000, packets.count() as u64));
            assert_eq!(standard.totals(), quick.totals());
            assert!(packets.count() >= 1500, "{}", packets.count());
        }
    }
}
