//! What is summed.

use crate::store::{Column, by_name};

/// A measure of a flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Records.
    Flows,
    /// IP octets of both directions.
    Octets,
    /// Packets of both directions.
    Packets,
    /// Frame octets of both directions.
    Layer2Octets,
    /// One counter.
    Counter(&'static Column),
}

/// The words, for messages.
pub const WORDS: &str =
    "use octets, packets, layer2_octets, flows, or a counter by its IANA name (octet_delta_count)";

impl Measure {
    /// By its word or IANA name.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "flows" => Some(Self::Flows),
            "octets" => Some(Self::Octets),
            "packets" => Some(Self::Packets),
            "layer2_octets" => Some(Self::Layer2Octets),
            _ => by_name(word).filter(|column| column.counter).map(Self::Counter),
        }
    }

    /// The key in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Octets => "octets",
            Self::Packets => "packets",
            Self::Layer2Octets => "layer2_octets",
            Self::Counter(column) => column.name,
        }
    }

    /// The columns that it adds up; none for [`Measure::Flows`].
    pub fn columns(self) -> Vec<&'static str> {
        match self {
            Self::Flows => vec![],
            Self::Octets => vec!["octet_delta_count", "reverse_octet_delta_count"],
            Self::Packets => vec!["packet_delta_count", "reverse_packet_delta_count"],
            Self::Layer2Octets => vec!["layer2_octet_delta_count", "reverse_layer2_octet_delta_count"],
            Self::Counter(column) => vec![column.name],
        }
    }
}
