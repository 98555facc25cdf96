//! The table itself.

use std::net::IpAddr;

use super::Value::{Address, Number, Word};
use super::{Element, Field, NTOP_PEN, REVERSE_PEN, Value};
use crate::record::{FlowEndReason, FlowRecord};

/// Fields without which ntopng warns about a template.
pub const NTOPNG_MANDATORY: [&str; 10] = [
    "FIRST_SWITCHED",
    "LAST_SWITCHED",
    "L4_SRC_PORT",
    "L4_DST_PORT",
    "IP_PROTOCOL_VERSION",
    "PROTOCOL",
    "IN_BYTES",
    "IN_PKTS",
    "OUT_BYTES",
    "OUT_PKTS",
];

/// All of them. "Source" is who opened the flow, which ntop calls the client.
pub static FIELDS: &[Field] = &[
    both(
        iana("octetDeltaCount", 1),
        v9("IN_BYTES", 1),
        "IP octets from the source",
        Number(8, |r| Some(r.octet_delta_count)),
    ),
    both(
        iana("packetDeltaCount", 2),
        v9("IN_PKTS", 2),
        "packets from the source",
        Number(8, |r| Some(r.packet_delta_count)),
    ),
    both(
        reverse("reverseOctetDeltaCount", 1),
        v9("OUT_BYTES", 23),
        "IP octets from the destination",
        Number(8, |r| Some(r.reverse_octet_delta_count)),
    ),
    both(
        reverse("reversePacketDeltaCount", 2),
        v9("OUT_PKTS", 24),
        "packets from the destination",
        Number(8, |r| Some(r.reverse_packet_delta_count)),
    ),
    both(
        iana("sourceIPv4Address", 8),
        v9("IPV4_SRC_ADDR", 8),
        "who opened the flow; absent for IPv6",
        Address(|r| v4(r.source_ip_address)),
    ),
    both(
        iana("destinationIPv4Address", 12),
        v9("IPV4_DST_ADDR", 12),
        "the other end; absent for IPv6",
        Address(|r| v4(r.destination_ip_address)),
    ),
    both(
        iana("sourceIPv6Address", 27),
        v9("IPV6_SRC_ADDR", 27),
        "who opened the flow; absent for IPv4",
        Address(|r| v6(r.source_ip_address)),
    ),
    both(
        iana("destinationIPv6Address", 28),
        v9("IPV6_DST_ADDR", 28),
        "the other end; absent for IPv4",
        Address(|r| v6(r.destination_ip_address)),
    ),
    both(iana("ipVersion", 60), v9("IP_PROTOCOL_VERSION", 60), "4 or 6", Number(1, |r| Some(version(r)))),
    both(
        iana("sourceTransportPort", 7),
        v9("L4_SRC_PORT", 7),
        "port of the source; 0 where the protocol has none",
        Number(2, |r| Some(r.source_transport_port.into())),
    ),
    both(
        iana("destinationTransportPort", 11),
        v9("L4_DST_PORT", 11),
        "port of the destination; 0 where the protocol has none",
        Number(2, |r| Some(r.destination_transport_port.into())),
    ),
    both(
        iana("protocolIdentifier", 4),
        v9("PROTOCOL", 4),
        "IANA protocol number",
        Number(1, |r| Some(r.protocol_identifier.into())),
    ),
    ntop(
        v9("FIRST_SWITCHED", 22),
        "first packet of either direction, seconds since the UNIX epoch",
        Number(4, |r| Some(r.flow_start_nanoseconds / SECOND)),
    ),
    ntop(
        v9("LAST_SWITCHED", 21),
        "last packet of either direction, seconds since the UNIX epoch",
        Number(4, |r| Some(r.flow_end_nanoseconds / SECOND)),
    ),
    ntop(v9("TCP_FLAGS", 6), "OR of the TCP flags of both directions; absent unless TCP", Number(2, flags)),
    both(
        iana("tcpControlBits", 6),
        own("CLIENT_TCP_FLAGS", 78),
        "OR of the TCP flags from the source; absent unless TCP",
        Number(2, |r| r.tcp_control_bits.map(Into::into)),
    ),
    both(
        reverse("reverseTcpControlBits", 6),
        own("SERVER_TCP_FLAGS", 79),
        "OR of the TCP flags from the destination; absent unless TCP",
        Number(2, |r| r.reverse_tcp_control_bits.map(Into::into)),
    ),
    both(
        iana("ipClassOfService", 5),
        v9("SRC_TOS", 5),
        "class of service of the first packet from the source",
        Number(1, |r| Some(r.ip_class_of_service.into())),
    ),
    both(
        reverse("reverseIpClassOfService", 5),
        v9("DST_TOS", 55),
        "of the first packet from the destination; absent while there is none",
        Number(1, |r| r.reverse_ip_class_of_service.map(Into::into)),
    ),
    both(
        iana("ingressInterface", 10),
        v9("INPUT_SNMP", 10),
        "index of the interface; 0 for a capture file",
        Number(4, |r| Some(r.ingress_interface.into())),
    ),
    ntop(
        v9("SRC_VLAN", 58),
        "VLAN of the packet itself, the inner one of QinQ; absent where untagged",
        Number(2, |r| r.customer_vlan_id.or(r.vlan_id).map(Into::into)),
    ),
    ntop(
        v9("DOT1Q_SRC_VLAN", 243),
        "the outer VLAN of QinQ; absent where there are not two",
        Number(2, |r| r.customer_vlan_id.and(r.vlan_id).map(Into::into)),
    ),
    both(
        iana("flowEndReason", 136),
        v9("FLOW_END_REASON", 136),
        "why the record was made: a word (ntopng shows it)",
        Word(|r| reason(r.flow_end_reason)),
    ),
    beyond(
        Some(iana("minimumTTL", 52)),
        Some(v9("MIN_TTL", 52)),
        "smallest TTL or hop limit from the source",
        Number(1, |r| Some(r.minimum_ttl.into())),
    ),
    beyond(
        Some(iana("maximumTTL", 53)),
        Some(v9("MAX_TTL", 53)),
        "largest TTL or hop limit from the source",
        Number(1, |r| Some(r.maximum_ttl.into())),
    ),
    beyond(
        None,
        Some(v9("ICMP_TYPE", 32)),
        "ICMP type * 256 + code of the first packet, of either version; absent unless ICMP",
        Number(2, |r| Some(u64::from(r.icmp_type?) << 8 | u64::from(r.icmp_code?))),
    ),
    beyond(
        Some(iana("icmpTypeIPv4", 176)),
        Some(v9("ICMP_IPV4_TYPE", 176)),
        "ICMP type of the first packet; absent unless ICMP over IPv4",
        Number(1, |r| of_version(r, 4, r.icmp_type)),
    ),
    beyond(
        Some(iana("icmpCodeIPv4", 177)),
        Some(v9("ICMP_IPV4_CODE", 177)),
        "likewise its code",
        Number(1, |r| of_version(r, 4, r.icmp_code)),
    ),
    beyond(
        Some(iana("icmpTypeIPv6", 178)),
        None,
        "ICMPv6 type of the first packet; absent unless ICMPv6",
        Number(1, |r| of_version(r, 6, r.icmp_type)),
    ),
    beyond(
        Some(iana("icmpCodeIPv6", 179)),
        None,
        "likewise its code",
        Number(1, |r| of_version(r, 6, r.icmp_code)),
    ),
    beyond(
        Some(iana("flowStartSeconds", 150)),
        Some(v9("FLOW_START_SEC", 150)),
        "as FIRST_SWITCHED",
        Number(4, |r| Some(r.flow_start_nanoseconds / SECOND)),
    ),
    beyond(
        Some(iana("flowEndSeconds", 151)),
        Some(v9("FLOW_END_SEC", 151)),
        "as LAST_SWITCHED",
        Number(4, |r| Some(r.flow_end_nanoseconds / SECOND)),
    ),
    beyond(
        Some(iana("flowStartMilliseconds", 152)),
        Some(v9("FLOW_START_MILLISECONDS", 152)),
        "first packet, milliseconds since the UNIX epoch",
        Number(8, |r| Some(r.flow_start_nanoseconds / 1_000_000)),
    ),
    beyond(
        Some(iana("flowEndMilliseconds", 153)),
        Some(v9("FLOW_END_MILLISECONDS", 153)),
        "last packet, milliseconds since the UNIX epoch",
        Number(8, |r| Some(r.flow_end_nanoseconds / 1_000_000)),
    ),
    beyond(
        Some(iana("flowStartMicroseconds", 154)),
        Some(v9("FLOW_START_MICROSECONDS", 154)),
        "first packet, microseconds since the UNIX epoch",
        Number(8, |r| Some(r.flow_start_nanoseconds / 1_000)),
    ),
    beyond(
        Some(iana("flowEndMicroseconds", 155)),
        Some(v9("FLOW_END_MICROSECONDS", 155)),
        "last packet, microseconds since the UNIX epoch",
        Number(8, |r| Some(r.flow_end_nanoseconds / 1_000)),
    ),
    beyond(
        Some(iana("flowStartNanoseconds", 156)),
        Some(v9("FLOW_START_NANOSECONDS", 156)),
        "first packet, nanoseconds since the UNIX epoch",
        Number(8, |r| Some(r.flow_start_nanoseconds)),
    ),
    beyond(
        Some(iana("flowEndNanoseconds", 157)),
        Some(v9("FLOW_END_NANOSECONDS", 157)),
        "last packet, nanoseconds since the UNIX epoch",
        Number(8, |r| Some(r.flow_end_nanoseconds)),
    ),
    beyond(
        Some(iana("flowDurationMilliseconds", 161)),
        Some(v9("FLOW_DURATION_MILLISECONDS", 161)),
        "from the first packet to the last",
        Number(4, |r| Some(r.flow_end_nanoseconds.saturating_sub(r.flow_start_nanoseconds) / 1_000_000)),
    ),
    beyond(
        Some(iana("vlanId", 58)),
        None,
        "outer tag; absent where untagged",
        Number(2, |r| r.vlan_id.map(Into::into)),
    ),
    beyond(
        Some(iana("dot1qCustomerVlanId", 245)),
        None,
        "inner tag of QinQ",
        Number(2, |r| r.customer_vlan_id.map(Into::into)),
    ),
    beyond(
        Some(iana("layer2OctetDeltaCount", 352)),
        None,
        "frame octets without FCS from the source",
        Number(8, |r| Some(r.layer2_octet_delta_count)),
    ),
    beyond(
        Some(reverse("reverseLayer2OctetDeltaCount", 352)),
        None,
        "frame octets without FCS from the destination",
        Number(8, |r| Some(r.reverse_layer2_octet_delta_count)),
    ),
    beyond(
        Some(iana("observationDomainId", 149)),
        None,
        "one probe process",
        Number(4, |r| Some(r.observation_domain_id.into())),
    ),
    beyond(
        Some(iana("recovered_from", 0)),
        None,
        "ours: UUID of the killed run that metered these packets; absent = this one",
        Value::Epoch(|r| r.recovered_from),
    ),
    beyond(
        Some(iana("shunted_packet_delta_count", 0)),
        None,
        "ours: packets of both directions that the XDP program counted itself; absent = none",
        Number(8, |r| r.shunted_packet_delta_count),
    ),
];

const SECOND: u64 = 1_000_000_000;

/// A field that ntopng reads.
const fn both(iana: Element, ntop: Element, doc: &'static str, value: Value) -> Field {
    Field { iana: Some(iana), ntop: Some(ntop), is_read_by_ntopng: true, doc, value }
}

/// Another one, which is no element of IPFIX.
const fn ntop(ntop: Element, doc: &'static str, value: Value) -> Field {
    Field { iana: None, ntop: Some(ntop), is_read_by_ntopng: true, doc, value }
}

/// One of which ntopng does not know what to do with it.
const fn beyond(iana: Option<Element>, ntop: Option<Element>, doc: &'static str, value: Value) -> Field {
    Field { iana, ntop, is_read_by_ntopng: false, doc, value }
}

const fn iana(name: &'static str, id: u16) -> Element {
    Element { name, pen: 0, id }
}

const fn reverse(name: &'static str, id: u16) -> Element {
    Element { name, pen: REVERSE_PEN, id }
}

const fn v9(name: &'static str, id: u16) -> Element {
    Element { name, pen: 0, id }
}

const fn own(name: &'static str, id: u16) -> Element {
    Element { name, pen: NTOP_PEN, id }
}

fn v4(address: IpAddr) -> Option<IpAddr> {
    address.is_ipv4().then_some(address)
}

fn v6(address: IpAddr) -> Option<IpAddr> {
    address.is_ipv6().then_some(address)
}

fn version(record: &FlowRecord) -> u64 {
    if record.source_ip_address.is_ipv4() { 4 } else { 6 }
}

fn of_version(record: &FlowRecord, wanted: u64, value: Option<u8>) -> Option<u64> {
    value.filter(|_| version(record) == wanted).map(Into::into)
}

fn flags(record: &FlowRecord) -> Option<u64> {
    match (record.tcp_control_bits, record.reverse_tcp_control_bits) {
        (None, None) => None,
        (forward, reverse) => Some((forward.unwrap_or(0) | reverse.unwrap_or(0)).into()),
    }
}

/// ntopng takes no number here, and shows the text as it comes.
const fn reason(reason: FlowEndReason) -> Option<&'static str> {
    Some(match reason {
        FlowEndReason::NotTold => return None,
        FlowEndReason::IdleTimeout => "Idle Timeout",
        FlowEndReason::ActiveTimeout => "Active Timeout",
        FlowEndReason::EndOfFlow => "End of Flow",
        FlowEndReason::ForcedEnd => "Forced End",
        FlowEndReason::LackOfResources => "Lack of Resources",
    })
}
