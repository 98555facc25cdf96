//! The books of one cursor and stream, in records: out = acknowledged + waiting + discarded.

use std::collections::BTreeMap;

use flow_wire::batch::Sealed;
use flow_wire::ledger::{Amount, ByReason, CursorTerms, Discard, Guarantee};
use flow_wire::stamp::StreamId;
use serde::{Deserialize, Serialize};

/// What some batches hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Batches.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Packets and layer-2 octets in those.
    pub amount: Amount,
}

impl Tally {
    /// Of one batch.
    pub fn of(sealed: &Sealed) -> Self {
        Self { batches: 1, records: u64::from(sealed.header.rows), amount: sealed.exported }
    }

    /// What is in both.
    pub fn add(&mut self, other: Self) {
        // What was read from a disk is added here: a sum is never worth a panic.
        self.batches = self.batches.saturating_add(other.batches);
        self.records = self.records.saturating_add(other.records);
        self.amount.packets = self.amount.packets.saturating_add(other.amount.packets);
        self.amount.octets = self.amount.octets.saturating_add(other.amount.octets);
    }

    /// What is in it beyond `other`; nothing, where that has more.
    pub(super) fn beyond(self, other: Self) -> Self {
        Self {
            batches: self.batches.saturating_sub(other.batches),
            records: self.records.saturating_sub(other.records),
            amount: Amount {
                packets: self.amount.packets.saturating_sub(other.amount.packets),
                octets: self.amount.octets.saturating_sub(other.amount.octets),
            },
        }
    }
}

/// Where one stream stands for one cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Sealed for it; `acknowledged`, `waiting` and `discarded` are counted where they happen, never computed from it.
    #[serde(skip)]
    pub(super) out: u64,
    /// Not acknowledged yet, handed or not.
    #[serde(skip)]
    pub(super) waiting: Tally,
    pub(super) acknowledged: Tally,
    pub(super) discarded: BTreeMap<Discard, Tally>,
}

impl Terms {
    /// It was sealed, and waits.
    pub fn append(&mut self, tally: Tally) {
        self.out += tally.records;
        self.waiting.add(tally);
    }

    /// It was sealed, and goes no further.
    pub fn append_discarded(&mut self, tally: Tally, reason: Discard) {
        self.out += tally.records;
        self.discarded.entry(reason).or_default().add(tally);
    }

    /// It has arrived.
    pub fn acknowledge(&mut self, tally: Tally) {
        self.waiting = self.waiting.beyond(tally);
        self.acknowledged.add(tally);
    }

    /// It waits no longer.
    pub fn discard(&mut self, tally: Tally, reason: Discard) {
        self.waiting = self.waiting.beyond(tally);
        self.discarded.entry(reason).or_default().add(tally);
    }

    /// What has come to its end, one way or the other, and what waits.
    pub(super) fn known(&self) -> Tally {
        let mut known = self.acknowledged;
        known.add(self.waiting);
        self.discarded.values().for_each(|tally| known.add(*tally));
        known
    }

    /// As they stand in a message.
    pub fn to_message(&self, sink: &str, number: u16, guarantee: Guarantee, stream: StreamId) -> CursorTerms {
        let amounts = self.discarded.iter().map(|(reason, tally)| (*reason, tally.amount));
        CursorTerms {
            sink: sink.to_owned(),
            number,
            read_here: false,
            stream,
            guarantee,
            records_out: self.out,
            acknowledged: self.acknowledged.records,
            in_spool: self.waiting.records,
            discarded: self.discarded.iter().map(|(reason, tally)| (*reason, tally.records)).collect(),
            discarded_amounts: amounts.collect::<ByReason<Discard>>(),
            discarded_batches: self.discarded.values().map(|tally| tally.batches).sum(),
        }
    }
}
