//! The first frame of a message. Its beginning is the topic, by which ZMQ's subscriptions are matched.
//!
//! ```text
//! v1  24  topic[16] │ version u8 │ source u8  │ size u16 │ number u32
//! v2  28  topic[16] │ version u8 │ 0          │ size u16 │ number u32 │ source u32
//! v3  36  topic[16] │ version u8 │ flags u8   │ 0    u16 │ size u32   │ size on the wire u32 │ number u32 │ source u32
//! ```
//!
//! The structures of ntopng as its compiler lays them out, read without a change of octet order but for the message number: that is in network order,
//! sizes are little-endian (as on any machine that ntopng is built for), and the source is an identity, whose order is nobody's business.

/// The shape of the header: nProbe changed it with its releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// 24 octets; sources are told apart by one octet.
    V1,
    /// 28 octets.
    V2,
    /// 36 octets, nProbe 10.8 and later.
    #[default]
    V3,
}

/// Names of messages, and of what subscribers subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Flows.
    Flow,
    /// What the probe says of itself, once a second.
    Event,
    /// What the fields are.
    Template,
}

impl Topic {
    /// All that a probe of packets has to send.
    pub const ALL: [Self; 3] = [Self::Flow, Self::Event, Self::Template];

    /// As ntopng subscribes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Event => "event",
            Self::Template => "template",
        }
    }
}

/// What the second frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Of nDPI.
    Tlv,
    /// Text.
    Json,
    /// Text that zlib has made smaller; in the older layouts behind an octet of 0.
    Compressed {
        /// Octets of the text.
        octets: u32,
    },
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Of what it is.
    pub topic: Topic,
    /// How it is written.
    pub payload: Payload,
    /// Octets of the second frame.
    pub octets: u32,
    /// Counts the messages of a source, of all topics.
    pub number: u32,
    /// Who sends.
    pub source: u32,
}

/// Stands behind the NUL that ends the topic, where no reader of ntop's looks: a collector of ours that reads somebody else at the same address knows
/// by it that these flows come to it on our own topics as well.
pub(super) const OURS: &[u8] = b"gannet";

/// Octets of the largest.
pub const HEADER_OCTETS_MAX: usize = 36;

/// Version numbers that ntopng knows: 1 would have the message number in host order, and no source.
const VERSION_JSON: u8 = 2;
const VERSION_TLV: u8 = 3;
const VERSION_FLAGS: u8 = 4;
const FLAG_TLV: u8 = 2;
const FLAG_COMPRESSED: u8 = 4;

impl Layout {
    /// Largest second frame that its size can tell.
    pub const fn payload_octets_max(self) -> usize {
        match self {
            Self::V1 | Self::V2 => u16::MAX as usize,
            Self::V3 => u32::MAX as usize,
        }
    }
}

impl Header {
    /// The frame, in the room that the caller lends; gives what it takes of it.
    pub fn write(self, layout: Layout, room: &mut [u8; HEADER_OCTETS_MAX]) -> &[u8] {
        *room = [0; HEADER_OCTETS_MAX];
        let name = self.topic.name().as_bytes();
        room[..name.len()].copy_from_slice(name);
        // "template" has 8 of 16 octets.
        room[name.len() + 1..][..OURS.len()].copy_from_slice(OURS);
        let number = self.number.to_be_bytes();
        match layout {
            Layout::V1 | Layout::V2 => {
                room[16] = if self.payload == Payload::Tlv { VERSION_TLV } else { VERSION_JSON };
                // The caller keeps to `payload_octets_max`.
                room[18..20].copy_from_slice(&(self.octets as u16).to_le_bytes());
                room[20..24].copy_from_slice(&number);
            }
            Layout::V3 => {
                room[16] = VERSION_FLAGS;
                let (flags, octets) = match self.payload {
                    Payload::Tlv => (FLAG_TLV, self.octets),
                    Payload::Json => (0, self.octets),
                    Payload::Compressed { octets } => (FLAG_COMPRESSED, octets),
                };
                room[17] = flags;
                room[20..24].copy_from_slice(&octets.to_le_bytes());
                room[24..28].copy_from_slice(&self.octets.to_le_bytes());
                room[28..32].copy_from_slice(&number);
                room[32..36].copy_from_slice(&self.source.to_le_bytes());
            }
        }
        match layout {
            Layout::V1 => {
                room[17] = self.source as u8;
                &room[..24]
            }
            Layout::V2 => {
                room[24..28].copy_from_slice(&self.source.to_le_bytes());
                &room[..28]
            }
            Layout::V3 => &room[..],
        }
    }
}
