//! One flow in the cache: three cache lines, of which a packet that comes in its order touches two.
//!
//! ```text
//!   0  key 44 | ingress interface 4 | per direction: TCP flags, TOS, TTL smallest, largest | ICMP, source, state, shunt
//!  64  per direction: packets, octets, layer-2 octets | clock of the last packet | of the record's active time-out
//! 128  times of the first packet and, unless that is the clock of the last one, of the latest | clock of the closing packet
//!     | life of a record | per direction: packets that the shunt counted | unused 16
//! ```
//! Plain: any octets are an entry, for it may be read back from the file of a killed process (`survive`).
//!
//! "Clock" is the shard's, which never runs backwards; the times of a record are those of its packets.

use flow_wire::ledger::Amount;
use flow_wire::record::{FlowEndReason, FlowRecord};
use xdp_abi::key::{Direction, FlowKey, VLAN_ID_MASK, VLAN_PRESENT, VlanTag};
use xdp_abi::protocol::{ICMP, ICMPV6, TCP};

use crate::packet::Packet;
use crate::source::xdp::shunt::Counts;
use crate::survive::{step, torn};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Where the source of a flow comes from.
const SOURCE_BY_FIRST_PACKET: u8 = 0;
const SOURCE_BY_SYN: u8 = 1;

/// Bits of `closing`.
const FIN_LOW_TO_HIGH: u8 = 0b001;
const FIN_HIGH_TO_LOW: u8 = 0b010;
const CLOSED: u8 = 0b100;

/// A slot of the cache. Pairs are indexed by [`Direction`].
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Entry {
    pub(crate) key: FlowKey,
    ingress_interface: u32,
    tcp_flags: [u8; 2],
    tos: [u8; 2],
    ttl_minimum: [u8; 2],
    ttl_maximum: [u8; 2],
    icmp_type: u8,
    icmp_code: u8,
    /// The side ([`Direction`]) that is the source.
    source: u8,
    source_by: u8,
    closing: u8,
    /// 1 = the latest packet is the last one, at its clock; 0 = see `end_nanoseconds`.
    ends_at_last: u8,
    /// Its place in the shunt, from 1; 0 = it is not shunted.
    shunt: u16,
    packets: [u64; 2],
    octets: [u64; 2],
    layer2_octets: [u64; 2],
    /// Clock at the last packet.
    pub(super) last_at: u64,
    /// Clock at the record's active time-out.
    pub(super) complete_at: u64,
    start_nanoseconds: u64,
    end_nanoseconds: u64,
    closed_at: u64,
    /// Longest life of a record of this flow.
    life_nanoseconds: u64,
    /// Of `packets`.
    shunted_packets: [u64; 2],
    /// An elephant that is not shunted is not tried before this clock; 0 = it never was.
    shunt_at: u64,
    unused: u64,
}

/// No record has counted so much (2^56 octets are twenty years of 1 Tbit/s).
const COUNT_MAX: u64 = 1 << 56;

const _: () = assert!(size_of::<Entry>() == 192);
const _: () = assert!(xdp_abi::shunt::PLACES < u16::MAX as u32);

/// What is asked for ahead of a packet.
pub(super) const TOUCHED_LINES: usize = 2;
const _: () = assert!(std::mem::offset_of!(Entry, start_nanoseconds) == TOUCHED_LINES * 64);

impl Entry {
    /// A slot that holds nothing.
    pub(crate) const VACANT: Self = Self {
        key: FlowKey {
            low_address: [0; 16],
            high_address: [0; 16],
            low_port: 0,
            high_port: 0,
            vlan: 0,
            customer_vlan: 0,
            protocol: 0,
            ip_version: 0,
            zero: [0; 2],
        },
        ingress_interface: 0,
        tcp_flags: [0; 2],
        tos: [0; 2],
        ttl_minimum: [u8::MAX; 2],
        ttl_maximum: [0; 2],
        icmp_type: 0,
        icmp_code: 0,
        source: Direction::LowToHigh as u8,
        source_by: SOURCE_BY_FIRST_PACKET,
        closing: 0,
        ends_at_last: 0,
        shunt: 0,
        packets: [0; 2],
        octets: [0; 2],
        layer2_octets: [0; 2],
        last_at: 0,
        complete_at: 0,
        start_nanoseconds: u64::MAX,
        end_nanoseconds: 0,
        closed_at: 0,
        life_nanoseconds: 0,
        shunted_packets: [0; 2],
        shunt_at: 0,
        unused: 0,
    };

    /// The entry of a flow that begins with this packet, which is yet to be added. Its records live so long at most.
    pub(super) fn begin(packet: &Packet, life_nanoseconds: u64) -> Self {
        Self {
            key: packet.headers.key,
            ingress_interface: packet.ingress_interface,
            icmp_type: packet.headers.icmp_type,
            icmp_code: packet.headers.icmp_code,
            source: packet.headers.direction as u8,
            life_nanoseconds,
            ..Self::VACANT
        }
    }

    /// The same conversation, with nothing in its record: after an active time-out. Of a shunted one few packets show what is learnt
    /// of headers: it stays.
    pub(crate) fn continued(&self) -> Self {
        let begun = if self.shunt == 0 { &Self::VACANT } else { self };
        Self {
            key: self.key,
            ingress_interface: self.ingress_interface,
            icmp_type: self.icmp_type,
            icmp_code: self.icmp_code,
            source: self.source,
            source_by: self.source_by,
            closing: self.closing,
            closed_at: self.closed_at,
            last_at: self.last_at,
            life_nanoseconds: self.life_nanoseconds,
            shunt: self.shunt,
            shunt_at: self.shunt_at,
            tos: begun.tos,
            ttl_minimum: begun.ttl_minimum,
            ttl_maximum: begun.ttl_maximum,
            ..Self::VACANT
        }
    }

    /// Puts a packet in. `now` is the shard's clock.
    #[inline]
    pub(super) fn add(&mut self, packet: &Packet, now: u64) {
        let headers = &packet.headers;
        let side = headers.direction as usize;
        if self.is_empty() || packet.timestamp_nanoseconds != now {
            self.add_time(packet.timestamp_nanoseconds, now);
        } else {
            self.last_at = now;
            torn();
            self.ends_at_last = 1;
        }
        if self.packets[side] == 0 {
            self.tos[side] = headers.tos;
        }
        self.packets[side] += 1;
        torn();
        self.octets[side] += u64::from(packet.octets);
        torn();
        self.layer2_octets[side] += u64::from(packet.layer2_octets);
        torn();
        self.ttl_minimum[side] = self.ttl_minimum[side].min(headers.ttl);
        self.ttl_maximum[side] = self.ttl_maximum[side].max(headers.ttl);
        if self.key.protocol == TCP {
            self.add_tcp(headers.direction, headers.tcp_flags, now);
        }
    }

    /// Puts in what the shunt has counted since the last time, up to a packet at `last_at`. `now` is the shard's clock. A record that
    /// begins with it begins where the one before ended: its first packet nobody has seen.
    pub(crate) fn merge(&mut self, more: &[Counts; 2], last_at: u64, now: u64) {
        if self.is_empty() {
            self.complete_at = now.saturating_add(self.life_nanoseconds);
            self.start_nanoseconds = self.last_at.min(last_at);
        }
        torn();
        self.end_nanoseconds = self.end_nanoseconds().max(last_at);
        self.ends_at_last = 0;
        self.last_at = self.last_at.max(last_at);
        for (side, more) in more.iter().enumerate() {
            self.packets[side] += more.packets;
            torn();
            self.shunted_packets[side] += more.packets;
            self.octets[side] += more.octets;
            self.layer2_octets[side] += more.layer2_octets;
            self.tcp_flags[side] |= more.tcp_flags;
        }
    }

    /// Its place in the shunt.
    pub(crate) fn shunt(&self) -> Option<usize> {
        (self.shunt != 0).then(|| usize::from(self.shunt) - 1)
    }

    /// See [`Entry::shunt`].
    pub(super) fn set_shunt(&mut self, place: Option<usize>) {
        self.shunt = place.map_or(0, |place| place as u16 + 1);
    }

    /// Whether it may be tried to shunt it now.
    pub(super) fn may_be_shunted(&self, now: u64) -> bool {
        self.shunt == 0 && self.closing & CLOSED == 0 && now >= self.shunt_at
    }

    /// It is not tried before `at`. `true` = this is the first time.
    pub(super) fn put_shunt_off(&mut self, at: u64) -> bool {
        std::mem::replace(&mut self.shunt_at, at) == 0
    }

    /// By direction, whether a packet of it was seen.
    pub(super) fn is_known(&self) -> [bool; 2] {
        self.packets.map(|packets| packets > 0)
    }

    /// Packets of a side.
    #[inline]
    pub(super) fn packets(&self, side: usize) -> u64 {
        self.packets[side]
    }

    /// The first one of its record, or one that is not the latest of all: it may lie before others.
    #[inline(never)]
    fn add_time(&mut self, timestamp_nanoseconds: u64, now: u64) {
        if self.is_empty() {
            self.complete_at = now.saturating_add(self.life_nanoseconds);
        }
        self.start_nanoseconds = self.start_nanoseconds.min(timestamp_nanoseconds);
        self.end_nanoseconds = self.end_nanoseconds().max(timestamp_nanoseconds);
        // Whichever of the two a kill finds to hold is a time of this flow.
        step();
        self.ends_at_last = 0;
        step();
        self.last_at = now;
    }

    /// The time of the latest packet.
    #[inline]
    fn end_nanoseconds(&self) -> u64 {
        if self.ends_at_last == 1 { self.last_at } else { self.end_nanoseconds }
    }

    fn add_tcp(&mut self, direction: Direction, flags: u8, now: u64) {
        self.tcp_flags[direction as usize] |= flags;
        if is_opening(flags) && self.source_by != SOURCE_BY_SYN {
            self.source = direction as u8;
            self.source_by = SOURCE_BY_SYN;
        }
        if flags & FIN != 0 {
            self.closing |= match direction {
                Direction::LowToHigh => FIN_LOW_TO_HIGH,
                Direction::HighToLow => FIN_HIGH_TO_LOW,
            };
        }
        let both = FIN_LOW_TO_HIGH | FIN_HIGH_TO_LOW;
        if self.closing & CLOSED == 0 && (flags & RST != 0 || self.closing & both == both) {
            self.closing |= CLOSED;
            self.closed_at = now;
        }
    }

    /// Whether a packet of this flow starts a new one: a SYN after the end.
    #[inline]
    pub(super) fn is_reopened_by(&self, packet: &Packet) -> bool {
        self.closing & CLOSED != 0 && is_opening(packet.headers.tcp_flags)
    }

    /// The clock at which TCP closed it.
    #[inline]
    pub(super) fn closed_at(&self) -> Option<u64> {
        (self.closing & CLOSED != 0).then_some(self.closed_at)
    }

    /// Nothing in its record (it was written at an active time-out).
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.packets == [0, 0]
    }

    /// Packets, octets and layer-2 octets of a side.
    #[inline]
    pub(super) fn counters(&self, side: usize) -> [u64; 3] {
        [self.packets[side], self.octets[side], self.layer2_octets[side]]
    }

    /// Undoes a packet that was half in.
    pub(crate) fn set_counters(&mut self, side: usize, counters: [u64; 3]) {
        [self.packets[side], self.octets[side], self.layer2_octets[side]] = counters;
    }

    /// Whether it is such as a worker writes: of one that was read back.
    pub(crate) fn is_sound(&self) -> bool {
        let counts = [self.packets, self.octets, self.layer2_octets];
        matches!(self.key.ip_version, 4 | 6)
            && self.source <= 1
            && self.start_nanoseconds <= self.end_nanoseconds()
            && counts.as_flattened().iter().all(|count| *count < COUNT_MAX)
    }

    /// What its record holds.
    pub(crate) fn amount(&self) -> Amount {
        Amount {
            packets: self.packets[0] + self.packets[1],
            octets: self.layer2_octets[0] + self.layer2_octets[1],
        }
    }

    /// Its record.
    pub(crate) fn record(&self, observation_domain_id: u32, reason: FlowEndReason) -> FlowRecord {
        let (forward, reverse) = if self.source == Direction::LowToHigh as u8 { (0, 1) } else { (1, 0) };
        let ends = [(self.key.low_address, self.key.low_port), (self.key.high_address, self.key.high_port)];
        let is_tcp = self.key.protocol == TCP;
        let is_icmp = matches!(self.key.protocol, ICMP | ICMPV6);
        FlowRecord {
            observation_domain_id,
            ingress_interface: self.ingress_interface,
            flow_start_nanoseconds: self.start_nanoseconds,
            flow_end_nanoseconds: self.end_nanoseconds(),
            source_ip_address: address(self.key.ip_version, ends[forward].0),
            destination_ip_address: address(self.key.ip_version, ends[reverse].0),
            source_transport_port: ends[forward].1,
            destination_transport_port: ends[reverse].1,
            protocol_identifier: self.key.protocol,
            vlan_id: vlan_id(self.key.vlan),
            customer_vlan_id: vlan_id(self.key.customer_vlan),
            packet_delta_count: self.packets[forward],
            reverse_packet_delta_count: self.packets[reverse],
            octet_delta_count: self.octets[forward],
            reverse_octet_delta_count: self.octets[reverse],
            layer2_octet_delta_count: self.layer2_octets[forward],
            reverse_layer2_octet_delta_count: self.layer2_octets[reverse],
            tcp_control_bits: is_tcp.then_some(self.tcp_flags[forward].into()),
            reverse_tcp_control_bits: is_tcp.then_some(self.tcp_flags[reverse].into()),
            ip_class_of_service: self.tos[forward],
            reverse_ip_class_of_service: (self.packets[reverse] > 0).then_some(self.tos[reverse]),
            // A continued record may have reverse packets only, or none but shunted ones: 0, not the smallest of none.
            minimum_ttl: match self.packets[forward] {
                0 => 0,
                _ => self.ttl_minimum[forward].min(self.ttl_maximum[forward]),
            },
            maximum_ttl: self.ttl_maximum[forward],
            icmp_type: is_icmp.then_some(self.icmp_type),
            icmp_code: is_icmp.then_some(self.icmp_code),
            flow_end_reason: reason,
            recovered_from: None,
            shunted_packet_delta_count: match self.shunted_packets {
                [0, 0] => None,
                [one, other] => Some(one + other),
            },
        }
    }
}

/// A SYN without ACK: who sends it opens the connection.
fn is_opening(flags: u8) -> bool {
    flags & (SYN | ACK) == SYN
}

fn address(ip_version: u8, octets: [u8; 16]) -> std::net::IpAddr {
    match ip_version {
        4 => [octets[0], octets[1], octets[2], octets[3]].into(),
        _ => octets.into(),
    }
}

fn vlan_id(tag: VlanTag) -> Option<u16> {
    (tag & VLAN_PRESENT != 0).then_some(tag & VLAN_ID_MASK)
}
