//! Flows that are counted here and go no further.

use crate::maps::{SHUNT, SHUNT_COUNTS, SHUNT_KEYS};
use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_coarse_ns};
use xdp_abi::headers::Headers;
use xdp_abi::key::Direction;
use xdp_abi::shunt::{
    FLOWS, IDLE, LAYER2_OCTETS, OCTETS, PACKETS, PLACES, Place, Row, SIDE_WORDS, TCP_FLAGS, Verdict, Words,
    index, is_candidate, judge, taken,
};

/// Where a packet of a flow goes.
pub(crate) enum Way {
    /// Nowhere: it is counted.
    Counted,
    /// To the worker.
    Up,
    /// To the worker; where that is not there, this place is to be stopped.
    Sample(u32),
}

/// Without shunted flows one load and one comparison, for another flow's packet two more.
#[inline(always)]
pub(crate) fn way(headers: &Headers, hash: u64, octets: u64) -> Way {
    let Some(head) = SHUNT.get_ptr(0) else { return Way::Up };
    // SAFETY: a word of the map's value; user space writes it as one.
    let (flows, idle) = unsafe { ((&raw const (*head)[FLOWS]).read_volatile(), (*head)[IDLE]) };
    if flows == 0 || !is_candidate(headers) {
        return Way::Up;
    }
    let at = index(hash);
    let (word, bit) = taken(at);
    // SAFETY: as above; the word lies within the value for every index, which the verifier proves again.
    if unsafe { head.cast::<u64>().add(word).read_volatile() } & bit == 0 {
        return Way::Up;
    }
    match found(headers, octets, at, idle) {
        Verdict::Count => Way::Counted,
        Verdict::Up => Way::Up,
        Verdict::Sample => Way::Sample(at),
    }
}

/// From now on all packets of this place come up.
#[inline(always)]
pub(crate) fn stop(at: u32) {
    if let Some(place) = SHUNT_KEYS.get_ptr_mut(at) {
        xdp_abi::shunt::stop(&Memory(place));
    }
}

/// The clock is as coarse as the kernel's tick: a fine one would cost a tenth of what a shunted packet costs, and times of shunted
/// packets are no finer than the samples anyway.
#[inline(always)]
fn found(headers: &Headers, octets: u64, at: u32, idle: u64) -> Verdict {
    let Some(place) = SHUNT_KEYS.get_ptr_mut(at) else { return Verdict::Up };
    // SAFETY: both helpers only answer.
    let (cpu, now) = unsafe { (bpf_get_smp_processor_id(), bpf_ktime_get_coarse_ns()) };
    // Before anything is marked: a CPU without a row counts nothing.
    let Some(row) = SHUNT_COUNTS.get_ptr_mut(cpu * PLACES + at) else { return Verdict::Up };
    let verdict = judge(&Memory(place), headers, now, idle);
    if let Verdict::Count = verdict {
        count(row, headers, octets);
    }
    verdict
}

#[inline(always)]
fn count(row: *mut Row, headers: &Headers, octets: u64) {
    // A length of 0: the packet reaches to the end of the frame.
    let ip_octets = match headers.ip_octets {
        0 => octets - u64::from(headers.ip_offset),
        octets => u64::from(octets),
    };
    let side = proven(headers.direction) * SIDE_WORDS;
    // SAFETY: the row is this CPU's own, and nothing else runs the program there meanwhile: XDP runs with bottom halves off. The
    // words lie within it.
    unsafe {
        let side = row.cast::<u64>().add(side);
        *side.add(PACKETS) += 1;
        *side.add(OCTETS) += ip_octets;
        *side.add(LAYER2_OCTETS) += octets;
        let flags = side.add(TCP_FLAGS);
        flags.write_volatile(flags.read_volatile() | u64::from(headers.tcp_flags));
    }
}

/// The compiler knows that it is 0 or 1 and would leave the mask out; the verifier does not know.
#[inline(always)]
fn proven(direction: Direction) -> usize {
    let mut number = direction as u64;
    let place = &raw mut number;
    // SAFETY: a local variable.
    unsafe {
        place.write_volatile(direction as u64);
        place.read_volatile() as usize & 1
    }
}

struct Memory(*mut Place);

impl Words for Memory {
    #[inline(always)]
    fn get(&self, at: usize) -> u64 {
        // SAFETY: callers ask for words of a place; the verifier proves it again.
        unsafe { self.0.cast::<u64>().add(at).read_volatile() }
    }

    #[inline(always)]
    fn set(&self, at: usize, value: u64) {
        // SAFETY: as above.
        unsafe { self.0.cast::<u64>().add(at).write_volatile(value) }
    }

    #[inline(always)]
    fn side(&self, direction: Direction) -> usize {
        proven(direction)
    }
}
