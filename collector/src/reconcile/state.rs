//! Whether a start of a probe still goes on.

use serde::Serialize;

use crate::store::EpochBooks;

/// A probe speaks once a second: half a minute without a word is no hiccup.
pub const SILENT_AFTER_NANOSECONDS: u64 = 30_000_000_000;

/// The state of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It speaks.
    Open,
    /// Its last message came, or a later start of its probe closed its books.
    Closed,
    /// Nobody closed it, and it does not speak: killed, or cut off. Not a residual.
    Silent,
}

/// At a point in time, by the collector's clock.
pub fn of(books: &EpochBooks, now_nanoseconds: u64) -> State {
    if books.message.as_ref().is_some_and(|message| message.closed) {
        State::Closed
    } else if now_nanoseconds.saturating_sub(books.heard_nanoseconds) > SILENT_AFTER_NANOSECONDS {
        State::Silent
    } else {
        State::Open
    }
}

/// Until when no open flow can add to a bucket any more: what every speaking probe has exported at least, which is its
/// active timeout before its last word. `None` where no epoch is open.
pub fn complete_until(epochs: &[EpochBooks], now_nanoseconds: u64) -> Option<u64> {
    let open = epochs.iter().filter(|books| of(books, now_nanoseconds) == State::Open);
    open.map(|books| {
        books.message.as_ref().map_or(0, |message| {
            let timeout =
                u64::from(message.active_timeout_seconds).saturating_mul(crate::query::time::SECOND);
            message.time_nanoseconds.saturating_sub(timeout)
        })
    })
    .min()
}
