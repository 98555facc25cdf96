//! Traffic by numbers: so many flows of so many packets of one size, each flow with a key of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::random::spread;
use super::{OCTETS_MAX, Traffic};
use crate::craft::{Ethernet, Tag, flag, packet, tcp, udp};
use crate::flows::Line;

/// Flow numbers are three octets of the source address.
const FLOWS_MAX: u32 = 1 << 24;

/// Transport protocol of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// Without state.
    Udp,
    /// Every segment an ACK: no flow ends before the traffic does, so a key is one conversation however often it is
    /// repeated.
    Tcp,
}

/// Traffic by numbers.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Conversations, each with its own key.
    pub flows: u32,
    /// Packets of each, in both directions together.
    pub packets_per_flow: u32,
    /// Octets of a frame without FCS, VLAN tag included.
    pub frame_octets: usize,
    /// IPv6 instead of IPv4.
    pub ipv6: bool,
    /// Transport protocol.
    pub transport: Transport,
    /// VLAN tag of every frame.
    pub vlan: Option<u16>,
    /// Another seed gives other keys.
    pub seed: u64,
    /// No packets from destination to source.
    pub one_way: bool,
}

/// A model that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Impossible {
    /// No room for the headers.
    #[error("--frame-size {frame_octets}: the headers alone take {least}; give at least that")]
    TooShort {
        /// What was asked for.
        frame_octets: usize,
        /// What the headers take.
        least: usize,
    },
    /// More than an IP packet can be.
    #[error("--frame-size {frame_octets}: an IP packet has at most 65535 octets")]
    TooLong {
        /// What was asked for.
        frame_octets: usize,
    },
    /// More flows than keys.
    #[error("--flows {flows}: at most {FLOWS_MAX} have keys of their own")]
    TooManyFlows {
        /// What was asked for.
        flows: u32,
    },
    /// More frames than memory is set aside for.
    #[error(
        "--flows {flows} with --frame-size {frame_octets}: the frames take more than {OCTETS_MAX} octets; ask for less"
    )]
    TooMuch {
        /// What was asked for.
        flows: u32,
        /// What was asked for.
        frame_octets: usize,
    },
    /// A tag has twelve bits of id.
    #[error("--vlan {vlan}: a VLAN id is at most 4094")]
    Vlan {
        /// What was asked for.
        vlan: u16,
    },
    /// A parameter of a mix.
    #[error("{option} {value}: it must be from {least} to {most}")]
    OutOfRange {
        /// Which.
        option: &'static str,
        /// What was asked for.
        value: f64,
        /// The smallest that there can be.
        least: f64,
        /// The largest.
        most: f64,
    },
    /// Equal flows have equal frames.
    #[error(
        "--frame-size imix: only a mix has frames of several sizes; add --mix, or give a number of octets"
    )]
    OnlyMix,
    /// Packets in memory lie one behind the other.
    #[error(
        "frames of {frame_octets} and of {other} octets: in memory they have one length, give a number of octets that all have"
    )]
    SeveralLengths {
        /// What was asked for.
        frame_octets: usize,
        /// What one has.
        other: usize,
    },
}

impl Model {
    /// UDP over IPv4 in the shortest frames that Ethernet has, either direction.
    #[must_use]
    pub fn small_datagrams(flows: u32) -> Self {
        Self {
            flows,
            packets_per_flow: 2,
            frame_octets: 60,
            ipv6: false,
            transport: Transport::Udp,
            vlan: None,
            seed: 1,
            one_way: false,
        }
    }

    /// Octets before IP.
    fn link_octets(&self) -> usize {
        if self.vlan.is_some() { 18 } else { 14 }
    }

    fn header_octets(&self) -> usize {
        let ip = if self.ipv6 { 40 } else { 20 };
        let transport = match self.transport {
            Transport::Udp => 8,
            Transport::Tcp => 20,
        };
        self.link_octets() + ip + transport
    }

    /// The two ends of a flow. The source address holds the flow's number, so that no two flows share a key.
    fn ends(&self, flow: u32) -> (SocketAddr, SocketAddr) {
        let random = spread(self.seed, u64::from(flow));
        let number = (flow ^ spread(self.seed, u64::MAX) as u32) & (FLOWS_MAX - 1);
        let [_, a, b, c] = number.to_be_bytes();
        let [x, y] = (random as u16).to_be_bytes();
        let (source, destination): (IpAddr, IpAddr) = if self.ipv6 {
            let source = Ipv6Addr::from(0x2001_0db8_0001_u128 << 80 | u128::from(number));
            let destination = Ipv6Addr::from(0x2001_0db8_0002_u128 << 80 | u128::from(random as u16));
            (source.into(), destination.into())
        } else {
            (Ipv4Addr::new(10, a, b, c).into(), Ipv4Addr::new(172, 16, x, y).into())
        };
        let port = |bits: u64| 1024 + (bits as u16) % 64_000;
        (SocketAddr::new(source, port(random >> 16)), SocketAddr::new(destination, port(random >> 32)))
    }

    /// Packets of a flow: forward, reverse.
    fn directions(&self) -> (u32, u32) {
        let reverse = if self.one_way { 0 } else { self.packets_per_flow / 2 };
        (self.packets_per_flow - reverse, reverse)
    }

    fn frame(&self, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
        let payload = vec![0; self.frame_octets - self.header_octets()];
        let segment = match self.transport {
            Transport::Udp => udp(source, destination, &payload),
            Transport::Tcp => tcp(source, destination, flag::ACK, 1, &payload),
        };
        let tags = self.vlan.map(Tag::customer).into_iter().collect();
        Ethernet { tags, ..Ethernet::default() }.frame(&packet(&segment))
    }

    fn check(&self) -> Result<(), Impossible> {
        let Self { flows, frame_octets, .. } = *self;
        let least = self.header_octets();
        if frame_octets < least {
            return Err(Impossible::TooShort { frame_octets, least });
        }
        if frame_octets - self.link_octets() > usize::from(u16::MAX) {
            return Err(Impossible::TooLong { frame_octets });
        }
        if flows > FLOWS_MAX {
            return Err(Impossible::TooManyFlows { flows });
        }
        match self.vlan {
            Some(vlan @ 4095..) => Err(Impossible::Vlan { vlan }),
            _ => Ok(()),
        }
    }

    /// Its frames: of flow `n`, frame `2 n` goes forward and frame `2 n + 1` back.
    ///
    /// # Errors
    /// When it asks for what no frame can be.
    pub fn traffic(&self) -> Result<Traffic, Impossible> {
        self.check()?;
        let (forward, reverse) = self.directions();
        let mut traffic = Traffic::default();
        for flow in 0..self.flows {
            let (source, destination) = self.ends(flow);
            let there = traffic.push(&self.frame(source, destination), forward);
            let back = traffic.push(&self.frame(destination, source), reverse);
            if !(there && back) {
                return Err(Impossible::TooMuch { flows: self.flows, frame_octets: self.frame_octets });
            }
        }
        Ok(traffic)
    }

    /// What a meter must have counted when so many copies of each frame arrived. A flow of which none did has no line.
    pub fn truth<'a>(&'a self, arrived: &'a [u64]) -> impl Iterator<Item = Line> + 'a {
        let layer2 = self.frame_octets as u64;
        let octets = (self.frame_octets - self.link_octets()) as u64;
        let line = move |flow: u32| {
            let (source, destination) = self.ends(flow);
            let packets = |frame: usize| arrived.get(frame).copied().unwrap_or(0);
            let (there, back) = (packets(2 * flow as usize), packets(2 * flow as usize + 1));
            Line {
                source_ip_address: source.ip(),
                destination_ip_address: destination.ip(),
                source_transport_port: source.port(),
                destination_transport_port: destination.port(),
                protocol_identifier: match self.transport {
                    Transport::Udp => 17,
                    Transport::Tcp => 6,
                },
                vlan_id: self.vlan,
                packet_delta_count: there,
                reverse_packet_delta_count: back,
                octet_delta_count: there * octets,
                reverse_octet_delta_count: back * octets,
                layer2_octet_delta_count: there * layer2,
                reverse_layer2_octet_delta_count: back * layer2,
            }
        };
        (0..self.flows).map(line).filter(|line| line.packet_delta_count + line.reverse_packet_delta_count > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn model() -> Model {
        Model {
            flows: 1000,
            packets_per_flow: 5,
            frame_octets: 60,
            ipv6: false,
            transport: Transport::Udp,
            vlan: None,
            seed: 1,
            one_way: false,
        }
    }

    #[test]
    fn every_flow_has_a_key_of_its_own() {
        for ipv6 in [false, true] {
            let model = Model { ipv6, flows: 5000, ..model() };
            let keys: BTreeSet<_> = (0..model.flows).map(|flow| model.ends(flow)).collect();
            assert_eq!(keys.len(), 5000);
        }
    }

    #[test]
    fn one_seed_gives_the_same_traffic_and_another_gives_another() {
        let frame = |seed| Model { seed, ..model() }.traffic().unwrap().frame(7).to_vec();
        assert_eq!(frame(1), frame(1));
        assert_ne!(frame(1), frame(2));
    }

    #[test]
    fn frames_have_the_size_asked_for_whatever_the_headers() {
        for (ipv6, transport, vlan, least) in [
            (false, Transport::Udp, None, 42),
            (false, Transport::Tcp, Some(5), 58),
            (true, Transport::Udp, Some(5), 66),
            (true, Transport::Tcp, None, 74),
        ] {
            let model = Model { ipv6, transport, vlan, frame_octets: least, ..model() };
            assert_eq!(model.traffic().unwrap().frame(0).len(), least);
            let shorter = Model { frame_octets: least - 1, ..model };
            assert!(matches!(shorter.traffic(), Err(Impossible::TooShort { least: l, .. }) if l == least));
        }
    }

    #[test]
    fn truth_counts_what_arrived_and_not_what_was_to_be_sent() {
        let model = Model { flows: 2, ..model() };
        let lines: Vec<Line> = model.truth(&[3, 2, 0, 0]).collect();
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!((line.packet_delta_count, line.reverse_packet_delta_count), (3, 2));
        assert_eq!((line.octet_delta_count, line.layer2_octet_delta_count), (3 * 46, 3 * 60));
    }
}
