//! From the bus to the store.
//!
//! ```text
//! kafka, zmq (one thread each) ─► message: header, CRC, body ─► bounded channel ─► writer ─► store
//! ```
//! Full channel = the input waits: Kafka keeps what is not read, and a probe on ZMQ what is not acknowledged. What plain
//! ZMQ brings beyond a bound is dropped, and the gap in the sequences says so.

mod counters;
mod input;
mod kafka;
pub mod message;
mod receipt;
mod status;
mod tap;
#[cfg(test)]
mod tests;
mod writer;
mod zmq;

pub use counters::Counters;
pub use input::{Error, Event, Feed, Gone, Input, Stop};
pub use kafka::{Kafka, OffsetsOf};
pub use receipt::Receipt;
pub use status::{InputState, InputStatus, StoreStatus};
pub use tap::Tap;
pub use writer::{Failure, Writer, now_nanoseconds};
pub use zmq::{Keys, KeysError, Zmq};
