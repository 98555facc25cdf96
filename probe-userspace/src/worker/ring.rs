//! What travels from a worker to the exporter, in one SPSC ring (`rtrb`) per worker.

use flow_wire::ledger::{QueueTerms, WorkerTerms};
use flow_wire::record::FlowRecord;

/// An entry of the ring.
// A record is the rule and a cut the exception, once a second: the cut is boxed so that it does not size the ring.
#[derive(Debug)]
pub enum Export {
    /// A finished record.
    Record(FlowRecord),
    /// The worker's terms at this place in the ring: exactly the records before it are no longer open.
    Cut(Box<Cut>),
}

/// The worker's books at one place in its ring: once a second, and once more at its end.
///
/// Of the [`WorkerTerms`] a worker knows `received`, `metered`, `undecodable`, `non_flow`, `handover_full`, `open`,
/// `discarded` (for a full ring), `fragments_without_first` and `evicted_flows`. The exporter adds what it alone knows:
/// `exported`, `in_record_ring`, `records`, and its own discards.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The worker's time, since the UNIX epoch: the clock, or the time of the packets of a file.
    pub time_nanoseconds: u64,
    /// The worker's terms.
    pub worker: WorkerTerms,
    /// The terms of each of its sources; one queue may appear in the cuts of several workers.
    pub sources: Vec<QueueTerms>,
    /// The worker has ended: nothing follows in this ring.
    pub last: bool,
}
