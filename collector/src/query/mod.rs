//! The query model: what can be asked, whatever engine answers.
//!
//! ```text
//! words (REST parameters, command line) ─► parse ─► Flows | Top | Timeseries ─► store::Reader ─► answer
//! ```
//!
//! A flow belongs to the range in which it ended, so that adjacent ranges never count one twice; a time series spreads it
//! over its duration instead.

pub mod address;
pub mod answer;
pub mod field;
pub mod filter;
pub mod measure;
pub mod parameter;
pub mod time;
pub mod words;

pub use field::Field;
pub use filter::{Filter, Match, Term};
pub use measure::Measure;
pub use parameter::BadParameter;

use crate::store::Column;

/// Nanoseconds since the UNIX epoch, `[from, to)`; `None` = no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First nanosecond of it.
    pub from: Option<u64>,
    /// First one after it.
    pub to: Option<u64>,
}

/// Which flows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// When.
    pub range: Range,
    /// Which of them.
    pub filter: Filter,
}

/// The last flows.
#[derive(Clone, Debug, PartialEq)]
pub struct Flows {
    /// Which flows.
    pub selection: Selection,
    /// How many at most.
    pub limit: u32,
}

/// The largest groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Top {
    /// Which flows.
    pub selection: Selection,
    /// What makes a group; empty = one group of all.
    pub by: Vec<&'static Column>,
    /// What is summed; the first one orders.
    pub measures: Vec<Measure>,
    /// How many groups at most.
    pub limit: u32,
}

/// A measure over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeseries {
    /// Which flows.
    pub selection: Selection,
    /// One series per group.
    pub by: Vec<&'static Column>,
    /// What is spread.
    pub measure: Measure,
    /// How many series at most, without the one of all others.
    pub limit: u32,
    /// Width of a bucket; `None` = chosen by the range.
    pub step_nanoseconds: Option<u64>,
}
