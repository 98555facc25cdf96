//! What a publisher says of itself, once a second: of use here is what it lost before anybody could read it.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Error, json};
use crate::ledger::Told;

/// Letters of a name that is shown.
const NAME_LETTERS_MAX: usize = 64;

/// The part of an event that books have room for. Its counters go on as long as the publisher runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Program and release, as it calls itself.
    pub program: Option<String>,
    /// Its active timeout, in seconds.
    pub active_timeout_seconds: Option<u32>,
    /// By its own counters.
    pub told: BTreeMap<Told, u64>,
}

impl Event {
    pub(super) fn read(text: &[u8]) -> Result<Self, Error> {
        let event = json::read(text)?;
        if !event.is_object() {
            return Err(Error::Json("an event is no object".to_owned()));
        }
        let number = |pointer: &str| event.pointer(pointer).and_then(whole);
        let told = Told::ALL.into_iter().filter_map(|told| Some((told, number(told.pointer())?)));
        let program = event.pointer("/probe/version").and_then(Json::as_str).map(shown);
        let seconds = number("/timeout/lifetime").and_then(|seconds| u32::try_from(seconds).ok());
        Ok(Self {
            told: told.collect(),
            program: program.filter(|name| !name.is_empty()),
            active_timeout_seconds: seconds.filter(|seconds| *seconds > 0),
        })
    }
}

/// A number, or the text of one.
fn whole(value: &Json) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Anybody may have written it.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(NAME_LETTERS_MAX)
        .collect::<String>()
        .trim()
        .to_owned()
}
