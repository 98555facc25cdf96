//! The books from NIC to row: terms, the closed list of reasons, and what must balance.
//!
//! ```text
//! terms, reason   what is counted, cumulative per epoch, each term from a place of its own
//! cause           what a loss comes from, and what an operator turns
//! codec           the in-band message of a probe, as JSON
//! identity        two sides that must come to the same, with a bound for what is in flight
//! probe           the identities within a message: NIC to cursor
//! publisher       what is known of a publisher that is none of ours
//! lost            what sinks lost, in one sum
//! collected       those between a message and a collector's store
//! ```
//!
//! No term is obtained by subtraction: else nothing could fail.

mod cause;
mod codec;
mod collected;
mod identity;
mod lost;
mod probe;
mod publisher;
mod reason;
mod terms;

pub use cause::Cause;
pub use codec::MessageError;
pub use collected::{StoredStream, cursor_of, least_discarding, lost_on_bus, of_stream, recovered};
pub use identity::{FRAME_OCTETS_MAX, Identity, Term, Unit, broken, residual};
pub use lost::{Lost, lost_by_worst_sink};
pub use probe::{HANDOVER_PACKETS_MAX, IN_FLIGHT_PACKETS_MAX, of_probe};
pub use publisher::PublisherTerms;
pub use reason::{Discard, Pass, Reason, Refuse, Told, Unshunted};
pub use terms::{
    Amount, ByReason, Closes, CursorTerms, Guarantee, Message, QueueTerms, StreamCut, Tombstone, WorkerTerms,
};
