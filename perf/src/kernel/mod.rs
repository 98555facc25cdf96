//! System calls that the standard library does not wrap. All unsafe code of the crate is here, one call a file.

/// Signals to processes.
pub mod signal;

/// The effective user of this process.
#[must_use]
pub fn effective_user() -> u32 {
    signal::effective_user()
}
