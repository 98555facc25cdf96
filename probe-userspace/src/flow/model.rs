//! The oracle: what the records of a list of packets are, by the rules alone. No buckets, no hand, no deadline kept: each
//! conversation's packets are looked at as a list.

use std::collections::BTreeMap;
use std::time::Duration;

use flow_wire::record::{FlowEndReason, FlowRecord};
use xdp_abi::key::{Direction, FlowKey};

use super::entry::Entry;
use super::settings::{Settings, TCP_LINGER};
use crate::packet::Packet;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// A packet and the shard's clock when it came.
type Seen = (Packet, u64);

/// One conversation that is still in the cache.
#[derive(Clone, Default)]
pub(super) struct Conversation {
    /// Packets of its open record.
    record: Vec<Seen>,
    /// Those of its earlier records.
    earlier: Vec<Seen>,
}

/// All of them.
pub(super) struct Model {
    settings: Settings,
    clock: u64,
    open: BTreeMap<FlowKey, Conversation>,
    pub(super) records: Vec<FlowRecord>,
    pub(super) evicted: u64,
}

impl Conversation {
    fn packets(&self) -> impl Iterator<Item = &Seen> {
        self.earlier.iter().chain(&self.record)
    }

    fn last_at(&self) -> u64 {
        self.packets().last().map_or(0, |seen| seen.1)
    }

    /// The clock at the packet that closed it.
    fn closed_at(&self) -> Option<u64> {
        let mut finished = [false; 2];
        for (packet, at) in self.packets().filter(|(packet, _)| packet.headers.key.protocol == 6) {
            finished[packet.headers.direction as usize] |= packet.headers.tcp_flags & FIN != 0;
            if packet.headers.tcp_flags & RST != 0 || finished == [true, true] {
                return Some(*at);
            }
        }
        None
    }

    fn source(&self) -> Option<Direction> {
        let opening = |(packet, _): &&Seen| {
            packet.headers.key.protocol == 6 && packet.headers.tcp_flags & (SYN | ACK) == SYN
        };
        self.packets().find(opening).or(self.packets().next()).map(|(packet, _)| packet.headers.direction)
    }
}

impl Model {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, clock: 0, open: BTreeMap::new(), records: Vec::new(), evicted: 0 }
    }

    pub(super) fn packet(&mut self, packet: &Packet) {
        self.clock = self.clock.max(packet.timestamp_nanoseconds);
        let key = packet.headers.key;
        self.settle(&key);
        let reopened = packet.headers.tcp_flags & (SYN | ACK) == SYN
            && self.open.get(&key).is_some_and(|conversation| conversation.closed_at().is_some());
        if reopened {
            self.end(&key, FlowEndReason::EndOfFlow);
        }
        if !self.open.contains_key(&key) {
            self.make_room();
        }
        self.open.entry(key).or_default().record.push((*packet, self.clock));
    }

    pub(super) fn flush(&mut self) {
        for key in self.keys() {
            self.settle(&key);
            let closed = self.open.get(&key).and_then(Conversation::closed_at).is_some();
            self.end(&key, if closed { FlowEndReason::EndOfFlow } else { FlowEndReason::ForcedEnd });
        }
    }

    fn keys(&self) -> Vec<FlowKey> {
        self.open.keys().copied().collect()
    }

    fn make_room(&mut self) {
        if self.open.len() < self.settings.capacity {
            return;
        }
        self.keys().iter().for_each(|key| self.settle(key));
        if self.open.len() < self.settings.capacity {
            return;
        }
        let rank = |(_, flow): &(&FlowKey, &Conversation)| (flow.closed_at().is_none(), flow.last_at());
        let Some((key, flow)) = self.open.iter().min_by_key(rank).map(|(key, flow)| (*key, flow)) else {
            return;
        };
        let reason = match flow.closed_at() {
            Some(_) => FlowEndReason::EndOfFlow,
            None => FlowEndReason::LackOfResources,
        };
        self.evicted += 1;
        self.end(&key, reason);
    }

    /// What the clock ends, in the order in which it would have.
    fn settle(&mut self, key: &FlowKey) {
        let nanoseconds = |duration: Duration| duration.as_nanos() as u64;
        let linger = nanoseconds(TCP_LINGER.min(self.settings.idle_timeout));
        let Some(flow) = self.open.get_mut(key) else { return };
        if let Some(closed_at) = flow.closed_at() {
            if self.clock >= closed_at + linger {
                self.end(key, FlowEndReason::EndOfFlow);
            }
            return;
        }
        let idle_at = flow.last_at() + nanoseconds(self.settings.idle_timeout);
        let active_at = flow.record.first().map(|(_, first)| first + life(&self.settings, key));
        if let Some(active_at) = active_at
            && active_at < idle_at
            && self.clock >= active_at
        {
            self.records.push(record(&self.settings, flow, FlowEndReason::ActiveTimeout));
            flow.earlier.append(&mut flow.record);
        }
        if self.clock >= idle_at {
            self.end(key, FlowEndReason::IdleTimeout);
        }
    }

    fn end(&mut self, key: &FlowKey, reason: FlowEndReason) {
        if let Some(flow) = self.open.remove(key)
            && !flow.record.is_empty()
        {
            self.records.push(record(&self.settings, &flow, reason));
        }
    }
}

/// How long a record of this conversation lives: the time-out less the share that its hash has of the perturbation.
pub(super) fn life(settings: &Settings, key: &FlowKey) -> u64 {
    let share = u64::from(((key.hash() >> 32) as u32).max(1)) * 0x9e37_79b9 % (1 << 32);
    let perturbation = settings.active_perturbation.as_nanos();
    (settings.active_timeout.as_nanos() - perturbation * u128::from(share) / (1 << 32)) as u64
}

/// The record of a conversation's open packets. Addresses, ports and tags are those of the cache's own entry: they follow
/// from the key alone. All that is counted is counted here, from the list.
fn record(settings: &Settings, flow: &Conversation, reason: FlowEndReason) -> FlowRecord {
    let first = flow.packets().next().unwrap().0;
    let source = flow.source().unwrap();
    let of_side = |forward: bool| {
        let mine = move |seen: &&Seen| (seen.0.headers.direction == source) == forward;
        flow.record.iter().filter(mine).map(|seen| &seen.0).collect::<Vec<_>>()
    };
    let (forward, reverse) = (of_side(true), of_side(false));
    let sum =
        |side: &[&Packet], of: fn(&Packet) -> u32| side.iter().map(|packet| u64::from(of(packet))).sum();
    let flags =
        |side: &[&Packet]| side.iter().fold(0, |all, packet| all | u16::from(packet.headers.tcp_flags));
    let is_tcp = first.headers.key.protocol == 6;
    let is_icmp = matches!(first.headers.key.protocol, 1 | 58);
    let times = || flow.record.iter().map(|(packet, _)| packet.timestamp_nanoseconds);
    let mut from_source = first;
    from_source.headers.direction = source;
    let ends = Entry::begin(&from_source, 0).record(settings.observation_domain_id, reason);
    FlowRecord {
        flow_start_nanoseconds: times().min().unwrap(),
        flow_end_nanoseconds: times().max().unwrap(),
        packet_delta_count: forward.len() as u64,
        reverse_packet_delta_count: reverse.len() as u64,
        octet_delta_count: sum(&forward, |packet| packet.octets),
        reverse_octet_delta_count: sum(&reverse, |packet| packet.octets),
        layer2_octet_delta_count: sum(&forward, |packet| packet.layer2_octets),
        reverse_layer2_octet_delta_count: sum(&reverse, |packet| packet.layer2_octets),
        tcp_control_bits: is_tcp.then(|| flags(&forward)),
        reverse_tcp_control_bits: is_tcp.then(|| flags(&reverse)),
        ip_class_of_service: forward.first().map_or(0, |packet| packet.headers.tos),
        reverse_ip_class_of_service: reverse.first().map(|packet| packet.headers.tos),
        minimum_ttl: forward.iter().map(|packet| packet.headers.ttl).min().unwrap_or(0),
        maximum_ttl: forward.iter().map(|packet| packet.headers.ttl).max().unwrap_or(0),
        icmp_type: is_icmp.then_some(first.headers.icmp_type),
        icmp_code: is_icmp.then_some(first.headers.icmp_code),
        ..ends
    }
}
