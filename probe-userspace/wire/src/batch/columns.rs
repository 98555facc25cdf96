//! The buffers of a record batch message, each checked before it is touched.

use std::sync::Arc;

use arrow_array::types::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, FixedSizeBinaryArray, PrimitiveArray, new_null_array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow_ipc::RecordBatch;
use arrow_schema::DataType;

use super::layout::{Layout, known_name};
use super::{Error, schema};

/// Nodes and buffers of one message, as it describes them.
pub(super) struct Columns<'a> {
    body: &'a [u8],
    rows: usize,
    /// Length and null count of each column.
    nodes: Vec<(i64, i64)>,
    /// Offset and length of each buffer in the body.
    buffers: Vec<(i64, i64)>,
}

impl<'a> Columns<'a> {
    pub(super) fn new(batch: &RecordBatch<'a>, body: &'a [u8], rows: usize) -> Result<Self, Error> {
        let nodes = batch.nodes().ok_or(Error::Framing("its batch has no nodes"))?;
        let buffers = batch.buffers().ok_or(Error::Framing("its batch has no buffers"))?;
        Ok(Self {
            body,
            rows,
            nodes: nodes.iter().map(|node| (node.length(), node.null_count())).collect(),
            buffers: buffers.iter().map(|buffer| (buffer.offset(), buffer.length())).collect(),
        })
    }

    /// All columns of [`schema`] in its order; absent ones (nullable, by [`layout::read`](super::layout::read)) are null.
    pub(super) fn read(&self, layouts: &[Layout]) -> Result<Vec<ArrayRef>, Error> {
        if layouts.len() != self.nodes.len() {
            return Err(Error::Framing("its batch has another number of columns than its schema"));
        }
        if layouts.iter().map(|layout| layout.buffers).sum::<usize>() != self.buffers.len() {
            return Err(Error::Framing("its batch has another number of buffers than its schema"));
        }
        let schema = schema();
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; schema.fields().len()];
        let mut buffer = 0;
        for (layout, &node) in layouts.iter().zip(&self.nodes) {
            if let Some(index) = layout.column {
                let place = Place { column: known_name(index), node, buffer };
                arrays[index] = Some(self.array(place, schema.field(index).data_type())?);
            }
            buffer += layout.buffers;
        }
        let absent = |index: usize| new_null_array(schema.field(index).data_type(), self.rows);
        Ok(arrays
            .into_iter()
            .enumerate()
            .map(|(index, array)| array.unwrap_or_else(|| absent(index)))
            .collect())
    }

    fn array(&self, place: Place, kind: &DataType) -> Result<ArrayRef, Error> {
        if usize::try_from(place.node.0) != Ok(self.rows) {
            return Err(place.fault("it has another length than the batch"));
        }
        let array: ArrayRef = match kind {
            DataType::UInt8 => Arc::new(self.primitive::<UInt8Type>(place)?),
            DataType::UInt16 => Arc::new(self.primitive::<UInt16Type>(place)?),
            DataType::UInt32 => Arc::new(self.primitive::<UInt32Type>(place)?),
            DataType::UInt64 => Arc::new(self.primitive::<UInt64Type>(place)?),
            DataType::FixedSizeBinary(16) => {
                let values = self.values(place, 16)?;
                let array = FixedSizeBinaryArray::try_new(16, values, self.nulls(place)?);
                Arc::new(array.map_err(|error| Error::Arrow(error.to_string()))?)
            }
            _ => return Err(place.fault("its type is none of the schema's")),
        };
        if array.null_count() as i64 != place.node.1 {
            return Err(place.fault("its null count is not that of its validity bitmap"));
        }
        Ok(array)
    }

    fn primitive<T: ArrowPrimitiveType>(&self, place: Place) -> Result<PrimitiveArray<T>, Error> {
        let values = self.values(place, size_of::<T::Native>())?;
        let array = PrimitiveArray::try_new(ScalarBuffer::new(values, 0, self.rows), self.nulls(place)?);
        array.map_err(|error| Error::Arrow(error.to_string()))
    }

    /// The values, copied: the body's own place in memory need not be aligned.
    fn values(&self, place: Place, width: usize) -> Result<Buffer, Error> {
        let bytes = self.bytes(place, place.buffer + 1)?;
        let bytes = bytes.get(..self.rows * width).ok_or_else(|| place.fault("its values are too short"))?;
        Ok(Buffer::from_slice_ref(bytes))
    }

    /// The validity bitmap; an empty buffer means that all are valid.
    fn nulls(&self, place: Place) -> Result<Option<NullBuffer>, Error> {
        let bytes = self.bytes(place, place.buffer)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let bits = bytes
            .get(..self.rows.div_ceil(8))
            .ok_or_else(|| place.fault("its validity bitmap is too short"))?;
        let nulls = NullBuffer::new(BooleanBuffer::new(Buffer::from_slice_ref(bits), 0, self.rows));
        Ok((nulls.null_count() > 0).then_some(nulls))
    }

    fn bytes(&self, place: Place, index: usize) -> Result<&'a [u8], Error> {
        let outside = || place.fault("a buffer lies outside of the body");
        let &(offset, length) = self.buffers.get(index).ok_or_else(outside)?;
        let begin = usize::try_from(offset).map_err(|_| outside())?;
        let end = usize::try_from(length).ok().and_then(|length| begin.checked_add(length));
        self.body.get(begin..end.ok_or_else(outside)?).ok_or_else(outside)
    }
}

/// Where a column stands in the message.
#[derive(Clone, Copy)]
struct Place {
    column: &'static str,
    node: (i64, i64),
    /// Index of its validity buffer; its values follow.
    buffer: usize,
}

impl Place {
    fn fault(self, fault: &'static str) -> Error {
        Error::Buffer { column: self.column, fault }
    }
}
