//! Flows and messages as ntopng reads them from an nProbe.
//!
//! ```text
//! Template ─► Encoder (tlv or json), prepared once
//! records ─► Flows: at most 255 a message, below 64 KiB ─► payload ─┐
//! [ header: topic, sizes, message number, source ] ◄────────────────┴─► [ payload ]      two frames
//! reader: the same two frames of somebody else ─► records
//! ```
//!
//! Read in ntopng's source (6.3): `include/ntop_typedefs.h` (headers), `src/ZMQCollectorInterface.cpp` (what it does with them),
//! `src/ZMQParserInterface.cpp` (fields); and in nDPI's `ndpi_serializer.c` (TLV). The traps that are named in the comments are those of that reader.

pub mod compress;
pub mod flows;
pub mod header;
pub mod json;
pub mod reader;
pub mod text;
pub mod tlv;

pub use flows::{Encoder, FLOWS_MAX, Flows, PAYLOAD_OCTETS_MAX};
pub use header::{Header, Layout, Payload, Topic};
pub use json::Keys;
