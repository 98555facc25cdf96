//! The columns of the table of flows: the record's elements by their IANA names, and the stamp of the batch they came in.
//!
//! Addresses are 16 octets, IPv4 as `::ffff:a.b.c.d`: a prefix is then a range of octet strings, which an engine can
//! skip blocks by.

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 8 bits.
    U8,
    /// 16 bits.
    U16,
    /// 32 bits.
    U32,
    /// 64 bits.
    U64,
    /// 16 octets, IPv4-mapped.
    Address,
    /// 16 octets of a UUID.
    Uuid,
}

/// One column.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// In snake_case; also the key in JSON.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether "not applicable" is a value.
    pub nullable: bool,
    /// Whether it counts packets or octets, so that a sum of it means something.
    pub counter: bool,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false, counter: false }
}

const fn nullable(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: true, counter: false }
}

const fn counter(name: &'static str) -> Column {
    Column { name, kind: Kind::U64, nullable: false, counter: true }
}

/// All of them, in the order of the table.
pub static COLUMNS: [Column; 34] = [
    column("flow_start_nanoseconds", Kind::U64),
    column("flow_end_nanoseconds", Kind::U64),
    column("ip_version", Kind::U8),
    column("source_ip_address", Kind::Address),
    column("destination_ip_address", Kind::Address),
    column("source_transport_port", Kind::U16),
    column("destination_transport_port", Kind::U16),
    column("protocol_identifier", Kind::U8),
    nullable("vlan_id", Kind::U16),
    nullable("customer_vlan_id", Kind::U16),
    counter("packet_delta_count"),
    counter("reverse_packet_delta_count"),
    counter("octet_delta_count"),
    counter("reverse_octet_delta_count"),
    counter("layer2_octet_delta_count"),
    counter("reverse_layer2_octet_delta_count"),
    nullable("tcp_control_bits", Kind::U16),
    nullable("reverse_tcp_control_bits", Kind::U16),
    column("ip_class_of_service", Kind::U8),
    nullable("reverse_ip_class_of_service", Kind::U8),
    column("minimum_ttl", Kind::U8),
    column("maximum_ttl", Kind::U8),
    nullable("icmp_type", Kind::U8),
    nullable("icmp_code", Kind::U8),
    column("flow_end_reason", Kind::U8),
    column("observation_domain_id", Kind::U32),
    column("ingress_interface", Kind::U32),
    column("probe_id", Kind::Uuid),
    column("epoch", Kind::Uuid),
    column("stream", Kind::U16),
    column("sequence", Kind::U64),
    column("row", Kind::U32),
    nullable("recovered_from", Kind::Uuid),
    nullable("shunted_packet_delta_count", Kind::U64),
];

/// The column of that name.
pub fn by_name(name: &str) -> Option<&'static Column> {
    COLUMNS.iter().find(|column| column.name == name)
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;

    use super::*;

    #[test]
    fn columns_are_those_of_the_wire() {
        let schema = flow_wire::batch::schema();
        assert_eq!(schema.fields().len(), COLUMNS.len());
        for column in &COLUMNS {
            let field = schema.field_with_name(column.name).unwrap();
            let kind = match field.data_type() {
                DataType::UInt8 => Kind::U8,
                DataType::UInt16 => Kind::U16,
                DataType::UInt32 => Kind::U32,
                DataType::UInt64 => Kind::U64,
                _ if column.name.ends_with("address") => Kind::Address,
                _ => Kind::Uuid,
            };
            assert_eq!((kind, field.is_nullable()), (column.kind, column.nullable), "{}", column.name);
        }
    }
}
