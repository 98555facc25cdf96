//! Which part of a record a key tells: by the table of fields, in whatever way it is spelled.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::item::Key;
use crate::field::{FIELDS, NTOP_BASE, NTOP_PEN, REVERSE_PEN};

/// A part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    SourceAddress,
    DestinationAddress,
    IpVersion,
    SourcePort,
    DestinationPort,
    Protocol,
    /// `true` = from the destination.
    Octets(bool),
    Packets(bool),
    FrameOctets(bool),
    /// `true` = of the last packet; how many of it are a second.
    Time(bool, Resolution),
    /// Of both directions.
    TcpFlags,
    /// Of one.
    SideFlags(bool),
    ClassOfService(bool),
    Interface,
    /// ntop's: the tag of the packet itself.
    Vlan,
    /// IANA's: the outer tag, or the only one.
    VlanId,
    /// The outer one of two.
    OuterVlan,
    InnerVlan,
    EndReason,
    LeastTtl,
    MostTtl,
    /// Type * 256 + code.
    Icmp,
    IcmpType,
    IcmpCode,
    /// Told by the others already.
    Derived,
}

/// In the order of what is believed: the finest wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resolution {
    #[default]
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// IANA's `vlanId` has the number of ntop's `SRC_VLAN`, and is the outer tag.
const VLAN_ID: &str = "vlanId";
/// IANA's `tcpControlBits` has the number of ntop's `TCP_FLAGS`, and is of one side.
const TCP_CONTROL_BITS: &str = "tcpControlBits";

impl Slot {
    /// `None` = nothing that a record of ours has room for.
    pub(super) fn of(key: Key<'_>) -> Option<Self> {
        match key {
            Key::Number(number) => Self::flat(number),
            Key::Text(text) => match text.as_bytes().first()? {
                b'0'..=b'9' => match text.split_once('.') {
                    None => Self::flat(text.parse().ok()?),
                    Some((pen, id)) => Self::element(pen.parse().ok()?, id.parse().ok()?),
                },
                _ => NAMES.get(text).copied(),
            },
        }
    }

    fn flat(number: u64) -> Option<Self> {
        match number.checked_sub(NTOP_BASE.into()) {
            Some(own) => Self::element(NTOP_PEN, own),
            None => Self::element(0, number),
        }
    }

    fn element(pen: u32, id: u64) -> Option<Self> {
        use Resolution::{Microseconds, Milliseconds, Nanoseconds, Seconds};
        let is_reverse = pen == REVERSE_PEN;
        // ntop writes its own with and without what is added where there is no room for a PEN.
        let id = if pen == NTOP_PEN { id.checked_sub(NTOP_BASE.into()).unwrap_or(id) } else { id };
        Some(match (pen, id) {
            (0 | REVERSE_PEN, 1) => Self::Octets(is_reverse),
            (0 | REVERSE_PEN, 2) => Self::Packets(is_reverse),
            (0 | REVERSE_PEN, 352) => Self::FrameOctets(is_reverse),
            (0, 23) => Self::Octets(true),
            (0, 24) => Self::Packets(true),
            (0, 8 | 27) => Self::SourceAddress,
            (0, 12 | 28) => Self::DestinationAddress,
            (0, 60) => Self::IpVersion,
            (0, 7) => Self::SourcePort,
            (0, 11) => Self::DestinationPort,
            (0, 4) => Self::Protocol,
            (0, 22 | 150) => Self::Time(false, Seconds),
            (0, 21 | 151) => Self::Time(true, Seconds),
            (0, 152) => Self::Time(false, Milliseconds),
            (0, 153) => Self::Time(true, Milliseconds),
            (0, 154) => Self::Time(false, Microseconds),
            (0, 155) => Self::Time(true, Microseconds),
            (0, 156) => Self::Time(false, Nanoseconds),
            (0, 157) => Self::Time(true, Nanoseconds),
            (0, 6) => Self::TcpFlags,
            (NTOP_PEN, 78) => Self::SideFlags(false),
            (NTOP_PEN, 79) | (REVERSE_PEN, 6) => Self::SideFlags(true),
            (0, 5) => Self::ClassOfService(false),
            (0, 55) | (REVERSE_PEN, 5) => Self::ClassOfService(true),
            (0, 10) => Self::Interface,
            (0, 58) => Self::Vlan,
            (0, 243) => Self::OuterVlan,
            (0, 245) => Self::InnerVlan,
            (0, 136) => Self::EndReason,
            (0, 52) => Self::LeastTtl,
            (0, 53) => Self::MostTtl,
            (0, 32) => Self::Icmp,
            (0, 176 | 178) => Self::IcmpType,
            (0, 177 | 179) => Self::IcmpCode,
            (0, 149 | 161) => Self::Derived,
            _ => return None,
        })
    }
}

/// By either name of each field that has a number.
static NAMES: LazyLock<HashMap<&'static str, Slot>> = LazyLock::new(|| {
    let elements = FIELDS.iter().flat_map(|field| [field.ntop, field.iana]).flatten();
    let named = elements.filter_map(|element| {
        let slot = match element.name {
            VLAN_ID => Slot::VlanId,
            TCP_CONTROL_BITS => Slot::SideFlags(false),
            _ => Slot::element(element.pen, element.id.into())?,
        };
        Some((element.name, slot))
    });
    named.collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_with_a_number_is_read_by_all_its_spellings() {
        for field in FIELDS {
            for element in [field.ntop, field.iana].into_iter().flatten().filter(|element| element.id > 0) {
                let name = Slot::of(Key::Text(element.name));
                assert!(name.is_some(), "{}", element.name);
                let dotted = format!("{}.{}", element.pen, element.id);
                assert!(Slot::of(Key::Text(&dotted)).is_some(), "{dotted}");
                if let Some(flat) = element.flat() {
                    let number = Slot::of(Key::Number(flat.into()));
                    assert_eq!(Slot::of(Key::Text(&flat.to_string())), number);
                    if ![VLAN_ID, TCP_CONTROL_BITS].contains(&element.name) {
                        assert_eq!(number, name, "{}", element.name);
                    }
                }
            }
        }
        assert_eq!(Slot::of(Key::Text("35632.78")), Slot::of(Key::Number(57_550)));
        assert_eq!(Slot::of(Key::Text("35632.57550")), Slot::of(Key::Number(57_550)));
    }

    #[test]
    fn nothing_else_is_taken_for_one() {
        for text in [
            "",
            "9",
            "78",
            "1.1.1",
            ".1",
            "1.",
            "-1",
            "99999999999999999999",
            "29306.1",
            "in_bytes",
            "L7_PROTO",
        ] {
            assert_eq!(Slot::of(Key::Text(text)), None, "{text}");
        }
        assert_eq!(Slot::of(Key::Number(u64::MAX)), None);
    }
}
