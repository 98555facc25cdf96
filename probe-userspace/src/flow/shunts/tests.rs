//! The program by hand over the same memory: whatever comes between, each packet is in exactly one record of its flow.

use std::collections::BTreeMap;
use std::time::Duration;

use flow_wire::record::FlowRecord;
use proptest::prelude::*;
use xdp_abi::headers::{Fragment, Headers};
use xdp_abi::key::Direction;

use super::*;
use crate::flow::{Budget, Settings};
use crate::meter::testing::key;
use crate::packet::Packet;
use crate::source::xdp::shunt::{Grace, Table};
use crate::survive::{Parts, Shape};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;
const THRESHOLD: u64 = 3;
const ACK: u8 = 16;
const SYN: u8 = 2;
const FIN: u8 = 1;
const RST: u8 = 4;

/// Ports of flows, of which the second half have the places of the first.
fn ports() -> [u16; 12] {
    let place = |port: u16| index(key(port).hash());
    let mut seen = BTreeMap::new();
    let mut ports = Vec::new();
    for port in 1..u16::MAX {
        if let Some(other) = seen.insert(place(port), port) {
            ports.push((other, port));
        }
        if ports.len() == 6 {
            break;
        }
    }
    std::array::from_fn(|at| if at < 6 { ports[at].0 } else { ports[at - 6].1 })
}

/// A shard's cache, the program's memory, and what is on its way between them.
struct Host {
    cache: Cache,
    table: Table,
    grace: Grace,
    now: u64,
    has_socket: bool,
    /// Programs that have found the place taken and not gone on yet.
    begun: Vec<(Packet, usize)>,
    records: Vec<FlowRecord>,
    truth: BTreeMap<u16, [[u64; 3]; 2]>,
}

impl Host {
    fn new(capacity: usize) -> Self {
        let settings = Settings {
            active_timeout: Duration::from_secs(20),
            active_perturbation: Duration::ZERO,
            idle_timeout: Duration::from_secs(5),
            capacity,
            hash_size: None,
            observation_domain_id: 1,
        };
        let (table, grace) = (Table::anonymous(), Grace::by_hand());
        let shunt = Shunt::waiting(vec![table.clone()], settings.idle_timeout, 0, grace.clone()).unwrap();
        let places = PLACES as usize;
        let memory = Parts::anonymous(Shape { buckets: 0, ring: 1, places }).unwrap().shard.shunts.unwrap();
        let cache = Cache::of(&settings).with_shunts(Some(Shunts::new(shunt, THRESHOLD, memory)));
        let (records, truth) = (Vec::new(), BTreeMap::new());
        Self { cache, table, grace, now: START, has_socket: true, begun: Vec::new(), records, truth }
    }

    fn packet(&mut self, port: u16, side: usize, tcp_flags: u8) -> Packet {
        let octets = 100 + u32::from(port % 7) + side as u32;
        let direction = if side == 0 { Direction::LowToHigh } else { Direction::HighToLow };
        let headers = Headers {
            key: key(port),
            direction,
            fragment: Fragment::Whole,
            tcp_flags,
            tos: 0,
            ttl: 64,
            icmp_type: 0,
            icmp_code: 0,
            ip_octets: octets,
            ip_offset: 14,
        };
        let counts = &mut self.truth.entry(port).or_default()[side];
        counts[0] += 1;
        counts[1] += u64::from(octets);
        counts[2] += u64::from(octets) + 14;
        Packet {
            headers,
            octets,
            layer2_octets: octets + 14,
            timestamp_nanoseconds: self.now,
            ingress_interface: 0,
        }
    }

    /// The program takes a packet up to where it has found the place taken.
    fn begin(&mut self, packet: Packet, cpu: usize) {
        if self.table.finds(&packet.headers) { self.begun.push((packet, cpu)) } else { self.up(packet) }
    }

    fn go_on(&mut self, at: usize) {
        let (packet, cpu) = self.begun.swap_remove(at);
        if self.table.judge(&packet.headers, packet.layer2_octets, (self.now, cpu), self.has_socket) {
            self.up(packet);
        }
    }

    fn up(&mut self, packet: Packet) {
        let packet = Packet { timestamp_nanoseconds: self.now, ..packet };
        let place = self.cache.place(&packet.headers.key);
        self.cache.meter(place, &packet, &mut self.records);
    }

    fn send(&mut self, port: u16, side: usize, flags: u8, count: usize) {
        for _ in 0..count {
            let packet = self.packet(port, side, flags);
            self.begin(packet, 0);
            while !self.begun.is_empty() {
                self.go_on(0);
            }
        }
    }

    /// All programs have ended that had begun.
    fn end_grace(&mut self) {
        while !self.begun.is_empty() {
            self.go_on(0);
        }
        self.grace.end();
    }

    fn expire(&mut self) {
        self.cache.expire(self.now, Budget { buckets: 64, looks: usize::MAX }, &mut self.records);
    }

    fn pass(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
        self.expire();
    }

    /// The end, and whether everything is where it belongs.
    fn check(mut self) -> Self {
        self.cache.leave_shunts();
        self.end_grace();
        assert!(self.cache.has_left_shunts(&mut self.records), "a shunt is left");
        assert_eq!(self.cache.flush(0, &mut self.records), None);
        // What flushing parted.
        assert!(self.cache.has_left_shunts(&mut self.records), "a shunt is left");
        let mut found: BTreeMap<u16, [[u64; 3]; 2]> = BTreeMap::new();
        for record in &self.records {
            let is_forward = record.source_transport_port != 443;
            let port =
                if is_forward { record.source_transport_port } else { record.destination_transport_port };
            let forward =
                [record.packet_delta_count, record.octet_delta_count, record.layer2_octet_delta_count];
            let reverse = [
                record.reverse_packet_delta_count,
                record.reverse_octet_delta_count,
                record.reverse_layer2_octet_delta_count,
            ];
            let sides = if is_forward { [forward, reverse] } else { [reverse, forward] };
            for (sum, more) in found.entry(port).or_default().iter_mut().flatten().zip(sides.as_flattened()) {
                *sum += more;
            }
            assert!(record.flow_start_nanoseconds <= record.flow_end_nanoseconds, "{record:?}");
        }
        assert_eq!(found, self.truth);
        assert_eq!(self.cache.open(), Amount::ZERO);
        assert_eq!(self.table.total(), self.cache.shunt_terms().merged);
        assert_eq!(self.table.total(), self.table.total_of_used());
        self
    }
}

#[test]
fn an_elephant_is_counted_by_the_program_and_comes_home_with_every_packet() {
    let mut host = Host::new(64);
    host.send(7, 0, ACK, 3);
    host.send(7, 1, ACK, 1);
    host.send(7, 0, ACK, 1000);
    host.send(7, 1, ACK, 1000);
    assert_eq!(host.table.total().packets, 2000);
    assert_eq!(host.cache.metered().packets, 4);
    host.pass(SECOND);
    assert_eq!(host.cache.shunt_terms().merged.packets, 2000);
    host.send(7, 0, ACK, 2);
    assert_eq!(host.cache.metered().packets, 5, "one sample a second");
    let host = host.check();
    assert_eq!(host.records[0].shunted_packet_delta_count, Some(2001), "the record says so");
}

#[test]
fn of_a_side_that_was_not_seen_the_first_packet_comes_up() {
    let mut host = Host::new(64);
    host.send(7, 0, ACK, 5);
    host.send(7, 1, ACK, 5);
    assert_eq!((host.cache.metered().packets, host.table.total().packets), (4, 6));
    host.check();
}

#[test]
fn an_end_or_a_beginning_of_a_connection_stops_the_shunt() {
    for flag in [FIN, SYN, RST] {
        let mut host = Host::new(64);
        host.send(7, 0, ACK, 10);
        host.send(7, 0, ACK | flag, 1);
        host.send(7, 0, ACK, 10);
        assert_eq!(host.table.total().packets, 7, "{flag}");
        host.check();
    }
}

#[test]
fn a_flow_of_the_same_key_begins_while_the_counts_of_the_one_before_are_on_their_way() {
    let mut host = Host::new(64);
    host.send(7, 0, ACK, 10);
    // The program has found the tag, and is put aside.
    let packet = host.packet(7, 0, ACK);
    host.begin(packet, 1);
    host.pass(6 * SECOND);
    assert_eq!(host.records, [], "it is not known yet how many they are");
    let packet = host.packet(7, 0, SYN);
    host.up(packet);
    host.end_grace();
    host.pass(1);
    assert_eq!(host.records.len(), 1);
    assert_eq!(host.records[0].flow_end_reason, FlowEndReason::IdleTimeout);
    let counted = host.records[0].packet_delta_count;
    assert!(counted >= 10, "{counted}");
    host.check();
}

#[test]
fn silence_stops_a_shunt_and_the_packet_behind_it_begins_a_new_flow() {
    let mut host = Host::new(64);
    host.send(7, 0, ACK, 10);
    host.now += 6 * SECOND;
    host.send(7, 0, ACK, 1);
    assert_eq!(host.cache.open_flows(), 1);
    let host = host.check();
    assert_eq!(host.records.iter().map(|record| record.packet_delta_count).collect::<Vec<_>>(), [10, 1]);
}

#[test]
fn where_nobody_listens_a_sample_stops_the_shunt() {
    let mut host = Host::new(64);
    host.send(7, 0, ACK, 10);
    host.has_socket = false;
    host.now += SECOND;
    host.send(7, 0, ACK, 10);
    assert_eq!(host.table.total().packets, 7);
    host.check();
}

#[test]
fn the_second_flow_of_a_place_is_not_shunted_and_counted() {
    let mut host = Host::new(64);
    let ports = ports();
    host.send(ports[0], 0, ACK, 10);
    host.send(ports[6], 0, ACK, 10);
    let terms = host.cache.shunt_terms();
    assert_eq!((terms.flows, terms.begun, terms.refused), (1, 1, [1, 0]));
    assert_eq!(host.cache.metered().packets, 3 + 10);
    let host = host.check();
    let mut shunted: Vec<_> = host.records.iter().map(|record| record.shunted_packet_delta_count).collect();
    shunted.sort_unstable();
    assert_eq!(shunted, [None, Some(7)]);
}

#[test]
fn an_elephant_that_was_refused_is_tried_again_a_second_later() {
    let mut host = Host::new(64);
    let ports = ports();
    host.send(ports[0], 0, ACK, 10);
    host.send(ports[6], 0, ACK, 10);
    // Its end leaves the place to the other one.
    host.send(ports[0], 0, RST, 1);
    host.pass(SECOND);
    host.end_grace();
    host.pass(SECOND);
    assert_eq!(host.cache.shunt_terms().flows, 0);
    host.send(ports[6], 0, ACK, 10);
    let terms = host.cache.shunt_terms();
    assert_eq!((terms.flows, terms.begun, terms.refused), (1, 2, [1, 0]));
    let host = host.check();
    let second = host.records.iter().find(|record| record.shunted_packet_delta_count == Some(9));
    assert_eq!(second.map(|record| record.packet_delta_count), Some(20), "{:?}", host.records);
}

#[test]
fn an_elephant_that_was_refused_is_counted_once_however_many_records_it_has() {
    let mut host = Host::new(64);
    let ports = ports();
    for _ in 0..30 {
        host.send(ports[0], 0, ACK, 10);
        host.send(ports[6], 0, ACK, 10);
        host.pass(2 * SECOND);
    }
    assert_eq!(host.cache.shunt_terms().refused, [1, 0]);
    let host = host.check();
    assert!(host.records.iter().filter(|record| record.shunted_packet_delta_count.is_none()).count() > 2);
}

#[test]
fn a_place_that_is_taken_is_not_asked_for_by_every_packet() {
    let mut host = Host::new(64);
    let ports = ports();
    host.send(ports[0], 0, ACK, 10);
    host.send(ports[6], 0, ACK, 10);
    host.send(ports[0], 0, RST, 1);
    host.end_grace();
    host.pass(1);
    host.end_grace();
    host.pass(1);
    host.send(ports[6], 0, ACK, 10);
    assert_eq!(host.cache.shunt_terms().begun, 1, "the second has not passed");
    host.check();
}

#[test]
fn an_elephant_whose_shunt_was_stopped_is_shunted_again_a_second_later() {
    let mut host = Host::new(64);
    host.send(7, 0, ACK, 10);
    // One side has nothing more to say.
    host.send(7, 0, FIN, 1);
    host.pass(SECOND);
    host.end_grace();
    host.pass(1);
    host.send(7, 1, ACK, 10);
    assert_eq!(host.cache.shunt_terms().begun, 1);
    host.pass(SECOND);
    host.send(7, 1, ACK, 10);
    assert_eq!((host.cache.shunt_terms().begun, host.cache.shunt_terms().flows), (2, 1));
    let host = host.check();
    assert_eq!(host.records.len(), 1);
}

#[test]
fn half_of_a_bucket_at_most_is_shunted_and_others_are_pushed_out_first() {
    // One bucket of sixteen for eight flows.
    let mut host = Host::new(8);
    let ports = ports();
    for port in &ports[..6] {
        host.send(*port, 0, ACK, 10);
    }
    for port in 20_000..20_010 {
        host.send(port, 0, ACK, 1);
    }
    assert_eq!(host.cache.shunt_terms().flows, 6, "none of them was pushed out");
    host.check();
    // Two buckets, of which these flows have one.
    let mut host = Host::new(16);
    let is_first = |port: &u16| key(*port).hash() as u32 >> 31 == 0;
    for port in (20_000..).filter(is_first).take(12) {
        host.send(port, 0, ACK, 10);
    }
    assert_eq!(host.cache.shunt_terms().refused, [0, 4]);
    host.check();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn each_packet_is_in_one_record_of_its_flow(
        capacity in 4_usize..20,
        steps in prop::collection::vec((0_u8..24, 0_usize..12, 0_usize..2, any::<u16>()), 1..500),
    ) {
        let ports = ports();
        let mut host = Host::new(capacity);
        for (what, flow, side, number) in steps {
            let cpu = usize::from(number & 1);
            host.now += u64::from(number) * 10_000;
            match what {
                0 => host.expire(),
                1 => host.pass(SECOND),
                2 => host.end_grace(),
                3 if number % 8 == 0 => host.now += 6 * SECOND,
                4 if number % 4 == 0 => host.now += 21 * SECOND,
                5 if !host.begun.is_empty() => host.go_on(usize::from(number) % host.begun.len()),
                6 => host.has_socket = number % 4 != 0,
                7..10 => {
                    let packet = host.packet(ports[flow], side, ACK);
                    host.begin(packet, cpu);
                }
                10 => {
                    let flags = [FIN | ACK, SYN, RST, SYN | ACK][usize::from(number) % 4];
                    host.send(ports[flow], side, flags, 1);
                }
                _ => host.send(ports[flow % 4 + 6 * (flow % 2)], side, ACK, usize::from(number % 8)),
            }
        }
        host.check();
    }
}
