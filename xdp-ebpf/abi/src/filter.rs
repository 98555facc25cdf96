//! The capture filter's judgement, the same in the XDP program (rules in maps) and in user space (rules in memory).
//!
//! Three kinds of words: prefixes, ports, protocols; each with or without `not`. A packet is selected when
//! - no word with `not` names it,
//! - of every kind that has words without `not`, one of them names it.
//!
//! | | judged by |
//! |---|---|
//! | prefixes | source and destination, either; for one address the longest prefix decides |
//! | ports | source and destination port, either; a protocol without ports has none; a later fragment is not asked |
//! | protocols | the protocol number |
//! | a frame that is not IP | selected unless there is any word without `not` |
//! | an undecodable frame | always selected: the worker judges it and counts its reason |

use crate::headers::{Fragment, Headers, Unmetered};
use crate::map::FilterBits;
use crate::protocol::{SCTP, TCP, UDP};

/// Which kinds of words a filter has, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Kinds(pub u32);

impl Kinds {
    /// Prefixes without `not`.
    pub const PREFIX_INCLUDE: u32 = 1;
    /// Prefixes with `not`.
    pub const PREFIX_EXCLUDE: u32 = 2;
    /// Ports without `not`.
    pub const PORT_INCLUDE: u32 = 4;
    /// Ports with `not`.
    pub const PORT_EXCLUDE: u32 = 8;
    /// Protocols without `not`.
    pub const PROTOCOL_INCLUDE: u32 = 16;
    /// Protocols with `not`.
    pub const PROTOCOL_EXCLUDE: u32 = 32;

    const ANY_INCLUDE: u32 = Self::PREFIX_INCLUDE | Self::PORT_INCLUDE | Self::PROTOCOL_INCLUDE;

    #[inline(always)]
    fn any(self, bits: u32) -> bool {
        self.0 & bits != 0
    }
}

/// What a filter says of one address, port or protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Verdict {
    /// Not named.
    Unnamed = 0,
    /// Named without `not`.
    Include = 1,
    /// Named with `not`.
    Exclude = 2,
}

impl Verdict {
    /// As stored in a map; a number that nobody wrote counts as not named.
    #[inline(always)]
    pub fn from_stored(stored: u32) -> Self {
        match stored {
            1 => Self::Include,
            2 => Self::Exclude,
            _ => Self::Unnamed,
        }
    }

    /// Of bit `number` modulo 64; `not` wins where both name it.
    #[inline(always)]
    pub fn of_bit(bits: &FilterBits, number: u32) -> Self {
        let bit = 1u64 << (number & 63);
        if bits.exclude & bit != 0 {
            Self::Exclude
        } else if bits.include & bit != 0 {
            Self::Include
        } else {
            Self::Unnamed
        }
    }
}

/// The rules of one filter, wherever they are kept.
pub trait Rules {
    /// Which kinds of words there are; the others are never asked for.
    fn kinds(&self) -> Kinds;
    /// The longest prefix that holds this address (network order, IPv4 in the first four octets).
    fn prefix(&self, ip_version: u8, address: &[u8; 16]) -> Verdict;
    /// The port's verdict.
    fn port(&self, port: u16) -> Verdict;
    /// The protocol's verdict.
    fn protocol(&self, protocol: u8) -> Verdict;
}

/// Whether the frame is to be captured.
#[inline(always)]
pub fn selects<R: Rules>(rules: &R, walked: &Result<Headers, Unmetered>) -> bool {
    match walked {
        Ok(headers) => selects_packet(rules, headers),
        Err(reason) => selects_unmetered(rules, reason),
    }
}

/// Whether the packet is to be captured.
#[inline(always)]
pub fn selects_packet<R: Rules>(rules: &R, headers: &Headers) -> bool {
    let kinds = rules.kinds();
    protocol_selects(rules, kinds, headers)
        && ports_select(rules, kinds, headers)
        && prefixes_select(rules, kinds, headers)
}

/// Whether the frame is to be captured though it is in no flow.
#[inline(always)]
pub fn selects_unmetered<R: Rules>(rules: &R, reason: &Unmetered) -> bool {
    match reason {
        Unmetered::NonFlow(_) => !rules.kinds().any(Kinds::ANY_INCLUDE),
        Unmetered::Undecodable(_) => true,
    }
}

#[inline(always)]
fn protocol_selects<R: Rules>(rules: &R, kinds: Kinds, headers: &Headers) -> bool {
    if !kinds.any(Kinds::PROTOCOL_INCLUDE | Kinds::PROTOCOL_EXCLUDE) {
        return true;
    }
    let verdict = rules.protocol(headers.key.protocol);
    either(kinds.any(Kinds::PROTOCOL_INCLUDE), verdict, verdict)
}

#[inline(always)]
fn ports_select<R: Rules>(rules: &R, kinds: Kinds, headers: &Headers) -> bool {
    if !kinds.any(Kinds::PORT_INCLUDE | Kinds::PORT_EXCLUDE) {
        return true;
    }
    let named = kinds.any(Kinds::PORT_INCLUDE);
    match (headers.key.protocol, headers.fragment) {
        (TCP | UDP | SCTP, Fragment::Later(_)) => true,
        (TCP | UDP | SCTP, _) => {
            either(named, rules.port(headers.key.low_port), rules.port(headers.key.high_port))
        }
        _ => !named,
    }
}

#[inline(always)]
fn prefixes_select<R: Rules>(rules: &R, kinds: Kinds, headers: &Headers) -> bool {
    if !kinds.any(Kinds::PREFIX_INCLUDE | Kinds::PREFIX_EXCLUDE) {
        return true;
    }
    let low = rules.prefix(headers.key.ip_version, &headers.key.low_address);
    let high = rules.prefix(headers.key.ip_version, &headers.key.high_address);
    either(kinds.any(Kinds::PREFIX_INCLUDE), low, high)
}

#[inline(always)]
fn either(must_be_named: bool, a: Verdict, b: Verdict) -> bool {
    if a == Verdict::Exclude || b == Verdict::Exclude {
        return false;
    }
    !must_be_named || a == Verdict::Include || b == Verdict::Include
}
