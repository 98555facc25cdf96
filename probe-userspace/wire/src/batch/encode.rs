//! Records and a stamp become a body. The only writer of flow batches.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_buffer::Buffer;
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, Schema};

use super::field::{self, Column, FIELDS};
use super::{BATCH_ROWS_LIMIT, Error, Sealed, decode, schema};
use crate::bus::{Kind, SCHEMA_VERSION, header};
use crate::header::Header;
use crate::record::FlowRecord;
use crate::stamp::Stamp;

/// Padding of the buffers: 8 is the least that Arrow knows, and what it wants of memory is the reader's affair.
const ALIGNMENT_OCTETS: usize = 8;

/// Room for schema and framing, above what they take: a body that grows is copied, into memory that is new to the process.
const METADATA_OCTETS: usize = 16 << 10;

/// Seals a batch of 1 to [`BATCH_ROWS_LIMIT`] records.
///
/// The body is read back by [`decode`] before it is handed out: `exported` then comes from the octets that travel, not
/// from the records they were made of, and a body that no collector would take never leaves.
pub fn encode(records: &[FlowRecord], stamp: Stamp) -> Result<Sealed, Error> {
    let rows = match u32::try_from(records.len()) {
        Ok(rows) if (1..=BATCH_ROWS_LIMIT).contains(&records.len()) => rows,
        _ => return Err(Error::Rows(records.len() as u64)),
    };
    let body = body(records, stamp, rows).map_err(|error| Error::Arrow(error.to_string()))?;
    let exported = decode(&body)?.exported()?;
    Ok(Sealed { header: Header::seal(Kind::Flows, stamp, rows, &body), body, exported })
}

fn body(records: &[FlowRecord], stamp: Stamp, rows: u32) -> Result<Vec<u8>, ArrowError> {
    let schema = Arc::new(Schema::new_with_metadata(schema().fields().clone(), metadata(stamp)));
    let mut columns = stamp_columns(stamp, rows)?;
    for field in &FIELDS {
        columns.push(column(field.column, records)?);
    }
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    let options = IpcWriteOptions::try_new(ALIGNMENT_OCTETS, false, MetadataVersion::V5)?;
    let octets = METADATA_OCTETS + batch.get_array_memory_size();
    let mut writer = StreamWriter::try_new_with_options(Vec::with_capacity(octets), &schema, options)?;
    writer.write(&batch)?;
    writer.into_inner()
}

/// The stamp in the schema's metadata, under the same keys as in Kafka's headers.
fn metadata(stamp: Stamp) -> HashMap<String, String> {
    HashMap::from([
        (header::VERSION.to_owned(), SCHEMA_VERSION.to_string()),
        (header::PROBE.to_owned(), stamp.probe.0.to_string()),
        (header::EPOCH.to_owned(), stamp.epoch.0.to_string()),
        (header::STREAM.to_owned(), stamp.stream.0.to_string()),
        (header::SEQUENCE.to_owned(), stamp.sequence.0.to_string()),
    ])
}

/// In the order of [`STAMP_FIELDS`](super::STAMP_FIELDS).
fn stamp_columns(stamp: Stamp, rows: u32) -> Result<Vec<ArrayRef>, ArrowError> {
    let count = rows as usize;
    Ok(vec![
        Arc::new(binary(stamp.probe.0.as_bytes().repeat(count))?),
        Arc::new(binary(stamp.epoch.0.as_bytes().repeat(count))?),
        Arc::new(UInt16Array::from_value(stamp.stream.0, count)),
        Arc::new(UInt64Array::from_value(stamp.sequence.0, count)),
        Arc::new(UInt32Array::from_iter_values(0..rows)),
    ])
}

fn column(column: Column, records: &[FlowRecord]) -> Result<ArrayRef, ArrowError> {
    let records = records.iter();
    Ok(match column {
        Column::U8(read) => Arc::new(UInt8Array::from_iter_values(records.map(read))),
        Column::U16(read) => Arc::new(UInt16Array::from_iter_values(records.map(read))),
        Column::U32(read) => Arc::new(UInt32Array::from_iter_values(records.map(read))),
        Column::U64(read) => Arc::new(UInt64Array::from_iter_values(records.map(read))),
        Column::OptionalU8(read) => Arc::new(UInt8Array::from_iter(records.map(read))),
        Column::OptionalU16(read) => Arc::new(UInt16Array::from_iter(records.map(read))),
        Column::OptionalU64(read) => Arc::new(UInt64Array::from_iter(records.map(read))),
        Column::Address(read) => {
            Arc::new(binary(records.flat_map(|record| field::octets(read(record))).collect())?)
        }
        Column::OptionalEpoch(read) => {
            let epochs = records.map(|record| read(record).map(|epoch| epoch.0.into_bytes()));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(epochs, 16)?)
        }
    })
}

/// Values of 16 octets each, one behind the other.
fn binary(values: Vec<u8>) -> Result<FixedSizeBinaryArray, ArrowError> {
    FixedSizeBinaryArray::try_new(16, Buffer::from_vec(values), None)
}
