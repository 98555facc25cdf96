//! A batch: records of one stream, sealed under one stamp, in one encoding that is never cut again.
//!
//! ```text
//! field   one table of columns: name, IANA number, type, how to read it off a record
//! encode  records + stamp ─► Sealed { header, body, exported }
//! row     columns ─► records, for what is written row by row
//! decode  body ─► layout (whose columns) ─► columns (whose buffers) ─► Decoded { stamp, batch }, everything checked
//! ```
//!
//! The body is an Arrow IPC stream (columnar format 1.x, metadata V5): a schema message with the stamp in its metadata, one
//! record batch without compression, an end-of-stream mark. The bus compresses many messages together.

mod columns;
mod decode;
mod encode;
mod field;
mod layout;
mod row;

pub use decode::{Decoded, Error, decode, open};
pub use encode::encode;
pub use field::{Column, FIELDS, Field, STAMP_FIELDS, schema};
pub use row::records;

use crate::bus::Kind;
use crate::header::Header;
use crate::ledger::{Amount, Message};
use crate::stamp::Stamp;

/// Rows that a batch can have at most: so many stay below [`BODY_OCTETS_MAX`](crate::bus::BODY_OCTETS_MAX). Probes seal
/// earlier.
pub const BATCH_ROWS_LIMIT: usize = 4_096;

/// A message that is ready for any sink, and that no sink changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// What travels beside it.
    pub header: Header,
    /// What travels.
    pub body: Vec<u8>,
    /// Packets and layer-2 octets in it, read back from the encoded columns and not from the records.
    pub exported: Amount,
}

impl Sealed {
    /// An in-band ledger message.
    pub fn ledger(message: &Message, stamp: Stamp) -> Result<Self, crate::ledger::MessageError> {
        let body = message.encode()?;
        Ok(Self { header: Header::seal(Kind::Ledger, stamp, 0, &body), body, exported: Amount::ZERO })
    }
}
