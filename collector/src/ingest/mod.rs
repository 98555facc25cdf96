//! From the bus to the store.
//!
//! ```text
//! kafka, zmq (one thread each) ─► message: header, CRC, body ─► bounded channel ─► writer ─► store
//! ```

pub mod message;
