//! What the program has counted of a flow, into its entry: see `survive::shunts` for the order.

use flow_wire::fault::{self, Fault, Hop};
use flow_wire::ledger::Amount;

use crate::flow::Entry;
use crate::source::xdp::shunt::{Counts, Shunt};
use crate::survive::journal::Journal;
use crate::survive::shunts::Account;

/// What came since the last time; `None` = nothing. The journal knows the entry by the number `target`.
pub(super) fn merge(
    (shunt, account): (&Shunt, &mut Account),
    (place, entry): (usize, &mut Entry),
    (journal, target): (&mut Journal, usize),
    now: u64,
) -> Option<Amount> {
    let counts = shunt.counts(place);
    let mut more = account.since(place, &counts)?;
    if more == [Counts::default(); 2] {
        return None;
    }
    suffer(&mut more);
    let amount = shunted_amount(&more);
    account.merging(place, entry);
    journal.merging(target);
    entry.merge(&more, shunt.last_at(place), now);
    account.merged(place, &counts, amount);
    journal.written();
    shunt.take_flags(place, more.map(|more| more.tcp_flags));
    Some(amount)
}

/// Where a fault-injection build loses or doubles a packet between reading and merging.
fn suffer(more: &mut [Counts; 2]) {
    let Some(side) = more.iter_mut().find(|side| side.packets > 0) else { return };
    match fault::take(Hop::Shunt) {
        None => {}
        Some(Fault::Lose) => side.packets -= 1,
        Some(Fault::Double) => side.packets += 1,
    }
}

/// Of both directions.
pub(crate) fn shunted_amount(more: &[Counts; 2]) -> Amount {
    Amount {
        packets: more[0].packets + more[1].packets,
        octets: more[0].layer2_octets + more[1].layer2_octets,
    }
}
