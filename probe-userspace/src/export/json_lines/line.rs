//! One flow as one line: the keys of the contract in their order, then ours.

use std::io::Write as _;
use std::net::IpAddr;

use flow_wire::record::FlowRecord;
use flow_wire::stamp::Epoch;

/// Appends the line of a record, with its line feed.
pub(super) fn write(record: &FlowRecord, line: &mut Vec<u8>) {
    let mut object = Object { line, separator: b'{' };
    contract(record, &mut object);
    beyond(record, &mut object);
    line.extend_from_slice(b"}\n");
}

/// The keys that scripts rely on.
fn contract(record: &FlowRecord, object: &mut Object<'_>) {
    object.number("observation_domain_id", record.observation_domain_id);
    object.number("flow_start_nanoseconds", record.flow_start_nanoseconds);
    object.number("flow_end_nanoseconds", record.flow_end_nanoseconds);
    object.address("source_ip_address", record.source_ip_address);
    object.address("destination_ip_address", record.destination_ip_address);
    object.number("source_transport_port", record.source_transport_port);
    object.number("destination_transport_port", record.destination_transport_port);
    object.number("protocol_identifier", record.protocol_identifier);
    object.optional("vlan_id", record.vlan_id);
    object.number("packet_delta_count", record.packet_delta_count);
    object.number("reverse_packet_delta_count", record.reverse_packet_delta_count);
    object.number("octet_delta_count", record.octet_delta_count);
    object.number("reverse_octet_delta_count", record.reverse_octet_delta_count);
    object.number("layer2_octet_delta_count", record.layer2_octet_delta_count);
    object.number("reverse_layer2_octet_delta_count", record.reverse_layer2_octet_delta_count);
    object.optional("tcp_control_bits", record.tcp_control_bits);
    object.optional("reverse_tcp_control_bits", record.reverse_tcp_control_bits);
    object.text("flow_end_reason", record.flow_end_reason.name());
    object.optional("icmp_type", record.icmp_type);
    object.optional("icmp_code", record.icmp_code);
}

/// What this release knows beyond the contract.
fn beyond(record: &FlowRecord, object: &mut Object<'_>) {
    object.number("ip_version", if record.source_ip_address.is_ipv4() { 4_u8 } else { 6 });
    object.number("ingress_interface", record.ingress_interface);
    object.optional("customer_vlan_id", record.customer_vlan_id);
    object.number("ip_class_of_service", record.ip_class_of_service);
    object.optional("reverse_ip_class_of_service", record.reverse_ip_class_of_service);
    object.number("minimum_ttl", record.minimum_ttl);
    object.number("maximum_ttl", record.maximum_ttl);
    object.epoch("recovered_from", record.recovered_from);
    object.optional("shunted_packet_delta_count", record.shunted_packet_delta_count);
}

/// Decimal digits of a 64-bit number at most.
const DIGITS: usize = 20;

/// A JSON object whose keys and texts need no escape: names of ours, addresses, words. Written octet by octet,
/// without the machinery of `format!`: at a stop all open flows come at once.
struct Object<'a> {
    line: &'a mut Vec<u8>,
    /// Before the next member.
    separator: u8,
}

impl Object<'_> {
    fn number(&mut self, key: &str, value: impl Into<u64>) {
        self.key(key);
        let mut left = value.into();
        let mut digits = [0; DIGITS];
        let mut at = DIGITS;
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.line.extend_from_slice(&digits[at..]);
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.line.push(b'"');
        self.line.extend_from_slice(value.as_bytes());
        self.line.push(b'"');
    }

    fn address(&mut self, key: &str, value: IpAddr) {
        self.key(key);
        // Writing to a Vec cannot fail.
        let _ = write!(self.line, "\"{value}\"");
    }

    fn epoch(&mut self, key: &str, value: Option<Epoch>) {
        match value {
            Some(epoch) => {
                self.text(key, epoch.0.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()))
            }
            None => self.null(key),
        }
    }

    fn optional(&mut self, key: &str, value: Option<impl Into<u64>>) {
        match value {
            Some(value) => self.number(key, value),
            None => self.null(key),
        }
    }

    fn null(&mut self, key: &str) {
        self.key(key);
        self.line.extend_from_slice(b"null");
    }

    fn key(&mut self, key: &str) {
        self.line.extend_from_slice(&[self.separator, b'"']);
        self.line.extend_from_slice(key.as_bytes());
        self.line.extend_from_slice(b"\":");
        self.separator = b',';
    }
}
