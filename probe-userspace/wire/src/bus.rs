//! Names on the bus: topics, kinds of message, versions. FORMAT.md says the same for consumers in other languages.

use std::fmt;

/// Prefix of the topics, unless the user says otherwise: two deployments can share a broker.
pub const TOPIC_PREFIX: &str = "gannet";

/// Version of the flow schema and of the headers. It grows when a reader of the former version would be misled; a new
/// nullable column does not need it.
pub const SCHEMA_VERSION: u16 = 1;

/// Largest body of a message, in octets: a sealed batch stays well below the broker's `message.max.bytes` (1,048,588
/// by default), and a reader refuses what is longer instead of allocating for it.
pub const BODY_OCTETS_MAX: usize = 900_000;

/// What a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// An Arrow batch of flow records.
    Flows = 0,
    /// A [`ledger::Message`](crate::ledger::Message) as JSON.
    Ledger = 1,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Flows, Self::Ledger];

    /// As in the Kafka header `gannet-kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Ledger => "ledger",
        }
    }

    /// Name of its Kafka topic, and first frame of its ZMQ messages: `gannet.flow`, `gannet.ledger`.
    pub fn topic(self, prefix: &str) -> String {
        let stem = match self {
            Self::Flows => "flow",
            Self::Ledger => "ledger",
        };
        format!("{prefix}.{stem}")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Keys of the Kafka headers. Their values are text, so that any tool shows them.
pub mod header {
    /// Schema version, decimal.
    pub const VERSION: &str = "gannet-version";
    /// `flows` or `ledger`.
    pub const KIND: &str = "gannet-kind";
    /// UUID of the probe.
    pub const PROBE: &str = "gannet-probe";
    /// UUID of the epoch.
    pub const EPOCH: &str = "gannet-epoch";
    /// Stream, decimal.
    pub const STREAM: &str = "gannet-stream";
    /// Sequence of the batch in its stream, decimal.
    pub const SEQUENCE: &str = "gannet-sequence";
    /// Rows of the batch, decimal; 0 for a ledger message.
    pub const ROWS: &str = "gannet-rows";
    /// CRC32C (Castagnoli) of the body, eight lower-case hexadecimal digits.
    pub const CRC32C: &str = "gannet-crc32c";
    /// Number of the sink that sent it, decimal: the `number` of its cursors in the ledger message.
    pub const SINK: &str = "gannet-sink";
}
