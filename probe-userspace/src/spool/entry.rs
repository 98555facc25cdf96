//! One entry of a segment: a sealed batch, or what the spool notes for its own next start. See the drawing in `mod.rs`.

use flow_wire::batch::Sealed;
use flow_wire::bus::BODY_OCTETS_MAX;
use flow_wire::header::{FRAME_OCTETS, Header};
use flow_wire::ledger::{Amount, Discard};

use super::position::Position;
use super::terms::Tally;

/// Octets before the body.
pub(super) const HEAD_OCTETS: usize = 64 + FRAME_OCTETS;

/// Octets of the length that it begins with.
pub(super) const LENGTH_OCTETS: usize = 4;

/// Largest entry that is believed: a full body, or notes of the same bound.
pub(super) const ENTRY_OCTETS_MAX: usize = HEAD_OCTETS + BODY_OCTETS_MAX;

/// Entries begin at multiples of this.
const ALIGNMENT: u64 = 8;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A batch, or a ledger message, for the sinks.
    Batch,
    /// The sums of all streams at the beginning of the segment, as JSON.
    Sums,
    /// The newest ledger message of an epoch, for whoever has to close it: not sent again.
    Carried,
    /// A batch that was sealed and could not be kept: its head alone.
    Gone(Discard),
}

/// What a ledger message means to the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Note {
    /// A batch of flows.
    #[default]
    Flows,
    /// The books of the epoch that appends it.
    Books,
    /// The same, closed.
    ClosedBooks,
    /// The books of an earlier epoch, which the message names.
    ClosesAnother,
}

/// Everything but the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) note: Note,
    pub(super) position: Position,
    /// When it was appended, since the UNIX epoch.
    pub(super) time_nanoseconds: u64,
    pub(super) exported: Amount,
    /// As other rooms note it with a batch; 0 = nothing.
    pub(super) covered: u64,
    /// Octets of the body.
    pub(super) body_octets: usize,
    pub(super) frame: [u8; FRAME_OCTETS],
}

/// An entry that cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("its length is {0}, which no entry has")]
    Length(u32),
    #[error("its checksum is {found:08x} instead of {announced:08x}")]
    Crc { found: u32, announced: u32 },
    #[error("its kind is unknown: a later release wrote it")]
    Kind,
    #[error("its header frame is none")]
    Frame,
    #[error("the disk does not give it back")]
    Unreadable,
}

/// Octets that an entry with such a body takes in a segment.
pub(super) fn footprint(body_octets: usize) -> u64 {
    ((HEAD_OCTETS + body_octets) as u64).next_multiple_of(ALIGNMENT)
}

impl Head {
    /// As it is written before a body with this sum. The body itself is not touched: it may be long.
    pub(super) fn to_octets(&self, body_crc32c: u32) -> [u8; HEAD_OCTETS] {
        let mut octets = [0; HEAD_OCTETS];
        let (kind, reason) = kind_octets(self.kind);
        // Below ENTRY_OCTETS_MAX.
        let length = (HEAD_OCTETS + self.body_octets) as u32;
        octets[0..4].copy_from_slice(&length.to_be_bytes());
        octets[8..16].copy_from_slice(&self.position.0.to_be_bytes());
        octets[16..24].copy_from_slice(&self.time_nanoseconds.to_be_bytes());
        octets[24..27].copy_from_slice(&[kind, self.note as u8, reason]);
        octets[32..40].copy_from_slice(&self.exported.packets.to_be_bytes());
        octets[40..48].copy_from_slice(&self.exported.octets.to_be_bytes());
        octets[48..56].copy_from_slice(&self.covered.to_be_bytes());
        octets[64..].copy_from_slice(&self.frame);
        let crc = crc32c::crc32c_combine(crc(&octets), body_crc32c, self.body_octets);
        octets[4..8].copy_from_slice(&crc.to_be_bytes());
        octets
    }

    /// The sum of the body: a batch was sealed with it.
    pub(super) fn body_crc32c(&self, body: &[u8]) -> u32 {
        match (self.kind, self.header()) {
            (Kind::Batch, Ok(header)) => header.crc32c,
            _ => crc32c::crc32c(body),
        }
    }

    /// The length that an entry begins with; `None` = nothing follows.
    pub(super) fn length(octets: &[u8]) -> Result<Option<usize>, Damage> {
        let Some(field) = octets.first_chunk::<LENGTH_OCTETS>() else { return Ok(None) };
        match u32::from_be_bytes(*field) {
            0 => Ok(None),
            length if (HEAD_OCTETS..=ENTRY_OCTETS_MAX).contains(&(length as usize)) => {
                Ok(Some(length as usize))
            }
            length => Err(Damage::Length(length)),
        }
    }

    /// From a whole entry without padding, which is checked.
    pub(super) fn from_octets(octets: &[u8]) -> Result<Self, Damage> {
        let head = octets.first_chunk::<HEAD_OCTETS>().ok_or(Damage::Unreadable)?;
        let announced = u32::from_be_bytes(part(head, 4));
        let found = crc(octets);
        if found != announced {
            return Err(Damage::Crc { found, announced });
        }
        Ok(Self {
            kind: kind(head[24], head[26]).ok_or(Damage::Kind)?,
            note: note(head[25]).ok_or(Damage::Kind)?,
            position: Position(u64::from_be_bytes(part(head, 8))),
            time_nanoseconds: u64::from_be_bytes(part(head, 16)),
            exported: Amount {
                packets: u64::from_be_bytes(part(head, 32)),
                octets: u64::from_be_bytes(part(head, 40)),
            },
            covered: u64::from_be_bytes(part(head, 48)),
            body_octets: octets.len() - HEAD_OCTETS,
            frame: part(head, 64),
        })
    }

    /// What a batch holds.
    pub(super) fn tally(&self, header: &Header) -> Tally {
        Tally { batches: 1, records: u64::from(header.rows), amount: self.exported }
    }

    /// The header of a batch; the body is checked against it where it is there.
    pub(super) fn header(&self) -> Result<Header, Damage> {
        Header::from_frame_alone(&self.frame).map(|(header, _)| header).map_err(|_| Damage::Frame)
    }
}

/// A whole entry as the batch that it is.
pub(super) fn sealed(head: &Head, octets: &[u8]) -> Result<Sealed, Damage> {
    let header = head.header()?;
    Ok(Sealed { header, body: octets[HEAD_OCTETS..].to_vec(), exported: head.exported })
}

/// Over everything but the sum itself.
fn crc(octets: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&octets[..4]), &octets[8..])
}

fn part<const N: usize>(octets: &[u8; HEAD_OCTETS], at: usize) -> [u8; N] {
    std::array::from_fn(|index| octets[at + index])
}

fn kind_octets(kind: Kind) -> (u8, u8) {
    match kind {
        Kind::Batch => (0, 0),
        Kind::Sums => (1, 0),
        Kind::Carried => (2, 0),
        Kind::Gone(Discard::SpoolQuota) => (3, 0),
        Kind::Gone(_) => (3, 1),
    }
}

fn kind(kind: u8, reason: u8) -> Option<Kind> {
    match (kind, reason) {
        (0, 0) => Some(Kind::Batch),
        (1, 0) => Some(Kind::Sums),
        (2, 0) => Some(Kind::Carried),
        (3, 0) => Some(Kind::Gone(Discard::SpoolQuota)),
        (3, 1) => Some(Kind::Gone(Discard::SpoolFailed)),
        _ => None,
    }
}

fn note(note: u8) -> Option<Note> {
    [Note::Flows, Note::Books, Note::ClosedBooks, Note::ClosesAnother]
        .into_iter()
        .find(|one| *one as u8 == note)
}
