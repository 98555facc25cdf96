//! A body becomes columns again. It may come from anybody, so nothing of it is believed: the framing, the flatbuffers, the
//! schema, every buffer's place and length, the stamp in every row. No input makes it panic or allocate beyond the body's
//! own size.
//!
//! Written for this schema alone, and apart from Arrow's own reader: that one slices its buffers without a check, and so a
//! hostile offset would end the collector.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt16Type, UInt32Type, UInt64Type};
use arrow_ipc::{Message, MetadataVersion, root_as_message};

use super::columns::Columns;
use super::layout::{self, Layout};
use super::{BATCH_ROWS_LIMIT, STAMP_FIELDS, schema};
use crate::bus::BODY_OCTETS_MAX;
use crate::header::{self, Header};
use crate::ledger::Amount;
use crate::stamp::Stamp;

/// A body that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Whose it is, and which.
    pub stamp: Stamp,
    /// All columns of [`schema`], in its order.
    pub batch: RecordBatch,
}

/// Why a body is refused. Each names what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Arrow would not write it.
    #[error("batch cannot be encoded: {0}")]
    Arrow(String),
    /// None, or too many.
    #[error("batch has {0} rows: 1 to {BATCH_ROWS_LIMIT} are possible")]
    Rows(u64),
    /// Longer than any body that is sealed.
    #[error("batch has {0} octets, more than {BODY_OCTETS_MAX}")]
    TooLong(usize),
    /// It ends where something should be.
    #[error("batch ends after {octets} octets, inside {inside}")]
    Truncated {
        /// Length of the body.
        octets: usize,
        /// What is cut.
        inside: &'static str,
    },
    /// Not an Arrow IPC stream of the form that is documented.
    #[error("batch is not an Arrow stream of one batch: {0}")]
    Framing(&'static str),
    /// The flatbuffer verifier refused it.
    #[error("batch has a broken {inside} message: {cause}")]
    Flatbuffer {
        /// Which message.
        inside: &'static str,
        /// What the verifier says.
        cause: String,
    },
    /// The stamp in the metadata cannot be read.
    #[error("batch metadata: {0}")]
    Stamp(#[from] header::Error),
    /// A column is not there.
    #[error("batch has no column '{0}'")]
    MissingColumn(&'static str),
    /// A column is there twice.
    #[error("batch has the column '{0}' twice")]
    TwiceColumn(String),
    /// A column has another type.
    #[error("batch column '{column}' has the type {found} instead of {expected}")]
    ColumnType {
        /// Which one.
        column: String,
        /// As written.
        found: String,
        /// By [`schema`].
        expected: String,
    },
    /// A column that a later release added, of a kind that cannot be stepped over.
    #[error(
        "batch column '{0}' is unknown and of a type that cannot be skipped: upgrade the collector before the probes"
    )]
    UnknownColumn(String),
    /// A buffer lies outside of the body, is too short, or its nulls are not as counted.
    #[error("batch column '{column}': {fault}")]
    Buffer {
        /// Which one.
        column: &'static str,
        /// What is wrong.
        fault: &'static str,
    },
    /// A row says another stamp than the metadata, or the rows are not counted from 0.
    #[error("batch column '{0}' disagrees with the stamp in the metadata")]
    RowStamp(&'static str),
    /// The counts do not fit into 64 bits.
    #[error("batch column '{0}' sums to more than 2^64")]
    Sum(&'static str),
    /// A value that no record can have.
    #[error("batch column '{column}' has the value {value} in row {row}")]
    Value {
        /// Which one.
        column: &'static str,
        /// Where.
        row: usize,
        /// What is there.
        value: u64,
    },
    /// The headers beside the body tell of another batch.
    #[error("message headers tell of another batch than the body: {0}")]
    Header(&'static str),
}

/// Reads a body. For one that came over a bus use [`open`], which also holds it against its headers.
pub fn decode(body: &[u8]) -> Result<Decoded, Error> {
    if body.len() > BODY_OCTETS_MAX {
        return Err(Error::TooLong(body.len()));
    }
    let (schema_message, behind) = message(body, body, "schema")?;
    let (stamp, layouts) = layout::read(&schema_message.message)?;
    let (batch_message, behind) = message(body, behind, "record batch")?;
    if !schema_message.body.is_empty() {
        return Err(Error::Framing("its schema message has a body"));
    }
    // End of stream, and nothing behind it that nobody would have checked.
    if behind != [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0] {
        return Err(Error::Framing("its batch is not followed by the end-of-stream mark"));
    }
    let batch = record_batch(&batch_message, &layouts)?;
    check_rows(&batch, stamp)?;
    Ok(Decoded { stamp, batch })
}

/// Reads a body that came with headers: the CRC first, then all that [`decode`] checks, then that both mean the same batch.
pub fn open(header: &Header, body: &[u8]) -> Result<Decoded, Error> {
    header.check(body)?;
    let decoded = decode(body)?;
    if decoded.stamp != header.stamp {
        return Err(Error::Header("another stamp"));
    }
    if decoded.batch.num_rows() != header.rows as usize {
        return Err(Error::Header("another number of rows"));
    }
    Ok(decoded)
}

impl Decoded {
    /// Packets and layer-2 octets of both directions, over all rows.
    pub fn exported(&self) -> Result<Amount, Error> {
        Ok(Amount {
            packets: self.sum("packet_delta_count", "reverse_packet_delta_count")?,
            octets: self.sum("layer2_octet_delta_count", "reverse_layer2_octet_delta_count")?,
        })
    }

    fn sum(&self, forward: &'static str, reverse: &'static str) -> Result<u64, Error> {
        let mut sum = 0_u64;
        for name in [forward, reverse] {
            let column = self.batch.column_by_name(name).ok_or(Error::MissingColumn(name))?;
            for value in column.as_primitive::<UInt64Type>().values() {
                sum = sum.checked_add(*value).ok_or(Error::Sum(name))?;
            }
        }
        Ok(sum)
    }
}

/// One message of the stream, with its body.
struct Framed<'a> {
    message: Message<'a>,
    body: &'a [u8],
}

/// Continuation mark, length of the metadata, metadata, body: the encapsulated message format of Arrow's columnar format.
fn message<'a>(whole: &[u8], bytes: &'a [u8], inside: &'static str) -> Result<(Framed<'a>, &'a [u8]), Error> {
    let truncated = || Error::Truncated { octets: whole.len(), inside };
    let (prefix, rest) = bytes.split_first_chunk::<8>().ok_or_else(truncated)?;
    let [mark @ .., l0, l1, l2, l3] = *prefix;
    if mark != [0xff; 4] {
        return Err(Error::Framing("a message does not begin with the continuation mark"));
    }
    let length = usize::try_from(i32::from_le_bytes([l0, l1, l2, l3]))
        .map_err(|_| Error::Framing("a message has a negative length"))?;
    let (metadata, rest) = rest.split_at_checked(length).ok_or_else(truncated)?;
    let message =
        root_as_message(metadata).map_err(|error| Error::Flatbuffer { inside, cause: error.to_string() })?;
    if message.version() != MetadataVersion::V5 {
        return Err(Error::Framing("its metadata version is not V5"));
    }
    let length =
        usize::try_from(message.bodyLength()).map_err(|_| Error::Framing("a body has a negative length"))?;
    let (body, rest) = rest.split_at_checked(length).ok_or_else(truncated)?;
    Ok((Framed { message, body }, rest))
}

fn record_batch(framed: &Framed<'_>, layouts: &[Layout]) -> Result<RecordBatch, Error> {
    let batch = framed
        .message
        .header_as_record_batch()
        .ok_or(Error::Framing("its second message is not a record batch"))?;
    let rows = match usize::try_from(batch.length()) {
        Ok(rows) if (1..=BATCH_ROWS_LIMIT).contains(&rows) => rows,
        _ => return Err(Error::Rows(batch.length() as u64)),
    };
    if batch.compression().is_some() {
        return Err(Error::Framing("its body is compressed: the bus does that"));
    }
    let columns = Columns::new(&batch, framed.body, rows)?;
    let arrays = columns.read(layouts)?;
    RecordBatch::try_new(schema(), arrays).map_err(|error| Error::Arrow(error.to_string()))
}

/// Every row carries the stamp of the metadata, and its own number.
fn check_rows(batch: &RecordBatch, stamp: Stamp) -> Result<(), Error> {
    let uuid = |column: usize, uuid: uuid::Uuid| {
        batch.column(column).as_fixed_size_binary().iter().all(|value| value == Some(uuid.as_bytes()))
    };
    let mut numbers = 0_u32..;
    let sound = [
        uuid(0, stamp.probe.0),
        uuid(1, stamp.epoch.0),
        batch.column(2).as_primitive::<UInt16Type>().values().iter().all(|&value| value == stamp.stream.0),
        batch.column(3).as_primitive::<UInt64Type>().values().iter().all(|&value| value == stamp.sequence.0),
        batch.column(4).as_primitive::<UInt32Type>().values().iter().all(|&row| numbers.next() == Some(row)),
    ];
    match sound.iter().position(|sound| !sound) {
        None => Ok(()),
        Some(column) => Err(Error::RowStamp(STAMP_FIELDS[column].0)),
    }
}
