//! The books, closed: what the probes say against what the store has.

mod second;

pub use second::second;
