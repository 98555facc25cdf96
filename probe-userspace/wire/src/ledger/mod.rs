//! The books from NIC to row: terms, the closed list of reasons, and (in `identities`) what must balance.
//!
//! Terms are cumulative per epoch and come from independent places; none is obtained by subtraction.

mod codec;
mod reason;
mod terms;

pub use codec::MessageError;
pub use reason::{Discard, Pass, Reason, Refuse};
pub use terms::{Amount, ByReason, CursorTerms, Message, QueueTerms, StreamCut, WorkerTerms};
