//! `gannet-collector ledger [--check]`

use std::time::{Duration, Instant};

use serde_json::Value;

use super::report::{list, name_of, report, state_of};
use super::table::{Table, cell};
use super::{Error, Exit, Source, print};
use crate::config::{Books, Format};

/// Between two looks whether the books are closed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Asks and prints; with `--check` the exit code says what was found, and a line on stderr why it is not 0.
pub fn ledger(books: &Books) -> Result<Exit, Error> {
    let source = Source::of(&books.whom)?;
    let pairs: Vec<_> = if books.check { vec![("check".to_owned(), "true".to_owned())] } else { vec![] };
    if let Some(seconds) = books.wait {
        wait_for_the_end(&source, seconds)?;
    }
    let answer = source.ask("/api/v1/ledger", &pairs)?;
    match books.format {
        Format::Json => print(&format!("{answer}\n"))?,
        Format::Csv => print(&terms(&answer).text(Format::Csv))?,
        Format::Table => print(&report(&answer))?,
    }
    if !books.check {
        return Ok(Exit::Done);
    }
    let open = if answer["verdict"] == "open" { why_open(&answer) } else { Vec::new() };
    let deaf = source.ask("/health", &[]).map_or_else(|_| Vec::new(), |health| deaf_inputs(&health));
    for reason in open.iter().chain(&deaf) {
        eprintln!("gannet-collector: ledger --check: {reason}");
    }
    Ok(judge(&answer, books.max_loss, books.wait.is_some()))
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

/// `awaited`: the end was waited for, so that books which are open still are a failure. Else they are those of probes that
/// go on, of which nothing is unexplained. Books of nobody are never right.
fn judge(answer: &Value, max_loss: Option<u64>, awaited: bool) -> Exit {
    let lost = |unit: &str| answer["lost"][unit].as_u64().unwrap_or(0);
    let publishers = lost("publisher_messages").saturating_add(lost("publisher_told"));
    let loss = lost("packets").max(lost("records")).saturating_add(publishers);
    if answer["verdict"] == "residual" {
        Exit::Residual
    } else if list(&answer["epochs"]).is_empty() || awaited && answer["verdict"] != "balanced" {
        Exit::Failed
    } else if max_loss.is_some_and(|most| loss > most) {
        Exit::Loss
    } else {
        Exit::Done
    }
}

/// Inputs that bring nothing now: what is on their bus is in no books yet.
fn deaf_inputs(health: &Value) -> Vec<String> {
    let is_deaf = |input: &&Value| input["state"] != "running";
    let say = |input: &Value| {
        let of = |key: &str| cell(&input[key]);
        format!(
            "this collector does not read {} now ({}): what waits there is not in these books",
            of("endpoint"),
            of("detail")
        )
    };
    list(&health["inputs"]).iter().filter(is_deaf).map(say).collect()
}

/// What keeps the books open, a sentence each.
fn why_open(answer: &Value) -> Vec<String> {
    let epochs = list(&answer["epochs"]);
    if epochs.is_empty() {
        return vec![
            "no probe was ever heard: nothing was checked; see the inputs in /health, and the probe's --ntopng"
                .to_owned(),
        ];
    }
    let mut reasons: Vec<_> = epochs.iter().filter_map(why_epoch_open).collect();
    if reasons.is_empty() {
        reasons.push(
            "the bus is not read to its end: there may be starts of probes nobody heard of yet".to_owned(),
        );
    }
    reasons
}

fn why_epoch_open(epoch: &Value) -> Option<String> {
    let late = list(&epoch["streams"]).iter().any(|stream| stream["late"] == true);
    let why = match epoch["state"].as_str().unwrap_or_default() {
        "closed" if epoch["drained"] != true => {
            "it is closed, but the bus is not read to its end since: not drained".to_owned()
        }
        "closed" if late => {
            "it is closed, but batches below its last cut are not here yet, and the probe may still say why"
                .to_owned()
        }
        "closed" => return None,
        "silent" => format!(
            "{}: not closed, and not heard any more: killed or cut off; the next start of its probe closes its books",
            state_of(epoch)
        ),
        _ => "it is not closed: the probe goes on, or was killed within the last half minute".to_owned(),
    };
    Some(format!("{} epoch {}: {why}", name_of(epoch), cell(&epoch["epoch"])))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_does_not_read_is_named_with_its_reason() {
        let health = serde_json::json!({"inputs": [
            {"endpoint": "kafka://a:9092", "state": "waiting", "detail": "waiting for a broker"},
            {"endpoint": "zmq://b:5556", "state": "running", "detail": "reading"},
        ]});
        let [said] = &*deaf_inputs(&health) else { panic!("one") };
        assert!(said.contains("does not read kafka://a:9092 now (waiting for a broker)"), "{said}");
    }

    fn answer(verdict: &str, state: &str, drained: bool) -> Value {
        let epoch = serde_json::json!({
            "exporter": "box1", "epoch": "91aa", "state": state, "drained": drained, "unsent": {"packets": 7},
            "last_heard_nanoseconds": 1_700_000_000_000_000_000_u64,
        });
        serde_json::json!({"verdict": verdict, "lost": {"packets": 3, "records": 2}, "epochs": [epoch]})
    }

    #[test]
    fn the_exit_code_follows_the_verdict_and_then_the_loss() {
        let residual = answer("residual", "closed", true);
        assert_eq!(judge(&residual, Some(0), true), Exit::Residual);
        let balanced = answer("balanced", "closed", true);
        assert_eq!(judge(&balanced, Some(2), true), Exit::Loss);
        assert_eq!(judge(&balanced, Some(3), true), Exit::Done);
        assert_eq!(judge(&balanced, None, false), Exit::Done);
    }

    #[test]
    fn open_books_are_right_until_their_end_was_waited_for() {
        let open = answer("open", "open", true);
        assert_eq!(judge(&open, None, false), Exit::Done);
        assert_eq!(judge(&open, Some(2), false), Exit::Loss);
        assert_eq!(judge(&open, None, true), Exit::Failed);
    }

    #[test]
    fn books_of_nobody_are_no_success() {
        let empty =
            serde_json::json!({"verdict": "open", "lost": {"packets": 0, "records": 0}, "epochs": []});
        assert_eq!(judge(&empty, None, false), Exit::Failed);
        assert!(why_open(&empty)[0].starts_with("no probe was ever heard"), "{:?}", why_open(&empty));
    }

    #[test]
    fn what_keeps_the_books_open_is_named() {
        let why = |state, drained| why_open(&answer("open", state, drained)).join("; ");
        assert!(why("open", true).starts_with("box1 epoch 91aa: it is not closed"));
        assert!(why("silent", true).contains(
            "open, last heard 2023-11-14T22:13:20.000000Z, 7 packets metered and not sent by then"
        ));
        assert!(why("closed", false).contains("not drained"));
        assert!(why("closed", true).contains("nobody heard of yet"));
    }
}
