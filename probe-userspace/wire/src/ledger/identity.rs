//! What an identity is: two sides of named terms that must come to the same, and how far they may be apart.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::Amount;
use crate::fault::Hop;

/// Octets of one frame at most, where a bound in packets is turned into one in octets: a merged packet of 64 KiB with its
/// link-layer header.
pub const FRAME_OCTETS_MAX: u64 = 65_600;

/// One term of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Term {
    /// By its name in ledger.md, with its reason: `passed.filter`.
    pub name: String,
    /// Packets, records or batches.
    pub count: u64,
    /// Their octets, where the identity compares octets.
    pub octets: u64,
}

/// What an identity counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Packets, with their octets.
    PacketsAndOctets,
    /// Packets alone: the kernel counts no octets of ring losses.
    Packets,
    /// Flow records.
    Records,
    /// Sealed batches.
    Batches,
    /// Messages of a publisher that is none of ours.
    Messages,
}

/// One identity with its numbers: left = right, but for what is in flight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Its name in reports: the term on the left.
    pub name: &'static str,
    /// Where something went astray if it does not hold.
    pub hop: Hop,
    /// Of which queue, sink or stream; empty for the whole probe.
    pub scope: String,
    /// What is counted.
    pub unit: Unit,
    /// Upstream.
    pub left: Vec<Term>,
    /// Downstream.
    pub right: Vec<Term>,
    /// The least that left less right may be.
    pub least: i64,
    /// The most.
    pub most: i64,
}

impl Identity {
    pub(super) fn new(name: &'static str, hop: Hop, scope: impl Into<String>, unit: Unit) -> Self {
        let (left, right) = (Vec::new(), Vec::new());
        Self { name, hop, scope: scope.into(), unit, left, right, least: 0, most: 0 }
    }

    pub(super) fn within(mut self, bound: RangeInclusive<i64>) -> Self {
        (self.least, self.most) = bound.into_inner();
        self
    }

    pub(super) fn left(mut self, name: impl Into<String>, amount: impl Into<Amount>) -> Self {
        self.left.push(term(name, amount));
        self
    }

    pub(super) fn right(mut self, name: impl Into<String>, amount: impl Into<Amount>) -> Self {
        self.right.push(term(name, amount));
        self
    }

    /// Left less right, in packets, records or batches.
    pub fn left_over(&self) -> i64 {
        difference(&self.left, &self.right, |term| term.count)
    }

    /// Left less right, in octets; 0 where octets are not compared.
    pub fn left_over_octets(&self) -> i64 {
        match self.unit {
            Unit::PacketsAndOctets => difference(&self.left, &self.right, |term| term.octets),
            Unit::Packets | Unit::Records | Unit::Batches | Unit::Messages => 0,
        }
    }

    /// How far the left-over lies outside of its bound: zero where the identity holds.
    pub fn breach(&self) -> Amount {
        let packets = outside(self.left_over(), self.least, self.most);
        if self.unit != Unit::PacketsAndOctets {
            return Amount { packets, octets: 0 };
        }
        // Saturating: the terms may be anybody's, and must not panic a reader.
        let octets = |count: i64| count.saturating_mul(FRAME_OCTETS_MAX as i64);
        Amount { packets, octets: outside(self.left_over_octets(), octets(self.least), octets(self.most)) }
    }

    /// Whether the left-over is within its bound.
    pub fn holds(&self) -> bool {
        self.breach() == Amount::ZERO
    }

    /// As an equation, for people: `seen 10 = passed.own 1 + redirected 8, left over 1 packet`.
    pub fn equation(&self) -> String {
        let side = |terms: &[Term]| {
            let terms: Vec<_> = terms.iter().map(|term| format!("{} {}", term.name, term.count)).collect();
            if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") }
        };
        let unit = match self.unit {
            Unit::PacketsAndOctets | Unit::Packets => "packets",
            Unit::Records => "records",
            Unit::Batches => "batches",
            Unit::Messages => "messages",
        };
        let octets = match (self.unit, self.left_over_octets()) {
            (Unit::PacketsAndOctets, octets) => format!(", {octets} octets"),
            _ => String::new(),
        };
        format!("{} = {}, left over {} {unit}{octets}", side(&self.left), side(&self.right), self.left_over())
    }
}

/// A bare count is an amount without octets.
impl From<u64> for Amount {
    fn from(packets: u64) -> Self {
        Self { packets, octets: 0 }
    }
}

/// The sum of the absolute values of all that is left over beyond its bound (packets, records or batches alike: each is one
/// thing that nobody can account for).
pub fn residual(identities: &[Identity]) -> Amount {
    identities.iter().map(Identity::breach).fold(Amount::ZERO, |sum, breach| Amount {
        packets: sum.packets.saturating_add(breach.packets),
        octets: sum.octets.saturating_add(breach.octets),
    })
}

/// The identities that do not hold, first hop first: the first one names where to look.
pub fn broken(identities: &[Identity]) -> Vec<&Identity> {
    let mut broken: Vec<_> = identities.iter().filter(|identity| !identity.holds()).collect();
    broken.sort_by_key(|identity| identity.hop);
    broken
}

fn term(name: impl Into<String>, amount: impl Into<Amount>) -> Term {
    let Amount { packets: count, octets } = amount.into();
    Term { name: name.into(), count, octets }
}

/// In 128 bits, since the terms come from a message that anybody may have written; what does not fit into 64 is as broken
/// as what just does.
fn difference(left: &[Term], right: &[Term], of: impl Fn(&Term) -> u64) -> i64 {
    let sum = |terms: &[Term]| terms.iter().map(|term| i128::from(of(term))).sum::<i128>();
    let difference = sum(left) - sum(right);
    difference.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

fn outside(value: i64, least: i64, most: i64) -> u64 {
    if value < least { least.abs_diff(value) } else { value.saturating_sub(most).max(0).unsigned_abs() }
}
