//! Ports for fragments that have none: the first fragment's, remembered by what all fragments of a packet share.
//!
//! A table of fixed size. A first fragment pushes out the oldest of its set; a later fragment whose first is not there
//! (not seen yet, forgotten, pushed out) keeps port 0 and is counted.

use std::time::Duration;

use xdp_abi::headers::Fragment;
use xdp_abi::key::{Direction, FlowKey};
use xdp_abi::protocol::{SCTP, TCP, UDP};

use crate::packet::Packet;

/// Packets whose fragments may be under way at once: 320 kB; at 30 s a packet, 136 fragmented packets a second for sure,
/// and in practice far more, since fragments follow each other within milliseconds.
const CAPACITY: usize = 4096;
const WAYS: usize = 4;
const SETS: usize = CAPACITY / WAYS;

/// How long a first fragment is remembered: Linux's `ipfrag_time`. Afterwards the identification may be in use again.
pub(super) const LIFETIME: Duration = Duration::from_secs(30);
const LIFETIME_NANOSECONDS: u64 = LIFETIME.as_nanos() as u64;

/// Stands for any protocol in an IPv6 identity: later fragments may announce another one (RFC 8200, 4.5).
const ANY_PROTOCOL: u8 = 0;

/// The table of one shard.
pub struct Fragments {
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy)]
struct Slot {
    identity: Identity,
    source_port: u16,
    destination_port: u16,
    protocol: u8,
    /// Clock at the first fragment; `None` = never used.
    at: Option<u64>,
}

/// What the fragments of a packet share. The identification stands where the ports of a flow key are.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    key: FlowKey,
    direction: Direction,
}

impl Default for Fragments {
    fn default() -> Self {
        Self::new()
    }
}

impl Fragments {
    /// An empty table; the only allocation.
    pub fn new() -> Self {
        let vacant = Slot {
            identity: Identity { key: super::entry::Entry::VACANT.key, direction: Direction::LowToHigh },
            source_port: 0,
            destination_port: 0,
            protocol: 0,
            at: None,
        };
        Self { slots: vec![vacant; CAPACITY].into_boxed_slice() }
    }

    /// Remembers a first fragment, and gives a later one the ports of its first. `false` = it should have ports, and has
    /// none since its first is not known.
    #[inline]
    pub fn resolve(&mut self, packet: &mut Packet, now: u64) -> bool {
        match packet.headers.fragment {
            Fragment::Whole => true,
            Fragment::First(identification) => {
                self.remember(packet, identification, now);
                true
            }
            Fragment::Later(identification) => {
                self.give(packet, identification, now)
                    || !matches!(packet.headers.key.protocol, TCP | UDP | SCTP)
            }
        }
    }

    fn remember(&mut self, packet: &Packet, identification: u32, now: u64) {
        let identity = Identity::of(packet, identification);
        let key = &packet.headers.key;
        let (source_port, destination_port) = match packet.headers.direction {
            Direction::LowToHigh => (key.low_port, key.high_port),
            Direction::HighToLow => (key.high_port, key.low_port),
        };
        let slot = Slot { identity, source_port, destination_port, protocol: key.protocol, at: Some(now) };
        let set = self.set(&identity);
        let known = set.iter().position(|slot| slot.at.is_some() && slot.identity == identity);
        // `None` is the smallest of all: a slot that was never used goes first.
        let oldest = set.iter().enumerate().min_by_key(|(_, slot)| slot.at).map(|(way, _)| way);
        if let Some(way) = known.or(oldest) {
            set[way] = slot;
        }
    }

    fn give(&mut self, packet: &mut Packet, identification: u32, now: u64) -> bool {
        let identity = Identity::of(packet, identification);
        let is_first = |slot: &&mut Slot| {
            slot.identity == identity
                && slot.at.is_some_and(|at| now.saturating_sub(at) < LIFETIME_NANOSECONDS)
        };
        let Some(first) = self.set(&identity).iter_mut().find(is_first) else { return false };
        put_ports(packet, first.source_port, first.destination_port);
        packet.headers.key.protocol = first.protocol;
        true
    }

    fn set(&mut self, identity: &Identity) -> &mut [Slot] {
        let set = identity.key.hash() as usize % SETS;
        &mut self.slots[set * WAYS..(set + 1) * WAYS]
    }
}

impl Identity {
    fn of(packet: &Packet, identification: u32) -> Self {
        let mut key = packet.headers.key;
        key.low_port = (identification >> 16) as u16;
        key.high_port = identification as u16;
        if key.ip_version == 6 {
            key.protocol = ANY_PROTOCOL;
        }
        // Between equal addresses the direction hangs on the ports, which a later fragment does not know.
        let direction = match key.low_address == key.high_address {
            true => Direction::LowToHigh,
            false => packet.headers.direction,
        };
        Self { key, direction }
    }
}

/// Completes a key whose ends are ordered by their addresses alone.
fn put_ports(packet: &mut Packet, source_port: u16, destination_port: u16) {
    let headers = &mut packet.headers;
    if headers.key.low_address == headers.key.high_address {
        headers.direction = match source_port <= destination_port {
            true => Direction::LowToHigh,
            false => Direction::HighToLow,
        };
    }
    (headers.key.low_port, headers.key.high_port) = match headers.direction {
        Direction::LowToHigh => (source_port, destination_port),
        Direction::HighToLow => (destination_port, source_port),
    };
}
