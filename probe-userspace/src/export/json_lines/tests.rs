//! Lines as scripts read them, and outputs that fail.

use std::sync::{Arc, Mutex};

use flow_wire::batch::encode;
use flow_wire::record::{FlowEndReason, FlowRecord};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use uuid::Uuid;

use super::*;
use crate::export::outbox::Outbox;

fn tcp() -> FlowRecord {
    FlowRecord {
        observation_domain_id: 1,
        ingress_interface: 0,
        flow_start_nanoseconds: 1_700_000_000_123_456_789,
        flow_end_nanoseconds: 1_700_000_001_123_456_789,
        source_ip_address: "2001:db8::1".parse().unwrap(),
        destination_ip_address: "2001:db8::2".parse().unwrap(),
        source_transport_port: 51_000,
        destination_transport_port: 443,
        protocol_identifier: 6,
        vlan_id: None,
        customer_vlan_id: None,
        packet_delta_count: 7,
        reverse_packet_delta_count: 5,
        octet_delta_count: 900,
        reverse_octet_delta_count: 4_100,
        layer2_octet_delta_count: 998,
        reverse_layer2_octet_delta_count: u64::MAX,
        tcp_control_bits: Some(27),
        reverse_tcp_control_bits: Some(27),
        ip_class_of_service: 0,
        reverse_ip_class_of_service: Some(8),
        minimum_ttl: 64,
        maximum_ttl: 64,
        icmp_type: None,
        icmp_code: None,
        flow_end_reason: FlowEndReason::EndOfFlow,
        recovered_from: None,
        shunted_packet_delta_count: None,
    }
}

fn text(record: &FlowRecord) -> String {
    let mut line = Vec::new();
    line::write(record, &mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn a_line_is_the_contracts_line_and_then_ours() {
    let expected = concat!(
        r#"{"observation_domain_id":1,"flow_start_nanoseconds":1700000000123456789,"#,
        r#""flow_end_nanoseconds":1700000001123456789,"source_ip_address":"2001:db8::1","#,
        r#""destination_ip_address":"2001:db8::2","source_transport_port":51000,"destination_transport_port":443,"#,
        r#""protocol_identifier":6,"vlan_id":null,"packet_delta_count":7,"reverse_packet_delta_count":5,"#,
        r#""octet_delta_count":900,"reverse_octet_delta_count":4100,"layer2_octet_delta_count":998,"#,
        r#""reverse_layer2_octet_delta_count":18446744073709551615,"tcp_control_bits":27,"#,
        r#""reverse_tcp_control_bits":27,"flow_end_reason":"end_of_flow","icmp_type":null,"icmp_code":null,"#,
        r#""ip_version":6,"ingress_interface":0,"customer_vlan_id":null,"ip_class_of_service":0,"#,
        r#""reverse_ip_class_of_service":8,"minimum_ttl":64,"maximum_ttl":64,"recovered_from":null,"shunted_packet_delta_count":null}"#,
        "\n"
    );
    assert_eq!(text(&tcp()), expected);
}

#[test]
fn every_end_reason_and_address_is_sound_json() {
    for reason in FlowEndReason::ALL {
        let record = FlowRecord {
            flow_end_reason: reason,
            source_ip_address: "192.0.2.1".parse().unwrap(),
            destination_ip_address: "::ffff:192.0.2.1".parse().unwrap(),
            vlan_id: Some(0),
            icmp_type: Some(255),
            recovered_from: Some(Epoch(Uuid::from_u128(10))),
            shunted_packet_delta_count: Some(7),
            ..tcp()
        };
        let value: serde_json::Value = serde_json::from_str(&text(&record)).unwrap();
        assert_eq!(value["flow_end_reason"], serde_json::to_value(reason).unwrap());
        assert_eq!(value["source_ip_address"], "192.0.2.1");
        assert_eq!(value["destination_ip_address"], "::ffff:192.0.2.1");
        assert_eq!(value["shunted_packet_delta_count"], 7);
        assert_eq!(value["recovered_from"], "00000000-0000-0000-0000-00000000000a");
        assert_eq!((&value["vlan_id"], &value["icmp_type"]), (&0.into(), &255.into()));
    }
}

#[derive(Clone, Default)]
struct Memory {
    written: Arc<Mutex<Vec<u8>>>,
    capacity: Option<usize>,
}

impl Write for Memory {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock().unwrap();
        if self.capacity.is_some_and(|capacity| written.len() + octets.len() > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        written.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Three batches of two rows, each 0.9 kB of lines, through a sink that runs to its end.
fn run(memory: &Memory) -> flow_wire::ledger::CursorTerms {
    let sink = Box::new(JsonLines::to(Path::new("memory"), Box::new(memory.clone())));
    let outbox = Outbox::new(&[(sink.name(), sink.guarantee())], usize::MAX);
    let stamp = |sequence| Stamp {
        probe: ProbeId(Uuid::nil()),
        epoch: Epoch(Uuid::nil()),
        stream: StreamId(0),
        sequence: Sequence(sequence),
    };
    for sequence in 0..3 {
        let record = FlowRecord { reverse_layer2_octet_delta_count: sequence, ..tcp() };
        outbox.append(&Arc::new(encode(&[record.clone(), record], stamp(sequence)).unwrap()));
    }
    outbox.end();
    sink.run(outbox.cursor(0));
    outbox.terms().remove(0)
}

#[test]
fn every_record_is_a_line_and_acknowledged() {
    let memory = Memory::default();
    let terms = run(&memory);
    assert_eq!((terms.acknowledged, terms.in_spool), (6, 0));
    let written = memory.written.lock().unwrap().clone();
    let lines = String::from_utf8(written).unwrap();
    let sequence = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["reverse_layer2_octet_delta_count"].as_u64()
    };
    assert_eq!(lines.lines().filter_map(sequence).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2]);
}

#[test]
fn a_full_disk_is_counted_record_by_record() {
    let terms = run(&Memory { capacity: Some(1_000), ..Memory::default() });
    assert_eq!((terms.records_out, terms.acknowledged, terms.in_spool), (6, 0, 0));
    assert_eq!(terms.discarded[&Discard::WriteFailed], 6);
}

#[test]
fn a_folder_that_is_not_there_is_named_with_the_mend() {
    let error = JsonLines::open(Path::new("/nonexistent/flows.json")).err().unwrap().to_string();
    assert!(error.contains("/nonexistent/flows.json") && error.contains("name a file"), "{error}");
}
