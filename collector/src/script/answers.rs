//! What a script's process is told by its host.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::cache::Cache;
use super::find;
use super::protocol::{Answer, Level, Question};

/// Who answers for the API: the service of this process, or a collector elsewhere.
pub trait Api: Send + Sync {
    /// The body of an answer.
    ///
    /// # Errors
    /// A sentence.
    fn get(&self, path: &str, pairs: &[(String, String)]) -> Result<String, String>;
}

/// Who hears what scripts say.
pub trait Ears: Send + Sync {
    /// A line of a script.
    fn hear(&self, script: &str, level: Level, text: &str);
}

/// Shared by all scripts.
pub struct Answers {
    directory: PathBuf,
    /// One question of all scripts at a time: theirs shall not take the places of people's queries.
    api: Mutex<Arc<dyn Api>>,
    cache: Mutex<Cache>,
    pub(super) ears: Arc<dyn Ears>,
}

impl Answers {
    /// `directory` = where modules are.
    pub fn new(directory: PathBuf, api: Arc<dyn Api>, ears: Arc<dyn Ears>) -> Self {
        Self { directory, api: Mutex::new(api), cache: Mutex::default(), ears }
    }

    pub(super) fn answer(&self, question: Question) -> Answer {
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match question {
            Question::SetCache { key, value, seconds } => {
                let is_set = cache().set(key, value, seconds, Instant::now());
                is_set
                    .then_some(None)
                    .ok_or_else(|| "the cache is full: set keys with a number of seconds".to_owned())
            }
            Question::GetCache(key) => Ok(cache().get(&key, Instant::now()).map(str::to_owned)),
            Question::DelCache(key) => {
                cache().remove(&key);
                Ok(None)
            }
            Question::Module(name) => find::module(&self.directory, &name).map_err(|error| error.to_string()),
            Question::Api { path, pairs } => {
                self.api.lock().unwrap_or_else(PoisonError::into_inner).get(&path, &pairs).map(Some)
            }
        }
    }
}

/// The collector's own log.
pub(super) struct Log;

impl Ears for Log {
    fn hear(&self, script: &str, level: Level, text: &str) {
        match level {
            Level::Debug => tracing::debug!("script {script}: {text}"),
            Level::Info => tracing::info!("script {script}: {text}"),
            Level::Warn => tracing::warn!("script {script}: {text}"),
            Level::Error => tracing::error!("script {script}: {text}"),
        }
    }
}
