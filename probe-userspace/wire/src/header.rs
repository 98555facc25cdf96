//! What travels beside a body: whose it is, what it is, and the sum that holds it together. On Kafka as text headers,
//! on ZMQ as one frame of fixed layout:
//!
//! ```text
//! octet 0     4      6     7    8            24           40      42    44    48        56      60      64
//!       ├─────┼──────┼─────┼────┼────────────┼────────────┼───────┼─────┼─────┼─────────┼───────┼───────┤
//!       │"GNT1"│version│kind│ 0 │ probe UUID │ epoch UUID │ stream│ sink│ rows│ sequence│ crc32c│ length│
//!       └─────┴──────┴─────┴────┴────────────┴────────────┴───────┴─────┴─────┴─────────┴───────┴───────┘
//!         4      2      1    1       16           16          2      2     4       8        4       4
//! ```
//!
//! Numbers in network order. `length` is that of the body in the next frame.

use uuid::Uuid;

use crate::bus::{BODY_OCTETS_MAX, Kind, SCHEMA_VERSION, header};
use crate::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};

/// First octets of a header frame: what does not begin so is not ours.
pub const MAGIC: [u8; 4] = *b"GNT1";

/// Length of a header frame.
pub const FRAME_OCTETS: usize = 64;

/// Everything about a body that is not in it, or that must agree with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`SCHEMA_VERSION`] of the writer.
    pub version: u16,
    /// What the body is.
    pub kind: Kind,
    /// Whose it is, and which.
    pub stamp: Stamp,
    /// Rows of a batch; 0 for a ledger message.
    pub rows: u32,
    /// CRC32C of the body.
    pub crc32c: u32,
    /// Number of the sink that sent it, from 1; 0 = not said. Bodies are the same on every bus, so it stands here: a reader
    /// learns from it which cursor of a ledger message is that of the bus it reads.
    pub sink: u16,
}

/// A header that cannot be read, or that does not fit its body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// One of the keys is absent that every message has.
    #[error(
        "message has no header '{0}': it is not from a gannet-probe, or something on the way dropped its headers"
    )]
    Missing(&'static str),
    /// A key has a value that it cannot have.
    #[error("message header '{key}' is '{value}', which is not {expected}")]
    Value {
        /// Which one.
        key: &'static str,
        /// As read; not UTF-8 is shown as such.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Written by a probe with another schema.
    #[error(
        "message has schema version {0}, this release reads {SCHEMA_VERSION}: upgrade the collector before the probes"
    )]
    Version(u16),
    /// The header frame has another length.
    #[error("header frame has {0} octets instead of {FRAME_OCTETS}: another publisher is on this endpoint")]
    FrameLength(usize),
    /// The header frame begins otherwise.
    #[error("header frame does not begin with GNT1: another publisher is on this endpoint")]
    Magic,
    /// A field that must be zero is not.
    #[error("header frame has reserved octets that are not zero: it was written by a later release")]
    Reserved,
    /// The body has another length than announced.
    #[error("body has {found} octets, its header says {announced}")]
    Length {
        /// Octets that came.
        found: usize,
        /// Octets that were announced.
        announced: usize,
    },
    /// The body is longer than any that is sealed.
    #[error("body has {0} octets, more than the {BODY_OCTETS_MAX} that a sealed batch has at most")]
    TooLong(usize),
    /// The body is not the one that was sealed.
    #[error("body has the CRC32C {found:08x}, its header says {announced:08x}: it was changed on the way")]
    Crc {
        /// Of what came.
        found: u32,
        /// Of what was sealed.
        announced: u32,
    },
}

impl Header {
    /// For a body that is being sealed now.
    pub fn seal(kind: Kind, stamp: Stamp, rows: u32, body: &[u8]) -> Self {
        Self { version: SCHEMA_VERSION, kind, stamp, rows, crc32c: crc32c::crc32c(body), sink: 0 }
    }

    /// As this sink sends it.
    #[must_use]
    pub fn sent_by(self, sink: u16) -> Self {
        Self { sink, ..self }
    }

    /// Whether the body is the one that was sealed. Before anything in it is read.
    pub fn check(&self, body: &[u8]) -> Result<(), Error> {
        if body.len() > BODY_OCTETS_MAX {
            return Err(Error::TooLong(body.len()));
        }
        match crc32c::crc32c(body) {
            found if found == self.crc32c => Ok(()),
            found => Err(Error::Crc { found, announced: self.crc32c }),
        }
    }

    /// As Kafka headers.
    pub fn to_pairs(&self) -> [(&'static str, String); 9] {
        let stamp = &self.stamp;
        [
            (header::VERSION, self.version.to_string()),
            (header::KIND, self.kind.name().to_owned()),
            (header::PROBE, stamp.probe.0.to_string()),
            (header::EPOCH, stamp.epoch.0.to_string()),
            (header::STREAM, stamp.stream.0.to_string()),
            (header::SEQUENCE, stamp.sequence.0.to_string()),
            (header::ROWS, self.rows.to_string()),
            (header::CRC32C, format!("{:08x}", self.crc32c)),
            (header::SINK, self.sink.to_string()),
        ]
    }

    /// From Kafka headers, in any order, others among them; without the one of the sink it is not said. Of a key given twice the last counts, as in Kafka's own `lastHeader`.
    pub fn from_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Self, Error> {
        let values = Values::collect(pairs);
        let version = values.version()?;
        let kind = values
            .read(1, "flows or ledger", |text| Kind::ALL.into_iter().find(|kind| kind.name() == text))?;
        let stamp = values.stamp()?;
        let rows = values.decimal(6, "a number below 2^32")?;
        let hexadecimal = |text: &str| (text.len() == 8).then(|| u32::from_str_radix(text, 16).ok())?;
        let crc32c = values.read(7, "eight hexadecimal digits", hexadecimal)?;
        let sink = if values.0[8].is_some() { values.decimal(8, "a number below 65536")? } else { 0 };
        Ok(Self { version, kind, stamp, rows, crc32c, sink })
    }

    /// As a ZMQ frame, for a body of so many octets.
    pub fn to_frame(&self, body_octets: u32) -> [u8; FRAME_OCTETS] {
        let mut frame = [0; FRAME_OCTETS];
        frame[0..4].copy_from_slice(&MAGIC);
        frame[4..6].copy_from_slice(&self.version.to_be_bytes());
        frame[6] = self.kind as u8;
        frame[8..24].copy_from_slice(self.stamp.probe.0.as_bytes());
        frame[24..40].copy_from_slice(self.stamp.epoch.0.as_bytes());
        frame[40..42].copy_from_slice(&self.stamp.stream.0.to_be_bytes());
        frame[42..44].copy_from_slice(&self.sink.to_be_bytes());
        frame[44..48].copy_from_slice(&self.rows.to_be_bytes());
        frame[48..56].copy_from_slice(&self.stamp.sequence.0.to_be_bytes());
        frame[56..60].copy_from_slice(&self.crc32c.to_be_bytes());
        frame[60..64].copy_from_slice(&body_octets.to_be_bytes());
        frame
    }

    /// From a ZMQ frame and the body behind it, which is checked.
    pub fn from_frame(frame: &[u8], body: &[u8]) -> Result<Self, Error> {
        let (header, announced) = Self::from_frame_alone(frame)?;
        if announced != body.len() {
            return Err(Error::Length { found: body.len(), announced });
        }
        header.check(body)?;
        Ok(header)
    }

    /// From a frame alone, with the length that it announces: the caller has checked the body otherwise, or does not have it.
    pub fn from_frame_alone(frame: &[u8]) -> Result<(Self, usize), Error> {
        let frame: &[u8; FRAME_OCTETS] = frame.try_into().map_err(|_| Error::FrameLength(frame.len()))?;
        if frame[0..4] != MAGIC {
            return Err(Error::Magic);
        }
        let version = u16::from_be_bytes(part(frame, 4));
        if version != SCHEMA_VERSION {
            return Err(Error::Version(version));
        }
        if frame[7] != 0 {
            return Err(Error::Reserved);
        }
        let kind =
            Kind::ALL.into_iter().find(|&kind| kind as u8 == frame[6]).ok_or_else(|| Error::Value {
                key: header::KIND,
                value: frame[6].to_string(),
                expected: "0 (flows) or 1 (ledger)",
            })?;
        let stamp = Stamp {
            probe: ProbeId(Uuid::from_bytes(part(frame, 8))),
            epoch: Epoch(Uuid::from_bytes(part(frame, 24))),
            stream: StreamId(u16::from_be_bytes(part(frame, 40))),
            sequence: Sequence(u64::from_be_bytes(part(frame, 48))),
        };
        let header = Self {
            version,
            kind,
            stamp,
            rows: u32::from_be_bytes(part(frame, 44)),
            crc32c: u32::from_be_bytes(part(frame, 56)),
            sink: u16::from_be_bytes(part(frame, 42)),
        };
        Ok((header, u32::from_be_bytes(part(frame, 60)) as usize))
    }
}

/// The stamp alone, as it stands in a batch's own metadata; of another version it is refused.
pub(crate) fn read_stamp<'a>(pairs: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Stamp, Error> {
    let values = Values::collect(pairs);
    values.version()?;
    values.stamp()
}

/// So many octets of a frame, from `at` on: both are constants of the layout.
fn part<const N: usize>(frame: &[u8; FRAME_OCTETS], at: usize) -> [u8; N] {
    std::array::from_fn(|index| frame[at + index])
}

/// In the order of [`Header::to_pairs`].
const KEYS: [&str; 9] = [
    header::VERSION,
    header::KIND,
    header::PROBE,
    header::EPOCH,
    header::STREAM,
    header::SEQUENCE,
    header::ROWS,
    header::CRC32C,
    header::SINK,
];

/// The values of [`KEYS`] as they came.
#[derive(Default)]
struct Values<'a>([Option<&'a [u8]>; KEYS.len()]);

impl<'a> Values<'a> {
    fn collect(pairs: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut values = Self::default();
        for (key, value) in pairs {
            if let Some(slot) = KEYS.iter().position(|&known| known == key) {
                values.0[slot] = Some(value);
            }
        }
        values
    }

    fn version(&self) -> Result<u16, Error> {
        match self.decimal(0, "a number below 65536")? {
            SCHEMA_VERSION => Ok(SCHEMA_VERSION),
            other => Err(Error::Version(other)),
        }
    }

    fn stamp(&self) -> Result<Stamp, Error> {
        Ok(Stamp {
            probe: ProbeId(self.uuid(2)?),
            epoch: Epoch(self.uuid(3)?),
            stream: StreamId(self.decimal(4, "a number below 65536")?),
            sequence: Sequence(self.decimal(5, "a number below 2^64")?),
        })
    }

    fn read<T>(
        &self,
        slot: usize,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let key = KEYS[slot];
        let bytes = self.0[slot].ok_or(Error::Missing(key))?;
        let parsed = std::str::from_utf8(bytes).ok().and_then(parse);
        parsed.ok_or_else(|| Error::Value { key, value: shown(bytes), expected })
    }

    fn decimal<T: std::str::FromStr>(&self, slot: usize, expected: &'static str) -> Result<T, Error> {
        self.read(slot, expected, |text| text.parse().ok())
    }

    fn uuid(&self, slot: usize) -> Result<Uuid, Error> {
        self.read(slot, "a UUID", |text| Uuid::try_parse(text).ok())
    }
}

/// Enough of a wrong value to recognise it: it comes from outside and goes into a log.
fn shown(bytes: &[u8]) -> String {
    const SHOWN_OCTETS: usize = 64;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_OCTETS)]).escape_default().to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        let stamp = Stamp {
            probe: ProbeId(Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10)),
            epoch: Epoch(Uuid::from_u128(0xa1a2_a3a4_a5a6_a7a8_a9aa_abac_adae_afb0)),
            stream: StreamId(0x1122),
            sequence: Sequence(0x0123_4567_89ab_cdef),
        };
        Header::seal(Kind::Flows, stamp, 0x0a0b_0c0d, b"123456789").sent_by(0x3344)
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Header, Error> {
        Header::from_pairs(pairs.iter().map(|&(key, value)| (key, value.as_bytes())))
    }

    #[test]
    fn frame_has_the_documented_octets() {
        let golden = "474e543100010000\
                      0102030405060708090a0b0c0d0e0f10\
                      a1a2a3a4a5a6a7a8a9aaabacadaeafb0\
                      112233440a0b0c0d0123456789abcdef\
                      e306928300000009";
        let frame = header().to_frame(9);
        assert_eq!(frame.map(|octet| format!("{octet:02x}")).concat(), golden);
        assert_eq!(Header::from_frame(&frame, b"123456789"), Ok(header()));
    }

    #[test]
    fn crc_is_castagnoli() {
        // RFC 3720, B.4, and the check value of CRC-32/ISCSI.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn pairs_come_back_in_any_order() {
        let pairs = header().to_pairs();
        let mut pairs: Vec<_> = pairs.iter().map(|(key, value)| (*key, value.as_str())).collect();
        pairs.reverse();
        pairs.insert(3, ("trace", "other"));
        assert_eq!(read(&pairs), Ok(header()));
    }

    #[test]
    fn each_pair_is_needed_and_checked() {
        let pairs = header().to_pairs();
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (*key, value.as_str())).collect();
        for slot in 0..pairs.len() {
            let mut without = pairs.clone();
            let (key, _) = without.remove(slot);
            let expected = match key {
                crate::bus::header::SINK => Ok(header().sent_by(0)),
                _ => Err(Error::Missing(key)),
            };
            assert_eq!(read(&without), expected);
            let mut wrong = pairs.clone();
            wrong[slot].1 = "~";
            assert!(matches!(read(&wrong), Err(Error::Value { key: named, .. }) if named == key));
        }
        assert_eq!(read(&[("gannet-version", "2")]), Err(Error::Version(2)));
    }

    #[test]
    fn another_body_is_refused() {
        let frame = header().to_frame(9);
        assert!(matches!(Header::from_frame(&frame, b"12345678"), Err(Error::Length { .. })));
        assert!(matches!(Header::from_frame(&frame, b"123456780"), Err(Error::Crc { .. })));
        let long = vec![0; BODY_OCTETS_MAX + 1];
        assert_eq!(header().check(&long), Err(Error::TooLong(long.len())));
    }

    proptest! {
        #[test]
        fn hostile_frames_never_panic(frame in proptest::collection::vec(any::<u8>(), 0..80), body: Vec<u8>) {
            let _ = Header::from_frame(&frame, &body);
        }

        #[test]
        fn one_changed_octet_of_the_fixed_part_is_noticed(at in 0usize..8, change in 1u8..) {
            let mut frame = header().to_frame(9);
            frame[at] ^= change;
            prop_assume!(at != 6 || frame[6] != Kind::Ledger as u8);
            prop_assert!(Header::from_frame(&frame, b"123456789").is_err());
        }
    }
}
