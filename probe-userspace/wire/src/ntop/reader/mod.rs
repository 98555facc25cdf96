//! The other direction: what an nProbe, or whoever speaks like one (netflow2ng), publishes for ntopng becomes records.
//!
//! ```text
//! [ header ] ─► frame: topic, coding, number, source
//! [ payload ] ─► inflate ─► tlv or json ─► key, value ─► slot ─► draft ─► FlowRecord, or what it lacks
//!                                └► event: what the publisher says that it lost
//! ```
//!
//! Nothing of it is believed: what is told beside ZMQ's own lengths is not used, text has a bound, and a value that does not fit is an error
//! that names it. Where ntopng itself is lenient (unknown keys, sizes that say something else), so is this; where it cuts or wraps numbers,
//! the record is refused.

mod draft;
mod event;
mod frame;
mod inflate;
mod item;
mod json;
mod slot;
mod tlv;

pub use draft::{COUNT_MAX, Draft, Unusable};
pub use event::Event;
pub use frame::{Frame, Topic};
pub use inflate::TEXT_OCTETS_MAX;
pub use item::{Key, Value};

/// What ntopng subscribes: numbers run over all of these, so that who reads fewer sees gaps which are none.
pub const TOPICS: [&str; 9] =
    ["flow", "event", "counter", "template", "option", "hello", "listening-ports", "snmp-ifaces", "message"];

/// A message that cannot be read, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Of the first frame.
    #[error("a header of {0} octets; ntop's have 24, 28, 36 or 40")]
    HeaderLength(usize),
    /// Of a release that is not known here.
    #[error("header version {0}; 0 to 4 are known")]
    Version(u32),
    /// Neither is any that ntopng subscribes.
    #[error(
        "topic '{0}'; known are flow, event, counter, template, option, hello, listening-ports, snmp-ifaces, message"
    )]
    Topic(String),
    /// Flags of the newest header.
    #[error("header flags {0:#04x}; 0x02 (TLV) and 0x04 (compressed) are known")]
    Flags(u8),
    /// No zlib stream (RFC 1950), or cut off.
    #[error("zlib: {0}")]
    Zlib(String),
    /// What it inflates to.
    #[error("more than {TEXT_OCTETS_MAX} octets once inflated")]
    TooLong,
    /// nDPI's format.
    #[error("TLV at octet {at}: {what}")]
    Tlv {
        /// In the payload.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// Text.
    #[error("JSON: {0}")]
    Json(String),
}

/// Reads the payload of a [`Topic::Flow`]: each flow goes to `each` as it comes, so that what stands before an error is not lost.
/// `room` is for what is inflated, and used again and again.
///
/// # Errors
/// From there on nothing of the message can be read.
pub fn flows(
    frame: &Frame,
    payload: &[u8],
    room: &mut Vec<u8>,
    mut each: impl FnMut(Draft),
) -> Result<(), Error> {
    let body = frame.body(payload, room)?;
    if frame.is_tlv { tlv::records(body, &mut each) } else { json::records(body, &mut each) }
}

/// Reads the payload of a [`Topic::Event`].
///
/// # Errors
/// It is no JSON object.
pub fn event(frame: &Frame, payload: &[u8], room: &mut Vec<u8>) -> Result<Event, Error> {
    let body = frame.body(payload, room)?;
    Event::read(body)
}
