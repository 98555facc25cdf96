//! Amounts by reason, counted without a map.

use flow_wire::ledger::{Amount, ByReason};

/// Reasons of one kind at most; the closed lists of `xdp_abi` are half as long.
const REASONS: usize = 32;

/// A counter per reason, by the number that the reason has.
#[derive(Clone, Debug)]
pub(super) struct Tally<R>([Option<(R, Amount)>; REASONS]);

impl<R: Copy + Ord> Tally<R> {
    pub(super) fn new() -> Self {
        Self([None; REASONS])
    }

    pub(super) fn add(&mut self, number: usize, reason: R, amount: Amount) {
        self.0[number].get_or_insert((reason, Amount::ZERO)).1 += amount;
    }

    /// Of the reason with this number.
    pub(super) fn amount(&self, number: usize) -> Amount {
        self.0[number].map_or(Amount::ZERO, |(_, amount)| amount)
    }

    /// As the ledger has it: a reason that never happened is absent.
    pub(super) fn by_reason(&self) -> ByReason<R> {
        self.0.iter().flatten().copied().collect()
    }
}
