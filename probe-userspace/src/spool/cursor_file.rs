//! A cursor as it is kept: `cursors/NAME`, one line with the sum, then JSON.

use flow_wire::stamp::{Epoch, StreamId};
use serde::{Deserialize, Serialize};

use super::directory::CURSORS;
use super::position::Position;
use super::reader::Reader;
use super::terms::Terms;

/// First word of the file, and its version.
const MAGIC: &str = "gannet-cursor 1";

/// What asks a running probe to drop the cursor of that name.
const DROP_SUFFIX: &str = ".drop";

/// The content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) name: String,
    /// Everything below has come to its end.
    pub(super) position: Position,
    /// Everything below was appended when this was written: discards of later entries are not in the terms yet.
    pub(super) appended: Position,
    pub(super) holes: Vec<(Position, Position)>,
    pub(super) used_seconds: u64,
    /// A sink of the run that wrote it reads it.
    pub(super) is_attached: bool,
    pub(super) terms: Vec<(Epoch, StreamId, Terms)>,
}

impl Kept {
    pub(super) fn of(reader: &Reader, appended: Position) -> Self {
        let terms = reader.terms.iter().map(|((epoch, stream), terms)| (*epoch, *stream, terms.clone()));
        Self {
            name: reader.name.clone(),
            position: reader.done,
            appended,
            holes: reader.holes.clone(),
            used_seconds: reader.used_seconds,
            is_attached: reader.is_attached,
            terms: terms.collect(),
        }
    }

    pub(super) fn to_octets(&self) -> Vec<u8> {
        // Numbers, words and lists: nothing here can fail.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut octets = format!("{MAGIC} crc32c={:08x}\n", crc32c::crc32c(&json)).into_bytes();
        octets.extend_from_slice(&json);
        octets
    }

    /// `None` = it is damaged.
    pub(super) fn from_octets(octets: &[u8]) -> Option<Self> {
        let end = octets.iter().position(|octet| *octet == b'\n')?;
        let (line, json) = (std::str::from_utf8(&octets[..end]).ok()?, &octets[end + 1..]);
        let sum = line.strip_prefix(MAGIC)?.strip_prefix(" crc32c=")?;
        let announced = u32::from_str_radix(sum, 16).ok()?;
        (crc32c::crc32c(json) == announced).then(|| serde_json::from_slice(json).ok())?
    }
}

/// `cursors/kafka%3A%2F%2Fbroker%3A9092`: whatever a sink is called, it is one file.
pub(super) fn path(name: &str) -> String {
    let keep = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    let octet = |octet: u8| {
        if keep(octet) { char::from(octet).to_string() } else { format!("%{octet:02X}") }
    };
    format!("{CURSORS}/{}", name.bytes().map(octet).collect::<String>())
}

/// The name in such a file name.
pub(super) fn name(file: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = file.bytes();
    while let Some(octet) = rest.next() {
        let escaped = (octet == b'%').then(|| {
            let digits = [rest.next()?, rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
        });
        octets.push(escaped.flatten().unwrap_or(octet));
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// The file that asks for it to be dropped.
pub(super) fn drop_path(name: &str) -> String {
    format!("{}{DROP_SUFFIX}", path(name))
}

/// Whether a file in the folder is a cursor: no request, and not half written.
pub(super) fn is_cursor(file: &str) -> bool {
    !file.contains('.')
}
