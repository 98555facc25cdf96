//! A cursor as it is kept: `cursors/NAME`, one line with the sum, then JSON.

use std::io;

use flow_wire::ledger::Tombstone;
use flow_wire::stamp::{Epoch, StreamId};
use serde::{Deserialize, Serialize};

use super::checked;
use super::directory::CURSORS;
use super::disk::{Blob, Disk, is_full};
use super::position::Position;
use super::reader::Reader;
use super::sums::Sums;
use super::terms::Terms;

/// First word of the file, and its version.
const MAGIC: &str = "gannet-cursor 1";

/// Files are so long, or a multiple of it: one that changes over itself needs no block more than it has.
const PAGE_OCTETS: usize = 4_096;

/// So many tombstones are kept over a kill: messages take a thousand a second.
const TOMBSTONES_MAX: usize = 4_096;

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
    /// Epochs that are not closed, each with its start of the spool: where there was no room, no segment tells of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) open: Vec<(Epoch, u64)>,
    /// Discards that no message in the spool tells of yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tombstones: Vec<Tombstone>,
}

impl Kept {
    pub(super) fn of(reader: &Reader, appended: Position, sums: &Sums) -> Self {
        let has_part = |epoch: &Epoch| reader.terms.keys().any(|key| key.0 == *epoch);
        let open = sums.0.iter().filter(|(epoch, sums)| !sums.closed && has_part(epoch));
        let terms = reader.terms.iter().map(|((epoch, stream), terms)| (*epoch, *stream, terms.clone()));
        Self {
            name: reader.name.clone(),
            position: reader.done,
            appended,
            holes: reader.holes.clone(),
            used_seconds: reader.used_seconds,
            is_attached: reader.is_attached,
            terms: terms.collect(),
            open: open.map(|(epoch, sums)| (*epoch, sums.generation)).collect(),
            tombstones: reader
                .telling
                .iter()
                .chain(&reader.tombstones)
                .take(TOMBSTONES_MAX)
                .copied()
                .collect(),
        }
    }

    /// With as much again for what a full disk will not let it grow by.
    pub(super) fn to_octets(&self) -> Vec<u8> {
        let json = self.to_json();
        let unit = (2 * json.len()).next_multiple_of(PAGE_OCTETS);
        checked::to_octets(MAGIC, json, unit)
    }

    fn to_json(&self) -> Vec<u8> {
        // Numbers, words and lists: nothing here can fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `None` = it is damaged.
    pub(super) fn from_octets(octets: &[u8]) -> Option<Self> {
        checked::from_octets(MAGIC, octets)
    }
}

/// Whole. Where the disk has no room for a second file, over the first: that one has its blocks, and a full disk could not be relieved
/// otherwise, since no segment goes before the cursors are written. Only a kill between two of its pages could tear it.
pub(super) fn write(disk: &dyn Disk, kept: &Kept) -> io::Result<()> {
    let path = path(&kept.name);
    match disk.replace(&path, &kept.to_octets(), false) {
        Err(error) if is_full(&error) => match disk.open(&path) {
            Ok(file) => over(&*file, kept).unwrap_or(Err(error)),
            Err(_) => Err(error),
        },
        written => written,
    }
}

/// `None` = it is too short.
fn over(file: &dyn Blob, kept: &Kept) -> Option<io::Result<()>> {
    let has = file.octets().ok().filter(|has| (1..=checked::OCTETS_MAX).contains(has))?;
    let octets = checked::to_octets(MAGIC, kept.to_json(), has as usize);
    (octets.len() as u64 == has).then(|| file.write_at(&octets, 0))
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
