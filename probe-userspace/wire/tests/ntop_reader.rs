//! Messages for ntopng that nobody here wrote, and our own, become records; and nothing that comes off a wire ends the reader.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "ntop/frames.rs"]
mod frames;
#[path = "ntop/truth.rs"]
mod truth;
#[path = "ntop/whatever.rs"]
mod whatever;

use std::io::Write;
use std::net::IpAddr;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use flow_wire::ledger::Told;
use flow_wire::ntop::compress;
use flow_wire::ntop::reader::{
    self, COUNT_MAX, Draft, Error, Event, Frame, TEXT_OCTETS_MAX, Topic, Unusable,
};
use flow_wire::record::{FlowEndReason, FlowRecord};

type Read = (Frame, Vec<Result<FlowRecord, Unusable>>, Result<(), Error>);

fn read(header: &[u8], payload: &[u8]) -> Result<Read, Error> {
    let frame = Frame::read(header)?;
    let mut flows = Vec::new();
    let end = reader::flows(&frame, payload, &mut Vec::new(), |draft: Draft| {
        flows.push(draft.finish(frame.source))
    });
    Ok((frame, flows, end))
}

/// A whole message of flows that are all sound.
fn sound(frames: &[Vec<u8>]) -> (Frame, Vec<FlowRecord>) {
    let [header, payload] = frames else { panic!("{} frames", frames.len()) };
    let (frame, flows, end) = read(header, payload).unwrap();
    assert_eq!(end, Ok(()));
    (frame, flows.into_iter().map(Result::unwrap).collect())
}

fn v3(flags: u8, number: u32) -> Vec<u8> {
    let mut header = [&b"flow"[..], &[0; 12], &[4, flags, 0, 0], &[0; 8]].concat();
    header.extend_from_slice(&number.to_be_bytes());
    header.extend_from_slice(&[9, 0, 0, 0]);
    header
}

fn text(json: &str) -> Read {
    read(&v3(0, 1), json.as_bytes()).unwrap()
}

const WHOLE: &str = r#""8":"10.0.0.1","12":"10.0.0.2","4":17,"22":1700000000,"21":1700000001"#;

#[test]
fn what_netflow2ng_publishes_is_what_nfdump_has() {
    let truth = truth::read();
    assert_eq!(truth.len(), 80);
    for (name, is_tlv) in [("tlv", true), ("json", false), ("jcompress", false)] {
        let messages = frames::read(&format!("netflow2ng/{name}.frames"));
        let mut seen = 0;
        for (number, message) in (0..).zip(&messages) {
            let (frame, records) = sound(message);
            assert_eq!((frame.topic, frame.is_tlv, frame.is_ours), (Topic::Flow, is_tlv, false), "{name}");
            assert_eq!(frame.number, Some(number), "{name}");
            // Written in network order, read as it lies: an identity, whose order is nobody's business.
            assert_eq!(frame.source, 7_u32.swap_bytes(), "{name}");
            for record in records {
                let key = (
                    record.source_ip_address,
                    record.source_transport_port,
                    record.destination_ip_address,
                    record.destination_transport_port,
                    record.protocol_identifier,
                );
                let flow = &truth[&key];
                assert_eq!(
                    (record.packet_delta_count, record.octet_delta_count),
                    (flow.packets, flow.octets),
                    "{name}: {key:?}"
                );
                assert_eq!((record.reverse_packet_delta_count, record.reverse_octet_delta_count), (0, 0));
                assert_eq!((record.tcp_control_bits, record.vlan_id), (flow.flags, flow.vlan), "{key:?}");
                assert_eq!(record.icmp_type.zip(record.icmp_code), flow.icmp, "{key:?}");
                // goflow2 reckons in whole seconds of the exporter's uptime.
                let second = |nanoseconds: u64| nanoseconds / 1_000_000_000;
                assert!(second(record.flow_start_nanoseconds).abs_diff(flow.times.0) <= 1, "{key:?}");
                assert!(second(record.flow_end_nanoseconds).abs_diff(flow.times.1) <= 1, "{key:?}");
                assert_eq!(record.flow_end_reason, FlowEndReason::NotTold);
                seen += 1;
            }
        }
        assert_eq!(seen, truth.len(), "{name}");
    }
}

/// By hand, from what `golden/ndpi/ndpi.c` says.
fn of_ndpi(number: u64) -> FlowRecord {
    let is = |wanted: u64| number == wanted;
    let address = |v4: &str, v6: &str| -> IpAddr { if is(2) { v6 } else { v4 }.parse().unwrap() };
    FlowRecord {
        observation_domain_id: 77,
        ingress_interface: 3,
        flow_start_nanoseconds: (1_700_000_000_250 + 1_000 * number) * 1_000_000,
        flow_end_nanoseconds: (1_700_000_005_750 + 1_000 * number) * 1_000_000,
        source_ip_address: address("192.168.1.10", "2001:db8::a"),
        destination_ip_address: address("93.184.216.34", "2001:db8::b"),
        source_transport_port: if is(3) { 0 } else { 51_000 + number as u16 },
        destination_transport_port: if is(3) { 0 } else { 443 },
        protocol_identifier: [6, 17, 6, 1][number as usize],
        vlan_id: is(1).then_some(120),
        customer_vlan_id: None,
        packet_delta_count: 1_000 + number,
        reverse_packet_delta_count: if is(0) { 0 } else { 66 },
        octet_delta_count: if is(0) { 5_000_000_000 } else { 1_500 + number },
        reverse_octet_delta_count: if is(0) { 0 } else { 70_000 },
        layer2_octet_delta_count: if is(0) { 5_000_000_000 } else { 1_500 + number },
        reverse_layer2_octet_delta_count: if is(0) { 0 } else { 70_000 },
        tcp_control_bits: (is(0) || is(2)).then_some(0x1b),
        reverse_tcp_control_bits: (is(0) || is(2)).then_some(0x1a),
        ip_class_of_service: 8,
        reverse_ip_class_of_service: None,
        minimum_ttl: 0,
        maximum_ttl: 0,
        icmp_type: is(3).then_some(3),
        icmp_code: is(3).then_some(1),
        flow_end_reason: match number {
            0 => FlowEndReason::ActiveTimeout,
            1 => FlowEndReason::IdleTimeout,
            _ => FlowEndReason::EndOfFlow,
        },
        recovered_from: None,
        shunted_packet_delta_count: None,
    }
}

#[test]
fn what_ndpis_serializer_writes_is_read_behind_every_header() {
    let messages = frames::read("ndpi/ndpi.frames");
    assert_eq!(messages.len(), 8);
    for (at, message) in messages.iter().enumerate() {
        let (format, layout) = (at / 4 + 1, at % 4);
        let (frame, records) = sound(message);
        let source = if layout == 0 { 0 } else { 77 };
        assert_eq!((frame.is_tlv, frame.source), (format == 1, source), "{at}");
        assert_eq!(frame.number, (layout > 0).then_some((format * 10 + layout) as u32), "{at}");
        let expected: Vec<_> =
            (0..4).map(|number| FlowRecord { observation_domain_id: source, ..of_ndpi(number) }).collect();
        assert_eq!(records, expected, "format {format}, layout {layout}");
    }
    let (mut left_out, frame) = (0, Frame::read(&messages[3][0]).unwrap());
    reader::flows(&frame, &messages[3][1], &mut Vec::new(), |draft| left_out += draft.left_out()).unwrap();
    assert_eq!(left_out, 4 * 9, "EXPORTER_IPV4_ADDRESS, L7_PROTO and seven more have no column");
}

/// nProbe's oldest: the number as it lies in the publisher's memory; text behind an octet of 0.
#[test]
fn older_headers_have_their_own_order_and_mark() {
    let json = format!("{{{WHOLE}}}");
    let mut payload = Vec::new();
    compress::compress(json.as_bytes(), &mut payload);
    let v1 = |version: u8| [&b"flow"[..], &[0; 12], &[version, 5, 0, 0, 1, 2, 3, 4]].concat();
    for (version, number) in [(1, 0x0403_0201), (2, 0x0102_0304), (0, 0x0102_0304)] {
        for payload in [json.as_bytes(), &payload] {
            let (frame, flows, end) = read(&v1(version), payload).unwrap();
            assert_eq!((frame.number, frame.source, flows.len(), end), (Some(number), 5, 1, Ok(())));
        }
    }
    let v0 = [&b"flow"[..], &[0; 28], &[2, 0, 0, 0, 9, 9, 0, 0]].concat();
    let (frame, flows, end) = read(&v0, json.as_bytes()).unwrap();
    assert_eq!((frame.number, frame.source, flows.len(), end), (None, 0, 1, Ok(())));
}

#[test]
fn a_header_that_nobody_knows_is_named() {
    let error = |header: &[u8]| Frame::read(header).unwrap_err();
    for length in [0, 1, 23, 25, 27, 29, 35, 37, 39, 41, 4_096] {
        assert_eq!(error(&vec![b'f'; length]), Error::HeaderLength(length));
    }
    let mut header = v3(0, 1);
    header[16] = 5;
    assert_eq!(error(&header), Error::Version(5));
    assert_eq!(error(&v3(8, 1)), Error::Flags(8));
    let mut header = v3(0, 1);
    header[..4].copy_from_slice(b"fl\n\0");
    assert_eq!(error(&header), Error::Topic("fl\\n".to_owned()));
    for topic in reader::TOPICS {
        let mut header = v3(0, 1);
        header[..16].fill(0);
        header[..topic.len()].copy_from_slice(topic.as_bytes());
        let expected = match topic {
            "flow" => Topic::Flow,
            "event" => Topic::Event,
            _ => Topic::Other,
        };
        assert_eq!(Frame::read(&header).unwrap().topic, expected);
    }
}

#[test]
fn what_inflates_without_end_is_refused() {
    let deflate = |text: &[u8]| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let bomb = deflate(&vec![b' '; 200 << 20]);
    assert!(bomb.len() < 300_000);
    assert_eq!(read(&v3(4, 1), &bomb).unwrap().2, Err(Error::TooLong));
    let mut longest = format!("{{{WHOLE}}}").into_bytes();
    longest.resize(TEXT_OCTETS_MAX, b' ');
    assert_eq!(read(&v3(4, 1), &deflate(&longest)).unwrap().2, Ok(()));
    longest.push(b' ');
    assert_eq!(read(&v3(4, 1), &deflate(&longest)).unwrap().2, Err(Error::TooLong));
    let stream = deflate(&longest[..100]);
    assert!(matches!(read(&v3(4, 1), &stream[..stream.len() / 2]).unwrap().2, Err(Error::Zlib(_))));
    assert!(matches!(read(&v3(4, 1), b"{}").unwrap().2, Err(Error::Zlib(_))));
}

/// One bad flow costs itself alone; what cannot be read costs what is behind it.
#[test]
fn a_bad_flow_or_end_loses_nothing_else() {
    let (_, flows, end) =
        text(&format!("[{{{WHOLE}}},{{{WHOLE},\"7\":70000}},{{\"4\":6}},{{{WHOLE},\"1\":7}}]"));
    assert_eq!((flows.len(), end), (4, Ok(())));
    assert_eq!(flows[0].as_ref().unwrap().octet_delta_count, 0);
    assert_eq!(flows[1].as_ref().unwrap_err().to_string(), "a flow with 7 = 70000: not a number of 16 bits");
    assert_eq!(flows[2], Err(Unusable::Lacks("a source address")));
    assert_eq!(flows[3].as_ref().unwrap().octet_delta_count, 7);

    let message = &frames::read("ndpi/ndpi.frames")[3];
    let (frame, whole) = sound(message);
    let (mut before, mut room) = (0, Vec::new());
    for length in 0..message[1].len() {
        let mut flows = Vec::new();
        let read = |draft: Draft| flows.push(draft.finish(77).unwrap());
        let end = reader::flows(&frame, &message[1][..length], &mut room, read);
        assert!(flows.len() >= before && flows[..] == whole[..flows.len()], "{length}");
        // Cut exactly behind a record it is whole.
        let is_cut = length < 2 || message[1][length - 1] != 1 || flows.len() == before;
        assert!(end.is_err() || !is_cut || length == 2, "{length}: {end:?}");
        before = flows.len();
    }
    assert_eq!(before, 3);
}

#[test]
fn values_that_do_not_fit_are_named_and_nothing_is_cut() {
    let error = |member: &str| text(&format!("{{{WHOLE},{member}}}")).1.remove(0).unwrap_err().to_string();
    for (member, key) in [
        (r#""8":"10.0.0.256""#, "8 = '10.0.0.256'"),
        (r#""8":4294967296"#, "8 = 4294967296"),
        (r#""4":256"#, "4 = 256"),
        (r#""4":-1"#, "4 = -1"),
        (r#""4":6.5"#, "4 = 6.5"),
        (r#""11":"x""#, "11 = 'x'"),
        (r#""22":18446744074"#, "22 = 18446744074"),
        (r#""1":1125899906842625"#, "1 = 1125899906842625"),
        (r#""IN_PKTS":"+1""#, "IN_PKTS = '+1'"),
        (r#""58":65536"#, "58 = 65536"),
        (r#""35632.78":65536"#, "35632.78 = 65536"),
    ] {
        assert!(error(member).contains(&format!("a flow with {key}: not")), "{member}: {}", error(member));
    }
    assert!(
        error(r#""12":"2001:db8::1","8":"","27":"10.1.1.1","28":"::1","60":6"#).contains("two IP versions")
    );
    let mut flows =
        text(&format!("{{{WHOLE},\"1\":{COUNT_MAX},\"7\":\"\",\"11\":\" 53 \",\"L7_PROTO\":\"5.126\"}}")).1;
    let record = flows.remove(0).unwrap();
    assert_eq!((record.octet_delta_count, record.destination_transport_port), (COUNT_MAX, 53));
}

#[test]
fn addresses_ports_and_tags_are_those_that_are_meant() {
    let flow = |members: &str| text(&format!("{{{members},\"4\":6,\"22\":1,\"21\":2}}")).1.remove(0).unwrap();
    let addresses = |members: &str| {
        let flow = flow(members);
        (flow.source_ip_address.to_string(), flow.destination_ip_address.to_string())
    };
    let (v4, v6) = (("10.0.0.1".into(), "10.0.0.2".into()), ("2001:db8::1".into(), "2001:db8::2".into()));
    assert_eq!(addresses(r#""8":"10.0.0.1","12":"10.0.0.2","27":"::","28":"::""#), v4);
    assert_eq!(addresses(r#""8":"10.0.0.1","12":"10.0.0.2","27":"","28":"""#), v4);
    assert_eq!(addresses(r#""8":167772161,"12":167772162"#), v4);
    assert_eq!(addresses(r#""8":"0.0.0.0","12":"0.0.0.0","27":"2001:db8::1","28":"2001:db8::2""#), v6);
    assert_eq!(
        addresses(r#""IPV6_SRC_ADDR":"2001:db8::1","destinationIPv6Address":"2001:db8::2","60":"6""#),
        v6
    );
    let tags = |members: &str| {
        let flow = flow(&format!("\"8\":\"10.0.0.1\",\"12\":\"10.0.0.2\"{members}"));
        (flow.vlan_id, flow.customer_vlan_id)
    };
    assert_eq!(tags(r#","58":0"#), (None, None));
    assert_eq!(tags(r#","58":7"#), (Some(7), None));
    assert_eq!(tags(r#","58":7,"243":100"#), (Some(100), Some(7)));
    assert_eq!(tags(r#","58":7,"243":7"#), (Some(7), Some(7)));
    assert_eq!(tags(r#","58":100,"245":7"#), (Some(100), Some(7)));
    assert_eq!(tags(r#","vlanId":100,"SRC_VLAN":100"#), (Some(100), None));
    assert_eq!(tags(r#","vlanId":100,"SRC_VLAN":7"#), (Some(100), Some(7)));
    let nested = r#"[{"json":"{\"7\":99}","8":"10.0.0.1","12":"10.0.0.2","4":17,"151":5},{"json":{"11":53},"8":"10.0.0.1","12":"10.0.0.2","4":17,"151":5}]"#;
    let ports: Vec<_> = text(nested)
        .1
        .into_iter()
        .map(Result::unwrap)
        .map(|flow| (flow.source_transport_port, flow.destination_transport_port))
        .collect();
    assert_eq!(ports, [(99, 0), (0, 53)]);
}

#[test]
fn an_event_tells_what_the_publisher_lost() {
    let event = |json: &str| {
        let mut header = v3(0, 1);
        header[..6].copy_from_slice(b"event\0");
        let frame = Frame::read(&header).unwrap();
        assert_eq!(frame.topic, Topic::Event);
        reader::event(&frame, json.as_bytes(), &mut Vec::new())
    };
    let told = event(
        r#"{"packet_drops":5,"drops":{"export_queue_full":"7","too_many_flows":0,"elk_flow_drops":9},
            "timeout":{"lifetime":120},"probe":{"version":"nProbe\n v.10.9 "}}"#,
    );
    let expected = Event {
        program: Some("nProbe v.10.9".to_owned()),
        active_timeout_seconds: Some(120),
        told: [(Told::PacketDrops, 5), (Told::ExportQueueFull, 7), (Told::TooManyFlows, 0)].into(),
    };
    assert_eq!(told, Ok(expected));
    assert_eq!(event("{}"), Ok(Event::default()));
    assert!(event("[]").is_err() && event("{").is_err());
}
