//! The contract between probe and collector: the flow record, its batches and their stamp, the ledger with its
//! closed list of reasons, and the endpoints of the bus.
//!
//! ```text
//! FlowRecord ─┐
//! FlowRecord ─┼─► batch (Arrow) + Stamp ─► bus ─► received set ─► rows
//! FlowRecord ─┘
//! FlowRecord ─► field::Template ─┬► ntop (TLV, JSON) ─► ntopng
//!                                └► generic (JSON, Avro, Protobuf), a message a flow ─► anybody
//! ledger::Message (cumulative terms, once a second, in-band on the control stream) ─► identities
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod batch;
pub mod bus;
pub mod curve;
pub mod endpoint;
pub mod fault;
pub mod field;
pub mod generic;
pub mod header;
pub mod kafka_conf;
pub mod ledger;
pub mod ntop;
pub mod record;
pub mod stamp;
pub mod upstream;
