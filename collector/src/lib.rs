//! The collector: flows from the bus, stored once, queried, shown; the books closed.
//!
//! ```text
//! Kafka ─┐            ┌─ received sets, offsets ─┐
//!        ├─► ingest ─►│ store (one transaction)  │─► query ─► api ─► page, terminal
//! ZMQ  ──┘            └─ rows, batches, ledger ──┘      └─► reconcile: do the books balance?
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails may panic"))]

pub mod api;
pub mod config;
pub mod ingest;
pub mod query;
pub mod reconcile;
pub mod run;
pub mod script;
pub mod store;
pub mod terminal;
#[doc(hidden)]
pub mod testing;
#[path = "../ui/mod.rs"]
pub mod ui;
