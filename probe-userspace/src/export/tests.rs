//! A record that the tests of this room share.

use flow_wire::record::{FlowEndReason, FlowRecord};

/// A flow of three packets of 100 octets.
pub(super) fn record() -> FlowRecord {
    FlowRecord {
        observation_domain_id: 1,
        ingress_interface: 0,
        flow_start_nanoseconds: 1_700_000_000_000_000_000,
        flow_end_nanoseconds: 1_700_000_000_000_000_000,
        source_ip_address: "192.0.2.1".parse().unwrap(),
        destination_ip_address: "192.0.2.2".parse().unwrap(),
        source_transport_port: 1,
        destination_transport_port: 2,
        protocol_identifier: 17,
        vlan_id: None,
        customer_vlan_id: None,
        packet_delta_count: 2,
        reverse_packet_delta_count: 1,
        octet_delta_count: 172,
        reverse_octet_delta_count: 86,
        layer2_octet_delta_count: 200,
        reverse_layer2_octet_delta_count: 100,
        tcp_control_bits: None,
        reverse_tcp_control_bits: None,
        ip_class_of_service: 0,
        reverse_ip_class_of_service: None,
        minimum_ttl: 64,
        maximum_ttl: 64,
        icmp_type: None,
        icmp_code: None,
        flow_end_reason: FlowEndReason::IdleTimeout,
        recovered_from: None,
    }
}
