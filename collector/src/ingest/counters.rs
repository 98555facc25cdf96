//! What ingest and store count, by the names that Prometheus shows.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Why a message could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// A word of the closed list.
    pub reason: &'static str,
}

/// Counters of this process; the books of all time are in the store.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Messages that came.
    pub messages: Counter,
    /// Messages that could not be used.
    pub refused: Family<ReasonLabel, Counter>,
    /// Rows that were stored.
    pub rows: Counter,
    /// Batches that were stored.
    pub batches: Counter,
    /// Batches that were there already.
    pub duplicates: Counter,
    /// Batches whose stamp was there with another content.
    pub conflicts: Counter,
    /// Transactions that the store refused.
    pub failures: Counter,
    /// How long a transaction takes.
    pub commit_seconds: Histogram,
}

impl Counters {
    /// New ones, known to the registry.
    pub fn register(registry: &mut Registry) -> Self {
        // From a millisecond to half a minute.
        let commit_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let counters = Self {
            messages: Counter::default(),
            refused: Family::default(),
            rows: Counter::default(),
            batches: Counter::default(),
            duplicates: Counter::default(),
            conflicts: Counter::default(),
            failures: Counter::default(),
            commit_seconds,
        };
        let mut counter = |name: &str, help: &str, counter: &Counter<u64, AtomicU64>| {
            registry.register(name, help, counter.clone());
        };
        counter("collector_ingest_messages", "Messages that came off the bus", &counters.messages);
        counter("collector_store_rows", "Flow records stored", &counters.rows);
        counter("collector_store_batches", "Batches stored, ledger messages included", &counters.batches);
        counter("collector_store_duplicate_batches", "Batches that were there already", &counters.duplicates);
        counter(
            "collector_store_conflict_batches",
            "Batches whose stamp was there with another content",
            &counters.conflicts,
        );
        counter("collector_store_commit_failures", "Transactions that the store refused", &counters.failures);
        registry.register(
            "collector_ingest_refused_messages",
            "Messages that could not be used",
            counters.refused.clone(),
        );
        registry.register_with_unit(
            "collector_store_commit",
            "Duration of a transaction",
            Unit::Seconds,
            counters.commit_seconds.clone(),
        );
        counters
    }
}
