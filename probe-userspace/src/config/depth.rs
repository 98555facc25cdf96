//! How deep receive rings are: deep enough for the time in which nobody empties them.
//!
//! ```text
//! descriptors = packets a second × seconds of a stall      16 ms at 1 Mpps: 16,000, so 16,384
//! memory      = 2 × descriptors × octets of a frame        64 MiB a queue at 2,048 octets
//! ```
//! A stall is what the scheduler does to a worker: other threads on its core, interrupts, a hypervisor. 8,192 descriptors lost packets at
//! 1 Mpps in measurements, 16,384 none in most runs.

use std::time::Duration;

use super::check::{ranged, word};
use super::{Error, Words};

/// What one queue is taken to get.
const PACKETS_A_MILLISECOND: u64 = 1_000;
/// Queues that get it at the same time: of more queues each gets less. A NIC of 64 queues would else take 4 GiB.
const FULL_QUEUES: u64 = 4;
/// Queues are never quite even: each has to take a burst of its own.
const SHALLOWEST_FRAMES: u64 = 4_096;

const USUAL_MILLISECONDS: u64 = 16;
const SMALLEST_RING_FRAMES: u64 = 64;
const LARGEST_RING_FRAMES: u64 = 1 << 17;

/// The depth of a queue's rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// So many descriptors.
    Frames(u32),
    /// As many as outlast this stall.
    Outlasting(Duration),
}

impl Depth {
    /// Descriptors of one queue of so many, a power of two.
    pub fn frames(self, queues: usize) -> u32 {
        match self {
            Self::Frames(frames) => frames,
            Self::Outlasting(stall) => {
                let full = (stall.as_millis() as u64 * PACKETS_A_MILLISECOND).next_power_of_two();
                let part = FULL_QUEUES * full / (queues.max(1) as u64).next_power_of_two();
                part.clamp(SHALLOWEST_FRAMES.min(full), full) as u32
            }
        }
    }
}

/// From `--stall-tolerance`, or `--ring-size`, which wins: it is the more exact word.
pub(super) fn depth(words: &Words) -> Result<Depth, Error> {
    let most = LARGEST_RING_FRAMES / PACKETS_A_MILLISECOND;
    let milliseconds = ranged(
        ("--stall-tolerance", words.stall_tolerance.unwrap_or(USUAL_MILLISECONDS)),
        (1, most, "milliseconds"),
        "16 outlasts the usual stalls; beyond 131 the kernel's rings end",
    )?;
    let outlasting = Depth::Outlasting(Duration::from_millis(milliseconds));
    words.ring_size.map_or(Ok(outlasting), |frames| ring_size(frames).map(Depth::Frames))
}

fn ring_size(frames: u64) -> Result<u32, Error> {
    let frames = ranged(
        ("--ring-size", frames),
        (SMALLEST_RING_FRAMES, LARGEST_RING_FRAMES, "frames"),
        "16384 outlasts the usual scheduling stalls at 1 Mpps",
    )?;
    if frames.is_power_of_two() {
        return Ok(frames as u32);
    }
    let mend = format!("take {}", frames.next_power_of_two());
    Err(word("--ring-size", frames, "the kernel's rings are powers of two", mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_shallower_where_there_are_many() {
        let usual = Depth::Outlasting(Duration::from_millis(USUAL_MILLISECONDS));
        let depths = [1, 4, 5, 8, 16, 64].map(|queues| usual.frames(queues));
        assert_eq!(depths, [16_384, 16_384, 8_192, 8_192, 4_096, 4_096]);
    }

    #[test]
    fn a_tolerance_is_the_time_at_a_million_packets_a_second() {
        let frames =
            |milliseconds, queues| Depth::Outlasting(Duration::from_millis(milliseconds)).frames(queues);
        assert_eq!(
            [1, 2, 16, 17, 131].map(|stall| frames(stall, 1)),
            [1_024, 2_048, 16_384, 32_768, 131_072]
        );
        assert_eq!(frames(1, 64), 1_024, "not deeper than asked for");
        assert_eq!(Depth::Frames(64).frames(64), 64);
    }

    #[test]
    fn a_depth_wins_over_a_tolerance_and_both_have_ranges() {
        let both = Words { ring_size: Some(64), stall_tolerance: Some(16), ..Words::default() };
        assert_eq!(depth(&both).unwrap(), Depth::Frames(64));
        for milliseconds in [0, 132] {
            let words = Words { stall_tolerance: Some(milliseconds), ..Words::default() };
            let said = depth(&words).unwrap_err().to_string();
            assert!(said.contains("must be 1 to 131 milliseconds"), "{said}");
        }
    }
}
