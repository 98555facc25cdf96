//! Flows as JSON lines, summed per conversation: the generator's truth and the probe's records are compared as this.
//!
//! Which end is the source is a matter of opinion (who sent the SYN, who was seen first on which queue), and so is
//! how many records a conversation has (timeouts, end of TCP). What every party must agree on is how many packets
//! and octets went from which end to which.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One line: a record of the probe, or of the generator's truth. Keys that are not here are not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Sender of the forward packets.
    pub source_ip_address: IpAddr,
    /// Their receiver.
    pub destination_ip_address: IpAddr,
    /// 0 where the protocol has none.
    pub source_transport_port: u16,
    /// 0 where the protocol has none.
    pub destination_transport_port: u16,
    /// IANA number.
    pub protocol_identifier: u8,
    /// Outer tag.
    pub vlan_id: Option<u16>,
    /// Forward packets.
    pub packet_delta_count: u64,
    /// Packets the other way.
    pub reverse_packet_delta_count: u64,
    /// Forward octets of IP.
    pub octet_delta_count: u64,
    /// Octets of IP the other way.
    pub reverse_octet_delta_count: u64,
    /// Forward octets of frames.
    pub layer2_octet_delta_count: u64,
    /// Octets of frames the other way.
    pub reverse_layer2_octet_delta_count: u64,
}

/// Address and port.
pub type End = (IpAddr, u16);

/// A conversation: its two ends in ascending order, protocol, outer VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The lower end.
    pub low: End,
    /// The higher end.
    pub high: End,
    /// IANA number.
    pub protocol: u8,
    /// Outer VLAN tag.
    pub vlan: Option<u16>,
}

/// Packets and octets in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Packets.
    pub packets: u64,
    /// Octets of IP.
    pub octets: u64,
    /// Octets of frames, without FCS.
    pub layer2_octets: u64,
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.octets += other.octets;
        self.layer2_octets += other.layer2_octets;
    }
}

/// Both directions of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both {
    /// From the lower to the higher end.
    pub upward: Amount,
    /// From the higher to the lower.
    pub downward: Amount,
}

/// All conversations.
pub type Flows = BTreeMap<Key, Both>;

/// A line that is not a flow.
#[derive(Debug, thiserror::Error)]
#[error("line {number} is no flow: {source}: {line}")]
pub struct NoFlow {
    /// Which line, from 1.
    pub number: usize,
    /// Its text.
    pub line: String,
    /// Why not.
    pub source: serde_json::Error,
}

/// Reads lines and sums them.
///
/// # Errors
/// At the first line that is not a flow.
pub fn read(text: &str) -> Result<Flows, NoFlow> {
    let mut flows = Flows::new();
    for (number, line) in (1..).zip(text.lines()) {
        let flow: Line =
            serde_json::from_str(line).map_err(|source| NoFlow { number, line: line.to_owned(), source })?;
        add(&mut flows, &flow);
    }
    Ok(flows)
}

/// Adds one record.
pub fn add(flows: &mut Flows, line: &Line) {
    let source = (line.source_ip_address, line.source_transport_port);
    let destination = (line.destination_ip_address, line.destination_transport_port);
    let (low, high) = (source.min(destination), source.max(destination));
    let key = Key { low, high, protocol: line.protocol_identifier, vlan: line.vlan_id };
    let forward = Amount {
        packets: line.packet_delta_count,
        octets: line.octet_delta_count,
        layer2_octets: line.layer2_octet_delta_count,
    };
    let reverse = Amount {
        packets: line.reverse_packet_delta_count,
        octets: line.reverse_octet_delta_count,
        layer2_octets: line.reverse_layer2_octet_delta_count,
    };
    let both = flows.entry(key).or_default();
    let (upward, downward) = if source == low { (forward, reverse) } else { (reverse, forward) };
    both.upward += upward;
    both.downward += downward;
}

/// Packets and octets of all of them together.
#[must_use]
pub fn total(flows: &Flows) -> Amount {
    let mut total = Amount::default();
    for both in flows.values() {
        total += both.upward;
        total += both.downward;
    }
    total
}

/// What differs, a line per conversation: empty when both agree on every one.
#[must_use]
pub fn differences(expected: &Flows, found: &Flows) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, both) in expected {
        match found.get(key) {
            None => lines.push(format!("{key:?}: expected {both:?}, found nothing")),
            Some(other) if other != both => {
                lines.push(format!("{key:?}: expected {both:?}, found {other:?}"))
            }
            Some(_) => {}
        }
    }
    for (key, both) in found.iter().filter(|(key, _)| !expected.contains_key(key)) {
        lines.push(format!("{key:?}: expected nothing, found {both:?}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(source: &str, destination: &str, forward: u64, reverse: u64) -> Line {
        let end = |text: &str| text.parse::<std::net::SocketAddr>().unwrap();
        let (source, destination) = (end(source), end(destination));
        Line {
            source_ip_address: source.ip(),
            destination_ip_address: destination.ip(),
            source_transport_port: source.port(),
            destination_transport_port: destination.port(),
            protocol_identifier: 17,
            vlan_id: None,
            packet_delta_count: forward,
            reverse_packet_delta_count: reverse,
            octet_delta_count: forward * 46,
            reverse_octet_delta_count: reverse * 46,
            layer2_octet_delta_count: forward * 60,
            reverse_layer2_octet_delta_count: reverse * 60,
        }
    }

    fn flows(lines: &[Line]) -> Flows {
        let mut flows = Flows::new();
        lines.iter().for_each(|line| add(&mut flows, line));
        flows
    }

    #[test]
    fn records_of_one_conversation_add_up_whoever_is_the_source() {
        let split = flows(&[line("10.0.0.1:5", "10.0.0.2:6", 3, 1), line("10.0.0.2:6", "10.0.0.1:5", 4, 2)]);
        let whole = flows(&[line("10.0.0.1:5", "10.0.0.2:6", 5, 5)]);
        assert_eq!(differences(&whole, &split), Vec::<String>::new());
        assert_eq!(total(&split), Amount { packets: 10, octets: 460, layer2_octets: 600 });
    }

    #[test]
    fn every_kind_of_difference_is_told() {
        let expected =
            flows(&[line("10.0.0.1:5", "10.0.0.2:6", 3, 0), line("10.0.0.1:7", "10.0.0.2:6", 1, 0)]);
        let found = flows(&[line("10.0.0.1:5", "10.0.0.2:6", 0, 3), line("10.0.0.1:8", "10.0.0.2:6", 1, 0)]);
        assert_eq!(differences(&expected, &found).len(), 3);
    }
}
