//! The shunt's maps of one program, in this process's memory.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aya::maps::{Map, MapData};
use flow_wire::ledger::Amount;
use xdp_abi::key::FlowKey;
use xdp_abi::shunt::{self, FLOWS, IDLE, LAST_AT, PLACES, SAMPLED_AT, STOPPED, taken};

use super::counted::{Counted, amount};
use crate::survive::{Memory, Words};

const HEAD_WORDS: usize = size_of::<shunt::Head>() / 8;

/// The maps of one program; all words are atomics that both sides write in turns, each as `xdp_abi::shunt` says.
#[derive(Clone)]
pub struct Table {
    head: Words,
    counted: Counted,
    /// Places that ever had a flow.
    used: Arc<[AtomicBool]>,
}

/// The maps cannot be mapped.
#[derive(Debug)]
pub(crate) struct LoadError {
    /// Which.
    pub(crate) map: &'static str,
    /// Why.
    pub(crate) error: io::Error,
}

impl Table {
    /// Over the maps of a program that was loaded with rows for so many CPUs.
    ///
    /// System call: mmap(2).
    pub(crate) fn of<'a>(
        map: impl Fn(&'static str) -> Option<&'a Map>,
        cpus: usize,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            head: words_of(&map, xdp_abi::map::SHUNT, HEAD_WORDS)?,
            counted: Counted::of(&map, cpus)?,
            used: unused(),
        })
    }

    /// Silence that stops a shunt.
    pub fn set_idle(&self, idle: Duration) {
        self.head[IDLE].store(u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The program counts this flow at its place from now on. `now` by CLOCK_MONOTONIC; `is_known`: of the other directions the
    /// first packet comes up.
    ///
    /// The key first, then what makes it hold. Other workers have the other bits of the word.
    pub fn put_in(&self, place: usize, key: &FlowKey, now: u64, is_known: [bool; 2]) {
        self.used[place].store(true, Ordering::Relaxed);
        let words = self.counted.place(place);
        for (word, value) in words.iter().zip(key.words()) {
            word.store(value, Ordering::Relaxed);
        }
        words[STOPPED].store(0, Ordering::Relaxed);
        words[LAST_AT].store(now, Ordering::Relaxed);
        for (side, is_known) in is_known.into_iter().enumerate() {
            words[SAMPLED_AT + side].store(if is_known { now } else { 0 }, Ordering::Relaxed);
        }
        let (word, bit) = taken(place as u32);
        self.head[word].fetch_or(bit, Ordering::Release);
        self.head[FLOWS].fetch_add(1, Ordering::Release);
    }

    /// The program looks for it no more, once those end that have begun.
    pub fn take_out(&self, place: usize) {
        let (word, bit) = taken(place as u32);
        self.head[word].fetch_and(!bit, Ordering::Release);
        self.head[FLOWS].fetch_sub(1, Ordering::Release);
    }

    /// Whether the program has stopped it.
    pub fn is_stopped(&self, place: usize) -> bool {
        self.counted.place(place)[STOPPED].load(Ordering::Relaxed) != 0
    }

    /// What outlives the program.
    pub fn counted(&self) -> &Counted {
        &self.counted
    }

    /// What was counted at all places, ever: half a megabyte for each CPU that there may be.
    pub fn total(&self) -> Amount {
        self.counted.total()
    }

    /// The same of places that ever had a flow, in a run that goes on: what the program counts elsewhere, which it must not, is in
    /// [`Table::total`], and in the counter of the outcome.
    pub fn total_of_used(&self) -> Amount {
        let is_used = |place: &usize| self.used[*place].load(Ordering::Relaxed);
        let rows = (0..PLACES as usize).filter(is_used).flat_map(|place| self.counted.rows(place));
        rows.map(amount).fold(Amount::ZERO, |sum, more| sum + more)
    }
}

fn unused() -> Arc<[AtomicBool]> {
    (0..PLACES).map(|_| AtomicBool::new(false)).collect()
}

/// The memory of a map, of so many words.
pub(super) fn words_of<'a>(
    map: &impl Fn(&'static str) -> Option<&'a Map>,
    name: &'static str,
    count: usize,
) -> Result<Words, LoadError> {
    let failed = |error| LoadError { map: name, error };
    let data = map(name).and_then(array).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let memory = Memory::of_map(data.fd().as_fd(), count * size_of::<u64>());
    Ok(memory.map_err(failed)?.words(count))
}

fn array(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data) => Some(data),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! The program, run by hand over the same memory.

    use xdp_abi::headers::Headers;
    use xdp_abi::shunt::{
        LAYER2_OCTETS, OCTETS, PACKETS, SIDE_WORDS, TCP_FLAGS, Verdict, index, is_candidate, judge, stop,
    };

    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::source::xdp::shunt::counted::{PLACE_WORDS, ROW_WORDS};

    /// A CPU for each of these.
    const CPUS: usize = 2;

    impl Table {
        pub(crate) fn anonymous() -> Self {
            let places = PLACES as usize;
            let words = |count: usize| Memory::anonymous(count * 8).unwrap().words(count);
            Self {
                head: words(HEAD_WORDS),
                counted: Counted {
                    keys: words(places * PLACE_WORDS),
                    counts: words(CPUS * places * ROW_WORDS),
                },
                used: unused(),
            }
        }

        /// Whether the program finds the place of this flow taken: then it goes on with [`Table::judge`], whatever happens meanwhile.
        pub(crate) fn finds(&self, headers: &Headers) -> bool {
            let (word, bit) = taken(index(headers.key.hash()));
            let is_there = self.head[word].load(Ordering::Relaxed) & bit != 0;
            is_there && self.head[FLOWS].load(Ordering::Relaxed) > 0 && is_candidate(headers)
        }

        /// What it does then; `true` = the packet comes up.
        pub(crate) fn judge(
            &self,
            headers: &Headers,
            layer2_octets: u32,
            (now, cpu): (u64, usize),
            has_socket: bool,
        ) -> bool {
            let at = index(headers.key.hash()) as usize;
            let place = ByHand(self.counted.place(at));
            match judge(&place, headers, now, self.head[IDLE].load(Ordering::Relaxed)) {
                Verdict::Up => return true,
                Verdict::Sample => {
                    if !has_socket {
                        stop(&place);
                    }
                    return true;
                }
                Verdict::Count => {}
            }
            let row = (cpu % CPUS * PLACES as usize + at) * ROW_WORDS;
            let side = &self.counted.counts[row + SIDE_WORDS * headers.direction as usize..][..SIDE_WORDS];
            for (word, more) in [(PACKETS, 1), (OCTETS, headers.ip_octets), (LAYER2_OCTETS, layer2_octets)] {
                side[word].fetch_add(more.into(), Ordering::Relaxed);
            }
            side[TCP_FLAGS].fetch_or(headers.tcp_flags.into(), Ordering::Relaxed);
            false
        }
    }

    struct ByHand<'a>(&'a [AtomicU64]);

    impl shunt::Words for ByHand<'_> {
        fn get(&self, at: usize) -> u64 {
            self.0[at].load(Ordering::Relaxed)
        }

        fn set(&self, at: usize, value: u64) {
            self.0[at].store(value, Ordering::Relaxed);
        }
    }
}
