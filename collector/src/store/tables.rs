//! What the tables beside the rows say, in the words of the ledger.

use std::collections::BTreeMap;

use flow_wire::ledger::{Amount, Discard, Message};
use flow_wire::stamp::{Epoch, ProbeId, Stamp, StreamId};

use super::{Bus, Ranges, Received};

/// What one commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Batches of flows that were added, in their order.
    pub flows: Vec<Stamp>,
    /// Rows that were added.
    pub rows: u64,
    /// Batches that were added, ledger messages included.
    pub batches: u64,
    /// Batches that were there already.
    pub duplicates: u64,
    /// Batches whose stamp was there with another CRC.
    pub conflicts: u64,
    /// Messages that could not be used.
    pub refusals: u64,
    /// Messages that found no room in what the store knows of streams.
    pub parked: u64,
}

/// Cumulative counters of one second of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// Which probe.
    pub probe: ProbeId,
    /// Which start of it.
    pub epoch: Epoch,
    /// By the probe's clock.
    pub time_nanoseconds: u64,
    /// What it saw.
    pub seen: Amount,
    /// What went into flows.
    pub metered: Amount,
    /// Packets that were passed, refused, undecodable or not IP.
    pub excepted_packets: u64,
    /// Packets that ring, device or probe dropped.
    pub lost_packets: u64,
}

/// Batches and what is in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stored {
    /// Batches.
    pub batches: u64,
    /// Rows.
    pub records: u64,
    /// Packets in them, both directions.
    pub packets: u64,
    /// Frame octets in them, both directions.
    pub octets: u64,
}

/// What the store has of one stream. "Below the cut" is below `next` of the epoch's latest ledger message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamBooks {
    /// On which kind of bus it came first.
    pub bus: Bus,
    /// And on another one.
    pub on_several_buses: bool,
    /// By the collector's clock.
    pub last_nanoseconds: u64,
    /// Which sequences are stored.
    pub received: Received,
    /// Which sequences came off the bus, by ingest's own count.
    pub arrived: Received,
    /// Batches that were handed to the store for the first time, by its own list of them.
    pub stored: Stored,
    /// The same, below the cut.
    pub stored_below_cut: Stored,
    /// Of them: in files that are there.
    pub present_below_cut: Stored,
    /// Of them: in files that retention removed.
    pub removed_below_cut: Stored,
    /// Counted and summed from the rows now, below the cut; where that was asked for.
    pub rows_below_cut: Option<Stored>,
    /// What came off the bus for the first time, below the cut.
    pub arrived_below_cut: Counted,
    /// Of it: in batches that the probe says it discarded.
    pub discarded_below_cut: Counted,
    /// What came and could not be used, below the cut.
    pub refused_below_cut: Counted,
    /// Arrivals of a sequence that had come before.
    pub again: Counted,
    /// Of them: on purpose, since a log was read from its beginning or comes on two buses.
    pub reread: Counted,
    /// Batches handed to the store that were there already.
    pub duplicate: Counted,
    /// Likewise, with another CRC.
    pub conflict: Counted,
    /// Sequences that came more than once, whatever for.
    pub again_at: Ranges,
    /// Sequences that came again with another content.
    pub conflict_at: Ranges,
    /// Sequences that came and could not be used.
    pub refused_at: Ranges,
    /// Sequences that the bus did not keep until they were read; some may have come on another way. Nothing that expired before
    /// the epoch began is among them.
    pub expired: Ranges,
    /// Retention went on below this stream's partition since the stream was heard last: what is missing behind its last
    /// batch is gone as well.
    pub expired_behind: bool,
    /// Sequences that the probe says it will not send, by reason.
    pub discarded: Vec<Discarded>,
}

/// Sequences that will never come.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Discarded {
    /// Why.
    pub reason: Discard,
    /// Which.
    pub ranges: Ranges,
    /// Records in them.
    pub records: u64,
}

/// Batches and records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Batches.
    pub batches: u64,
    /// Rows in them.
    pub records: u64,
}

impl Counted {
    /// One batch of so many rows.
    pub fn add(&mut self, records: u64) {
        self.batches += 1;
        self.records += records;
    }
}

/// Which start closed the books of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Counts the starts.
    pub generation: u64,
    /// The terms of queues and workers are a bound.
    pub is_bound: bool,
}

/// What the store has of one start of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochBooks {
    /// Which probe.
    pub probe: ProbeId,
    /// Which start of it.
    pub epoch: Epoch,
    /// Its latest ledger message, where one came.
    pub message: Option<Message>,
    /// The one before it.
    pub previous: Option<Message>,
    /// Where `message` came from a later start of the probe, which closed the books of this one.
    pub closing: Option<Closing>,
    /// Packets and frame octets in rows of other epochs that say they were recovered from this one; where that was asked for.
    pub recovered_rows: Option<Amount>,
    /// Retention removed something unread from any partition of flows, late enough for it to be of this epoch.
    pub anything_expired: bool,
    /// Whether the bus was read to its end after the latest message: what is not here by then will not come.
    pub drained: bool,
    /// When a batch or message of it came last, by the collector's clock.
    pub heard_nanoseconds: u64,
    /// By number; [`StreamId::CONTROL`] among them.
    pub streams: BTreeMap<StreamId, StreamBooks>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreTerms {
    /// Latest heard first.
    pub epochs: Vec<EpochBooks>,
    /// Messages that could not be used, by reason; conflicts among them.
    pub refused: BTreeMap<String, u64>,
    /// All rows of the table of flows.
    pub rows: u64,
    /// The last commit, by the collector's clock.
    pub last_commit_nanoseconds: u64,
    /// Rows with a stamp and row number that another row has too; where that was asked for.
    pub doubled_rows: Option<u64>,
    /// Retention has removed files.
    pub anything_removed: bool,
}
