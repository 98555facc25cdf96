//! `gannet-collector ledger [--check]`

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::table::{Table, cell};
use super::{Error, Exit, Source, print};
use crate::config::{Books, Format};

/// Between two looks whether the books are closed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Asks and prints; with `--check` the exit code says what was found.
pub fn ledger(books: &Books) -> Result<Exit, Error> {
    let source = Source::of(&books.whom)?;
    let pairs: Vec<_> = if books.check { vec![("check".to_owned(), "true".to_owned())] } else { vec![] };
    wait_for_the_end(&source, books.wait)?;
    let answer = source.ask("/api/v1/ledger", &pairs)?;
    match books.format {
        Format::Json => print(&format!("{answer}\n"))?,
        Format::Csv => print(&terms(&answer).text(Format::Csv))?,
        Format::Table => print(&report(&answer))?,
    }
    Ok(if books.check { judge(&answer, books.max_loss) } else { Exit::Done })
}

/// Until everything is closed and drained, or the time is over; what is open then is reported as open.
fn wait_for_the_end(source: &Source, seconds: u64) -> Result<(), Error> {
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        let answer = source.ask("/api/v1/ledger", &[])?;
        let epochs = answer["epochs"].as_array().map_or(0, Vec::len);
        if epochs > 0 && answer["verdict"] != "open" {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn judge(answer: &Value, max_loss: Option<u64>) -> Exit {
    let lost = |unit: &str| answer["lost"][unit].as_u64().unwrap_or(0);
    let loss = lost("packets").saturating_add(lost("records"));
    if answer["verdict"] == "residual" {
        Exit::Residual
    } else if max_loss.is_some_and(|most| loss > most) {
        Exit::Loss
    } else {
        Exit::Done
    }
}

/// One line per identity.
fn terms(answer: &Value) -> Table {
    let columns = ["exporter", "epoch", "hop", "name", "scope", "left_over", "holds", "equation"];
    let mut rows = Vec::new();
    for epoch in list(&answer["epochs"]) {
        for identity in list(&epoch["identities"]) {
            let of_epoch = [cell(&epoch["exporter"]), cell(&epoch["epoch"])];
            rows.push(
                of_epoch.into_iter().chain(columns[2..].iter().map(|name| cell(&identity[*name]))).collect(),
            );
        }
    }
    Table { columns: columns.map(str::to_owned).to_vec(), rows }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// For people.
fn report(answer: &Value) -> String {
    let mut text = String::new();
    for epoch in list(&answer["epochs"]) {
        line(
            &mut text,
            &format!(
                "{} epoch {}: {}{}",
                or(&epoch["exporter"], "a probe that was not heard yet"),
                cell(&epoch["epoch"]),
                cell(&epoch["state"]),
                if epoch["drained"] == true { ", drained" } else { "" }
            ),
        );
        for identity in list(&epoch["identities"]) {
            let mark = if identity["holds"] == true { "ok      " } else { "RESIDUAL" };
            line(
                &mut text,
                &format!(
                    "  {mark} {:<8} {:<24} {}",
                    cell(&identity["hop"]),
                    cell(&identity["scope"]),
                    cell(&identity["equation"])
                ),
            );
        }
        for stream in list(&epoch["streams"]).iter().filter(|stream| stream["missing"]["batches"] != 0) {
            line(
                &mut text,
                &format!(
                    "  missing  stream {}: {} batches with {} records, {} packets, {} octets{}",
                    cell(&stream["stream"]),
                    cell(&stream["missing"]["batches"]),
                    cell(&stream["missing"]["records"]),
                    cell(&stream["missing"]["packets"]),
                    cell(&stream["missing"]["octets"]),
                    if stream["late"] == true { " (some may still come)" } else { "" }
                ),
            );
        }
    }
    for (reason, count) in answer["refused"].as_object().into_iter().flatten() {
        line(&mut text, &format!("refused {reason}: {count} messages, kept aside"));
    }
    let hops: Vec<_> = list(&answer["hops"]).iter().map(cell).collect();
    let at = if hops.is_empty() { String::new() } else { format!(" at {}", hops.join(", ")) };
    line(
        &mut text,
        &format!(
            "{}: residual {} ({} octets){at}; lost {} packets, {} records; doubled {} batches (stored once)",
            cell(&answer["verdict"]),
            cell(&answer["residual"]["packets"]),
            cell(&answer["residual"]["octets"]),
            cell(&answer["lost"]["packets"]),
            cell(&answer["lost"]["records"]),
            cell(&answer["doubled"]["batches"]),
        ),
    );
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

fn or(value: &Value, otherwise: &str) -> String {
    if value.is_null() { otherwise.to_owned() } else { cell(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_follows_the_verdict_and_then_the_loss() {
        let answer =
            |verdict: &str| serde_json::json!({"verdict": verdict, "lost": {"packets": 3, "records": 2}});
        assert_eq!(judge(&answer("residual"), Some(0)), Exit::Residual);
        assert_eq!(judge(&answer("open"), Some(4)), Exit::Loss);
        assert_eq!(judge(&answer("balanced"), Some(5)), Exit::Done);
        assert_eq!(judge(&answer("balanced"), None), Exit::Done);
    }
}
