//! Where the newest books hang: written once a second, read by whoever wants to.

use std::sync::{Arc, Mutex, PoisonError};

use flow_wire::ledger::Message;

/// The newest books.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<Option<Arc<Message>>>>);

impl Board {
    /// Hangs up newer ones.
    pub fn put(&self, message: Arc<Message>) {
        // A panic elsewhere cannot have left half of a pointer here.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
    }

    /// The newest, if there are any yet.
    pub fn get(&self) -> Option<Arc<Message>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
