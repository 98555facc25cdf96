//! A flow while its keys and values come; then a record, or what keeps it from being one.

use std::net::IpAddr;

use super::item::{Key, Value};
use super::slot::{Resolution, Slot};
use crate::record::{FlowEndReason, FlowRecord};

/// Packets or octets of a record at most: a petabyte, and a full batch of them still fits its sums.
pub const COUNT_MAX: u64 = 1 << 50;

const SECOND_NANOSECONDS: u64 = 1_000_000_000;
const TCP: u8 = 6;
const ICMP: [u8; 2] = [1, 58];

/// Why no record can be made of a flow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Without it nobody could ask for the flow.
    #[error("a flow without {0}")]
    Lacks(&'static str),
    /// A value that does not fit its key.
    #[error("a flow with {key} = {value}: {why}")]
    Value {
        /// As it was spelled.
        key: String,
        /// As it came, its beginning.
        value: String,
        /// What it should be.
        why: &'static str,
    },
    /// IPv4 at one end, IPv6 at the other.
    #[error("a flow from {0} to {1}: addresses of two IP versions")]
    Versions(IpAddr, IpAddr),
}

/// A flow as far as it was told.
#[derive(Debug, Default)]
pub struct Draft {
    /// IPv4, IPv6: nProbe sends both, of which one says nothing.
    source: [Option<IpAddr>; 2],
    destination: [Option<IpAddr>; 2],
    ip_version: Option<u8>,
    ports: [u16; 2],
    protocol: Option<u8>,
    packets: [u64; 2],
    octets: [u64; 2],
    frame_octets: [Option<u64>; 2],
    /// First and last packet.
    times: [Option<(Resolution, u64)>; 2],
    flags: Option<u16>,
    side_flags: [Option<u16>; 2],
    class_of_service: [Option<u8>; 2],
    interface: u32,
    vlan: Option<u16>,
    vlan_id: Option<u16>,
    outer_vlan: Option<u16>,
    inner_vlan: Option<u16>,
    end_reason: Option<FlowEndReason>,
    ttl: [Option<u8>; 2],
    icmp: [Option<u8>; 2],
    left_out: u32,
    error: Option<Unusable>,
}

impl Draft {
    /// Takes what one key tells. What a record has no room for is counted; of values that do not fit the first is kept.
    pub(super) fn set(&mut self, key: Key<'_>, value: Value<'_>) {
        let Some(slot) = Slot::of(key) else {
            self.left_out = self.left_out.saturating_add(1);
            return;
        };
        if value.is_nothing() || self.error.is_some() {
            return;
        }
        if let Err(why) = self.fill(slot, value) {
            let key = match key {
                Key::Number(number) => number.to_string(),
                Key::Text(text) => text.to_owned(),
            };
            self.error =
                Some(Unusable::Value { key, value: value.to_string().chars().take(64).collect(), why });
        }
    }

    /// Keys that no column is for.
    pub fn left_out(&self) -> u32 {
        self.left_out
    }

    fn fill(&mut self, slot: Slot, value: Value<'_>) -> Result<(), &'static str> {
        match slot {
            Slot::SourceAddress => put(&mut self.source, value)?,
            Slot::DestinationAddress => put(&mut self.destination, value)?,
            Slot::IpVersion => self.ip_version = Some(octet(value)?),
            Slot::SourcePort => self.ports[0] = word(value)?,
            Slot::DestinationPort => self.ports[1] = word(value)?,
            Slot::Protocol => self.protocol = Some(octet(value)?),
            Slot::Packets(side) => self.packets[usize::from(side)] = count(value)?,
            Slot::Octets(side) => self.octets[usize::from(side)] = count(value)?,
            Slot::FrameOctets(side) => self.frame_octets[usize::from(side)] = Some(count(value)?),
            Slot::Time(end, resolution) => {
                let time = (resolution, nanoseconds(value, resolution)?);
                let known = &mut self.times[usize::from(end)];
                *known = (*known).max(Some(time));
            }
            Slot::TcpFlags => self.flags = Some(word(value)?),
            Slot::SideFlags(side) => self.side_flags[usize::from(side)] = Some(word(value)?),
            Slot::ClassOfService(side) => self.class_of_service[usize::from(side)] = Some(octet(value)?),
            Slot::Interface => self.interface = number(value, "a number of 32 bits")?,
            Slot::Vlan => self.vlan = tag(value)?,
            Slot::VlanId => self.vlan_id = tag(value)?,
            Slot::OuterVlan => self.outer_vlan = tag(value)?,
            Slot::InnerVlan => self.inner_vlan = tag(value)?,
            Slot::EndReason => self.end_reason = reason(value),
            Slot::LeastTtl => self.ttl[0] = Some(octet(value)?),
            Slot::MostTtl => self.ttl[1] = Some(octet(value)?),
            Slot::Icmp => self.icmp = word(value)?.to_be_bytes().map(Some),
            Slot::IcmpType => self.icmp[0] = Some(octet(value)?),
            Slot::IcmpCode => self.icmp[1] = Some(octet(value)?),
            Slot::Derived => {}
        }
        Ok(())
    }

    /// The record, of the publisher with this number.
    ///
    /// What a publisher does not tell is what a column has for it: frame octets are those of IP, TTLs and the end reason are 0. Times that
    /// are the wrong way round are turned.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub fn finish(self, source: u32) -> Result<FlowRecord, Unusable> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let protocol = self.protocol.ok_or(Unusable::Lacks("a protocol"))?;
        let (from, to) = self.addresses()?;
        let (start, end) = match self.times.map(|time| time.map(|(_, nanoseconds)| nanoseconds)) {
            [Some(start), Some(end)] => (start.min(end), start.max(end)),
            [Some(only), None] | [None, Some(only)] => (only, only),
            [None, None] => return Err(Unusable::Lacks("a time")),
        };
        let is_icmp = ICMP.contains(&protocol);
        let flags = |told: Option<u16>| told.filter(|_| protocol == TCP);
        let (vlan_id, customer_vlan_id) = self.tags();
        let frames = |side: usize| self.frame_octets[side].unwrap_or(self.octets[side]);
        // NetFlow's custom, where nothing else tells it: type * 256 + code as the port of the destination.
        let icmp = match self.icmp {
            [None, None] => self.ports[1].to_be_bytes().map(Some),
            told => told,
        };
        let ports = if is_icmp { [0; 2] } else { self.ports };
        let least_ttl = self.ttl[0].or(self.ttl[1]).unwrap_or(0);
        Ok(FlowRecord {
            observation_domain_id: source,
            ingress_interface: self.interface,
            flow_start_nanoseconds: start,
            flow_end_nanoseconds: end,
            source_ip_address: from,
            destination_ip_address: to,
            source_transport_port: ports[0],
            destination_transport_port: ports[1],
            protocol_identifier: protocol,
            vlan_id,
            customer_vlan_id,
            packet_delta_count: self.packets[0],
            reverse_packet_delta_count: self.packets[1],
            octet_delta_count: self.octets[0],
            reverse_octet_delta_count: self.octets[1],
            layer2_octet_delta_count: frames(0),
            reverse_layer2_octet_delta_count: frames(1),
            tcp_control_bits: flags(self.side_flags[0].or(self.flags)),
            reverse_tcp_control_bits: flags(self.side_flags[1]),
            ip_class_of_service: self.class_of_service[0].unwrap_or(0),
            reverse_ip_class_of_service: self.class_of_service[1],
            minimum_ttl: least_ttl,
            maximum_ttl: self.ttl[1].unwrap_or(0).max(least_ttl),
            icmp_type: icmp[0].filter(|_| is_icmp),
            icmp_code: icmp[1].filter(|_| is_icmp),
            flow_end_reason: self.end_reason.unwrap_or(FlowEndReason::NotTold),
            recovered_from: None,
            shunted_packet_delta_count: None,
        })
    }

    /// Of the version that is told, else of the one whose addresses are not all zeros.
    fn addresses(&self) -> Result<(IpAddr, IpAddr), Unusable> {
        let is_v6 = match self.ip_version {
            Some(4) => false,
            Some(6) => true,
            _ => self.source[0].is_none_or(|address| address.is_unspecified()) && self.source[1].is_some(),
        };
        let of = |ends: [Option<IpAddr>; 2]| if is_v6 { ends[1].or(ends[0]) } else { ends[0].or(ends[1]) };
        let from = of(self.source).ok_or(Unusable::Lacks("a source address"))?;
        let to = of(self.destination).ok_or(Unusable::Lacks("a destination address"))?;
        if from.is_ipv4() == to.is_ipv4() { Ok((from, to)) } else { Err(Unusable::Versions(from, to)) }
    }

    /// Outer (or only) and inner. 0 = untagged: netflow2ng says it of all.
    fn tags(&self) -> (Option<u16>, Option<u16>) {
        if self.outer_vlan.is_some() {
            return (self.outer_vlan, self.inner_vlan.or(self.vlan));
        }
        match (self.vlan_id.or(self.vlan), self.inner_vlan) {
            (None, only) => (only, None),
            (outer, None) => (outer, self.vlan.filter(|vlan| Some(*vlan) != outer)),
            both => both,
        }
    }
}

fn put(ends: &mut [Option<IpAddr>; 2], value: Value<'_>) -> Result<(), &'static str> {
    let address = value.address().ok_or("not an IP address")?;
    ends[usize::from(address.is_ipv6())] = Some(address);
    Ok(())
}

fn number<T: TryFrom<u64>>(value: Value<'_>, why: &'static str) -> Result<T, &'static str> {
    value.unsigned().and_then(|number| number.try_into().ok()).ok_or(why)
}

fn octet(value: Value<'_>) -> Result<u8, &'static str> {
    number(value, "not a number of 8 bits")
}

fn word(value: Value<'_>) -> Result<u16, &'static str> {
    number(value, "not a number of 16 bits")
}

fn count(value: Value<'_>) -> Result<u64, &'static str> {
    let count = value.unsigned().filter(|count| *count <= COUNT_MAX);
    count.ok_or("not a count from 0 to 2^50")
}

fn tag(value: Value<'_>) -> Result<Option<u16>, &'static str> {
    Ok(Some(word(value)?).filter(|tag| *tag > 0))
}

fn nanoseconds(value: Value<'_>, resolution: Resolution) -> Result<u64, &'static str> {
    let in_one = match resolution {
        Resolution::Seconds => SECOND_NANOSECONDS,
        Resolution::Milliseconds => 1_000_000,
        Resolution::Microseconds => 1_000,
        Resolution::Nanoseconds => 1,
    };
    value.unsigned().and_then(|number| number.checked_mul(in_one)).ok_or("not a time since the UNIX epoch")
}

/// IANA's number, or the word that ntop has for it; any other word tells nothing.
fn reason(value: Value<'_>) -> Option<FlowEndReason> {
    match (value.unsigned(), value) {
        (Some(number), _) => FlowEndReason::from_number(number.try_into().ok()?),
        (None, Value::Text(text)) => {
            let name = text.trim().to_ascii_lowercase().replace([' ', '-'], "_");
            FlowEndReason::ALL.into_iter().find(|reason| reason.name() == name)
        }
        _ => None,
    }
}
