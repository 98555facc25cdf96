//! Flows as anybody reads them, against octets that other people's decoders have read: the files of `golden/generic` were written by this test
//! with `GANNET_BLESS=1`, and are read by fastavro, protoc and Confluent's client in the probe's `kafka_generic`.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use flow_wire::field::{FIELDS, Template};
use flow_wire::generic::{Format, Writer};
use flow_wire::ntop::Keys;
use flow_wire::record::{FlowEndReason, FlowRecord};
use flow_wire::stamp::Epoch;
use proptest::prelude::*;
use uuid::Uuid;

/// TCP over IPv4 with a VLAN, ICMPv6 that an earlier run metered, and a UDP flow with the largest numbers that there are.
fn flows() -> [FlowRecord; 3] {
    let tcp = FlowRecord {
        observation_domain_id: 1,
        ingress_interface: 2,
        flow_start_nanoseconds: 1_700_000_000_123_456_789,
        flow_end_nanoseconds: 1_700_000_001_123_456_789,
        source_ip_address: "192.0.2.1".parse().unwrap(),
        destination_ip_address: "198.51.100.255".parse().unwrap(),
        source_transport_port: 51_000,
        destination_transport_port: 443,
        protocol_identifier: 6,
        vlan_id: Some(7),
        customer_vlan_id: None,
        packet_delta_count: 7,
        reverse_packet_delta_count: 5,
        octet_delta_count: 900,
        reverse_octet_delta_count: 4_100,
        layer2_octet_delta_count: 998,
        reverse_layer2_octet_delta_count: 4_170,
        tcp_control_bits: Some(27),
        reverse_tcp_control_bits: Some(26),
        ip_class_of_service: 0,
        reverse_ip_class_of_service: Some(8),
        minimum_ttl: 63,
        maximum_ttl: 64,
        icmp_type: None,
        icmp_code: None,
        flow_end_reason: FlowEndReason::EndOfFlow,
        recovered_from: None,
        shunted_packet_delta_count: None,
    };
    let icmp = FlowRecord {
        source_ip_address: "2001:db8::1".parse().unwrap(),
        destination_ip_address: "2001:db8::2:0:0:3".parse().unwrap(),
        source_transport_port: 0,
        destination_transport_port: 0,
        protocol_identifier: 58,
        vlan_id: None,
        tcp_control_bits: None,
        reverse_tcp_control_bits: None,
        reverse_ip_class_of_service: None,
        reverse_packet_delta_count: 0,
        reverse_octet_delta_count: 0,
        reverse_layer2_octet_delta_count: 0,
        icmp_type: Some(128),
        icmp_code: Some(0),
        flow_end_reason: FlowEndReason::IdleTimeout,
        recovered_from: Some(Epoch(Uuid::from_u128(0x0102_0304_0506_4708_890a_0b0c_0d0e_0f10))),
        ..tcp.clone()
    };
    let largest = FlowRecord {
        protocol_identifier: 17,
        tcp_control_bits: None,
        reverse_tcp_control_bits: None,
        customer_vlan_id: Some(4_094),
        packet_delta_count: u64::from(u32::MAX) + 1,
        octet_delta_count: i64::MAX as u64,
        reverse_octet_delta_count: 1 << 62,
        flow_end_reason: FlowEndReason::LackOfResources,
        shunted_packet_delta_count: Some(1_000_000),
        ..tcp.clone()
    };
    [tcp, icmp, largest]
}

/// Every field; those that share a number with another one under a name of their own.
fn everything() -> Template {
    let names = FIELDS.iter().map(|field| match field.name() {
        "vlanId" => "%vlanId=>outer_vlan ".to_owned(),
        name => format!("%{name} "),
    });
    Template::parse(&names.collect::<String>()).unwrap()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/generic").join(name)
}

/// Messages one behind the other, each behind its length in four octets.
fn messages(writer: &Writer) -> Vec<u8> {
    let mut all = Vec::new();
    for flow in flows() {
        let mut message = Vec::new();
        writer.write(&flow, &mut message);
        all.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        all.extend_from_slice(&message);
    }
    all
}

fn holds(name: &str, octets: &[u8]) {
    let path = golden(name);
    if std::env::var_os("GANNET_BLESS").is_some() {
        std::fs::write(&path, octets).unwrap();
    }
    let there = std::fs::read(&path).unwrap();
    assert!(there == octets, "{name}: what was {}", String::from_utf8_lossy(&there));
}

#[test]
fn flows_are_the_golden_octets() {
    let (all, framed) = (everything(), 0x0102_0304);
    let json = |keys| Format::Json { keys, has_timestamp: keys == Keys::Names };
    for (name, format) in [
        ("numbers.json", json(Keys::Numbers)),
        ("names.json", json(Keys::Names)),
        ("flows.avro", Format::Avro),
        ("flows.pb", Format::Protobuf),
    ] {
        holds(name, &messages(&Writer::new(&all, format).unwrap().framed(framed)));
    }
}

/// A number in the file that changes would make old messages unreadable; the schema of all fields may only grow.
#[test]
fn schemas_are_the_golden_texts() {
    for (name, format) in [("flow.avsc", Format::Avro), ("flow.proto", Format::Protobuf)] {
        let schema = Writer::new(&everything(), format).unwrap().schema().unwrap();
        holds(name, schema.text.as_bytes());
    }
}

#[test]
fn an_object_has_the_names_of_the_template_and_a_time_only_if_it_is_asked_for() {
    let template =
        Template::parse("%IPV4_SRC_ADDR=>client %IN_BYTES %IPV6_SRC_ADDR %recovered_from").unwrap();
    let text = |keys, has_timestamp| {
        let mut out = Vec::new();
        let writer = Writer::new(&template, Format::Json { keys, has_timestamp }).unwrap();
        writer.write(&flows()[0], &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(text(Keys::Numbers, false), r#"{"client":"192.0.2.1","1":900}"#);
    assert_eq!(
        text(Keys::Names, true),
        r#"{"client":"192.0.2.1","IN_BYTES":900,"@timestamp":"2023-11-14T22:13:21.123Z"}"#
    );
    let nothing = Template::parse("%recovered_from").unwrap();
    let mut out = Vec::new();
    let format = Format::Json { keys: Keys::Names, has_timestamp: true };
    Writer::new(&nothing, format).unwrap().write(&flows()[0], &mut out);
    assert_eq!(out, br#"{"@timestamp":"2023-11-14T22:13:21.123Z"}"#);
}

#[test]
fn a_count_that_avro_does_not_have_is_its_largest() {
    let template = Template::parse("%IN_BYTES").unwrap();
    let mut out = Vec::new();
    let flow = FlowRecord { octet_delta_count: u64::MAX, ..flows()[0].clone() };
    Writer::new(&template, Format::Avro).unwrap().write(&flow, &mut out);
    assert_eq!(out, [2, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
}

proptest! {
    /// By the arithmetic of the two specifications, written down again here.
    #[test]
    fn numbers_are_there_whole(octets: u64, port: u16) {
        let template = Template::parse("%IN_BYTES %L4_SRC_PORT").unwrap();
        let flow = FlowRecord { octet_delta_count: octets, source_transport_port: port, ..flows()[0].clone() };
        let decoded = |format| {
            let mut out = Vec::new();
            Writer::new(&template, format).unwrap().write(&flow, &mut out);
            numbers(&out)
        };
        let zigzag = |value: u64| u128::from(value) * 2;
        let counted = octets.min(i64::MAX as u64);
        prop_assert_eq!(decoded(Format::Avro), [2, zigzag(counted), 2, zigzag(port.into())]);
        prop_assert_eq!(decoded(Format::Protobuf), [1 << 3, octets.into(), 10 << 3, port.into()]);
    }
}

/// All octets as numbers of base 128.
fn numbers(octets: &[u8]) -> Vec<u128> {
    let mut all = Vec::new();
    for number in octets.split_inclusive(|octet| octet & 0x80 == 0) {
        all.push(number.iter().rev().fold(0, |sum, octet| sum << 7 | u128::from(octet & 0x7f)));
    }
    all
}
