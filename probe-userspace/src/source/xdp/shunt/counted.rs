//! What of a table outlives its program: whose the places are, and what was counted there.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::{Map, MapData};
use flow_wire::ledger::Amount;
use xdp_abi::key::FlowKey;
use xdp_abi::map::{SHUNT_COUNTS, SHUNT_KEYS};
use xdp_abi::shunt::{self, LAST_AT, LAYER2_OCTETS, OCTETS, PACKETS, PLACES, SIDE_WORDS, TCP_FLAGS};

use super::table::{LoadError, words_of};
use crate::source::xdp::error::chain;
use crate::survive::{Memory, Words};

/// Words of a place, and of a row of counters.
pub(super) const PLACE_WORDS: usize = size_of::<shunt::Place>() / 8;
pub(super) const ROW_WORDS: usize = size_of::<shunt::Row>() / 8;
/// How often a count is read again that the program is changing.
const READS_MOST: usize = 4;

/// What one direction of a flow counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets.
    pub packets: u64,
    /// Of IP packets.
    pub octets: u64,
    /// Of frames.
    pub layer2_octets: u64,
    /// All that were seen and not taken away.
    pub tcp_flags: u8,
}

/// The two maps of one program.
#[derive(Clone)]
pub struct Counted {
    pub(super) keys: Words,
    pub(super) counts: Words,
}

impl Counted {
    /// Over the maps of a program that was loaded with rows for so many CPUs.
    pub(super) fn of<'a>(
        map: &impl Fn(&'static str) -> Option<&'a Map>,
        cpus: usize,
    ) -> Result<Self, LoadError> {
        let places = PLACES as usize;
        Ok(Self {
            keys: words_of(map, SHUNT_KEYS, places * PLACE_WORDS)?,
            counts: words_of(map, SHUNT_COUNTS, cpus * places * ROW_WORDS)?,
        })
    }

    /// Those that a killed probe has pinned.
    ///
    /// System calls: bpf(2) `BPF_OBJ_GET`, mmap(2). Capability: CAP_BPF.
    ///
    /// # Errors
    /// One of them is not there, or is of another release.
    pub(crate) fn pinned(keys: &Path, counts: &Path) -> Result<Self, String> {
        let cpus = aya::util::nr_cpus().map_err(|(path, error)| format!("{path}: {error}"))?;
        // A map that is shorter cannot be mapped in this length.
        let words = |path: &Path, count: usize| {
            let data = MapData::from_pin(path).map_err(|error| chain(&error))?;
            let memory = Memory::of_map(data.fd().as_fd(), count * size_of::<u64>());
            Ok::<_, String>(memory.map_err(|error| error.to_string())?.words(count))
        };
        let places = PLACES as usize;
        Ok(Self {
            keys: words(keys, places * PLACE_WORDS)?,
            counts: words(counts, cpus * places * ROW_WORDS)?,
        })
    }

    /// When a packet was last counted, by CLOCK_MONOTONIC.
    pub(crate) fn last_at(&self, place: usize) -> u64 {
        self.place(place)[LAST_AT].load(Ordering::Relaxed)
    }

    /// Whether this flow was the last one of the place.
    pub(crate) fn has(&self, place: usize, key: &FlowKey) -> bool {
        self.place(place).iter().zip(key.words()).all(|(word, of_key)| word.load(Ordering::Relaxed) == of_key)
    }

    /// Adds what was counted at this place, ever, by direction; flags as long as nobody takes them away.
    pub fn add_counts(&self, place: usize, sum: &mut [Counts; 2]) {
        for row in self.rows(place) {
            for (sum, side) in sum.iter_mut().zip(row.chunks_exact(SIDE_WORDS)) {
                let more = whole(side);
                sum.packets += more.packets;
                sum.octets += more.octets;
                sum.layer2_octets += more.layer2_octets;
                sum.tcp_flags |= side[TCP_FLAGS].load(Ordering::Relaxed) as u8;
            }
        }
    }

    /// Takes flags away that stand in an entry: a program that adds one in this very moment may put old ones back, and loses none.
    pub(super) fn take_flags(&self, place: usize, flags: [u8; 2]) {
        for row in self.rows(place) {
            for (flags, side) in flags.into_iter().zip(row.chunks_exact(SIDE_WORDS)) {
                if side[TCP_FLAGS].load(Ordering::Relaxed) != 0 {
                    side[TCP_FLAGS].fetch_and(!u64::from(flags), Ordering::Relaxed);
                }
            }
        }
    }

    /// What was counted at all places, ever: half a megabyte for each CPU that there may be.
    pub(crate) fn total(&self) -> Amount {
        self.counts.chunks_exact(ROW_WORDS).map(amount).fold(Amount::ZERO, |sum, more| sum + more)
    }

    pub(super) fn place(&self, place: usize) -> &[AtomicU64] {
        &self.keys[place * PLACE_WORDS..][..PLACE_WORDS]
    }

    /// Of a place, one for each CPU.
    pub(super) fn rows(&self, place: usize) -> impl Iterator<Item = &[AtomicU64]> {
        self.counts.chunks_exact(ROW_WORDS).skip(place).step_by(PLACES as usize)
    }
}

/// Of a row, both directions.
pub(super) fn amount(row: &[AtomicU64]) -> Amount {
    let sum = |at: usize| row[at].load(Ordering::Relaxed) + row[SIDE_WORDS + at].load(Ordering::Relaxed);
    Amount { packets: sum(PACKETS), octets: sum(LAYER2_OCTETS) }
}

/// What one direction of a row says, of whole packets: read again while the program adds one, which takes it some nanoseconds. A flow that is
/// so busy that it never stands still is read as it is: what a cut then splits, the next one adds.
fn whole(side: &[AtomicU64]) -> Counts {
    let read = || Counts {
        packets: side[PACKETS].load(Ordering::Acquire),
        octets: side[OCTETS].load(Ordering::Acquire),
        layer2_octets: side[LAYER2_OCTETS].load(Ordering::Acquire),
        tcp_flags: 0,
    };
    let mut last = read();
    for _ in 0..READS_MOST {
        let again = read();
        if again == last {
            break;
        }
        last = again;
    }
    last
}
