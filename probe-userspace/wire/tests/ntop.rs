//! What is sent to ntopng: octets that nDPI's own serializer wrote, headers as ntopng's structures lie in memory, and a decoder that
//! shares nothing with the encoder.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "ntop/decoder.rs"]
mod decoder;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use decoder::{Flow, Value};
use flow_wire::field::Template;
use flow_wire::ntop::{
    Encoder, Flows, Header, Keys, Layout, PAYLOAD_OCTETS_MAX, Payload, Topic, compress, header,
};
use flow_wire::record::{FlowEndReason, FlowRecord};
use flow_wire::stamp::Epoch;
use proptest::prelude::*;

fn record() -> FlowRecord {
    FlowRecord {
        observation_domain_id: 9,
        ingress_interface: 2,
        flow_start_nanoseconds: 1_700_000_000_123_456_789,
        flow_end_nanoseconds: 1_700_000_001_123_456_789,
        source_ip_address: "10.0.0.1".parse().unwrap(),
        destination_ip_address: "198.51.100.2".parse().unwrap(),
        source_transport_port: 51_000,
        destination_transport_port: 443,
        protocol_identifier: 6,
        vlan_id: Some(100),
        customer_vlan_id: Some(7),
        packet_delta_count: 7,
        reverse_packet_delta_count: 70_000,
        octet_delta_count: 900,
        reverse_octet_delta_count: 1 << 32,
        layer2_octet_delta_count: 998,
        reverse_layer2_octet_delta_count: 5_000_000_000,
        tcp_control_bits: Some(27),
        reverse_tcp_control_bits: Some(0x52),
        ip_class_of_service: 8,
        reverse_ip_class_of_service: None,
        minimum_ttl: 63,
        maximum_ttl: 64,
        icmp_type: None,
        icmp_code: None,
        flow_end_reason: FlowEndReason::EndOfFlow,
        recovered_from: None,
        shunted_packet_delta_count: None,
    }
}

fn v6() -> FlowRecord {
    FlowRecord {
        source_ip_address: "2001:db8::1".parse().unwrap(),
        destination_ip_address: "2001:db8::2".parse().unwrap(),
        ..record()
    }
}

/// The payloads of all messages, with the number of flows that each was said to hold.
fn written(encoder: Encoder, records: &[FlowRecord], octets: usize) -> Vec<(Vec<u8>, u16)> {
    let mut messages = Vec::new();
    let taken: Result<(), ()> = Flows::new(encoder, octets).write(records.iter(), |payload, flows| {
        messages.push((payload.to_vec(), flows));
        Ok(())
    });
    taken.unwrap();
    messages
}

fn one(encoder: Encoder, records: &[FlowRecord]) -> Vec<u8> {
    let mut messages = written(encoder, records, PAYLOAD_OCTETS_MAX);
    assert_eq!(messages.len(), 1);
    messages.remove(0).0
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Written by nDPI 4.11 (`ndpi_serialize_uint32_uint64`, `.._uint32`, `.._string`, `ndpi_serialize_string_uint32`, `.._end_of_record`).
#[test]
fn tlv_is_octet_for_octet_what_ndpi_writes() {
    let first = "%IN_BYTES %IN_PKTS %OUT_BYTES %OUT_PKTS %IPV4_SRC_ADDR %IPV6_SRC_ADDR %L4_SRC_PORT %FIRST_SWITCHED %CLIENT_TCP_FLAGS \
                 %ingressInterface=>octets.in %FLOW_END_REASON";
    let record = FlowRecord { ingress_interface: 0, ..record() };
    let golden = "0101\
        23010384\
        220207\
        25170000000100000000\
        241800011170\
        2b08000831302e302e302e31\
        2307c738\
        24166553f100\
        32e0ce1b\
        b200096f63746574732e696e00\
        2b88000b456e64206f6620466c6f77\
        01";
    assert_eq!(hexadecimal(&one(Encoder::tlv(&Template::parse(first).unwrap()), &[record])), golden);
    let second = Template::parse("%IPV6_SRC_ADDR %IPV4_SRC_ADDR").unwrap();
    let golden = "01012b1b000b323030313a6462383a3a3101".to_owned();
    assert_eq!(hexadecimal(&one(Encoder::tlv(&second), &[v6()])), golden);
}

#[test]
fn json_has_numbers_dotted_numbers_or_names_as_keys() {
    let template = Template::parse(
        "%IPV4_SRC_ADDR %IPV6_SRC_ADDR %OUT_BYTES %SERVER_TCP_FLAGS %layer2OctetDeltaCount \
         %reverseLayer2OctetDeltaCount %SRC_VLAN=>vlan %FLOW_END_REASON",
    )
    .unwrap();
    for (keys, golden) in [
        (
            Keys::Numbers,
            r#"[{"8":"10.0.0.1","23":4294967296,"57551":82,"352":998,"29305.352":5000000000,"vlan":7,"136":"End of Flow"}]"#,
        ),
        (
            Keys::Dotted,
            r#"[{"8":"10.0.0.1","23":4294967296,"35632.79":82,"352":998,"29305.352":5000000000,"vlan":7,"136":"End of Flow"}]"#,
        ),
        (
            Keys::Names,
            r#"[{"IPV4_SRC_ADDR":"10.0.0.1","OUT_BYTES":4294967296,"SERVER_TCP_FLAGS":82,"layer2OctetDeltaCount":998,"reverseLayer2OctetDeltaCount":5000000000,"vlan":7,"FLOW_END_REASON":"End of Flow"}]"#,
        ),
    ] {
        let payload = one(Encoder::json(&template, keys), &[record()]);
        assert_eq!(String::from_utf8(payload).unwrap(), golden);
    }
    let nothing = Template::parse("%IPV6_SRC_ADDR").unwrap();
    assert_eq!(
        one(Encoder::json(&nothing, Keys::Names), &[record(), v6()]),
        br#"[{},{"IPV6_SRC_ADDR":"2001:db8::1"}]"#
    );
}

/// By the offsets that a compiler gives ntopng's structures; behind the topic's NUL stands "gannet".
#[test]
fn headers_lie_as_ntopngs_structures_do() {
    let header = Header {
        topic: Topic::Flow,
        payload: Payload::Tlv,
        octets: 0x1234,
        number: 0x0102_0304,
        source: 0xa1b2_c3d4,
    };
    let frame = |header: Header, layout: Layout| {
        hexadecimal(header.write(layout, &mut [0xff; header::HEADER_OCTETS_MAX]))
    };
    let flow = "666c6f770067616e6e65740000000000";
    assert_eq!(frame(header, Layout::V1), format!("{flow}03d4341201020304"));
    assert_eq!(frame(header, Layout::V2), format!("{flow}0300341201020304d4c3b2a1"));
    assert_eq!(frame(header, Layout::V3), format!("{flow}04020000341200003412000001020304d4c3b2a1"));
    let event = Header { topic: Topic::Event, payload: Payload::Json, ..header };
    let name = "6576656e740067616e6e657400000000";
    assert_eq!(frame(event, Layout::V1), format!("{name}02d4341201020304"));
    assert_eq!(frame(event, Layout::V3), format!("{name}04000000341200003412000001020304d4c3b2a1"));
    let template =
        Header { topic: Topic::Template, payload: Payload::Compressed { octets: 0x9999 }, ..header };
    let name = "74656d706c6174650067616e6e657400";
    assert_eq!(frame(template, Layout::V2), format!("{name}0200341201020304d4c3b2a1"));
    assert_eq!(frame(template, Layout::V3), format!("{name}04040000999900003412000001020304d4c3b2a1"));
}

/// Trap D: ntopng counts the flows of a message in an octet. Trap C: what is longer than 128 KiB is dropped without a word.
#[test]
fn messages_stay_below_what_ntopng_can_count_and_hold() {
    let records: Vec<_> = (0..1_000).map(|number| FlowRecord { octet_delta_count: number, ..v6() }).collect();
    let all = "@NTOPNG@ %MIN_TTL %MAX_TTL %flowStartNanoseconds %flowEndNanoseconds %layer2OctetDeltaCount";
    for (template, octets) in
        [("@NTOPNG@", PAYLOAD_OCTETS_MAX), (all, compress::TEXT_OCTETS_MAX), ("%IN_BYTES", 100)]
    {
        let template = Template::parse(template).unwrap();
        let encoders = [Encoder::tlv(&template), Encoder::json(&template, Keys::Names)];
        for (is_json, encoder) in encoders.into_iter().enumerate() {
            let messages = written(encoder, &records, octets);
            let mut seen = 0;
            for (payload, flows) in &messages {
                assert!(
                    *flows > 0 && *flows <= 255 && payload.len() <= octets,
                    "{flows} in {}",
                    payload.len()
                );
                let decoded = match is_json {
                    0 => decoder::tlv(payload),
                    _ => decoder::json(std::str::from_utf8(payload).unwrap()),
                };
                assert_eq!(decoded.len(), usize::from(*flows));
                for flow in decoded {
                    let octets = flow.get("1").or(flow.get("IN_BYTES")).unwrap();
                    assert_eq!(octets.number(), seen, "in their order, each once");
                    seen += 1;
                }
            }
            assert_eq!(seen, 1_000);
        }
    }
    assert_eq!(written(Encoder::tlv(&Template::default()), &[], PAYLOAD_OCTETS_MAX), []);
}

/// Trap B: what would not fit there is not compressed at all, and what is fits.
#[test]
fn compressed_text_is_for_the_older_headers_alone() {
    assert!(
        !compress::is_possible(Layout::V3)
            && compress::is_possible(Layout::V2)
            && compress::is_possible(Layout::V1)
    );
    let text = one(Encoder::json(&Template::default(), Keys::Numbers), &vec![record(); 100]);
    let mut payload = Vec::new();
    compress::compress(&text, &mut payload);
    assert!(payload.len() * 5 < text.len());
    let header = Header {
        topic: Topic::Flow,
        payload: Payload::Compressed { octets: text.len() as u32 },
        octets: payload.len() as u32,
        number: 1,
        source: 1,
    };
    let frame = header.write(Layout::V2, &mut [0; header::HEADER_OCTETS_MAX]).to_vec();
    let (head, flows, read) = decoder::message(&[frame, payload]);
    assert!(head.is_compressed && read.as_bytes() == text && flows.len() == 100);
}

/// What a flow must say, by the numbers that ntopng knows: written down anew, and not read off the table.
fn expected(record: &FlowRecord) -> Flow {
    let mut flow = Flow::new();
    let mut number = |key: u32, value: Option<u64>| {
        if let Some(value) = value {
            flow.insert(key.to_string(), Value::Number(value));
        }
    };
    number(1, Some(record.octet_delta_count));
    number(2, Some(record.packet_delta_count));
    number(23, Some(record.reverse_octet_delta_count));
    number(24, Some(record.reverse_packet_delta_count));
    number(4, Some(record.protocol_identifier.into()));
    number(7, Some(record.source_transport_port.into()));
    number(11, Some(record.destination_transport_port.into()));
    number(21, Some(record.flow_end_nanoseconds / 1_000_000_000));
    number(22, Some(record.flow_start_nanoseconds / 1_000_000_000));
    number(5, Some(record.ip_class_of_service.into()));
    number(55, record.reverse_ip_class_of_service.map(Into::into));
    number(10, Some(record.ingress_interface.into()));
    let either = record.tcp_control_bits.or(record.reverse_tcp_control_bits);
    let both = record.tcp_control_bits.unwrap_or(0) | record.reverse_tcp_control_bits.unwrap_or(0);
    number(6, either.map(|_| both.into()));
    number(57_472 + 78, record.tcp_control_bits.map(Into::into));
    number(57_472 + 79, record.reverse_tcp_control_bits.map(Into::into));
    let (inner, outer) = match (record.vlan_id, record.customer_vlan_id) {
        (outer, Some(inner)) => (Some(inner), outer),
        (only, None) => (only, None),
    };
    number(58, inner.map(Into::into));
    number(243, outer.map(Into::into));
    number(60, Some(if record.source_ip_address.is_ipv4() { 4 } else { 6 }));
    let (source, destination) = if record.source_ip_address.is_ipv4() { (8, 12) } else { (27, 28) };
    let mut text = |key: u32, value: String| flow.insert(key.to_string(), Value::Text(value));
    text(source, record.source_ip_address.to_string());
    text(destination, record.destination_ip_address.to_string());
    let reason = ["Idle Timeout", "Active Timeout", "End of Flow", "Forced End", "Lack of Resources"];
    text(136, reason[record.flow_end_reason as usize - 1].to_owned());
    flow
}

prop_compose! {
    fn any_record()(
        (source, destination, is_v4) in (any::<u128>(), any::<u128>(), any::<bool>()),
        (start, end, domain) in (any::<u64>(), any::<u64>(), any::<u32>()),
        counts in any::<[u64; 6]>(),
        shift in 0..64_u32,
        (interface, ports, protocol) in (any::<u32>(), any::<[u16; 2]>(), any::<u8>()),
        vlans in any::<[Option<u16>; 2]>(),
        flags in any::<[Option<u16>; 2]>(),
        (tos, reverse_tos, ttls) in (any::<u8>(), any::<Option<u8>>(), any::<[u8; 2]>()),
        (icmp, reason) in (any::<Option<(u8, u8)>>(), 0..5_usize),
        (recovered, shunted) in (any::<Option<u128>>(), any::<Option<u64>>()),
    ) -> FlowRecord {
        let address = |octets: u128| -> IpAddr {
            if is_v4 { Ipv4Addr::from(octets as u32).into() } else { Ipv6Addr::from(octets | 1 << 125).into() }
        };
        FlowRecord {
            observation_domain_id: domain,
            ingress_interface: interface,
            flow_start_nanoseconds: start,
            flow_end_nanoseconds: end,
            source_ip_address: address(source),
            destination_ip_address: address(destination),
            source_transport_port: ports[0],
            destination_transport_port: ports[1],
            protocol_identifier: protocol,
            vlan_id: vlans[0],
            customer_vlan_id: vlans[1].and(vlans[0]).and(vlans[1]),
            packet_delta_count: counts[0] >> shift,
            reverse_packet_delta_count: counts[1] >> shift,
            octet_delta_count: counts[2] >> shift,
            reverse_octet_delta_count: counts[3] >> shift,
            layer2_octet_delta_count: counts[4] >> shift,
            reverse_layer2_octet_delta_count: counts[5] >> shift,
            tcp_control_bits: flags[0],
            reverse_tcp_control_bits: flags[1],
            ip_class_of_service: tos,
            reverse_ip_class_of_service: reverse_tos,
            minimum_ttl: ttls[0],
            maximum_ttl: ttls[1],
            icmp_type: icmp.map(|icmp| icmp.0),
            icmp_code: icmp.map(|icmp| icmp.1),
            flow_end_reason: FlowEndReason::ALL[reason],
            recovered_from: recovered.map(|octets| Epoch(uuid::Uuid::from_u128(octets))),
            shunted_packet_delta_count: shunted,
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_flow_is_the_decoder_reads_it(records in prop::collection::vec(any_record(), 1..20)) {
        let truth: Vec<Flow> = records.iter().map(expected).collect();
        let template = Template::ntopng();
        prop_assert_eq!(&decoder::tlv(&one(Encoder::tlv(&template), &records)), &truth);
        let json = one(Encoder::json(&template, Keys::Numbers), &records);
        prop_assert_eq!(&decoder::json(std::str::from_utf8(&json).unwrap()), &truth);
    }

    /// With every field of the table: no text leaves its bound, no key is there twice.
    #[test]
    fn every_field_at_once_is_sound(records in prop::collection::vec(any_record(), 1..10)) {
        let every: String = flow_wire::field::FIELDS
            .iter()
            .map(|field| match field.name() {
                // ntop's SRC_VLAN has this number, and another meaning for QinQ.
                "vlanId" => "%vlanId=>outer ".to_owned(),
                name => format!("%{name} "),
            })
            .collect();
        let template = Template::parse(&every).unwrap();
        let flows = decoder::tlv(&one(Encoder::tlv(&template), &records));
        for (flow, record) in flows.iter().zip(&records) {
            prop_assert_eq!(flow["157"].number(), record.flow_end_nanoseconds);
            prop_assert_eq!(flow["352"].number(), record.layer2_octet_delta_count);
            prop_assert_eq!(flow["reverseLayer2OctetDeltaCount"].number(), record.reverse_layer2_octet_delta_count);
            prop_assert_eq!(flow.contains_key("recovered_from"), record.recovered_from.is_some());
            prop_assert_eq!(flow.contains_key("32"), record.icmp_type.is_some());
        }
        for keys in [Keys::Numbers, Keys::Dotted, Keys::Names] {
            let json = one(Encoder::json(&template, keys), &records);
            prop_assert_eq!(decoder::json(std::str::from_utf8(&json).unwrap()).len(), records.len());
        }
    }
}
