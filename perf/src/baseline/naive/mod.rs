//! The least that can be called metering: the 5-tuple of each packet, a hash map, two additions. No time-outs, no records.

mod packets;

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

pub use packets::{Packets, Sizes};

/// A flow, whichever way its packets go.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    addresses: u64,
    ports: u32,
    protocol: u8,
}

impl Key {
    /// Of an IPv4 packet behind plain Ethernet; only TCP and UDP have ports.
    #[inline]
    fn of(frame: &[u8]) -> Option<Self> {
        if frame.get(12..14)? != [8, 0] {
            return None;
        }
        let ip = &frame[14..];
        let header = usize::from(ip.first()? & 15) * 4;
        let number = |at: usize| Some(u32::from_be_bytes(ip.get(at..at + 4)?.try_into().ok()?));
        let (source, destination, protocol) = (number(12)?, number(16)?, *ip.get(9)?);
        let ports = if matches!(protocol, 6 | 17) { number(header)? } else { 0 };
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
    use crate::traffic::{Burst, Mix, Model, Source};

    fn agree(packets: &Packets, flows: usize) {
        let mut quick = Table::<BuildHasherDefault<Quick>>::default();
        let mut standard = Table::<RandomState>::default();
        quick.add(packets);
        standard.add(packets);
        assert_eq!(quick.totals(), (flows, packets.count() as u64));
        assert_eq!(standard.totals(), quick.totals());
    }

    #[test]
    fn every_packet_is_added_to_its_flow_whichever_way_it_goes() {
        for sizes in [Sizes::Even, Sizes::Pareto] {
            let packets = Packets::of(&Model::small_datagrams(1000), sizes).unwrap();
            agree(&packets, 1000);
            assert!(packets.count() >= 1500, "{}", packets.count());
        }
        agree(&Packets::uniform(1000, 20_000), 1000);
    }

    #[test]
    fn packets_of_a_mix_are_of_as_many_flows_as_the_mix_has_keys() {
        let mix = Mix::measured(1000);
        let mut whole = mix.stream(1, true).unwrap();
        let mut burst = Burst::default();
        loop {
            whole.fill(&mut burst, 64);
            if burst.shots().is_empty() {
                break;
            }
            for shot in burst.shots() {
                whole.arrived(&burst, shot, 1);
            }
        }
        agree(&Packets::mixed(&mix).unwrap(), whole.truth().count());
    }
}
