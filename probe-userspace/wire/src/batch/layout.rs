//! Which column of a foreign schema message is which of ours: names and types are checked here, once a batch.

use arrow_ipc::{Endianness, Message, Type};
use arrow_schema::{DataType, Field};

use super::{Error, schema};
use crate::header;
use crate::stamp::Stamp;

/// Columns that a batch may have: what later releases could add stays far below.
const COLUMNS_MAX: usize = 512;

/// One column as it lies in the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Its index in [`schema`]; `None` for one that a later release added, which is stepped over.
    pub(super) column: Option<usize>,
    /// Buffers that it has in the body.
    pub(super) buffers: usize,
}

/// The stamp of the metadata, and the layout of each column in the order of the body.
pub(super) fn read(message: &Message<'_>) -> Result<(Stamp, Vec<Layout>), Error> {
    let found = message.header_as_schema().ok_or(Error::Framing("its first message is not a schema"))?;
    if found.endianness() != Endianness::Little {
        return Err(Error::Framing("it is not little-endian"));
    }
    let metadata = found.custom_metadata().into_iter().flatten();
    let pairs = metadata.filter_map(|pair| Some((pair.key()?, pair.value()?.as_bytes())));
    let stamp = header::read_stamp(pairs)?;

    let fields = found.fields().ok_or(Error::Framing("its schema has no fields"))?;
    if fields.len() > COLUMNS_MAX {
        return Err(Error::Framing("its schema has more than 512 columns"));
    }
    let schema = schema();
    let mut seen = vec![false; schema.fields().len()];
    let mut layouts = Vec::with_capacity(fields.len());
    for field in fields {
        let name = field.name().unwrap_or_default();
        let column = schema.index_of(name).ok();
        match column {
            Some(index) if seen[index] => return Err(Error::TwiceColumn(name.to_owned())),
            Some(index) => {
                check_type(&field, schema.field(index))?;
                seen[index] = true;
            }
            None => {}
        }
        let buffers = buffers(&field).ok_or_else(|| Error::UnknownColumn(name.to_owned()))?;
        layouts.push(Layout { column, buffers });
    }
    // Nullable columns may be absent: that is how the schema grows.
    for (index, field) in schema.fields().iter().enumerate() {
        if !seen[index] && !field.is_nullable() {
            return Err(Error::MissingColumn(known_name(index)));
        }
    }
    Ok((stamp, layouts))
}

/// The name of one of our columns, for messages.
pub(super) fn known_name(column: usize) -> &'static str {
    let stamp = super::STAMP_FIELDS.len();
    match column.checked_sub(stamp) {
        None => super::STAMP_FIELDS[column].0,
        Some(index) => super::FIELDS[index].name,
    }
}

fn check_type(found: &arrow_ipc::Field<'_>, expected: &Field) -> Result<(), Error> {
    let wrong = |found: String| Error::ColumnType {
        column: expected.name().clone(),
        found,
        expected: format!("{} (nullable: {})", expected.data_type(), expected.is_nullable()),
    };
    if found.dictionary().is_some() {
        return Err(wrong("dictionary".to_owned()));
    }
    match data_type(found) {
        Some(kind) if kind == *expected.data_type() && found.nullable() == expected.is_nullable() => Ok(()),
        Some(kind) => Err(wrong(format!("{kind} (nullable: {})", found.nullable()))),
        None => Err(wrong(format!("{:?}", found.type_type()))),
    }
}

/// The types that our own columns have.
fn data_type(field: &arrow_ipc::Field<'_>) -> Option<DataType> {
    match field.type_type() {
        Type::Int => match field.type_as_int().map(|int| (int.is_signed(), int.bitWidth()))? {
            (false, 8) => Some(DataType::UInt8),
            (false, 16) => Some(DataType::UInt16),
            (false, 32) => Some(DataType::UInt32),
            (false, 64) => Some(DataType::UInt64),
            _ => None,
        },
        Type::FixedSizeBinary => {
            Some(DataType::FixedSizeBinary(field.type_as_fixed_size_binary()?.byteWidth()))
        }
        _ => None,
    }
}

/// Buffers of a column in the body: validity and values, and offsets where the values have no fixed length.
fn buffers(field: &arrow_ipc::Field<'_>) -> Option<usize> {
    if field.children().is_some_and(|children| !children.is_empty()) || field.dictionary().is_some() {
        return None;
    }
    match field.type_type() {
        Type::Int | Type::FixedSizeBinary | Type::FloatingPoint | Type::Bool | Type::Timestamp => Some(2),
        Type::Utf8 | Type::Binary => Some(3),
        _ => None,
    }
}
