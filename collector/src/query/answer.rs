//! Answers, as they stand in JSON. Rows are lists of cells beside the list of their columns, and become objects when they
//! are written, so that the order of keys is that of the columns.

use std::net::IpAddr;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Measure, Range};
use crate::store::{COLUMNS, Column};

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// Not applicable.
    Absent,
    /// A number.
    Unsigned(u64),
    /// An address.
    Address(IpAddr),
    /// Probe or epoch.
    Uuid(uuid::Uuid),
    /// A name of a closed list.
    Name(&'static str),
}

/// (136), as in the probe's JSON lines; `None` for a number that no version of the record has.
pub fn end_reason_name(number: u64) -> Option<&'static str> {
    Some(match number {
        0 => "not_told",
        1 => "idle_timeout",
        2 => "active_timeout",
        3 => "end_of_flow",
        4 => "forced_end",
        5 => "lack_of_resources",
        _ => return None,
    })
}

/// The last flows, latest end first.
#[derive(Debug)]
pub struct Flows {
    /// As asked.
    pub range: Range,
    /// As asked.
    pub limit: u32,
    /// Whether there are more.
    pub truncated: bool,
    /// Cells in the order of [`COLUMNS`].
    pub rows: Vec<Vec<Cell>>,
}

/// The largest groups.
#[derive(Debug)]
pub struct Top {
    /// As asked.
    pub range: Range,
    /// As asked.
    pub by: Vec<&'static Column>,
    /// As asked.
    pub measures: Vec<Measure>,
    /// As asked.
    pub limit: u32,
    /// Largest first.
    pub rows: Vec<Group>,
    /// Of all that matched, per measure.
    pub total: Vec<u64>,
}

/// One group of [`Top`].
#[derive(Debug, PartialEq, Eq)]
pub struct Group {
    /// In the order of `by`.
    pub key: Vec<Cell>,
    /// In the order of `measures`.
    pub sums: Vec<u64>,
}

/// A measure over time.
#[derive(Debug)]
pub struct Timeseries {
    /// Widened to whole buckets.
    pub from_nanoseconds: u64,
    /// The same.
    pub to_nanoseconds: u64,
    /// Width of a bucket.
    pub step_nanoseconds: u64,
    /// As asked.
    pub measure: Measure,
    /// As asked.
    pub by: Vec<&'static Column>,
    /// As asked.
    pub limit: u32,
    /// Buckets that end later can still grow; `None` = none can.
    pub complete_until_nanoseconds: Option<u64>,
    /// Largest first, all others last.
    pub series: Vec<Series>,
}

/// One series of [`Timeseries`].
#[derive(Debug, PartialEq, Eq)]
pub struct Series {
    /// In the order of `by`; `None` = all others.
    pub key: Option<Vec<Cell>>,
    /// One per bucket.
    pub values: Vec<u64>,
}

impl Timeseries {
    /// How many buckets there are.
    pub fn buckets(&self) -> u64 {
        (self.to_nanoseconds - self.from_nanoseconds) / self.step_nanoseconds
    }
}

impl Series {
    /// Of all its buckets. Sums beyond 64 bits are refused where they are read.
    pub fn total(&self) -> u64 {
        self.values.iter().fold(0, |sum, value| sum.saturating_add(*value))
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => to.serialize_none(),
            Self::Unsigned(number) => to.serialize_u64(*number),
            Self::Address(address) => address.serialize(to),
            Self::Uuid(uuid) => uuid.serialize(to),
            Self::Name(name) => to.serialize_str(name),
        }
    }
}

/// An object from names and values.
struct Object<'a, N, V>(&'a [N], &'a [V]);

/// What names a key of an object.
trait Named {
    fn name(&self) -> &'static str;
}

impl Named for &'static Column {
    fn name(&self) -> &'static str {
        self.name
    }
}

impl Named for Column {
    fn name(&self) -> &'static str {
        self.name
    }
}

impl Named for Measure {
    fn name(&self) -> &'static str {
        Self::name(*self)
    }
}

impl<N: Named, V: Serialize> Serialize for Object<'_, N, V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.1.len()))?;
        for (name, value) in self.0.iter().zip(self.1) {
            map.serialize_entry(name.name(), value)?;
        }
        map.end()
    }
}

/// A list whose items are made for the occasion.
fn list<'a, T, V>(items: &'a [T], of: impl Fn(&'a T) -> V) -> Vec<V> {
    items.iter().map(of).collect()
}

impl Serialize for Flows {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("from_nanoseconds", &self.range.from)?;
        map.serialize_entry("to_nanoseconds", &self.range.to)?;
        map.serialize_entry("limit", &self.limit)?;
        map.serialize_entry("truncated", &self.truncated)?;
        map.serialize_entry("flows", &list(&self.rows, |row| Row(row)))?;
        map.end()
    }
}

/// One flow as an object.
struct Row<'a>(&'a [Cell]);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Object(&COLUMNS[..], self.0).serialize(to)
    }
}

impl Serialize for Top {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("from_nanoseconds", &self.range.from)?;
        map.serialize_entry("to_nanoseconds", &self.range.to)?;
        map.serialize_entry("by", &list(&self.by, |column| column.name))?;
        map.serialize_entry("measures", &list(&self.measures, |measure| Measure::name(*measure)))?;
        map.serialize_entry("limit", &self.limit)?;
        map.serialize_entry("rows", &list(&self.rows, |group| TopRow(self, group)))?;
        map.serialize_entry("others", &Object(&self.measures, &self.others()))?;
        map.serialize_entry("total", &Object(&self.measures, &self.total))?;
        map.end()
    }
}

impl Top {
    /// What `limit` cut off, per measure.
    pub fn others(&self) -> Vec<u64> {
        let shown = |at: usize| self.rows.iter().map(|group| group.sums[at]).fold(0, u64::saturating_add);
        self.total.iter().enumerate().map(|(at, total)| total.saturating_sub(shown(at))).collect()
    }
}

/// Keys, then sums, in one object.
struct TopRow<'a>(&'a Top, &'a Group);

impl Serialize for TopRow<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(top, group) = self;
        let mut map = to.serialize_map(None)?;
        for (column, cell) in top.by.iter().zip(&group.key) {
            map.serialize_entry(column.name, cell)?;
        }
        for (measure, sum) in top.measures.iter().zip(&group.sums) {
            map.serialize_entry(measure.name(), sum)?;
        }
        map.end()
    }
}

impl Serialize for Timeseries {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("from_nanoseconds", &self.from_nanoseconds)?;
        map.serialize_entry("to_nanoseconds", &self.to_nanoseconds)?;
        map.serialize_entry("step_nanoseconds", &self.step_nanoseconds)?;
        map.serialize_entry("measure", self.measure.name())?;
        map.serialize_entry("by", &list(&self.by, |column| column.name))?;
        map.serialize_entry("limit", &self.limit)?;
        map.serialize_entry("complete_until_nanoseconds", &self.complete_until_nanoseconds)?;
        map.serialize_entry("buckets", &self.bucket_list())?;
        map.serialize_entry("series", &list(&self.series, |series| SeriesRow(self, series)))?;
        let total = self.series.iter().map(Series::total).fold(0, u64::saturating_add);
        map.serialize_entry("total", &total)?;
        map.end()
    }
}

/// One bucket: when it begins, and whether it can still grow.
#[derive(Serialize)]
struct Bucket {
    start_nanoseconds: u64,
    complete: bool,
}

impl Timeseries {
    fn bucket_list(&self) -> Vec<Bucket> {
        let bucket = |at| {
            let start_nanoseconds = self.from_nanoseconds + at * self.step_nanoseconds;
            let end = start_nanoseconds + self.step_nanoseconds;
            Bucket {
                start_nanoseconds,
                complete: self.complete_until_nanoseconds.is_none_or(|until| end <= until),
            }
        };
        (0..self.buckets()).map(bucket).collect()
    }
}

/// Key, total and values of a series.
struct SeriesRow<'a>(&'a Timeseries, &'a Series);

impl Serialize for SeriesRow<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(timeseries, series) = self;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("key", &Object(&timeseries.by, series.key.as_deref().unwrap_or_default()))?;
        map.serialize_entry("others", &series.key.is_none())?;
        map.serialize_entry("total", &series.total())?;
        map.serialize_entry("values", &series.values)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::by_name;

    #[test]
    fn numbers_are_exact_and_rows_add_up() {
        let top = Top {
            range: Range { from: Some(u64::MAX), to: None },
            by: vec![by_name("vlan_id").unwrap()],
            measures: vec![Measure::Octets],
            limit: 1,
            rows: vec![Group { key: vec![Cell::Absent], sums: vec![u64::MAX - 1] }],
            total: vec![u64::MAX],
        };
        let text = serde_json::to_string(&top).unwrap();
        assert!(text.contains(r#""from_nanoseconds":18446744073709551615,"to_nanoseconds":null"#), "{text}");
        assert!(text.contains(r#""rows":[{"vlan_id":null,"octets":18446744073709551614}]"#), "{text}");
        assert!(text.contains(r#""others":{"octets":1},"total":{"octets":18446744073709551615}"#), "{text}");
    }

    #[test]
    fn a_bucket_is_complete_once_it_ends_before_the_bound() {
        let series = Timeseries {
            from_nanoseconds: 100,
            to_nanoseconds: 300,
            step_nanoseconds: 100,
            measure: Measure::Packets,
            by: vec![],
            limit: 10,
            complete_until_nanoseconds: Some(200),
            series: vec![Series { key: Some(vec![]), values: vec![3, 4] }],
        };
        let value = serde_json::to_value(&series).unwrap();
        assert_eq!(value["buckets"][0]["complete"], true);
        assert_eq!(value["buckets"][1]["complete"], false);
        assert_eq!(value["series"][0]["key"], serde_json::json!({}));
        assert_eq!((&value["total"], &value["series"][0]["others"]), (&7.into(), &false.into()));
    }
}
