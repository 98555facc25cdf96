//! Time series: a flow's count spread over its duration in whole numbers that sum to the count.
//!
//! ```text
//! share of a bucket = floor(count * (its end - start) / duration) - floor(count * (its begin - start) / duration)
//! ```
//! Bucket ends clipped to the flow. The sum telescopes to the count, whatever the rounding, and a share depends on
//! nothing but flow and bucket: any two queries agree on it.

use duckdb::Connection;
use duckdb::types::Value;

use super::super::Error;
use super::read::{cells, collect, unsigned};
use super::render::{self, Sql};
use crate::query::answer::{Series, Timeseries as Answer};
use crate::query::time::SECOND;
use crate::query::{Measure, Range, Timeseries};

/// Buckets of one answer: more than a screen has columns.
pub(super) const BUCKETS_MAX: u64 = 5_000;

/// Buckets that a step chosen by us gives at most.
const BUCKETS_CHOSEN: u64 = 300;

/// Steps that we choose from, in seconds: those that people read off an axis.
const STEPS: [u64; 16] = [
    1,
    5,
    10,
    30,
    60,
    300,
    600,
    1_800,
    3_600,
    10_800,
    21_600,
    43_200,
    86_400,
    7 * 86_400,
    30 * 86_400,
    365 * 86_400,
];

/// A product of count and nanoseconds must fit into 127 bits. A count or duration beyond (146 years) stays whole, in the
/// bucket where the flow begins.
const SPREAD_BELOW: u64 = 1 << 62;

/// The largest product in 64 bits.
const MOST: u64 = u64::MAX;

/// The buckets of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    /// Number of the first bucket since the UNIX epoch.
    first: u64,
    /// Number of the first one after.
    end: u64,
    step: u64,
}

/// Answers a time series in the transaction of the connection.
pub(super) fn timeseries(connection: &Connection, query: &Timeseries) -> Result<Answer, Error> {
    let axis = match bounds(connection, query)? {
        Some((from, to)) => axis(from, to, query.step_nanoseconds)?,
        None => nothing(query),
    };
    let sql = series_sql(query, axis);
    let cells_of = |row: &duckdb::Row<'_>| {
        Ok(Point {
            key: cells(row, &query.by)?,
            rank: unsigned(row, query.by.len())?,
            at: unsigned(row, query.by.len() + 1)?,
            value: unsigned(row, query.by.len() + 2)?,
        })
    };
    let points = if axis.end == axis.first { Vec::new() } else { collect(connection, &sql, cells_of)? };
    Ok(Answer {
        from_nanoseconds: axis.first * axis.step,
        to_nanoseconds: axis.end * axis.step,
        step_nanoseconds: axis.step,
        measure: query.measure,
        by: query.by.clone(),
        limit: query.limit,
        complete_until_nanoseconds: None,
        series: series(points, axis, u64::from(query.limit)),
    })
}

/// The axis of no flows: it begins where the question does, and has no bucket.
fn nothing(query: &Timeseries) -> Axis {
    let step = query.step_nanoseconds.unwrap_or(SECOND);
    let first = query.selection.range.from.unwrap_or(0) / step;
    Axis { first, end: first, step }
}

struct Point {
    key: Vec<crate::query::answer::Cell>,
    rank: u64,
    at: u64,
    value: u64,
}

/// Points come ordered by rank and bucket.
fn series(points: Vec<Point>, axis: Axis, limit: u64) -> Vec<Series> {
    let mut series: Vec<(u64, Series)> = Vec::new();
    for point in points {
        if series.last().is_none_or(|(rank, _)| *rank != point.rank) {
            let key = (point.rank <= limit).then_some(point.key);
            series.push((point.rank, Series { key, values: vec![0; (axis.end - axis.first) as usize] }));
        }
        if let Some((_, last)) = series.last_mut() {
            last.values[(point.at - axis.first) as usize] = point.value;
        }
    }
    series.into_iter().map(|(_, series)| series).collect()
}

/// The range asked for; where an end is open, that of the flows which match.
fn bounds(connection: &Connection, query: &Timeseries) -> Result<Option<(u64, u64)>, Error> {
    let Range { from, to } = query.selection.range;
    if let (Some(from), Some(to)) = (from, to) {
        return Ok(Some((from, to)));
    }
    let mut sql = Sql::default();
    sql.push("SELECT min(flow_start_nanoseconds), max(greatest(flow_start_nanoseconds, flow_end_nanoseconds)) FROM flow");
    let condition = render::overlapping(query.selection.range, &query.selection.filter);
    sql.push(&condition.text);
    sql.values = condition.values;
    let found =
        collect(connection, &sql, |row| Ok((row.get::<_, Option<u64>>(0)?, row.get::<_, Option<u64>>(1)?)))?;
    let Some(&(Some(first), Some(last))) = found.first() else { return Ok(None) };
    let from = from.unwrap_or(first);
    Ok(Some((from, to.unwrap_or(last.saturating_add(1)).max(from.saturating_add(1)))))
}

fn axis(from: u64, to: u64, step: Option<u64>) -> Result<Axis, Error> {
    let with = |step: u64| {
        // The end of the last bucket must be a number too: what little lies behind, in the year 2554, is cut off.
        let end = to.div_ceil(step).min(u64::MAX / step);
        Axis { first: (from / step).min(end), end, step }
    };
    let chosen = STEPS.map(|seconds| with(seconds * SECOND)).into_iter();
    let axis = match step {
        Some(step) => with(step),
        None => chosen
            .clone()
            .find(|axis| axis.end - axis.first <= BUCKETS_CHOSEN)
            .or(chosen.last())
            .unwrap_or(with(SECOND)),
    };
    match axis.end - axis.first {
        buckets if buckets > BUCKETS_MAX => Err(Error::Buckets { buckets, most: BUCKETS_MAX }),
        _ => Ok(axis),
    }
}

/// Key columns, rank of the series, bucket, value.
fn series_sql(query: &Timeseries, axis: Axis) -> Sql {
    let keys: Vec<_> = query.by.iter().map(|column| render::name(column)).collect();
    let each = |format: fn(&str) -> String| keys.iter().map(|key| format(key)).collect::<String>();
    let (columns, picked) = (each(|key| format!("{key}, ")), each(|key| format!("any_value({key}), ")));
    let partition = if keys.is_empty() { String::new() } else { format!("PARTITION BY {}", keys.join(", ")) };
    let order = each(|key| format!(", {key} NULLS FIRST"));
    let mut sql = Sql::default();
    parts(&mut sql, query, axis, &columns);
    sql.push(&format!(
        ", summed AS (SELECT {columns}bucket, sum(v) AS v FROM parts GROUP BY {columns}bucket)
         , totals AS (SELECT *, sum(v) OVER ({partition}) AS total FROM summed)
         , ranked AS (SELECT *, dense_rank() OVER (ORDER BY total DESC{order}) AS place FROM totals)
         SELECT {picked}least(place, "
    ));
    sql.bind(Value::BigInt(i64::from(query.limit) + 1));
    sql.push(") AS series, bucket, sum(v) FROM ranked GROUP BY series, bucket ORDER BY series, bucket");
    sql
}

/// `WITH ... parts AS (key columns, bucket, v)`: the share of each flow in each bucket.
fn parts(sql: &mut Sql, query: &Timeseries, axis: Axis, columns: &str) {
    let Axis { first, end, step } = axis;
    let range = Range { from: Some(first * step), to: Some(end * step) };
    let filter = &query.selection.filter;
    if query.measure == Measure::Flows {
        sql.push(&format!(
            "WITH parts AS (SELECT {columns}flow_end_nanoseconds // {step} AS bucket, 1::HUGEINT AS v FROM flow"
        ));
        let condition = render::ended_in(range, filter);
        sql.push(&condition.text);
        sql.values.extend(condition.values);
        return sql.push(")");
    }
    let value = render::of_one_flow(query.measure);
    sql.push(&format!(
        "WITH picked AS (SELECT {columns}flow_start_nanoseconds AS s,
            greatest(flow_start_nanoseconds, flow_end_nanoseconds) AS e, {value} AS v FROM flow"
    ));
    let condition = render::overlapping(range, filter);
    sql.push(&condition.text);
    sql.values.extend(condition.values);
    // The product of most flows fits into 64 bits, and DuckDB divides those thirty times as fast.
    let (narrow, wide) = (share("TRY_CAST(v AS UBIGINT)", step), share("v", step));
    sql.push(&format!(
        "), placed AS (SELECT *, s // {step} AS a,
            CASE WHEN e > s AND e - s < {SPREAD_BELOW} AND v < {SPREAD_BELOW} THEN (e - 1) // {step}
                 ELSE s // {step} END AS z FROM picked)
         , buckets AS (SELECT {columns}s, e, v, v <= ({MOST} // (e - s))::HUGEINT AS narrow,
                unnest(range(greatest(a, {first})::BIGINT, least(z + 1, {end})::BIGINT))::UBIGINT AS bucket
            FROM placed WHERE a < z)
         , parts AS (
            SELECT {columns}a AS bucket, v FROM placed WHERE a = z AND a >= {first} AND a < {end}
            UNION ALL SELECT {columns}bucket, ({narrow})::HUGEINT AS v FROM buckets WHERE narrow
            UNION ALL SELECT {columns}bucket, {wide} AS v FROM buckets WHERE NOT narrow)"
    ));
}

/// The share of the bucket `bucket` in the count `v` of a flow from `s` to `e`.
fn share(v: &str, step: u64) -> String {
    format!(
        "({v} * (least(e, (bucket + 1) * {step}) - s)) // (e - s) - ({v} * (greatest(s, bucket * {step}) - s)) // (e - s)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_is_the_smallest_that_fits() {
        assert_eq!(axis(0, 300 * SECOND, None).unwrap().step, SECOND);
        assert_eq!(axis(0, 301 * SECOND, None).unwrap().step, 5 * SECOND);
        assert_eq!(axis(1, 2, None).unwrap(), Axis { first: 0, end: 1, step: SECOND });
        // From 1970 to the end of 64 bits, as a broken record may say.
        assert_eq!(axis(0, u64::MAX, None).unwrap().step, 365 * 86_400 * SECOND);
        assert!(matches!(axis(0, 5_001 * SECOND, Some(SECOND)), Err(Error::Buckets { buckets: 5_001, .. })));
    }
}
