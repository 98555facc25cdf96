//! The probe: packets in, finished flows out.
//!
//! ```text
//! source ─► packet ─► flow (meter) ─► worker ─► export ─► spool ─► bus
//!                                        └────► books ──┘
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod books;
pub mod config;
pub mod export;

pub mod flow;
pub mod meter;
pub mod packet;
pub mod run;
pub mod source;
pub mod spool;
pub mod survive;
pub mod telemetry;
pub mod worker;
