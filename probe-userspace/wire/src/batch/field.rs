//! The columns of a batch, in their order: the one table that encoder, decoder and FORMAT.md are held against.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef};

use crate::record::FlowRecord;
use crate::stamp::Epoch;

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Column name: the IANA information element in snake_case.
    pub name: &'static str,
    /// Number of the information element; empty for our own.
    pub iana: &'static str,
    /// Type, and where its value comes from.
    pub column: Column,
    /// For people.
    pub doc: &'static str,
}

/// Type of a column, and how it is read off a record. `Optional*` columns are nullable.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// UInt8
    U8(fn(&FlowRecord) -> u8),
    /// UInt16
    U16(fn(&FlowRecord) -> u16),
    /// UInt32
    U32(fn(&FlowRecord) -> u32),
    /// UInt64
    U64(fn(&FlowRecord) -> u64),
    /// UInt8, nullable
    OptionalU8(fn(&FlowRecord) -> Option<u8>),
    /// UInt16, nullable
    OptionalU16(fn(&FlowRecord) -> Option<u16>),
    /// UInt64, nullable
    OptionalU64(fn(&FlowRecord) -> Option<u64>),
    /// FixedSizeBinary(16), IPv4 as `::ffff:a.b.c.d`
    Address(fn(&FlowRecord) -> IpAddr),
    /// FixedSizeBinary(16), nullable: a UUID in network order
    OptionalEpoch(fn(&FlowRecord) -> Option<Epoch>),
}

impl Field {
    /// Its Arrow type.
    pub fn data_type(&self) -> DataType {
        match self.column {
            Column::U8(_) | Column::OptionalU8(_) => DataType::UInt8,
            Column::U16(_) | Column::OptionalU16(_) => DataType::UInt16,
            Column::U32(_) => DataType::UInt32,
            Column::U64(_) | Column::OptionalU64(_) => DataType::UInt64,
            Column::Address(_) | Column::OptionalEpoch(_) => DataType::FixedSizeBinary(16),
        }
    }

    /// Whether it may be null.
    pub const fn nullable(&self) -> bool {
        matches!(
            self.column,
            Column::OptionalU8(_)
                | Column::OptionalU16(_)
                | Column::OptionalU64(_)
                | Column::OptionalEpoch(_)
        )
    }
}

/// An address as it stands in a column, in network order.
pub(super) fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => Ipv6Addr::octets(&v6),
    }
}

/// The columns before those of the record: the stamp, so that a row says by itself where it comes from.
pub const STAMP_FIELDS: [(&str, DataType, &str); 5] = [
    ("probe_id", DataType::FixedSizeBinary(16), "UUID of the probe, network order"),
    ("epoch", DataType::FixedSizeBinary(16), "UUID of this start of the probe"),
    ("stream", DataType::UInt16, "which worker"),
    ("sequence", DataType::UInt64, "which batch of the stream, from 0 without gaps"),
    ("row", DataType::UInt32, "which row of the batch, from 0"),
];

/// The columns of the record. New ones are added at the end, and nullable.
pub const FIELDS: [Field; 29] = [
    field("observation_domain_id", "149", Column::U32(|r| r.observation_domain_id), "one probe process"),
    field(
        "ingress_interface",
        "10",
        Column::U32(|r| r.ingress_interface),
        "index of the interface; 0 for a capture file",
    ),
    field(
        "flow_start_nanoseconds",
        "156",
        Column::U64(|r| r.flow_start_nanoseconds),
        "first packet of either direction, since the UNIX epoch",
    ),
    field(
        "flow_end_nanoseconds",
        "157",
        Column::U64(|r| r.flow_end_nanoseconds),
        "last packet of either direction",
    ),
    field("ip_version", "60", Column::U8(version), "4 or 6"),
    field(
        "source_ip_address",
        "8 / 27",
        Column::Address(|r| r.source_ip_address),
        "who opened the flow; IPv4 as ::ffff:a.b.c.d",
    ),
    field(
        "destination_ip_address",
        "12 / 28",
        Column::Address(|r| r.destination_ip_address),
        "the other end",
    ),
    field(
        "source_transport_port",
        "7",
        Column::U16(|r| r.source_transport_port),
        "0 where the protocol has none",
    ),
    field("destination_transport_port", "11", Column::U16(|r| r.destination_transport_port), "likewise"),
    field("protocol_identifier", "4", Column::U8(|r| r.protocol_identifier), "IANA protocol number"),
    field("vlan_id", "58", Column::OptionalU16(|r| r.vlan_id), "outer tag; null = untagged"),
    field("customer_vlan_id", "245", Column::OptionalU16(|r| r.customer_vlan_id), "inner tag of QinQ"),
    field("packet_delta_count", "2", Column::U64(|r| r.packet_delta_count), "packets from the source"),
    field(
        "reverse_packet_delta_count",
        "29305 / 2",
        Column::U64(|r| r.reverse_packet_delta_count),
        "packets from the destination",
    ),
    field("octet_delta_count", "1", Column::U64(|r| r.octet_delta_count), "IP octets from the source"),
    field(
        "reverse_octet_delta_count",
        "29305 / 1",
        Column::U64(|r| r.reverse_octet_delta_count),
        "IP octets from the destination",
    ),
    field(
        "layer2_octet_delta_count",
        "352",
        Column::U64(|r| r.layer2_octet_delta_count),
        "frame octets without FCS from the source",
    ),
    field(
        "reverse_layer2_octet_delta_count",
        "29305 / 352",
        Column::U64(|r| r.reverse_layer2_octet_delta_count),
        "frame octets without FCS from the destination",
    ),
    field(
        "tcp_control_bits",
        "6",
        Column::OptionalU16(|r| r.tcp_control_bits),
        "OR of the flags; null unless TCP",
    ),
    field(
        "reverse_tcp_control_bits",
        "29305 / 6",
        Column::OptionalU16(|r| r.reverse_tcp_control_bits),
        "of the other direction",
    ),
    field(
        "ip_class_of_service",
        "5",
        Column::U8(|r| r.ip_class_of_service),
        "of the first packet from the source",
    ),
    field(
        "reverse_ip_class_of_service",
        "29305 / 5",
        Column::OptionalU8(|r| r.reverse_ip_class_of_service),
        "of the first packet from the destination; null while there is none",
    ),
    field("minimum_ttl", "52", Column::U8(|r| r.minimum_ttl), "smallest TTL or hop limit from the source"),
    field("maximum_ttl", "53", Column::U8(|r| r.maximum_ttl), "largest"),
    field(
        "icmp_type",
        "176 / 178",
        Column::OptionalU8(|r| r.icmp_type),
        "of the first packet; null unless ICMP",
    ),
    field("icmp_code", "177 / 179", Column::OptionalU8(|r| r.icmp_code), "likewise"),
    field(
        "flow_end_reason",
        "136",
        Column::U8(|r| r.flow_end_reason as u8),
        "1 idle timeout, 2 active timeout, 3 end of flow, 4 forced end, 5 lack of resources",
    ),
    field(
        "recovered_from",
        "",
        Column::OptionalEpoch(|r| r.recovered_from),
        "UUID of the killed epoch that metered these packets; null = the epoch of this row",
    ),
    field(
        "shunted_packet_delta_count",
        "",
        Column::OptionalU64(|r| r.shunted_packet_delta_count),
        "packets of both directions that the XDP program counted itself: TTLs and classes of service are of the others alone; null = none",
    ),
];

const fn field(name: &'static str, iana: &'static str, column: Column, doc: &'static str) -> Field {
    Field { name, iana, column, doc }
}

fn version(record: &FlowRecord) -> u8 {
    if record.source_ip_address.is_ipv4() { 4 } else { 6 }
}

/// Stamp columns, then record columns. Without metadata: that is each batch's own.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let stamp = STAMP_FIELDS.iter().map(|(name, kind, _)| ArrowField::new(*name, kind.clone(), false));
        let record =
            FIELDS.iter().map(|field| ArrowField::new(field.name, field.data_type(), field.nullable()));
        Arc::new(Schema::new(stamp.chain(record).collect::<Vec<_>>()))
    });
    Arc::clone(&SCHEMA)
}
