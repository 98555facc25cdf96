//! From words (REST parameters, options of the command line: the same names) to a query.

use super::parameter::BadParameter;
use super::{Filter, Flows, Measure, Range, Selection, Timeseries, Top, field, measure, time};
use crate::store::Column;

/// Rows of an answer: what a person reads or a page holds; more is a job for an export.
pub const ROWS_MAX: u32 = 10_000;
/// Series of a plot: more colours nobody tells apart.
pub const SERIES_MAX: u32 = 50;
/// Columns to group by, and measures: the widest table that is still read.
pub const COLUMNS_MAX: usize = 8;

const FLOWS_DEFAULT: u32 = 100;
const GROUPS_DEFAULT: u32 = 10;

/// Parameters of `flows`.
pub const FLOWS: &[&str] = &["from", "to", "filter", "limit"];
/// Parameters of `top`.
pub const TOP: &[&str] = &["from", "to", "filter", "by", "measure", "limit"];
/// Parameters of `timeseries`.
pub const TIMESERIES: &[&str] = &["from", "to", "filter", "by", "measure", "limit", "step"];

/// Names and values as given, and what time it is (for `-5m`).
pub struct Words<'a> {
    /// In the order given; a name may come twice.
    pub pairs: &'a [(String, String)],
    /// Nanoseconds since the UNIX epoch.
    pub now_nanoseconds: u64,
}

impl Words<'_> {
    /// For `/api/v1/flows`.
    pub fn flows(&self) -> Result<Flows, BadParameter> {
        self.only(FLOWS)?;
        Ok(Flows { selection: self.selection()?, limit: self.limit(FLOWS_DEFAULT, ROWS_MAX)? })
    }

    /// For `/api/v1/top`.
    pub fn top(&self) -> Result<Top, BadParameter> {
        self.only(TOP)?;
        Ok(Top {
            selection: self.selection()?,
            by: self.by()?,
            measures: self.measures()?,
            limit: self.limit(GROUPS_DEFAULT, ROWS_MAX)?,
        })
    }

    /// For `/api/v1/timeseries`.
    pub fn timeseries(&self) -> Result<Timeseries, BadParameter> {
        self.only(TIMESERIES)?;
        let measures = self.measures()?;
        let &[measure] = &measures[..] else {
            let value = self.value("measure").unwrap_or_default();
            return Err(BadParameter::new("measure", value, "more than one measure", "ask once for each"));
        };
        Ok(Timeseries {
            selection: self.selection()?,
            by: self.by()?,
            measure,
            limit: self.limit(GROUPS_DEFAULT, SERIES_MAX)?,
            step_nanoseconds: self.step()?,
        })
    }

    /// A flag of its own: absent, `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<bool, BadParameter> {
        match self.value(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(value) => {
                Err(BadParameter::new(name, value, "neither true nor false", "write true or false"))
            }
        }
    }

    /// A whole number from 1 to `most`.
    pub fn number(&self, name: &str, default: u32, most: u32) -> Result<u32, BadParameter> {
        let Some(value) = self.value(name) else { return Ok(default) };
        value.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| {
            BadParameter::new(name, value, "out of range", format!("write a whole number from 1 to {most}"))
        })
    }

    /// Refuses names that the question does not have, and all but `filter` given twice.
    pub fn only(&self, known: &[&str]) -> Result<(), BadParameter> {
        for (at, (name, value)) in self.pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let mend = if known.is_empty() {
                    "leave it out".to_owned()
                } else {
                    format!("use {}", known.join(", "))
                };
                return Err(BadParameter::new(name, value, "no such parameter", mend));
            }
            if name != "filter" && self.pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(BadParameter::new(name, value, "given twice", "give it once"));
            }
        }
        Ok(())
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn selection(&self) -> Result<Selection, BadParameter> {
        let mut filter = Filter::default();
        for (_, text) in self.pairs.iter().filter(|(name, _)| name == "filter") {
            filter.extend(text)?;
        }
        let range = Range { from: self.point("from")?, to: self.point("to")? };
        if let (Some(from), Some(to)) = (range.from, range.to)
            && from >= to
        {
            let value = self.value("to").unwrap_or_default();
            return Err(BadParameter::new(
                "to",
                value,
                "not later than from",
                "give a later time, or leave it out",
            ));
        }
        Ok(Selection { range, filter })
    }

    fn point(&self, name: &str) -> Result<Option<u64>, BadParameter> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let wrong = || BadParameter::new(name, value, "not a time", time::TIME_FORMS);
        time::point(value, self.now_nanoseconds).map(Some).ok_or_else(wrong)
    }

    fn step(&self) -> Result<Option<u64>, BadParameter> {
        let Some(value) = self.value("step") else { return Ok(None) };
        let wrong = || BadParameter::new("step", value, "not a duration above 0", time::DURATION_FORMS);
        time::duration(value).filter(|step| *step > 0).map(Some).ok_or_else(wrong)
    }

    fn limit(&self, default: u32, most: u32) -> Result<u32, BadParameter> {
        self.number("limit", default, most)
    }

    fn by(&self) -> Result<Vec<&'static Column>, BadParameter> {
        let Some(value) = self.value("by") else { return Ok(Vec::new()) };
        let mut columns: Vec<&'static Column> = Vec::new();
        for word in value.split(',') {
            if matches!(word, "host" | "port") {
                let mend = if word == "host" { "use src or dst" } else { "use sport or dport" };
                return Err(BadParameter::new("by", value, "either end makes no group", mend));
            }
            let known = field::column(word).filter(|column| field::groups(column));
            let column = known.ok_or_else(|| {
                let names: Vec<_> = field::group_names().collect();
                let mend =
                    format!("use src, dst, sport, dport, proto, vlan, probe, or one of {}", names.join(", "));
                BadParameter::new("by", value, "no such field to group by", mend)
            })?;
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        few("by", value, columns)
    }

    fn measures(&self) -> Result<Vec<Measure>, BadParameter> {
        let value = self.value("measure").unwrap_or("octets");
        let mut measures = Vec::new();
        for word in value.split(',') {
            let wrong = || BadParameter::new("measure", value, "no such measure", measure::WORDS);
            let measure = Measure::parse(word).ok_or_else(wrong)?;
            if !measures.contains(&measure) {
                measures.push(measure);
            }
        }
        few("measure", value, measures)
    }
}

fn few<T>(name: &str, value: &str, list: Vec<T>) -> Result<Vec<T>, BadParameter> {
    if list.len() > COLUMNS_MAX {
        return Err(BadParameter::new(name, value, "too many", format!("give at most {COLUMNS_MAX}")));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
        query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn refused(query: &[(&str, &str)]) -> String {
        Words { pairs: &pairs(query), now_nanoseconds: 0 }.timeseries().unwrap_err().parameter
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let words = Words { pairs: &[], now_nanoseconds: 0 };
        assert_eq!(words.flows().unwrap().limit, 100);
        let top = words.top().unwrap();
        assert_eq!((top.limit, top.by.len(), &top.measures[..]), (10, 0, &[Measure::Octets][..]));
        assert_eq!(words.timeseries().unwrap().step_nanoseconds, None);
    }

    #[test]
    fn wrong_words_are_named() {
        assert_eq!(refused(&[("frm", "1")]), "frm");
        assert_eq!(refused(&[("from", "1"), ("from", "2")]), "from");
        assert_eq!(refused(&[("from", "2"), ("to", "1")]), "to");
        assert_eq!(refused(&[("by", "host")]), "by");
        assert_eq!(refused(&[("by", "octet_delta_count")]), "by");
        assert_eq!(refused(&[("measure", "bytes")]), "measure");
        assert_eq!(refused(&[("measure", "octets,packets")]), "measure");
        assert_eq!(refused(&[("limit", "0")]), "limit");
        assert_eq!(refused(&[("limit", "51")]), "limit");
        assert_eq!(refused(&[("step", "0s")]), "step");
        assert_eq!(refused(&[("filter", "port=80"), ("filter", "x")]), "filter");
    }
}
