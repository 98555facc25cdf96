//! The loop of one core: its sources, its shard, its ring to the exporter.
//!
//! ```text
//! sources ─burst─► shard ─records─► ring of Export ─► exporter
//!                    └──once a second──► Cut ──┘       (in the ring, behind the records it covers)
//! ```

mod ring;

pub use ring::{Cut, Export};
