//! The rows, counted again in the background. What the batches said when they were stored is quick to sum, and cannot show a row
//! that is gone from the table: so whoever watches the books is told when the rows were last counted, and what was found.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flow_wire::fault::Hop;
use flow_wire::ledger::Amount;

use super::service::{Problem, Service};
use crate::reconcile::Ledger;
use crate::store::Depth;

/// Between two counts: so soon what went astray is on the page and in the metrics.
const EVERY: Duration = Duration::from_secs(10);

/// Or so many times what the last one cost: on a store of months a count takes seconds.
const EVERY_COSTS: u32 = 20;

/// The last count.
#[derive(Debug, Default)]
pub struct Audit(Mutex<Option<Found>>);

/// What it found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) at_nanoseconds: u64,
    residual: Amount,
    hops: Vec<Hop>,
}

impl Audit {
    /// Keeps what a ledger says that was closed from the rows: of the store alone, for what other hops say is as true without.
    pub(super) fn keep(&self, ledger: &Ledger, at_nanoseconds: u64) {
        let hops: Vec<_> = ledger.hops.iter().copied().filter(|hop| *hop == Hop::Store).collect();
        let residual = if hops.is_empty() { Amount::ZERO } else { ledger.residual };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Found { at_nanoseconds, residual, hops });
    }

    /// Puts it into a ledger that was closed without the rows.
    pub(super) fn tell(&self, ledger: &mut Ledger) {
        if let Some(found) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            ledger.rows_counted_nanoseconds = Some(found.at_nanoseconds);
            ledger.add_residual(found.residual, &found.hops);
        }
    }
}

/// Counts again and again, until the future is dropped. A count that fails is tried again with the next one.
pub async fn run(service: std::sync::Arc<Service>) {
    let mut pause = EVERY;
    loop {
        tokio::time::sleep(pause).await;
        let service = std::sync::Arc::clone(&service);
        let began = Instant::now();
        match tokio::task::spawn_blocking(move || service.count_rows()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the rows could not be counted for the ledger: {error}"),
            // The runtime ends.
            Err(_) => return,
        }
        pause = EVERY.max(began.elapsed() * EVERY_COSTS);
    }
}

impl Service {
    /// Closes the books from the rows, for all who ask without.
    fn count_rows(&self) -> Result<(), Problem> {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let ledger = self.close(Depth::Rows, u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))?;
        if ledger.residual != Amount::ZERO {
            tracing::error!(
                packets = ledger.residual.packets,
                octets = ledger.residual.octets,
                hops = ?ledger.hops,
                "the books have a residual: see `gannet-collector ledger --check`"
            );
        }
        Ok(())
    }
}
