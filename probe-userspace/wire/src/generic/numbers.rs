//! Numbers of the fields in Protobuf. Those of IPFIX and ntop will not do: some fields have none, and two may share one.

use super::Error;
use crate::field::Field;

/// By a field's first name. A number is given once, for ever, whatever becomes of its field: messages with it lie on topics for years. The
/// next one is one more than the largest; those up to 15 take one octet.
const NUMBERS: &[(&str, u32)] = &[
    ("IN_BYTES", 1),
    ("IN_PKTS", 2),
    ("OUT_BYTES", 3),
    ("OUT_PKTS", 4),
    ("IPV4_SRC_ADDR", 5),
    ("IPV4_DST_ADDR", 6),
    ("IPV6_SRC_ADDR", 7),
    ("IPV6_DST_ADDR", 8),
    ("IP_PROTOCOL_VERSION", 9),
    ("L4_SRC_PORT", 10),
    ("L4_DST_PORT", 11),
    ("PROTOCOL", 12),
    ("FIRST_SWITCHED", 13),
    ("LAST_SWITCHED", 14),
    ("FLOW_END_REASON", 15),
    ("TCP_FLAGS", 16),
    ("CLIENT_TCP_FLAGS", 17),
    ("SERVER_TCP_FLAGS", 18),
    ("SRC_TOS", 19),
    ("DST_TOS", 20),
    ("INPUT_SNMP", 21),
    ("SRC_VLAN", 22),
    ("DOT1Q_SRC_VLAN", 23),
    ("MIN_TTL", 24),
    ("MAX_TTL", 25),
    ("ICMP_TYPE", 26),
    ("ICMP_IPV4_TYPE", 27),
    ("ICMP_IPV4_CODE", 28),
    ("icmpTypeIPv6", 29),
    ("icmpCodeIPv6", 30),
    ("FLOW_START_SEC", 31),
    ("FLOW_END_SEC", 32),
    ("FLOW_START_MILLISECONDS", 33),
    ("FLOW_END_MILLISECONDS", 34),
    ("FLOW_START_MICROSECONDS", 35),
    ("FLOW_END_MICROSECONDS", 36),
    ("FLOW_START_NANOSECONDS", 37),
    ("FLOW_END_NANOSECONDS", 38),
    ("FLOW_DURATION_MILLISECONDS", 39),
    ("vlanId", 40),
    ("dot1qCustomerVlanId", 41),
    ("layer2OctetDeltaCount", 42),
    ("reverseLayer2OctetDeltaCount", 43),
    ("observationDomainId", 44),
    ("recovered_from", 45),
    ("shunted_packet_delta_count", 46),
];

/// Of a field of the table.
pub(super) fn number(field: &Field) -> Result<u32, Error> {
    let found = NUMBERS.iter().find(|(name, _)| *name == field.name());
    found.map(|(_, number)| *number).ok_or(Error::Unnumbered(field.name()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::field::FIELDS;

    #[test]
    fn every_field_has_a_number_of_its_own() {
        let without: Vec<_> = FIELDS.iter().filter(|field| number(field).is_err()).map(Field::name).collect();
        assert!(
            without.is_empty(),
            "give these the next numbers, behind the last line of NUMBERS: {without:?}"
        );
        let (names, numbers): (BTreeSet<_>, BTreeSet<_>) = NUMBERS.iter().copied().unzip();
        assert_eq!((names.len(), numbers.len()), (NUMBERS.len(), NUMBERS.len()), "one is there twice");
    }
}
