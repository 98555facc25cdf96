//! What the XDP program and user space share: the header walk, the flow key with its hash, the outcomes
//! that are counted, and the layouts of the maps. One source, compiled for both sides, so that both
//! compute the same key from the same bytes.
//!
//! ```text
//! frame bytes ──walk──► Headers { key, direction, .. } ──hash──► which worker
//!                │
//!                └────► Undecodable (the worker alone judges it; the kernel redirects it all the same)
//! ```
#![no_std]
#![forbid(unsafe_code)]

pub mod headers;
pub mod key;
pub mod outcome;
