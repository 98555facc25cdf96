//! What a filter names: short words, and every column by its IANA name.

use crate::store::{COLUMNS, Column, Kind, by_name};

/// One column, or "either end".
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field {
    /// A column.
    One(&'static Column),
    /// `host`, `port`: source or destination.
    Either(&'static Column, &'static Column),
}

const SHORT: [(&str, &str); 8] = [
    ("src", "source_ip_address"),
    ("dst", "destination_ip_address"),
    ("sport", "source_transport_port"),
    ("dport", "destination_transport_port"),
    ("proto", "protocol_identifier"),
    ("vlan", "vlan_id"),
    ("probe", "probe_id"),
    ("interface", "ingress_interface"),
];

/// Names of protocols that stand for their numbers (IANA protocol numbers).
const PROTOCOLS: [(&str, u64); 12] = [
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", 58),
    ("ospf", 89),
    ("vrrp", 112),
    ("sctp", 132),
];

/// The words, for messages.
pub const WORDS: &str =
    "use src, dst, host, sport, dport, port, proto, vlan, probe, interface, or an IANA name";

/// The field of a filter's term.
pub fn field(word: &str) -> Option<Field> {
    let either = |a, b| Some(Field::Either(by_name(a)?, by_name(b)?));
    match word {
        "host" => either("source_ip_address", "destination_ip_address"),
        "port" => either("source_transport_port", "destination_transport_port"),
        _ => column(word).map(Field::One),
    }
}

/// A column by its short or IANA name.
pub fn column(word: &str) -> Option<&'static Column> {
    let name = SHORT.iter().find(|(short, _)| *short == word).map_or(word, |(_, name)| name);
    by_name(name)
}

/// The number of a protocol's name.
pub fn protocol(name: &str) -> Option<u64> {
    PROTOCOLS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

/// The number of a flow end reason's name, as in the JSON of a flow.
pub fn end_reason(name: &str) -> Option<u64> {
    (0..=5).find(|number| crate::query::answer::end_reason_name(*number) == Some(name))
}

impl Field {
    /// The kind of its column; both ends have the same one.
    pub fn kind(self) -> Kind {
        match self {
            Self::One(column) | Self::Either(column, _) => column.kind,
        }
    }

    /// Whether it names this column alone.
    pub fn is(self, name: &str) -> bool {
        matches!(self, Self::One(column) if column.name == name)
    }
}

/// Whether a column makes sensible groups: counters do not.
pub fn groups(column: &Column) -> bool {
    !column.counter
}

/// Every column that a query may group by.
pub fn group_names() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().filter(|column| groups(column)).map(|column| column.name)
}
