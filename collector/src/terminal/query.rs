//! `gannet-collector query [flows|top|timeseries]`

use serde_json::Value;

use super::table::{Table, cell};
use super::{Error, Source, print};
use crate::config::{Format, Query, Question};
use crate::query::time;
use crate::store::COLUMNS;

/// Columns of the table; JSON and CSV have all.
const FLOW_COLUMNS: [&str; 12] = [
    "flow_start_nanoseconds",
    "flow_end_nanoseconds",
    "source_ip_address",
    "source_transport_port",
    "destination_ip_address",
    "destination_transport_port",
    "protocol_identifier",
    "packet_delta_count",
    "reverse_packet_delta_count",
    "octet_delta_count",
    "reverse_octet_delta_count",
    "flow_end_reason",
];

/// Asks and prints.
pub fn query(query: &Query) -> Result<(), Error> {
    let source = Source::of(&query.whom)?;
    let path = match query.question {
        Question::Flows => "/api/v1/flows",
        Question::Top => "/api/v1/top",
        Question::Timeseries => "/api/v1/timeseries",
    };
    let answer = source.ask(path, &pairs(query))?;
    if query.format == Format::Json {
        return print(&format!("{answer}\n"));
    }
    let table = match query.question {
        Question::Flows => flows(&answer, query.format),
        Question::Top => top(&answer),
        Question::Timeseries => timeseries(&answer, query.format),
    };
    print(&table.text(query.format))
}

fn pairs(query: &Query) -> Vec<(String, String)> {
    let one = [
        ("from", &query.from),
        ("to", &query.to),
        ("by", &query.by),
        ("measure", &query.measure),
        ("limit", &query.limit),
        ("step", &query.step),
    ];
    let one = one.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    one.chain(query.filter.iter().map(|terms| ("filter".to_owned(), terms.clone()))).collect()
}

fn list<'a>(answer: &'a Value, key: &str) -> &'a [Value] {
    answer[key].as_array().map_or(&[], Vec::as_slice)
}

fn names(answer: &Value, key: &str) -> Vec<String> {
    list(answer, key).iter().map(cell).collect()
}

/// In a table, which people read, times are times; elsewhere they are the API's numbers.
fn shown(name: &str, value: &Value, format: Format) -> String {
    match value.as_u64() {
        Some(nanoseconds) if format == Format::Table && name.ends_with("_nanoseconds") => {
            time::shown(nanoseconds)
        }
        _ => cell(value),
    }
}

fn heads(columns: Vec<String>, format: Format) -> Vec<String> {
    match format {
        Format::Table => {
            columns.iter().map(|name| name.trim_end_matches("_nanoseconds").to_owned()).collect()
        }
        Format::Json | Format::Csv => columns,
    }
}

fn flows(answer: &Value, format: Format) -> Table {
    let columns: Vec<String> = match format {
        Format::Csv => COLUMNS.iter().map(|column| column.name.to_owned()).collect(),
        Format::Table | Format::Json => FLOW_COLUMNS.map(str::to_owned).to_vec(),
    };
    let row = |flow: &Value| columns.iter().map(|name| shown(name, &flow[name], format)).collect();
    let rows = list(answer, "flows").iter().map(row).collect();
    Table { columns: heads(columns, format), rows }
}

fn top(answer: &Value) -> Table {
    let columns: Vec<_> = names(answer, "by").into_iter().chain(names(answer, "measures")).collect();
    let row = |group: &Value| columns.iter().map(|name| cell(&group[name])).collect();
    let rows = list(answer, "rows").iter().map(row).collect();
    Table { columns, rows }
}

/// One line per bucket, one column per series.
fn timeseries(answer: &Value, format: Format) -> Table {
    let series = list(answer, "series");
    let title = |one: &Value| match one["others"].as_bool() {
        Some(true) => "others".to_owned(),
        _ => {
            let keys: Vec<_> = names(answer, "by").iter().map(|name| cell(&one["key"][name])).collect();
            if keys.is_empty() { cell(&answer["measure"]) } else { keys.join("/") }
        }
    };
    let head = ["start_nanoseconds".to_owned(), "complete".to_owned()];
    let columns = heads(head.into_iter().chain(series.iter().map(title)).collect(), format);
    let row = |(at, bucket): (usize, &Value)| {
        let start = "start_nanoseconds";
        let head = [shown(start, &bucket[start], format), cell(&bucket["complete"])];
        head.into_iter().chain(series.iter().map(|one| cell(&one["values"][at]))).collect()
    };
    Table { columns, rows: list(answer, "buckets").iter().enumerate().map(row).collect() }
}
