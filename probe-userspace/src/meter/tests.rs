//! A shard: every frame is in exactly one term.

use std::time::Duration;

use super::testing::Collected;
use super::*;
use crate::source::LinkLayer;

const SETTINGS: Settings = Settings {
    active_timeout: Duration::from_secs(120),
    active_perturbation: Duration::ZERO,
    idle_timeout: Duration::from_secs(30),
    capacity: 64,
    hash_size: None,
    observation_domain_id: 1,
};

/// IPv4 UDP from 192.0.2.1 to .2; a later fragment where `offset` is not 0.
fn udp(port: u16, identification: u16, flags_and_offset: u16) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 28];
    bytes.extend(identification.to_be_bytes());
    bytes.extend(flags_and_offset.to_be_bytes());
    bytes.extend([64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    bytes.extend(port.to_be_bytes());
    bytes.extend([0, 53, 0, 8, 0, 0]);
    bytes
}

const FIRST: u16 = 0x2000;
const LATER: u16 = 0x0001;

fn process(shard: &mut Shard, frames: &[Vec<u8>], out: &mut Collected) {
    let frames: Vec<_> = frames
        .iter()
        .map(|bytes| Frame {
            bytes,
            further_octets: 0,
            original_octets: 100,
            timestamp_nanoseconds: 1_700_000_000_000_000_000,
            link_layer: LinkLayer::Ip,
            stripped_vlan: None,
            left_out: false,
        })
        .collect();
    shard.process(&frames, 4, out);
}

#[test]
fn every_frame_is_in_one_term() {
    let mut shard = Shard::of(2, &SETTINGS);
    let mut out = Collected::default();
    process(&mut shard, &[udp(1, 1, 0), vec![0x45; 10], vec![], udp(1, 2, 0), vec![0x10; 40]], &mut out);
    let terms = shard.terms();
    assert_eq!((terms.worker, terms.received.packets), (2, 5));
    assert_eq!(terms.metered, Amount { packets: 2, octets: 200 });
    assert_eq!(terms.open, terms.metered);
    let reasons: Vec<_> =
        terms.undecodable.iter().map(|(reason, amount)| (*reason, amount.packets)).collect();
    assert_eq!(
        reasons,
        [(Undecodable::LinkTruncated, 1), (Undecodable::IpVersion, 1), (Undecodable::Ipv4Truncated, 1)]
    );
    assert_eq!(shard.flush(0, &mut out), None);
    assert_eq!(out.records.len(), 1);
    assert_eq!((out.records[0].ingress_interface, out.amount()), (4, terms.metered));
}

#[test]
fn fragments_join_the_flow_of_their_first_and_strays_are_counted() {
    let mut shard = Shard::of(0, &SETTINGS);
    let mut out = Collected::default();
    // Identification 7: first, then later. Identification 8: later before its first.
    process(
        &mut shard,
        &[udp(1000, 7, FIRST), udp(0xffff, 7, LATER), udp(0xffff, 8, LATER), udp(1000, 8, FIRST)],
        &mut out,
    );
    shard.flush(0, &mut out);
    let mut flows: Vec<_> =
        out.records.iter().map(|record| (record.source_transport_port, record.packet_delta_count)).collect();
    flows.sort_unstable();
    assert_eq!(flows, [(0, 1), (1000, 3)]);
    assert_eq!(shard.terms().fragments_without_first, 1);
}

#[test]
fn a_packet_of_another_worker_is_handed_over_once_its_ports_are_known() {
    let mut shard = Shard::of(0, &SETTINGS);
    let mut out = Collected {
        owner: Some(|packet| match packet.headers.key.low_port.min(packet.headers.key.high_port) {
            53 if packet.headers.key.low_port == 1000 || packet.headers.key.high_port == 1000 => Given::Away,
            53 => Given::Own,
            _ => Given::Full,
        }),
        ..Collected::default()
    };
    process(
        &mut shard,
        &[udp(1000, 7, FIRST), udp(9, 7, LATER), udp(2000, 9, 0), udp(1, 8, LATER)],
        &mut out,
    );
    let terms = shard.terms();
    let counted = [terms.received, terms.handed_over, terms.handover_full, terms.metered];
    assert_eq!(counted.map(|amount| amount.packets), [4, 2, 1, 1]);

    let mut other = Shard::of(1, &SETTINGS);
    let away = std::mem::take(&mut out.away);
    other.take_over(&away, &mut out);
    other.flush(0, &mut out);
    let terms = other.terms();
    assert_eq!((terms.received, terms.taken_over.packets, terms.metered.packets), (Amount::ZERO, 2, 2));
    assert_eq!(out.records[0].packet_delta_count, 2);
}
