//! The store's terms, read once for all who ask at about the same time: a page asks for ledger, probes and traffic every
//! second, and each needs them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::store::{Error, Reader, StoreTerms};

/// How old an answer may be: half of what the store itself gathers before it commits.
const FRESH: Duration = Duration::from_millis(500);

/// The last terms that were read, and when.
#[derive(Debug, Default)]
pub struct Books(Mutex<Option<(Instant, Arc<StoreTerms>)>>);

impl Books {
    /// The terms as the batches say, at most [`FRESH`] old. Whoever comes while they are read waits for them.
    pub(super) fn read(&self, reader: &dyn Reader) -> Result<Arc<StoreTerms>, Error> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, terms)) = &*last
            && read.elapsed() < FRESH
        {
            return Ok(Arc::clone(terms));
        }
        // From when they are asked for, not from when they are there.
        let asked = Instant::now();
        let terms = Arc::new(reader.books(false)?);
        *last = Some((asked, Arc::clone(&terms)));
        Ok(terms)
    }
}
