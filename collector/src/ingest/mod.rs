//! From the bus to the store.
//!
//! ```text
//! kafka, zmq (one thread each) ─► message: header, CRC, body ─► bounded channel ─► writer ─► store
//! ```
//! Full channel = the input waits: Kafka keeps what is not read; ZMQ drops beyond its own bound, and the gap in the
//! sequences says so.

mod counters;
mod input;
mod kafka;
pub mod message;
mod status;
#[cfg(test)]
mod tests;
mod writer;
mod zmq;

pub use counters::Counters;
pub use input::{Error, Event, Feed, Gone, Input, Stop};
pub use kafka::{Kafka, OffsetsOf};
pub use status::{InputState, InputStatus, StoreStatus};
pub use writer::{Failure, Writer, now_nanoseconds};
pub use zmq::Zmq;
