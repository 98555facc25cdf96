//! What the running probe tells people and Prometheus. All of it comes from the same in-band message that the collector
//! gets: there is one set of books.
//!
//! ```text
//!                                      ┌─► rates ─► line (a second), summary (at the end)      terminal
//! ledger::Message, once a second ─► Board
//!                                      └─► metrics ─► http                                     Prometheus
//! ```

mod board;
mod causes;
mod http;
mod line;
mod metrics;
mod number;
mod rates;
mod spool;
mod stages;
mod summary;

pub use board::Board;
pub use http::Server;
pub use line::Line;
pub use number::si;
pub use rates::{Rates, losses};
pub use stages::{ByWorker, stage_table};
pub use summary::summary;
