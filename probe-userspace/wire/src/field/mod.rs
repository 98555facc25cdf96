//! Everything that can be told of a flow, by the names and numbers of IANA and of ntop: one table.
//!
//! ```text
//! table ─► -T "%IN_BYTES @NTOPNG@ %PROTOCOL=>proto" ─► Template ─► ntop::tlv, ntop::json
//!       └► `gannet-probe fields`, the guide, ntop's template message
//! ```
//!
//! ntop's names and numbers: nProbe's user's guide, "Flow Templates", and ntopng's `ntop_flow.h`. Without a private enterprise
//! number they are NetFlow v9's; those of ntop itself (PEN 35632) are sent as 57472 + id, which no other number can be taken for.
//! IANA's: "IP Flow Information Export (IPFIX) Entities"; the reverse of an element has its number under PEN 29305 (RFC 5103).

mod table;
pub mod template;

use std::net::IpAddr;

use crate::record::FlowRecord;
use crate::stamp::Epoch;

pub use table::{FIELDS, NTOPNG_MANDATORY};
pub use template::Template;

/// ntop's private enterprise number.
pub const NTOP_PEN: u32 = 35_632;
/// That of reverse elements (RFC 5103).
pub const REVERSE_PEN: u32 = 29_305;
/// What is added to a number of ntop's own where there is no room for a PEN.
pub const NTOP_BASE: u32 = 57_472;

/// One thing that can be told of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// In IPFIX; `None` = it is no element, or only for one direction or version.
    pub iana: Option<Element>,
    /// In nProbe and ntopng.
    pub ntop: Option<Element>,
    /// ntopng reads it: it is in `@NTOPNG@`.
    pub is_read_by_ntopng: bool,
    /// For people.
    pub doc: &'static str,
    /// What it is of a record.
    pub value: Value,
}

/// A name and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// As its registry spells it.
    pub name: &'static str,
    /// 0 = IANA's (or NetFlow v9's).
    pub pen: u32,
    /// Number of the element under that PEN; 0 = it has none, and is known by its name alone.
    pub id: u16,
}

impl Element {
    /// As one number, where there is one.
    pub fn flat(&self) -> Option<u32> {
        match (self.pen, self.id) {
            (_, 0) => None,
            (0, id) => Some(id.into()),
            (NTOP_PEN, id) => Some(NTOP_BASE + u32::from(id)),
            _ => None,
        }
    }
}

/// Type, and where the value comes from. `None` = there is nothing to tell of this flow: the field is left out.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// An unsigned number of at most so many octets.
    Number(u8, fn(&FlowRecord) -> Option<u64>),
    /// An address, as text.
    Address(fn(&FlowRecord) -> Option<IpAddr>),
    /// A word of a closed list; no character of it needs an escape.
    Word(fn(&FlowRecord) -> Option<&'static str>),
    /// A UUID, as text.
    Epoch(fn(&FlowRecord) -> Option<Epoch>),
}

impl Value {
    /// Octets of its text at most.
    pub(crate) const fn text_octets_max(&self) -> usize {
        match self {
            Self::Number(..) => 20,
            // ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255
            Self::Address(_) => 45,
            Self::Word(_) => 24,
            Self::Epoch(_) => 36,
        }
    }

    /// Octets in IPFIX.
    pub const fn octets(&self) -> u8 {
        match self {
            Self::Number(octets, _) => *octets,
            Self::Address(_) | Self::Epoch(_) => 16,
            Self::Word(_) => 1,
        }
    }

    /// For people, and in ntop's template message.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Number(..) => "number",
            Self::Address(_) => "address",
            Self::Word(_) => "word",
            Self::Epoch(_) => "uuid",
        }
    }
}

impl Field {
    /// ntop's name, else IANA's.
    pub fn name(&self) -> &'static str {
        self.element().name
    }

    /// What it is known by: ntop's name and number, else IANA's.
    pub fn element(&self) -> Element {
        match (self.ntop, self.iana) {
            (Some(element), _) | (None, Some(element)) => element,
            // The table has no such line: a test looks.
            (None, None) => Element { name: "", pen: 0, id: 0 },
        }
    }

    /// By either of its names.
    pub fn named(name: &str) -> Option<&'static Self> {
        let is_named = |element: Option<Element>| element.is_some_and(|element| element.name == name);
        FIELDS.iter().find(|field| is_named(field.ntop) || is_named(field.iana))
    }
}

#[cfg(test)]
mod tests;
