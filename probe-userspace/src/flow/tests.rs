//! The rules of a flow one by one, and the cache against the model.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use flow_wire::ledger::Amount;
use flow_wire::record::{FlowEndReason, FlowRecord};
use proptest::prelude::*;
use xdp_abi::headers::{Fragment, Headers};
use xdp_abi::key::{Direction, FlowKey};

use super::model::Model;
use super::*;
use crate::packet::Packet;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;

/// More than any test here needs.
const AMPLE: Budget = Budget { buckets: 1000, looks: usize::MAX };

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

impl Records for Vec<FlowRecord> {
    fn record(&mut self, record: FlowRecord) {
        self.push(record);
    }

    fn sequence(&self) -> u64 {
        self.len() as u64
    }

    fn room(&self) -> usize {
        usize::MAX
    }
}

fn settings(capacity: usize) -> Settings {
    Settings {
        active_timeout: Duration::from_secs(20),
        active_perturbation: Duration::ZERO,
        idle_timeout: Duration::from_secs(5),
        capacity,
        hash_size: None,
        observation_domain_id: 7,
    }
}

/// A packet from one end to another: end `n` is 192.0.2.n.
fn packet(at: u64, (source, source_port): (u8, u16), (destination, destination_port): (u8, u16)) -> Packet {
    let end = |n: u8, port| {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&[192, 0, 2, n]);
        (address, port)
    };
    let (from, to) = (end(source, source_port), end(destination, destination_port));
    let direction = if from <= to { Direction::LowToHigh } else { Direction::HighToLow };
    let (low, high) = (from.min(to), from.max(to));
    let key = FlowKey {
        low_address: low.0,
        high_address: high.0,
        low_port: low.1,
        high_port: high.1,
        vlan: 0,
        customer_vlan: 0,
        protocol: 6,
        ip_version: 4,
        zero: [0; 2],
    };
    let headers = Headers {
        key,
        direction,
        fragment: Fragment::Whole,
        tcp_flags: ACK,
        tos: source,
        ttl: 64 + source,
        icmp_type: 0,
        icmp_code: 0,
        ip_octets: 100,
        ip_offset: 14,
    };
    Packet { headers, octets: 100, layer2_octets: 114, timestamp_nanoseconds: at, ingress_interface: 0 }
}

fn with_flags(mut packet: Packet, flags: u8) -> Packet {
    packet.headers.tcp_flags = flags;
    packet
}

/// Client 1:1000 and server 2:80, so many tenths of a second after the start.
fn client(tenths: u64, flags: u8) -> Packet {
    with_flags(packet(START + tenths * SECOND / 10, (1, 1000), (2, 80)), flags)
}

fn server(tenths: u64, flags: u8) -> Packet {
    with_flags(packet(START + tenths * SECOND / 10, (2, 80), (1, 1000)), flags)
}

fn run(packets: &[Packet]) -> Vec<FlowRecord> {
    let mut cache = Cache::of(&settings(64));
    let mut out = Vec::new();
    meter(&mut cache, packets, &mut out);
    cache.flush(0, &mut out);
    assert_eq!((cache.open_flows(), cache.open()), (0, Amount::ZERO));
    out
}

fn meter(cache: &mut Cache, packets: &[Packet], out: &mut Vec<FlowRecord>) {
    // As a burst goes: by its end a place may have become another's.
    for burst in packets.chunks(8) {
        let mut places: Vec<_> = burst.iter().map(|packet| cache.place(&packet.headers.key)).collect();
        places.iter_mut().for_each(|place| cache.prefetch_entry(place));
        burst.iter().zip(places).for_each(|(packet, place)| cache.meter(place, packet, out));
    }
}

fn reasons(records: &[FlowRecord]) -> Vec<FlowEndReason> {
    records.iter().map(|record| record.flow_end_reason).collect()
}

#[test]
fn both_directions_are_one_record() {
    let records = run(&[client(0, SYN), server(1, SYN | ACK), client(2, ACK)]);
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record.source_ip_address, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    assert_eq!((record.source_transport_port, record.destination_transport_port), (1000, 80));
    assert_eq!((record.packet_delta_count, record.reverse_packet_delta_count), (2, 1));
    assert_eq!((record.octet_delta_count, record.layer2_octet_delta_count), (200, 228));
    assert_eq!((record.flow_start_nanoseconds, record.flow_end_nanoseconds), (START, START + SECOND / 5));
    assert_eq!((record.tcp_control_bits, record.reverse_tcp_control_bits), (Some(18), Some(18)));
    assert_eq!((record.ip_class_of_service, record.reverse_ip_class_of_service), (1, Some(2)));
    assert_eq!((record.minimum_ttl, record.maximum_ttl), (65, 65));
    assert_eq!(record.flow_end_reason, FlowEndReason::ForcedEnd);
    assert_eq!(record.observation_domain_id, 7);
}

#[test]
fn the_sender_of_the_syn_is_the_source_even_if_the_answer_was_seen_first() {
    let records = run(&[server(0, SYN | ACK), client(1, SYN), client(2, ACK)]);
    assert_eq!(records[0].source_transport_port, 1000);
    assert_eq!((records[0].packet_delta_count, records[0].reverse_packet_delta_count), (2, 1));
}

#[test]
fn without_a_syn_the_first_sender_is_the_source() {
    assert_eq!(run(&[server(0, ACK), client(1, ACK)])[0].source_transport_port, 80);
}

#[test]
fn silence_of_the_idle_timeout_ends_a_flow() {
    assert_eq!(run(&[client(0, ACK), client(49, ACK)]).len(), 1);
    let records = run(&[client(0, ACK), client(50, ACK)]);
    assert_eq!(reasons(&records), [FlowEndReason::IdleTimeout, FlowEndReason::ForcedEnd]);
}

#[test]
fn an_active_timeout_continues_the_flow_in_the_same_direction() {
    // The server's packet begins the second record: the client stays the source.
    let mut packets: Vec<_> = (0..10).map(|n| client(n * 20, ACK)).collect();
    packets.extend([server(200, ACK), client(201, ACK)]);
    let records = run(&packets);
    assert_eq!(reasons(&records), [FlowEndReason::ActiveTimeout, FlowEndReason::ForcedEnd]);
    assert_eq!((records[0].packet_delta_count, records[0].reverse_packet_delta_count), (10, 0));
    assert_eq!((records[1].packet_delta_count, records[1].reverse_packet_delta_count), (1, 1));
    assert_eq!(records[1].source_transport_port, 1000);
    assert_eq!(records[1].flow_start_nanoseconds, START + 20 * SECOND);
}

#[test]
fn perturbation_gives_each_flow_a_deadline_of_its_own_and_always_the_same() {
    const PORTS: std::ops::Range<u16> = 1000..1400;
    let settings = Settings { active_perturbation: Duration::from_secs(10), ..settings(1024) };
    let start = |port| packet(START, (1, port), (2, 80));
    let life = |port| super::model::life(&settings, &start(port).headers.key);
    // Two packets a nanosecond apart, at the end of its life: the first is its record's, the second the next one's.
    let records = |port| {
        let at = |since| packet(START + since, (1, port), (2, 80));
        let mut cache = Cache::of(&settings);
        let mut out = Vec::new();
        let between = (1..5)
            .map(|n| at(n * 4 * SECOND))
            .filter(|packet| packet.timestamp_nanoseconds < START + life(port) - 1);
        let packets: Vec<_> =
            [at(0)].into_iter().chain(between).chain([at(life(port) - 1), at(life(port))]).collect();
        meter(&mut cache, &packets, &mut out);
        assert_eq!(reasons(&out), [FlowEndReason::ActiveTimeout], "port {port}");
        out[0].packet_delta_count + 1 == packets.len() as u64
    };
    assert!(PORTS.step_by(20).all(records));
    // Evenly over the last ten seconds of twenty.
    let mut counts = [0; 10];
    PORTS.for_each(|port| counts[((life(port) - 1) / SECOND - 10) as usize] += 1);
    assert!(counts.iter().all(|count| (15..=70).contains(count)), "{counts:?}");
}

#[test]
fn the_last_ack_belongs_to_the_closed_flow() {
    let records = run(&[client(0, SYN), client(1, FIN | ACK), server(2, FIN | ACK), client(3, ACK)]);
    assert_eq!(reasons(&records), [FlowEndReason::EndOfFlow]);
    assert_eq!(records[0].packet_delta_count, 3);
}

#[test]
fn one_fin_closes_nothing() {
    let records = run(&[client(0, SYN), client(1, FIN | ACK), server(30, ACK)]);
    assert_eq!(reasons(&records), [FlowEndReason::ForcedEnd]);
}

#[test]
fn a_closed_flow_lingers_for_one_second() {
    assert_eq!(run(&[client(0, ACK), server(1, RST), client(10, ACK)]).len(), 1);
    let records = run(&[client(0, ACK), server(1, RST), client(11, ACK)]);
    assert_eq!(reasons(&records), [FlowEndReason::EndOfFlow, FlowEndReason::ForcedEnd]);
}

#[test]
fn a_syn_after_the_end_starts_a_new_flow_at_once() {
    let records = run(&[client(0, SYN), server(1, RST | ACK), client(2, SYN), server(3, SYN | ACK)]);
    assert_eq!(reasons(&records), [FlowEndReason::EndOfFlow, FlowEndReason::ForcedEnd]);
    assert_eq!((records[1].packet_delta_count, records[1].reverse_packet_delta_count), (1, 1));
}

#[test]
fn the_hand_writes_an_idle_flow_within_a_second_of_its_end() {
    let mut cache = Cache::of(&settings(1000));
    let mut out = Vec::new();
    meter(&mut cache, &[client(0, ACK)], &mut out);
    let budget = Budget { buckets: cache.bucket_count() / 50, looks: usize::MAX };
    for hundredths in 0..=600 {
        let now = START + hundredths * SECOND / 100;
        cache.expire(now, budget, &mut out);
        assert!(hundredths >= 500 || out.is_empty(), "written early, at {hundredths}");
    }
    assert_eq!(reasons(&out), [FlowEndReason::IdleTimeout]);
    assert_eq!(cache.open_flows(), 0);
}

#[test]
fn the_hand_writes_a_closed_flow_within_a_second_of_its_linger() {
    let mut cache = Cache::of(&settings(1000));
    let mut out = Vec::new();
    meter(&mut cache, &[client(0, SYN), server(0, RST)], &mut out);
    for hundredths in 0..=200 {
        cache.expire(START + hundredths * SECOND / 100, AMPLE, &mut out);
    }
    assert_eq!(reasons(&out), [FlowEndReason::EndOfFlow]);
}

#[test]
fn expiry_stops_where_there_is_no_room() {
    struct Full;
    impl Records for Full {
        fn record(&mut self, record: FlowRecord) {
            panic!("a record without room: {record:?}");
        }
        fn sequence(&self) -> u64 {
            0
        }
        fn room(&self) -> usize {
            0
        }
    }
    let mut cache = Cache::of(&settings(64));
    meter(&mut cache, &[client(0, ACK)], &mut Vec::new());
    assert_eq!(cache.expire(START + 60 * SECOND, AMPLE, &mut Full), Hand::NoRoom);
    assert_eq!(cache.open_flows(), 1);
}

#[test]
fn a_mass_of_ended_flows_goes_out_in_steps_and_none_is_forgotten() {
    const FLOWS: usize = 10_000;
    let mut cache = Cache::of(&settings(FLOWS));
    let mut out = Vec::new();
    let packets = (0..FLOWS as u16).map(|port| packet(START, (1, port), (2, 80)));
    meter(&mut cache, &packets.collect::<Vec<_>>(), &mut out);
    let budget = Budget { buckets: 2048, looks: 100 };
    let (mut written, mut calls) = (out.len(), 0);
    // Time stands still once the hand owes a round: it is the calls that bring it on.
    while cache.expire(START + 6 * SECOND, budget, &mut out) == Hand::Behind {
        assert!(out.len() - written <= budget.looks + WAYS, "{} records in a call", out.len() - written);
        (written, calls) = (out.len(), calls + 1);
    }
    assert_eq!((out.len(), cache.open_flows()), (FLOWS, 0));
    assert!(calls >= FLOWS / (budget.looks + WAYS), "{calls} calls");
}

#[test]
fn a_full_cache_of_almost_empty_buckets_gives_up_a_flow_soon() {
    const FLOWS: usize = 4;
    let mut cache = Cache::of(&Settings { hash_size: Some(16 << 16), ..settings(FLOWS) });
    let mut out = Vec::new();
    // A search passes 512 buckets, and never more.
    let allowed = FLOWS + 2 * cache.bucket_count() / 512;
    for port in 1..2_000_u16 {
        meter(&mut cache, &[packet(START, (1, port), (2, 80))], &mut out);
        assert!(cache.open_flows() <= allowed, "{} flows", cache.open_flows());
    }
    assert!(cache.evicted_flows() as usize >= 1_999 - allowed);
}

#[test]
fn a_full_cache_gives_up_its_oldest_flow() {
    let mut cache = Cache::of(&settings(2));
    let mut out = Vec::new();
    let packets = [(1, 0), (2, 1), (1, 2), (3, 3)];
    let packets = packets.map(|(n, tenths)| packet(START + tenths * SECOND / 10, (n, 9), (9, 9)));
    meter(&mut cache, &packets, &mut out);
    assert_eq!(reasons(&out), [FlowEndReason::LackOfResources]);
    assert_eq!(out[0].source_ip_address, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)));
    assert_eq!((cache.evicted_flows(), cache.open_flows()), (1, 2));
}

#[test]
fn a_much_earlier_file_begins_a_new_time() {
    let mut cache = Cache::of(&settings(64));
    let mut out = Vec::new();
    meter(&mut cache, &[client(0, ACK)], &mut out);
    cache.rewind(START - SECOND, &mut out);
    assert!(out.is_empty(), "a little disorder is none");
    cache.rewind(START - 3600 * SECOND, &mut out);
    assert_eq!(reasons(&out), [FlowEndReason::ForcedEnd]);
    assert_eq!(cache.clock(), 0);
}

fn fragment(packet: Packet, fragment: Fragment) -> Packet {
    let mut packet = packet;
    packet.headers.fragment = fragment;
    if let Fragment::Later(_) = fragment {
        (packet.headers.key.low_port, packet.headers.key.high_port) = (0, 0);
    }
    packet
}

#[test]
fn later_fragments_get_the_ports_of_their_first() {
    let mut fragments = Fragments::new();
    for (source, destination) in [((1, 1000), (2, 80)), ((2, 80), (1, 1000))] {
        let whole = packet(START, source, destination);
        let mut first = fragment(whole, Fragment::First(42));
        let mut later = fragment(whole, Fragment::Later(42));
        assert!(fragments.resolve(&mut first, START) && fragments.resolve(&mut later, START + 1));
        assert_eq!(
            (later.headers.key, later.headers.direction),
            (whole.headers.key, whole.headers.direction)
        );
    }
}

#[test]
fn fragments_between_equal_addresses_keep_their_direction() {
    let mut fragments = Fragments::new();
    for (source_port, destination_port) in [(1000, 80), (80, 1000)] {
        let whole = packet(START, (1, source_port), (1, destination_port));
        let mut later = fragment(whole, Fragment::Later(42));
        later.headers.direction = Direction::LowToHigh;
        fragments.resolve(&mut fragment(whole, Fragment::First(42)), START);
        assert!(fragments.resolve(&mut later, START));
        assert_eq!(
            (later.headers.key, later.headers.direction),
            (whole.headers.key, whole.headers.direction)
        );
    }
}

#[test]
fn a_later_fragment_without_its_first_keeps_port_0() {
    let mut fragments = Fragments::new();
    let whole = packet(START, (1, 1000), (2, 80));
    let mut stray = fragment(whole, Fragment::Later(42));
    assert!(!fragments.resolve(&mut stray, START));
    assert_eq!(stray.headers.key.high_port, 0);
    fragments.resolve(&mut fragment(whole, Fragment::First(42)), START);
    let forgotten = START + super::fragments::LIFETIME.as_nanos() as u64;
    assert!(!fragments.resolve(&mut stray, forgotten));
    let mut of_another_packet = fragment(whole, Fragment::Later(43));
    assert!(!fragments.resolve(&mut of_another_packet, START));
    // ICMP has no ports to miss.
    stray.headers.key.protocol = 1;
    assert!(fragments.resolve(&mut stray, START));
}

#[test]
fn the_fragment_table_is_bounded_and_keeps_the_newest() {
    let mut fragments = Fragments::new();
    let whole = packet(START, (1, 1000), (2, 80));
    for id in 0..100_000 {
        fragments.resolve(&mut fragment(whole, Fragment::First(id)), START + u64::from(id));
    }
    assert!(fragments.resolve(&mut fragment(whole, Fragment::Later(99_999)), START));
    assert!(!fragments.resolve(&mut fragment(whole, Fragment::Later(0)), START));
}

/// Packets among few ends, with times that stand still, go on, jump over time-outs and sometimes go back.
fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let step = prop_oneof![
        4 => 1..50_000_000_i64,
        3 => 100_000_000..1_500_000_000_i64,
        1 => Just(1_000_000_000_i64),
        1 => Just(5_000_000_000_i64),
        1 => 4_000_000_000..30_000_000_000_i64,
        1 => -2_000_000_000..-1_i64,
    ];
    let flags = prop_oneof![3 => Just(ACK), 1 => Just(SYN), 1 => Just(SYN | ACK), 2 => Just(FIN | ACK), 1 => Just(RST)];
    let ends = (1..3_u8, 4..6_u8, 1..3_u16, any::<bool>());
    let protocol = prop_oneof![4 => Just(6_u8), 1 => Just(17_u8), 1 => Just(1_u8)];
    let one = (step, ends, flags, protocol, 60..1500_u32);
    proptest::collection::vec(one, 1..200).prop_map(|drawn| {
        let mut time = START as i64;
        let make = |(step, (client, server, port, forward), flags, protocol, octets)| {
            time += step;
            let ports = if protocol == 1 { (0, 0) } else { (port, 80) };
            let (client, server) = ((client, ports.0), (server, ports.1));
            let (source, destination) = if forward { (client, server) } else { (server, client) };
            let mut packet = with_flags(packet(time as u64, source, destination), flags);
            packet.headers.key.protocol = protocol;
            if protocol != 6 {
                packet.headers.tcp_flags = 0;
            }
            packet.headers.icmp_type = if protocol == 1 { source.0 } else { 0 };
            packet.octets = octets;
            packet.layer2_octets = octets + 14;
            packet
        };
        drawn.into_iter().map(make).collect()
    })
}

fn sorted(mut records: Vec<FlowRecord>) -> Vec<String> {
    records.sort_by_key(|record| (record.flow_start_nanoseconds, record.flow_end_nanoseconds));
    let mut lines: Vec<_> = records.iter().map(|record| format!("{record:?}")).collect();
    lines.sort();
    lines
}

fn amount(records: &[FlowRecord]) -> Amount {
    records.iter().fold(Amount::ZERO, |sum, record| Amount {
        packets: sum.packets + record.packet_delta_count + record.reverse_packet_delta_count,
        octets: sum.octets + record.layer2_octet_delta_count + record.reverse_layer2_octet_delta_count,
    })
}

proptest! {
    #[test]
    fn the_cache_agrees_with_the_model_however_the_hand_moves(
        packets in packets(),
        hand in proptest::collection::vec(0..4_usize, 200),
        active_seconds in 1..10_u64,
        perturbed in 0..=100_u32,
    ) {
        let active_timeout = Duration::from_secs(active_seconds);
        let active_perturbation = active_timeout * perturbed / 100;
        let settings = Settings { active_timeout, active_perturbation, ..settings(1024) };
        let mut cache = Cache::of(&settings);
        let mut model = Model::new(settings);
        let mut out = Vec::new();
        let mut metered = Amount::ZERO;
        for (packet, hand) in packets.iter().zip(hand) {
            meter(&mut cache, &[*packet], &mut out);
            model.packet(packet);
            metered += Amount::one(packet.layer2_octets.into());
            if hand > 0 {
                cache.expire(cache.clock(), Budget { buckets: 40 * hand, looks: 3 }, &mut out);
            }
            prop_assert_eq!(amount(&out) + cache.open(), metered);
        }
        cache.flush(0, &mut out);
        model.flush();
        prop_assert_eq!(cache.open(), Amount::ZERO);
        prop_assert_eq!(sorted(out), sorted(model.records));
    }

    #[test]
    fn a_cache_that_is_too_small_agrees_with_the_model(packets in packets(), capacity in 1..8_usize) {
        let mut cache = Cache::of(&settings(capacity));
        // One bucket: any flow may displace any other.
        prop_assume!(cache.bucket_count() == 1);
        let mut model = Model::new(settings(capacity));
        let mut out = Vec::new();
        // Distinct clocks, so that one flow is the oldest.
        let packets: Vec<_> = (1..).zip(packets).map(|(n, packet)| Packet { timestamp_nanoseconds: n * SECOND / 3, ..packet }).collect();
        for packet in &packets {
            meter(&mut cache, &[*packet], &mut out);
            model.packet(packet);
        }
        cache.flush(0, &mut out);
        model.flush();
        prop_assert_eq!(cache.evicted_flows(), model.evicted);
        prop_assert_eq!(sorted(out), sorted(model.records));
    }

    #[test]
    fn a_small_cache_of_many_buckets_loses_nothing(packets in packets(), capacity in 1..40_usize, buckets in 1..30_usize) {
        let mut cache = Cache::of(&Settings { hash_size: Some(buckets * 16), ..settings(capacity) });
        let mut out = Vec::new();
        meter(&mut cache, &packets, &mut out);
        prop_assert!(cache.open_flows() <= capacity);
        let metered = packets.iter().fold(Amount::ZERO, |sum, packet| sum + Amount::one(packet.layer2_octets.into()));
        prop_assert_eq!(amount(&out) + cache.open(), metered);
        cache.flush(0, &mut out);
        prop_assert_eq!(amount(&out), metered);
    }
}
