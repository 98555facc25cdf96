//! What is sent: frames that are kept in memory, in an order and so many copies of each, or a mix that is made on the way, or flows that
//! the kernel makes of the copies of one frame.
//!
//! ```text
//!   model.rs ──┐
//!              ├──► Traffic { frames, copies } ──► Schedule ──► Looped ──┐
//!   file.rs  ──┘                                   schedule.rs  (rewrite.rs: other addresses)
//!                                                                        ├──► Source: the next Burst; what arrived; truth
//!   mix/     ───────────────────────────────────────────────────────────┤     source.rs
//!   elephants.rs ───────────────────────────────────────────────────────┘
//! ```

mod elephants;
mod file;
mod looped;
mod mix;
mod model;
pub mod random;
mod rewrite;
mod schedule;
mod source;

pub use elephants::{Elephants, Herd};
pub use file::{Skipped, Unreadable, read};
pub use looped::Looped;
pub use mix::{FrameSize, Law, Mix, Stream, Transports};
pub use model::{Impossible, Model, Transport};
pub use schedule::{Schedule, Step};
pub use source::{Burst, Shot, Source};

/// Most octets of frames kept in memory: room for a million small flows, and a machine with 4 GB can still run it.
pub const OCTETS_MAX: usize = 1 << 30;

/// Frames to send.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    octets: Vec<u8>,
    ends: Vec<usize>,
    /// How many copies of each frame one loop sends.
    copies: Vec<u32>,
}

impl Traffic {
    /// Adds a frame; `false` when memory for frames ([`OCTETS_MAX`]) is used up.
    fn push(&mut self, frame: &[u8], copies: u32) -> bool {
        if self.octets.len() + frame.len() > OCTETS_MAX {
            return false;
        }
        self.octets.extend_from_slice(frame);
        self.ends.push(self.octets.len());
        self.copies.push(copies);
        true
    }

    /// How many different frames there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// One of them.
    #[must_use]
    pub fn frame(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.octets[start..self.ends[index]]
    }

    /// Copies of each frame in one loop.
    #[must_use]
    pub fn copies(&self) -> &[u32] {
        &self.copies
    }
}
