//! A few flows that have most of the packets, among many small ones that come and go: flat out as well, for the kernel makes all of them
//! of the copies of one frame.
//!
//! ```text
//!   Herd ─► Addresses: which flow each packet is of ─┬─► kernel/vary.rs: the same in the kernel, copy by copy of one frame
//!                                                    └─► Turns ─► frames, and the truth of what arrived
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::random::spread;
use super::{Burst, Impossible, Shot, Source};
use crate::craft::{Ethernet, checksum, packet, udp};
use crate::flows::Line;
use crate::kernel::bpf::COPIES_IN_ORDER;
use crate::kernel::vary::{Addresses, NUMBERS, WHOLE};

/// Ethernet, IPv4 and UDP.
const HEADERS_OCTETS: usize = 42;
const LINK_OCTETS: usize = 14;
/// Where IPv4 begins and ends in the frame.
const IP: std::ops::Range<usize> = LINK_OCTETS..34;
const UDP_CHECKSUM: usize = 40;
const FIRST_PORT: u16 = 1024;

/// UDP over IPv4, one way.
#[derive(Clone, Copy, Debug)]
pub struct Herd {
    /// Flows that go on to the end.
    pub elephants: u32,
    /// Packets of them, of all.
    pub share_percent: f64,
    /// Small flows at once.
    pub flows: u32,
    /// Packets of a small flow.
    pub packets_per_flow: u32,
    /// Octets of a frame without FCS.
    pub frame_octets: usize,
    /// Another seed gives other keys.
    pub seed: u64,
}

impl Herd {
    fn check(&self) -> Result<(), Impossible> {
        let in_range = |option, value: f64, least: f64, most: f64| {
            let fits = (least..=most).contains(&value);
            if fits { Ok(()) } else { Err(Impossible::OutOfRange { option, value, least, most }) }
        };
        in_range("--elephant-share", self.share_percent, 0.0, if self.elephants == 0 { 0.0 } else { 100.0 })?;
        in_range("--elephants", f64::from(self.elephants), 0.0, f64::from(NUMBERS / 2))?;
        in_range("--flows", f64::from(self.flows), 1.0, f64::from(NUMBERS / 2))?;
        in_range("--packets-per-flow", f64::from(self.packets_per_flow), 1.0, f64::from(i32::MAX))?;
        match self.frame_octets {
            0..HEADERS_OCTETS => {
                Err(Impossible::TooShort { frame_octets: self.frame_octets, least: HEADERS_OCTETS })
            }
            octets if octets - LINK_OCTETS > usize::from(u16::MAX) => {
                Err(Impossible::TooLong { frame_octets: self.frame_octets })
            }
            _ => Ok(()),
        }
    }

    /// Which flow each packet is of.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn addresses(&self) -> Result<Addresses, Impossible> {
        self.check()?;
        let mut header = self.frame()[IP].to_vec();
        header[13..16].fill(0);
        header[10..12].fill(0);
        Ok(Addresses {
            elephants: self.elephants,
            share: (self.share_percent * f64::from(WHOLE) / 100.0).round() as u32,
            flows: self.flows,
            packets_per_flow: self.packets_per_flow,
            mask: spread(self.seed, u64::MAX) as u32 & (NUMBERS - 1),
            header_sum: !checksum::internet(&[&header]),
        })
    }

    /// `burst`: most copies of the one frame in a row, which the kernel makes different; `None` = the frames themselves, one by one.
    /// Unless bounded by who sends, it ends when `loops` times all small flows have had their packets.
    ///
    /// # Errors
    /// When a parameter is out of its range. With a truth a burst has at most [`COPIES_IN_ORDER`].
    pub fn source(&self, burst: Option<u32>, loops: u64, with_truth: bool) -> Result<Elephants, Impossible> {
        let addresses = self.addresses()?;
        let most = f64::from(if with_truth { COPIES_IN_ORDER } else { u32::MAX });
        if let Some(burst) = burst.filter(|burst| *burst == 0 || f64::from(*burst) > most) {
            let (option, value) = ("--burst", f64::from(burst));
            return Err(Impossible::OutOfRange { option, value, least: 1.0, most });
        }
        let of_small = u64::from(self.flows) * u64::from(self.packets_per_flow);
        let others = u64::from(WHOLE - addresses.share);
        // Where all are elephants each has as many packets as a small flow would.
        let of_loop = match others {
            0 => u64::from(self.elephants) * u64::from(self.packets_per_flow),
            others => of_small.saturating_mul(u64::from(WHOLE)).div_ceil(others),
        };
        Ok(Elephants {
            herd: *self,
            frame: self.frame(),
            turns: Turns::new(addresses),
            burst,
            left: of_loop.saturating_mul(loops),
            arrived: with_truth.then(Vec::new),
        })
    }

    fn ends(&self, number: u32, mask: u32) -> (SocketAddr, SocketAddr) {
        let random = spread(self.seed, 0);
        let source = Ipv4Addr::from(10 << 24 | (number ^ mask));
        let [x, y] = (random as u16).to_be_bytes();
        let port = |bits: u64| FIRST_PORT + (bits as u16) % 64_000;
        let destination = Ipv4Addr::new(172, 16, x, y);
        ((source, port(random >> 16)).into(), (destination, port(random >> 32)).into())
    }

    /// The frame of flow 0 without a mask; no UDP checksum (RFC 768), for the source address would be in it.
    fn frame(&self) -> Vec<u8> {
        let (source, destination) = self.ends(0, 0);
        let payload = vec![0; self.frame_octets - HEADERS_OCTETS];
        let mut frame = Ethernet::default().frame(&packet(&udp(source, destination, &payload)));
        frame[UDP_CHECKSUM..UDP_CHECKSUM + 2].fill(0);
        frame
    }
}

/// The flows' numbers one after the other, as `kernel/vary.rs` has them.
#[derive(Clone, Copy, Debug)]
struct Turns {
    addresses: Addresses,
    credit: u32,
    elephant: u32,
    place: u32,
    pass: u32,
    base: u32,
}

impl Turns {
    fn new(addresses: Addresses) -> Self {
        Self { addresses, credit: 0, elephant: 0, place: 0, pass: 0, base: 0 }
    }

    fn next(&mut self) -> u32 {
        let Addresses { elephants, share, flows, packets_per_flow, .. } = self.addresses;
        self.credit += share;
        if self.credit >= WHOLE {
            self.credit -= WHOLE;
            let number = self.elephant;
            self.elephant = (number + 1) % elephants;
            return number;
        }
        let number = elephants + self.base + self.place;
        self.place += 1;
        if self.place == flows {
            self.place = 0;
            self.pass += 1;
        }
        if self.pass == packets_per_flow {
            self.pass = 0;
            self.base += flows;
        }
        if self.base > self.addresses.last_base() {
            self.base = 0;
        }
        number
    }
}

/// A herd while it is sent.
#[derive(Clone, Debug)]
pub struct Elephants {
    herd: Herd,
    frame: Vec<u8>,
    turns: Turns,
    burst: Option<u32>,
    left: u64,
    /// By the number of the flow. 8 octets for each number so far: 134 MB when all have come.
    arrived: Option<Vec<u64>>,
}

impl Elephants {
    /// The frame of a flow, as the kernel makes it.
    fn write(&self, number: u32, octets: &mut Vec<u8>) -> u64 {
        let start = octets.len();
        octets.extend_from_slice(&self.frame);
        let ip = &mut octets[start..][IP];
        let (source, _) = self.herd.ends(number, self.turns.addresses.mask);
        let SocketAddr::V4(source) = source else { unreachable!("a herd is IPv4") };
        ip[12..16].copy_from_slice(&source.ip().octets());
        ip[10..12].fill(0);
        let sum = checksum::internet(&[ip]);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        (self.frame.len() - LINK_OCTETS) as u64
    }

    fn count(&mut self, number: usize) {
        let Some(arrived) = &mut self.arrived else { return };
        if arrived.len() <= number {
            arrived.resize(number + 1, 0);
        }
        arrived[number] += 1;
    }
}

impl Source for Elephants {
    fn fill(&mut self, burst: &mut Burst, most: u32) {
        burst.clear();
        let mut due = self.left.min(u64::from(most)) as u32;
        self.left -= u64::from(due);
        while due > 0 {
            let copies = self.burst.map_or(1, |burst| burst.min(due));
            due -= copies;
            let number = if self.burst.is_some() { 0 } else { self.turns.next() };
            burst.push(copies, Duration::ZERO, number as usize, |octets| self.write(number, octets));
        }
    }

    fn arrived(&mut self, _: &Burst, shot: &Shot, copies: u64) {
        if self.arrived.is_none() {
            return;
        }
        if self.burst.is_none() {
            return (0..copies).for_each(|_| self.count(shot.number));
        }
        // Of copies that go together the first arrive.
        for copy in 0..u64::from(shot.copies) {
            let number = self.turns.next() as usize;
            if copy < copies {
                self.count(number);
            }
        }
    }

    fn truth(&self) -> Box<dyn Iterator<Item = Line> + '_> {
        let layer2 = self.frame.len() as u64;
        let octets = layer2 - LINK_OCTETS as u64;
        let arrived = self.arrived.iter().flatten().zip(0..).filter(|(packets, _)| **packets > 0);
        Box::new(arrived.map(move |(packets, number)| {
            let (source, destination) = self.herd.ends(number, self.turns.addresses.mask);
            Line {
                source_ip_address: source.ip(),
                destination_ip_address: destination.ip(),
                source_transport_port: source.port(),
                destination_transport_port: destination.port(),
                protocol_identifier: 17,
                vlan_id: None,
                packet_delta_count: *packets,
                reverse_packet_delta_count: 0,
                octet_delta_count: packets * octets,
                reverse_octet_delta_count: 0,
                layer2_octet_delta_count: packets * layer2,
                reverse_layer2_octet_delta_count: 0,
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn herd() -> Herd {
        Herd { elephants: 10, share_percent: 90.0, flows: 50, packets_per_flow: 3, frame_octets: 60, seed: 1 }
    }

    fn numbers(herd: Herd, count: usize) -> Vec<u32> {
        let mut turns = Turns::new(herd.addresses().unwrap());
        (0..count).map(|_| turns.next()).collect()
    }

    #[test]
    fn the_share_is_exact_in_every_thousand_and_the_elephants_have_alike() {
        for (share_percent, of_thousand) in [(90.0, 900), (12.3, 123), (0.0, 0), (100.0, 1000)] {
            for packets in numbers(Herd { share_percent, ..herd() }, 10_000).chunks(1000) {
                assert_eq!(packets.iter().filter(|number| **number < 10).count(), of_thousand);
            }
        }
        let packets = numbers(herd(), 10_000);
        assert!((0..10).all(|elephant| packets.iter().filter(|number| **number == elephant).count() == 900));
    }

    #[test]
    fn a_small_flow_has_its_packets_and_never_comes_again() {
        let packets = numbers(Herd { share_percent: 50.0, ..herd() }, 2 * 50 * 3 * 7);
        let small: Vec<u32> = packets.into_iter().filter(|number| *number >= 10).collect();
        for (window, packets) in (0..).zip(small.chunks(150)) {
            let first = 10 + window * 50;
            let expected: Vec<u32> = (0..3).flat_map(|_| first..first + 50).collect();
            assert_eq!(packets, expected);
        }
        // Until there are no more numbers.
        let herd =
            Herd { flows: NUMBERS / 2, packets_per_flow: 1, share_percent: 0.0, elephants: 1, ..herd() };
        let mut turns = Turns::new(herd.addresses().unwrap());
        assert_eq!((turns.next(), turns.addresses.last_base()), (1, NUMBERS / 2 - 1));
        let rest = (1..NUMBERS / 2).map(|_| turns.next());
        assert_eq!(rest.last(), Some(NUMBERS / 2));
        assert_eq!(turns.next(), 1);
    }

    #[test]
    fn truth_has_the_first_of_those_that_went_together() {
        let mut elephants = herd().source(Some(16), u64::MAX, true).unwrap();
        let mut burst = Burst::default();
        let mut expected = vec![0; 64];
        let mut turns = Turns::new(herd().addresses().unwrap());
        for taken in [16, 0, 5] {
            elephants.fill(&mut burst, 16);
            let [shot] = burst.shots() else { panic!("{burst:?}") };
            elephants.arrived(&burst, shot, taken);
            for copy in 0..16 {
                expected[turns.next() as usize] += u64::from(copy < taken);
            }
        }
        let lines: Vec<u64> = elephants.truth().map(|line| line.packet_delta_count).collect();
        expected.retain(|packets| *packets > 0);
        assert_eq!(lines, expected);
    }

    #[test]
    fn every_frame_is_a_sound_packet_of_its_flow() {
        let mut elephants = herd().source(None, 1, true).unwrap();
        let mut burst = Burst::default();
        elephants.fill(&mut burst, 2000);
        // 150 packets of small flows are a tenth of all.
        assert_eq!(burst.shots().len(), 1500);
        for shot in burst.shots() {
            let frame = burst.frame(shot);
            assert_eq!((frame.len(), checksum::internet(&[&frame[IP]])), (60, 0));
            elephants.arrived(&burst, shot, 1);
        }
        let truth: Vec<Line> = elephants.truth().collect();
        assert_eq!(truth.iter().map(|line| line.packet_delta_count).sum::<u64>(), 1500);
        assert_eq!(truth.len(), 60);
    }

    #[test]
    fn what_cannot_be_is_named_with_its_bounds() {
        for (herd, words) in [
            (Herd { share_percent: 101.0, ..herd() }, "--elephant-share 101: it must be from 0 to 100"),
            (Herd { elephants: 0, ..herd() }, "--elephant-share 90: it must be from 0 to 0"),
            (Herd { flows: 0, ..herd() }, "--flows 0"),
            (Herd { packets_per_flow: 0, ..herd() }, "--packets-per-flow 0"),
            (Herd { frame_octets: 41, ..herd() }, "--frame-size 41"),
        ] {
            let error = herd.source(None, 1, false).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
        let error = herd().source(Some(17), 1, true).unwrap_err().to_string();
        assert!(error.starts_with("--burst 17: it must be from 1 to 16"), "{error}");
    }
}
