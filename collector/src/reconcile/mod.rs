//! The books, closed: what the probes say against what the store has.
//!
//! ```text
//! ledger message ─► identities of the probe (device .. batch) ─┐
//! store terms    ─► identities of each stream (bus .. store)  ─┴─► Ledger: verdict, residual, hops, loss
//! ```

mod epoch;
mod fate;
mod ledger;
mod second;
pub mod state;
mod stream;
#[cfg(test)]
mod tests;
mod totals;
mod twins;

pub use epoch::Epoch;
pub use fate::{Fate, Fated};
pub use ledger::{Ledger, Loss, Verdict};
pub use second::second;
pub use state::State;
pub use twins::Twins;
