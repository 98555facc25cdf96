//! A key and a value, however they were written.

use std::net::{IpAddr, Ipv4Addr};

/// What a value is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// A number of NetFlow v9's or IANA's, or ntop's own as 57472 + id.
    Number(u64),
    /// The same as text, a number behind its private enterprise number (`"35632.78"`), or a name.
    Text(&'a str),
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Not negative.
    Unsigned(u64),
    /// Negative, or written as a signed number.
    Signed(i64),
    /// With a fraction, or so large.
    Float(f64),
    /// Text; a number or an address as well.
    Text(&'a str),
}

impl Value<'_> {
    /// An empty text tells nothing.
    pub(super) fn is_nothing(self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }

    /// A whole number that is not negative.
    pub(super) fn unsigned(self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(number),
            Self::Signed(number) => number.try_into().ok(),
            Self::Float(_) => None,
            // `parse` would take "+1".
            Self::Text(text) => {
                let text = text.trim();
                text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok()).flatten()
            }
        }
    }

    /// Text, or the number of an IPv4 address.
    pub(super) fn address(self) -> Option<IpAddr> {
        match self {
            Self::Text(text) => text.trim().parse().ok(),
            number => Some(IpAddr::V4(Ipv4Addr::from(u32::try_from(number.unsigned()?).ok()?))),
        }
    }
}

impl std::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsigned(number) => write!(f, "{number}"),
            Self::Signed(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "'{}'", text.escape_debug()),
        }
    }
}
