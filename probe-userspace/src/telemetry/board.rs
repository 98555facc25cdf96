//! Where the newest books hang: written once a second, read by whoever wants to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flow_wire::ledger::{Message, of_probe, residual};

use super::stages::ByWorker;
use crate::spool::Statistics;

/// The newest books.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Books>>);

#[derive(Debug)]
struct Books {
    newest: Option<Arc<Message>>,
    before: Option<Arc<Message>>,
    spool: Option<Statistics>,
    stages: ByWorker,
    changed: Instant,
}

impl Default for Books {
    fn default() -> Self {
        Self { newest: None, before: None, spool: None, stages: ByWorker::new(), changed: Instant::now() }
    }
}

impl Board {
    /// Hangs up newer ones, and what the spool says of itself where there is one.
    pub fn put(&self, message: Arc<Message>, spool: Option<Statistics>) {
        // A panic elsewhere cannot have left half of a pointer here.
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        books.before = books.newest.replace(message);
        books.spool = spool;
        books.changed = Instant::now();
    }

    /// Hangs up how long the workers' stages took so far.
    pub fn put_stages(&self, stages: ByWorker) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stages = stages;
    }

    /// How long the workers' stages took so far; nothing for files.
    pub fn stages(&self) -> ByWorker {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stages.clone()
    }

    /// The newest, if there are any yet.
    pub fn get(&self) -> Option<Arc<Message>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).newest.clone()
    }

    /// The spool of the newest.
    pub fn spool(&self) -> Option<Statistics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spool
    }

    /// How long the newest hang there; before there are any, how long the board does.
    pub fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).changed.elapsed()
    }

    /// What nobody can account for in the newest, in packets or records, beyond what is in flight.
    pub fn residual(&self) -> u64 {
        let books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(newest) = &books.newest else { return 0 };
        residual(&of_probe(newest, books.before.as_deref())).packets
    }
}
