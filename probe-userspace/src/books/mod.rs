//! The books of this process: what the workers and the kernel say, put together.
//!
//! ```text
//! cuts of the workers ─► queues (sockets of one queue summed, kernel's counters added) ─► ledger::Message
//!                                                                        --ledger PATH ◄── file ◄──┘
//! ```
//! The exporter completes the message with streams and cursors (`export::message`); the identities are
//! `flow_wire::ledger`'s.

mod file;
mod queues;

pub use file::ledger;
pub use queues::merge;
