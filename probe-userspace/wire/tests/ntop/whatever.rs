//! Whatever we write for ntopng is read, and whatever comes ends nobody.

use std::net::IpAddr;

use flow_wire::field::Template;
use flow_wire::ntop::reader::COUNT_MAX;
use flow_wire::ntop::{Encoder, Flows, Header, Keys, Layout, PAYLOAD_OCTETS_MAX, Payload, compress, header};
use flow_wire::record::{FlowEndReason, FlowRecord};
use proptest::prelude::*;

use super::{frames, read, sound, v3};

prop_compose! {
    fn any_record()(
        (source, destination, is_v4) in (any::<u128>(), any::<u128>(), any::<bool>()),
        (start, length) in (0..u64::MAX / 2, 0..1_u64 << 60),
        counts in prop::array::uniform6(0..=COUNT_MAX),
        (interface, ports, protocol) in (any::<u32>(), any::<[u16; 2]>(), prop::sample::select(vec![1_u8, 6, 17, 47, 58, 132])),
        vlans in prop::array::uniform2(prop::option::of(1..=u16::MAX)),
        flags in any::<[u16; 2]>(),
        (tos, reverse_tos, ttl, more_ttl) in (any::<u8>(), any::<Option<u8>>(), 1..128_u8, 0..128_u8),
        (icmp, reason) in (any::<(u8, u8)>(), 0..5_usize),
    ) -> FlowRecord {
        let address = |octets: u128| -> IpAddr {
            if is_v4 { IpAddr::from((octets as u32 | 1).to_be_bytes()) } else { IpAddr::from((octets | 1 << 125).to_be_bytes()) }
        };
        let is_icmp = [1, 58].contains(&protocol);
        FlowRecord {
            observation_domain_id: 9,
            ingress_interface: interface,
            flow_start_nanoseconds: start,
            flow_end_nanoseconds: start + length,
            source_ip_address: address(source),
            destination_ip_address: address(destination),
            source_transport_port: if is_icmp { 0 } else { ports[0] },
            destination_transport_port: if is_icmp { 0 } else { ports[1] },
            protocol_identifier: protocol,
            vlan_id: vlans[0],
            customer_vlan_id: vlans[1].and(vlans[0]).and(vlans[1]),
            packet_delta_count: counts[0],
            reverse_packet_delta_count: counts[1],
            octet_delta_count: counts[2],
            reverse_octet_delta_count: counts[3],
            layer2_octet_delta_count: counts[4],
            reverse_layer2_octet_delta_count: counts[5],
            tcp_control_bits: (protocol == 6).then_some(flags[0]),
            reverse_tcp_control_bits: (protocol == 6).then_some(flags[1]),
            ip_class_of_service: tos,
            reverse_ip_class_of_service: reverse_tos,
            minimum_ttl: ttl,
            maximum_ttl: ttl + more_ttl,
            icmp_type: is_icmp.then_some(icmp.0),
            icmp_code: is_icmp.then_some(icmp.1),
            flow_end_reason: FlowEndReason::ALL[reason],
            recovered_from: None,
            shunted_packet_delta_count: None,
        }
    }
}

proptest! {
    /// In every format and key, behind every header, compressed or not.
    #[test]
    fn whatever_we_write_for_ntopng_we_read(records in prop::collection::vec(any_record(), 1..20)) {
        let template = Template::parse(
            "@NTOPNG@ %MIN_TTL %MAX_TTL %ICMP_TYPE %flowStartNanoseconds %flowEndNanoseconds %layer2OctetDeltaCount %reverseLayer2OctetDeltaCount",
        ).unwrap();
        let encoders = [Encoder::tlv(&template)].into_iter().chain([Keys::Numbers, Keys::Dotted, Keys::Names].map(|keys| Encoder::json(&template, keys)));
        for (at, encoder) in encoders.enumerate() {
            for layout in [Layout::V1, Layout::V2, Layout::V3] {
                let mut room = Vec::new();
                let mut messages = Vec::new();
                let written: Result<(), ()> = Flows::new(encoder.clone(), PAYLOAD_OCTETS_MAX).write(records.iter(), |payload, _| {
                    let compressed = at > 0 && compress::is_possible(layout);
                    if compressed { compress::compress(payload, &mut room) } else { room = payload.to_vec() }
                    let coding = match (at, compressed) {
                        (0, _) => Payload::Tlv,
                        (_, false) => Payload::Json,
                        (_, true) => Payload::Compressed { octets: payload.len() as u32 },
                    };
                    let header = Header { topic: flow_wire::ntop::Topic::Flow, payload: coding, octets: room.len() as u32, number: 7, source: 9 };
                    messages.push(vec![header.write(layout, &mut [0; header::HEADER_OCTETS_MAX]).to_vec(), room.clone()]);
                    Ok(())
                });
                written.unwrap();
                let mut read = Vec::new();
                for message in &messages {
                    let (frame, flows) = sound(message);
                    prop_assert_eq!((frame.number, frame.source, frame.is_ours, frame.is_tlv), (Some(7), 9, true, at == 0));
                    read.extend(flows);
                }
                prop_assert_eq!(&read, &records);
            }
        }
    }

    #[test]
    fn no_octets_end_the_reader(header in prop::collection::vec(any::<u8>(), 0..50), payload in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&header, &payload);
        for flags in [0, 2, 4, 6] {
            let _ = read(&v3(flags, 1), &payload);
            let _ = read(&v3(flags, 1), &[&[1, 1][..], &payload].concat());
        }
    }

    #[test]
    fn no_flipped_bit_ends_the_reader(message in 0..8_usize, at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut message = frames::read("ndpi/ndpi.frames").remove(message);
        let at = at.index(message[1].len());
        message[1][at] ^= 1 << bit;
        let (_, flows, _) = read(&message[0], &message[1]).unwrap();
        prop_assert!(flows.len() <= message[1].len());
    }
}
