//! The first frame, in any layout that nProbe ever had.
//!
//! ```text
//! v0  40  topic[32] │ version u32 │ size u32                                                       no number, no source
//! v1  24  topic[16] │ version u8  │ source u8 │ size u16 │ number u32
//! v2  28  topic[16] │ version u8  │ 0         │ size u16 │ number u32 │ source u32
//! v3  36  topic[16] │ version u8  │ flags u8  │ 0    u16 │ size u32   │ size u32 │ number u32 │ source u32
//! ```
//!
//! The octets tell the layout. `number` is in network order but under version 1, where it is the publisher's own, taken as little-endian. The sizes are
//! not read: ZMQ knows how long a frame is, 16 bits wrap, and nProbe and netflow2ng do not agree which of v3's two is which.

use super::{Error, TOPICS, inflate};
use crate::ntop::header::OURS;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Flows.
    Flow,
    /// What the publisher says of itself.
    Event,
    /// Anything else that ntopng subscribes: it has a number, and nothing for a store of flows.
    Other,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Of what it is.
    pub topic: Topic,
    /// The payload is nDPI's TLV, else JSON.
    pub is_tlv: bool,
    /// Counts the messages of the source; `None` = the layout has none.
    pub number: Option<u32>,
    /// Who sends, among those who send to one address; 0 where the layout has none.
    pub source: u32,
    /// A probe of ours wrote it, for ntopng: who reads our own topics has these flows there.
    pub is_ours: bool,
    zlib: Zlib,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zlib {
    /// A flag says so, and the stream is the payload.
    Told(bool),
    /// The first octet says so: 0, and the stream behind it.
    Marked,
}

const VERSION_HOST_ORDER: u32 = 1;
const VERSION_TLV: u32 = 3;
const VERSION_FLAGS: u32 = 4;
const FLAG_TLV: u8 = 2;
const FLAG_COMPRESSED: u8 = 4;

impl Frame {
    /// Reads it.
    ///
    /// # Errors
    /// Neither ntopng nor we know such a header.
    pub fn read(octets: &[u8]) -> Result<Self, Error> {
        let little = |at: usize| word(octets, at).map(u32::from_le_bytes);
        let big = |at: usize| word(octets, at).map(u32::from_be_bytes);
        let (name_octets, version) = match octets.len() {
            40 => (32, little(32)?),
            24 | 28 | 36 => (16, u32::from(octets[16])),
            length => return Err(Error::HeaderLength(length)),
        };
        if version > VERSION_FLAGS {
            return Err(Error::Version(version));
        }
        let name = &octets[..name_octets];
        let number = |at: usize| if version == VERSION_HOST_ORDER { little(at) } else { big(at) };
        let (number, source) = match octets.len() {
            24 => (Some(number(20)?), u32::from(octets[17])),
            28 => (Some(number(20)?), little(24)?),
            36 => (Some(number(28)?), little(32)?),
            _ => (None, 0),
        };
        let (is_tlv, zlib) = match (octets.len(), version) {
            (36, VERSION_FLAGS) => flags(octets[17])?,
            (_, version) => (version == VERSION_TLV, Zlib::Marked),
        };
        Ok(Self { topic: topic(name)?, is_tlv, number, source, is_ours: is_ours(name), zlib })
    }

    /// The payload as it was before zlib.
    pub(super) fn body<'a>(&self, payload: &'a [u8], room: &'a mut Vec<u8>) -> Result<&'a [u8], Error> {
        match (self.zlib, payload) {
            (Zlib::Told(true), stream) => inflate::inflate(stream, room),
            // TLV begins with its version, which is 1.
            (Zlib::Marked, [0, stream @ ..]) if !self.is_tlv => inflate::inflate(stream, room),
            (_, plain) => Ok(plain),
        }
    }
}

fn flags(flags: u8) -> Result<(bool, Zlib), Error> {
    if flags & !(FLAG_TLV | FLAG_COMPRESSED) != 0 {
        return Err(Error::Flags(flags));
    }
    Ok((flags & FLAG_TLV != 0, Zlib::Told(flags & FLAG_COMPRESSED != 0)))
}

/// By its beginning, as subscriptions are matched.
fn topic(name: &[u8]) -> Result<Topic, Error> {
    match TOPICS.iter().find(|known| name.starts_with(known.as_bytes())) {
        Some(&"flow") => Ok(Topic::Flow),
        Some(&"event") => Ok(Topic::Event),
        Some(_) => Ok(Topic::Other),
        None => {
            let end = name.iter().position(|octet| *octet == 0).unwrap_or(name.len());
            Err(Error::Topic(name[..end].escape_ascii().to_string()))
        }
    }
}

/// Behind the NUL that ends the name.
fn is_ours(name: &[u8]) -> bool {
    let mut parts = name.splitn(2, |octet| *octet == 0);
    parts.nth(1).is_some_and(|behind| behind.starts_with(OURS))
}

fn word(octets: &[u8], at: usize) -> Result<[u8; 4], Error> {
    let word = octets.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.ok_or(Error::HeaderLength(octets.len()))
}
