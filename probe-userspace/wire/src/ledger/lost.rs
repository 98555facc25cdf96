//! What sinks lost, in one sum. Sinks are copies of each other: the same packet can be lost for each of them, and adding
//! them up would count it twice. So the sum is that of the sink that lost most.

use std::collections::BTreeMap;

use super::{Amount, Discard, Message};

/// What one sink lost for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Records that it did not get.
    pub records: u64,
    /// Packets and layer-2 octets in them.
    pub amount: Amount,
}

/// Name and losses by reason, over all streams, of the sink that lost most packets (records, where packets are equal);
/// `None` = no sink lost anything. Records without any sink are no loss: so it was asked for.
pub fn lost_by_worst_sink(message: &Message) -> Option<(&str, BTreeMap<Discard, Lost>)> {
    let mut sinks: BTreeMap<(&str, u16), BTreeMap<Discard, Lost>> = BTreeMap::new();
    for cursor in &message.cursors {
        let losses = cursor.discarded.iter().filter(|(reason, _)| **reason != Discard::NoSink);
        for (reason, records) in losses.filter(|(_, records)| **records > 0) {
            let lost = sinks.entry((&cursor.sink, cursor.number)).or_default().entry(*reason).or_default();
            lost.records += records;
            lost.amount += cursor.discarded_amounts.get(reason).copied().unwrap_or(Amount::ZERO);
        }
    }
    let weight = |losses: &BTreeMap<Discard, Lost>| {
        losses
            .values()
            .fold((0, 0), |(packets, records), lost| (packets + lost.amount.packets, records + lost.records))
    };
    let worst = sinks.into_iter().max_by_key(|(_, losses)| weight(losses));
    worst.map(|((sink, _), losses)| (sink, losses))
}
