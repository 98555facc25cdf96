//! What the collector answers: REST, health, metrics, the page.
//!
//! ```text
//! router ─► service: words ─► query ─► store::Reader ─► JSON        (the command line asks the service too)
//!        └► ui::file
//! ```

mod audit;
mod books;
mod health;
mod metrics;
mod now;
mod probes;
mod router;
mod service;

pub use audit::{Audit, run as audit};
pub use books::Books;
pub use router::{PATHS, router};
pub use service::{Answer, Problem, Service};

/// The API for machines; a test holds it against the router.
pub const OPENAPI: &str = include_str!("../../openapi.json");
