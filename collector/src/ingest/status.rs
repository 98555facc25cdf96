//! What inputs and store are doing, for health, page and log.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// What an input does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InputState {
    /// Its peer, its topic or the first message has not come yet.
    Waiting,
    /// Messages come.
    Running,
    /// It ended with an error.
    Failed,
}

/// One input.
#[derive(Debug)]
pub struct InputStatus {
    endpoint: String,
    messages: AtomicU64,
    state: Mutex<(InputState, String)>,
}

impl InputStatus {
    /// Waiting for the first message.
    pub fn new(endpoint: String) -> Self {
        let state = Mutex::new((InputState::Waiting, "starting".to_owned()));
        Self { endpoint, messages: AtomicU64::new(0), state }
    }

    /// Without secrets.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// So far.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// What it does, and a sentence about it.
    pub fn state(&self) -> (InputState, String) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what it does from now on; logs it where it is news.
    pub fn set(&self, state: InputState, detail: impl Into<String>) {
        let detail = detail.into();
        let mut known = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == (state, detail.clone()) {
            return;
        }
        match state {
            InputState::Failed => tracing::error!(input = %self.endpoint, "{detail}"),
            InputState::Waiting | InputState::Running => tracing::info!(input = %self.endpoint, "{detail}"),
        }
        *known = (state, detail);
    }

    pub(super) fn count_message(&self) {
        // Relaxed: nothing else hangs on this number.
        self.messages.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether the store takes what comes.
#[derive(Debug, Default)]
pub struct StoreStatus {
    failing: AtomicBool,
    last_error: Mutex<String>,
    /// What could not be written any more when the collector gave up.
    gave_up: AtomicBool,
    /// Something may be on a bus that keeps what is not read.
    behind: AtomicBool,
}

impl StoreStatus {
    /// `None` = it does; else what it says.
    pub fn error(&self) -> Option<String> {
        self.failing
            .load(Ordering::Acquire)
            .then(|| self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Whether the writer has ended with an error.
    pub fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::Acquire)
    }

    /// Whether everything that was on the bus is in the store; a bus that keeps nothing has nothing more.
    pub fn caught_up(&self) -> bool {
        !self.behind.load(Ordering::Acquire)
    }

    pub(super) fn set_caught_up(&self, caught_up: bool) {
        self.behind.store(!caught_up, Ordering::Release);
    }

    pub(super) fn works(&self) {
        self.failing.store(false, Ordering::Release);
    }

    pub(super) fn fails(&self, error: &str) {
        error.clone_into(&mut self.last_error.lock().unwrap_or_else(PoisonError::into_inner));
        self.failing.store(true, Ordering::Release);
    }

    pub(super) fn gives_up(&self) {
        self.gave_up.store(true, Ordering::Release);
    }
}
