//! What the probe asks of the host it runs on. The system calls without a safe form stand in these small modules.

mod interfaces;

pub use interfaces::{Interface, interfaces};
