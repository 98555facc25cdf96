//! The table as a whole.

use std::collections::BTreeSet;

use super::{FIELDS, Field, NTOPNG_MANDATORY};

#[test]
fn no_name_or_number_stands_for_two_fields() {
    let mut names = BTreeSet::new();
    let (mut ntop_numbers, mut iana_numbers) = (BTreeSet::new(), BTreeSet::new());
    for field in FIELDS {
        assert!(field.ntop.is_some() || field.iana.is_some(), "{}", field.doc);
        for element in [field.ntop, field.iana].into_iter().flatten() {
            assert!(names.insert(element.name), "{}", element.name);
        }
        if let Some(flat) = field.ntop.and_then(|element| element.flat()) {
            assert!(ntop_numbers.insert(flat), "{flat}");
        }
        if let Some(element) = field.iana.filter(|element| element.id > 0) {
            assert!(iana_numbers.insert((element.pen, element.id)), "{}", element.name);
        }
    }
}

#[test]
fn what_ntopng_wants_is_there() {
    for name in NTOPNG_MANDATORY {
        assert!(Field::named(name).is_some_and(|field| field.is_read_by_ntopng), "{name}");
    }
}

/// Every column of a batch can be asked for by a template: by IANA's name in camelCase, or two that split it.
#[test]
fn no_column_of_a_batch_is_missing() {
    let split = |name: &str| match name {
        "source_ip_address" => vec!["sourceIPv4Address", "sourceIPv6Address"],
        "destination_ip_address" => vec!["destinationIPv4Address", "destinationIPv6Address"],
        "icmp_type" => vec!["icmpTypeIPv4", "icmpTypeIPv6"],
        "icmp_code" => vec!["icmpCodeIPv4", "icmpCodeIPv6"],
        "minimum_ttl" => vec!["minimumTTL"],
        "maximum_ttl" => vec!["maximumTTL"],
        "customer_vlan_id" => vec!["dot1qCustomerVlanId"],
        _ => vec![],
    };
    for column in crate::batch::FIELDS {
        let names = match split(column.name) {
            names if !names.is_empty() => names.into_iter().map(str::to_owned).collect(),
            _ if column.iana.is_empty() => vec![column.name.to_owned()],
            _ => vec![camel(column.name)],
        };
        let numbers: Vec<_> = names
            .iter()
            .map(|name| Field::named(name).unwrap_or_else(|| panic!("{name}")).iana.unwrap())
            .filter(|element| element.id > 0)
            .map(|element| match element.pen {
                0 => element.id.to_string(),
                pen => format!("{pen} / {}", element.id),
            })
            .collect();
        assert_eq!(numbers.join(" / "), column.iana, "{}", column.name);
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |sum, word| sum + &word[..1].to_uppercase() + &word[1..])
}
