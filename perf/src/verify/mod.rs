//! What became of traffic that is known: the generator's truth held against the books of a probe and a collector.
//!
//! ```text
//!   replay ─► arrived ─┐
//!   probe    /metrics ─┼─► Account: seen, metered, stored, lost where and why ─► verdict
//!   collector  ledger ─┘
//! ```
//!
//! Everything is asked over HTTP, as an operator's scraper does, so that the capture box may be another one. Counters are read before and
//! after, and only what they grew by counts: the box may have been running for months.

mod account;
mod metrics;
mod plot;
mod ramp;
mod server;
mod stored;

pub use account::{Account, Before, Verdict};
pub use metrics::Terms;
pub use plot::plot;
pub use ramp::{Bounds, Ramp, Step, Trial};
pub use server::{Error, Server};
pub use stored::Stored;
