//! What a sender asks: the next frames, and where it says which of them arrived.

use std::time::Duration;

use crate::flows::Line;

/// Frames to send, in their order.
pub trait Source {
    /// Empties `burst` and fills it with what comes next: at most `most` frames, copies counted. None = all is sent.
    fn fill(&mut self, burst: &mut Burst, most: u32);

    /// So many copies of a shot of the last burst arrived.
    fn arrived(&mut self, burst: &Burst, shot: &Shot, copies: u64);

    /// What a meter must have counted of what arrived; nothing where that is not known.
    fn truth(&self) -> Box<dyn Iterator<Item = Line> + '_>;
}

/// One frame, so many times in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shot {
    /// How many times.
    pub copies: u32,
    /// When, since the first of all; zero where the source has no times.
    pub time: Duration,
    /// Octets of its IP packet; 0 where the source does not know.
    pub ip_octets: u64,
    /// Under which number the source counts it.
    pub number: usize,
    start: usize,
    end: usize,
}

/// Frames that are sent together.
#[derive(Clone, Debug, Default)]
pub struct Burst {
    octets: Vec<u8>,
    shots: Vec<Shot>,
}

impl Burst {
    /// Without frames.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.shots.clear();
    }

    /// Adds a frame, which `write` appends; it answers how many octets its IP packet has.
    pub fn push(
        &mut self,
        copies: u32,
        time: Duration,
        number: usize,
        write: impl FnOnce(&mut Vec<u8>) -> u64,
    ) {
        let start = self.octets.len();
        let ip_octets = write(&mut self.octets);
        self.shots.push(Shot { copies, time, ip_octets, number, start, end: self.octets.len() });
    }

    /// All, in their order.
    #[must_use]
    pub fn shots(&self) -> &[Shot] {
        &self.shots
    }

    /// The frame of a shot.
    #[must_use]
    pub fn frame(&self, shot: &Shot) -> &[u8] {
        &self.octets[shot.start..shot.end]
    }
}
