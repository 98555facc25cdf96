//! The terms of a shard as numbers of a bank, and back: what a next start reads of a killed one.

use flow_wire::ledger::{Amount, ByReason, WorkerTerms};
use xdp_abi::headers::{NonFlow, Undecodable};

use super::Shard;
use crate::survive::journal::Journal;

/// By their numbers.
const UNDECODABLE: [Undecodable; 15] = [
    Undecodable::LinkTruncated,
    Undecodable::VlanTruncated,
    Undecodable::VlanTooMany,
    Undecodable::IpVersion,
    Undecodable::Ipv4Truncated,
    Undecodable::Ipv4HeaderLength,
    Undecodable::Ipv4TotalLength,
    Undecodable::Ipv6Truncated,
    Undecodable::Ipv6ExtensionTruncated,
    Undecodable::Ipv6ExtensionTooMany,
    Undecodable::TcpTruncated,
    Undecodable::TcpDataOffset,
    Undecodable::UdpTruncated,
    Undecodable::SctpTruncated,
    Undecodable::IcmpTruncated,
];

/// By their numbers.
const NON_FLOW: [NonFlow; 8] = [
    NonFlow::Arp,
    NonFlow::Lldp,
    NonFlow::Mpls,
    NonFlow::Pppoe,
    NonFlow::Llc,
    NonFlow::OtherEthertype,
    NonFlow::OtherFamily,
    NonFlow::LinkType,
];

const METERED: usize = 0;
const RECEIVED: usize = 2;
const HANDED_OVER: usize = 4;
const TAKEN_OVER: usize = 6;
const HANDOVER_FULL: usize = 8;
const FRAGMENTS: usize = 10;
const EVICTED: usize = 11;
const FIRST_UNDECODABLE: usize = 12;
const FIRST_NON_FLOW: usize = FIRST_UNDECODABLE + 2 * UNDECODABLE.len();
const NOT_SELECTED: usize = FIRST_NON_FLOW + 2 * NON_FLOW.len();

/// Numbers of all of them.
pub(crate) const TERMS: usize = NOT_SELECTED + 2;

/// The terms as they stand.
#[inline]
pub(super) fn of(shard: &Shard) -> [u64; TERMS] {
    let mut numbers = [0; TERMS];
    let mut put =
        |at: usize, amount: Amount| (numbers[at], numbers[at + 1]) = (amount.packets, amount.octets);
    put(METERED, shard.cache.metered());
    put(RECEIVED, shard.received);
    put(HANDED_OVER, shard.handed_over);
    put(TAKEN_OVER, shard.taken_over);
    put(HANDOVER_FULL, shard.handover_full);
    put(NOT_SELECTED, shard.not_selected);
    for at in 0..UNDECODABLE.len() {
        put(FIRST_UNDECODABLE + 2 * at, shard.undecodable.amount(at));
    }
    for at in 0..NON_FLOW.len() {
        put(FIRST_NON_FLOW + 2 * at, shard.non_flow.amount(at));
    }
    numbers[FRAGMENTS] = shard.fragments_without_first;
    numbers[EVICTED] = shard.cache.evicted_flows();
    numbers
}

/// The terms of a shard that was killed. What its last burst had metered by then stands in the journal: it had come from
/// where the journal says.
pub(crate) fn terms_of(numbers: &[u64; TERMS], journal: &Journal, worker: u16) -> WorkerTerms {
    let amount = |at: usize| Amount { packets: numbers[at], octets: numbers[at + 1] };
    let metered = journal.amount();
    let since = Amount {
        packets: metered.packets.saturating_sub(numbers[METERED]),
        octets: metered.octets.saturating_sub(numbers[METERED + 1]),
    };
    let mut terms = WorkerTerms {
        worker,
        metered,
        received: amount(RECEIVED),
        handed_over: amount(HANDED_OVER),
        taken_over: amount(TAKEN_OVER),
        handover_full: amount(HANDOVER_FULL),
        not_selected: amount(NOT_SELECTED),
        undecodable: by_reason(&UNDECODABLE, |at| amount(FIRST_UNDECODABLE + 2 * at)),
        non_flow: by_reason(&NON_FLOW, |at| amount(FIRST_NON_FLOW + 2 * at)),
        fragments_without_first: numbers[FRAGMENTS],
        evicted_flows: numbers[EVICTED],
        ..WorkerTerms::default()
    };
    let from = if journal.is_taken_over() { &mut terms.taken_over } else { &mut terms.received };
    from.packets = from.packets.saturating_add(since.packets);
    from.octets = from.octets.saturating_add(since.octets);
    terms
}

fn by_reason<R: Copy + Ord>(reasons: &[R], amount: impl Fn(usize) -> Amount) -> ByReason<R> {
    let all = reasons.iter().enumerate().map(|(at, reason)| (*reason, amount(at)));
    all.filter(|(_, amount)| *amount != Amount::ZERO).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_at_their_numbers() {
        assert!(UNDECODABLE.iter().enumerate().all(|(at, reason)| *reason as usize == at));
        assert!(NON_FLOW.iter().enumerate().all(|(at, reason)| *reason as usize == at));
    }
}
