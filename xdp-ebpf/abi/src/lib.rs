//! What the XDP program and user space share: the header walk, the flow key with its hash, the outcomes
//! that are counted, and the layouts of the maps. One source, compiled for both sides, so that both
//! compute the same key from the same bytes.
//!
//! ```text
//! frame: Bytes ──walk──► Headers { key, direction, .. } ──hash──► spread ──► which worker
//!                 │                                               ▲
//!                 └───► Unmetered (the worker alone judges it) ───┘ by its MAC addresses
//! ```
#![no_std]
#![forbid(unsafe_code)]

pub mod bytes;
pub mod filter;
pub mod hash;
pub mod headers;
pub mod key;
pub mod map;
pub mod outcome;
pub mod protocol;
pub mod shunt;
pub mod spread;
pub mod walk;
