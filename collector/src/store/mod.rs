//! What is kept: rows, and beside them, in the same transaction, which batches they came in and how far the bus was read.

mod columns;
pub mod received;

pub use columns::{COLUMNS, Column, Kind, by_name};
pub use received::Received;
