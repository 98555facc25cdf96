//! The query model as DuckDB's SQL. Names come from closed lists, every value is a bound parameter.

use duckdb::types::Value;

use super::super::{Column, Kind};
use crate::query::{Field, Filter, Match, Measure, Range, Term};

/// SQL with its parameters, in the order of their `?`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sql {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

impl Sql {
    /// Appends text without parameters: names and keywords of ours only.
    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends a parameter.
    pub(super) fn bind(&mut self, value: Value) {
        self.text.push('?');
        self.values.push(value);
    }

    /// ` AND column OP ?`
    fn and(&mut self, condition: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.push(" AND ");
            self.push(condition);
            self.bind(Value::UBigInt(value));
        }
    }
}

/// `WHERE` for flows that ended in the range.
pub(super) fn ended_in(range: Range, filter: &Filter) -> Sql {
    let mut sql = Sql::default();
    sql.push(" WHERE true");
    sql.and("flow_end_nanoseconds >= ", range.from);
    sql.and("flow_end_nanoseconds < ", range.to);
    terms(&mut sql, filter);
    sql
}

/// `WHERE` for flows of which some part lies in the range.
pub(super) fn overlapping(range: Range, filter: &Filter) -> Sql {
    let mut sql = Sql::default();
    sql.push(" WHERE true");
    sql.and("flow_end_nanoseconds >= ", range.from);
    sql.and("flow_start_nanoseconds < ", range.to);
    terms(&mut sql, filter);
    sql
}

/// The sum of a measure over a group.
pub(super) fn sum(measure: Measure) -> String {
    let columns = measure.columns();
    if columns.is_empty() {
        return "count(*)::HUGEINT".to_owned();
    }
    // Each sum of 64-bit counters is 128 bits wide: no row and no group overflows.
    columns.iter().map(|name| format!("coalesce(sum({name}), 0)")).collect::<Vec<_>>().join(" + ")
}

/// The measure of one flow.
pub(super) fn of_one_flow(measure: Measure) -> String {
    measure.columns().iter().map(|name| format!("{name}::HUGEINT")).collect::<Vec<_>>().join(" + ")
}

/// Quoted, since some names are also words of the language.
pub(super) fn name(column: &Column) -> String {
    format!("\"{}\"", column.name)
}

fn terms(sql: &mut Sql, filter: &Filter) {
    for term in &filter.terms {
        sql.push(" AND ");
        if term.negated {
            // An absent value matches no number, so it passes a negated term.
            sql.push("NOT coalesce(");
            any(sql, term);
            sql.push(", false)");
        } else {
            any(sql, term);
        }
    }
}

fn any(sql: &mut Sql, term: &Term) {
    let columns = match term.field {
        Field::One(column) => vec![column],
        Field::Either(one, other) => vec![one, other],
    };
    let mut separator = "(";
    for column in columns {
        for value in &term.values {
            sql.push(separator);
            matching(sql, column, *value);
            separator = " OR ";
        }
    }
    sql.push(")");
}

fn matching(sql: &mut Sql, column: &Column, value: Match) {
    let name = name(column);
    match value {
        Match::Absent => sql.push(&format!("{name} IS NULL")),
        Match::Numbers(first, last) => {
            debug_assert!(!matches!(column.kind, Kind::Address | Kind::Uuid));
            between(sql, &name, Value::UBigInt(first), Value::UBigInt(last));
        }
        Match::Octets(first, last) => {
            between(sql, &name, Value::Blob(first.to_vec()), Value::Blob(last.to_vec()));
        }
    }
}

fn between(sql: &mut Sql, name: &str, first: Value, last: Value) {
    sql.push(name);
    if first == last {
        sql.push(" = ");
        return sql.bind(first);
    }
    sql.push(" BETWEEN ");
    sql.bind(first);
    sql.push(" AND ");
    sql.bind(last);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bound_and_names_are_ours() {
        let mut filter = Filter::default();
        filter.extend("host=10.0.0.1 vlan!=5,none row=1-2").unwrap();
        let sql = ended_in(Range { from: Some(1), to: None }, &filter);
        assert_eq!(
            sql.text,
            " WHERE true AND flow_end_nanoseconds >= ? AND (\"source_ip_address\" = ? OR \"destination_ip_address\" = ?) \
             AND NOT coalesce((\"vlan_id\" = ? OR \"vlan_id\" IS NULL), false) AND (\"row\" BETWEEN ? AND ?)"
        );
        assert_eq!(sql.values.len(), 6);
    }
}
