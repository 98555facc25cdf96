//! The answers, whoever asks: the router, or the command line with a store that no collector holds.

use std::sync::Arc;

use serde::Serialize;

use super::audit::Audit;
use super::books::{self, Books, Known};
use super::{health, metrics, now, probes};
use crate::ingest::{InputStatus, StoreStatus};
use crate::query::BadParameter;
use crate::query::words::Words;
use crate::reconcile::{Ledger, state};
use crate::store::{self, Depth, Reader};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The question is wrong.
    #[error(transparent)]
    Bad(#[from] BadParameter),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// It could not be written down.
    #[error("answer: {0}")]
    Json(#[from] serde_json::Error),
    /// No such path.
    #[error("there is no {0}")]
    Unknown(String),
}

/// Everything that an answer needs.
pub struct Service {
    /// Where the answers are.
    pub reader: Box<dyn Reader>,
    /// The file of the store, for people.
    pub store_path: String,
    /// In the order of the command line.
    pub inputs: Vec<Arc<InputStatus>>,
    /// Whether it takes rows.
    pub store_status: Arc<StoreStatus>,
    /// What Prometheus sees.
    pub registry: prometheus_client::registry::Registry,
    /// Read for several at once.
    pub books: Books,
    /// The rows, counted in the background.
    pub audit: Audit,
}

/// An answer: JSON, or for `/metrics` text.
pub type Answer = Result<String, Problem>;

impl Service {
    /// For a store that is opened by the command line itself: no inputs, no counters.
    pub fn offline(reader: Box<dyn Reader>, store_path: String) -> Self {
        let (store_status, registry, books, audit) = Default::default();
        Self { reader, store_path, inputs: Vec::new(), store_status, registry, books, audit }
    }

    /// Answers a path of the API but `/health`, which has a status of its own.
    pub fn answer(&self, path: &str, pairs: &[(String, String)], now_nanoseconds: u64) -> Answer {
        let words = Words { pairs, now_nanoseconds };
        match path {
            "/api/v1/flows" => json(&self.reader.flows(&words.flows()?)?),
            "/api/v1/top" => json(&self.reader.top(&words.top()?)?),
            "/api/v1/timeseries" => self.timeseries(&words),
            "/api/v1/now" => json(&now::now(&*self.reader, &self.known()?.terms, &words)?),
            "/api/v1/probes" => {
                words.only(&[])?;
                json(&probes::probes(&self.known()?.terms, now_nanoseconds))
            }
            "/api/v1/ledger" => json(&self.ledger(&words)?),
            "/metrics" => {
                let ledger = self.close(Depth::Batches, now_nanoseconds)?;
                Ok(metrics::text(&self.registry, &ledger, &self.inputs))
            }
            "/openapi.json" => Ok(super::OPENAPI.to_owned()),
            _ => Err(Problem::Unknown(path.to_owned())),
        }
    }

    /// 200 or 503, and why.
    pub fn health(&self) -> (bool, String) {
        let health = health::health(self);
        // A struct of strings and numbers cannot fail to be written.
        (health.is_well(), serde_json::to_string(&health).unwrap_or_default())
    }

    /// The books, closed.
    pub fn ledger(&self, words: &Words<'_>) -> Result<Ledger, Problem> {
        words.only(&["check"])?;
        let check = words.flag("check")?;
        self.close(if check { Depth::DoubledRows } else { Depth::Batches }, words.now_nanoseconds)
    }

    /// Without the rows it says what the last count of them found.
    pub(super) fn close(&self, depth: Depth, now_nanoseconds: u64) -> Result<Ledger, Problem> {
        if depth >= Depth::Rows {
            let known = books::read(&*self.reader, &self.store_status, depth)?;
            let mut ledger = Ledger::close(&known.terms, known.caught_up, now_nanoseconds);
            self.audit.keep(&ledger, now_nanoseconds);
            ledger.rows_counted_nanoseconds = Some(now_nanoseconds);
            return Ok(ledger);
        }
        let known = self.known()?;
        let mut ledger = Ledger::close(&known.terms, known.caught_up, now_nanoseconds);
        self.audit.tell(&mut ledger);
        Ok(ledger)
    }

    fn known(&self) -> Result<Arc<Known>, store::Error> {
        self.books.read(&*self.reader, &self.store_status)
    }

    fn timeseries(&self, words: &Words<'_>) -> Answer {
        let mut answer = self.reader.timeseries(&words.timeseries()?)?;
        let epochs = &self.known()?.terms.epochs;
        answer.complete_until_nanoseconds = state::complete_until(epochs, words.now_nanoseconds);
        json(&answer)
    }
}

impl crate::script::Api for Service {
    fn get(&self, path: &str, pairs: &[(String, String)]) -> Result<String, String> {
        match path {
            "/health" => Ok(self.health().1),
            _ => self
                .answer(path, pairs, crate::ingest::now_nanoseconds())
                .map_err(|problem| problem.to_string()),
        }
    }
}

fn json(answer: &impl Serialize) -> Answer {
    Ok(serde_json::to_string(answer)?)
}
