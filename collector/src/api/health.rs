//! Whether the collector does its work.

use serde::Serialize;

use super::Service;
use crate::ingest::InputState;

/// Body of `/health`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    status: &'static str,
    version: &'static str,
    store: Store,
    inputs: Vec<Input>,
}

#[derive(Debug, Serialize)]
struct Store {
    path: String,
    rows: Option<u64>,
    last_commit_nanoseconds: Option<u64>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Input {
    endpoint: String,
    state: InputState,
    detail: String,
    messages: u64,
}

impl Health {
    pub(super) fn is_well(&self) -> bool {
        self.status == "ok"
    }
}

/// Waiting for a probe is well; an input that ended, or a store that refuses, is not.
pub(super) fn health(service: &Service) -> Health {
    let inputs: Vec<_> = service
        .inputs
        .iter()
        .map(|input| {
            let (state, detail) = input.state();
            Input { endpoint: input.endpoint().to_owned(), state, detail, messages: input.messages() }
        })
        .collect();
    let standing = service.reader.standing();
    let (rows, last_commit_nanoseconds, unreadable) = match standing {
        Ok((rows, last)) => (Some(rows), Some(last), None),
        Err(error) => (None, None, Some(error.to_string())),
    };
    let error = service.store_status.error().or(unreadable);
    let well = error.is_none() && inputs.iter().all(|input| input.state != InputState::Failed);
    Health {
        status: if well { "ok" } else { "failing" },
        version: env!("CARGO_PKG_VERSION"),
        store: Store { path: service.store_path.clone(), rows, last_commit_nanoseconds, error },
        inputs,
    }
}
