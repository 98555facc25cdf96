//! The store's terms, read once for all who ask at about the same time: a page asks for ledger, probes and traffic every
//! second, and each needs them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::ingest::StoreStatus;
use crate::store::{Depth, Error, Reader, StoreTerms};

/// How old an answer may be: half of what the store itself gathers before it commits.
const FRESH: Duration = Duration::from_millis(500);

/// Or so many times what it cost, on a store of months: pages that ask all the time shall not take a core.
const FRESH_COSTS: u32 = 10;

/// What the store knew at one moment.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) terms: StoreTerms,
    /// Whether everything on the bus was in it.
    pub(super) caught_up: bool,
}

/// The last terms that were read.
#[derive(Debug, Default)]
pub struct Books(Mutex<Option<Last>>);

#[derive(Debug)]
struct Last {
    known: Arc<Known>,
    asked: Instant,
    cost: Duration,
}

impl Books {
    /// The terms as the batches say, a little old at most. Whoever comes while they are read waits for them.
    pub(super) fn read(&self, reader: &dyn Reader, status: &StoreStatus) -> Result<Arc<Known>, Error> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.asked.elapsed() < FRESH.max(last.cost * FRESH_COSTS)
        {
            return Ok(Arc::clone(&last.known));
        }
        // From when they are asked for, not from when they are there.
        let asked = Instant::now();
        let known = Arc::new(read(reader, status, Depth::Batches)?);
        *last = Some(Last { known: Arc::clone(&known), asked, cost: asked.elapsed() });
        Ok(known)
    }
}

/// Reads them now.
pub(super) fn read(reader: &dyn Reader, status: &StoreStatus, depth: Depth) -> Result<Known, Error> {
    // Before the store: what it had caught up with then is in what is read.
    // What it refuses to take is under way, and on a bus that keeps nothing nobody else has it.
    let caught_up = status.caught_up() && status.error().is_none();
    Ok(Known { terms: reader.books(depth)?, caught_up })
}
