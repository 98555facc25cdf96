//! The closed books for people: verdict, identities, and what became of the batches that are not simply stored.

use std::fmt::Write as _;

use serde_json::Value;

use super::table::cell;
use crate::query::time::shown;

/// What `ledger` prints.
pub(super) fn report(answer: &Value) -> String {
    let mut text = String::new();
    for epoch in list(&answer["epochs"]) {
        let drained = if epoch["drained"] == true { ", drained" } else { "" };
        let (name, number) = (name_of(epoch), cell(&epoch["epoch"]));
        line(&mut text, &format!("{name} epoch {number}: {}{drained}", state_of(epoch)));
        list(&epoch["identities"]).iter().for_each(|one| line(&mut text, &identity(one)));
        publisher(&mut text, &epoch["message"]["publisher"]);
        for stream in list(&epoch["streams"]) {
            missing(&mut text, stream);
            list(&stream["fates"]).iter().for_each(|fated| line(&mut text, &fate(stream, fated)));
        }
    }
    for (reason, count) in answer["refused"].as_object().into_iter().flatten() {
        line(&mut text, &refused(reason, count));
    }
    list(&answer["twins"]).iter().for_each(|one| line(&mut text, &twins(one)));
    line(&mut text, &verdict(answer));
    text
}

/// The host's name, where it was heard.
pub(super) fn name_of(epoch: &Value) -> String {
    let exporter = &epoch["exporter"];
    if exporter.is_null() { "a probe that was not heard yet".to_owned() } else { cell(exporter) }
}

/// The state of an epoch; of one that was killed, when it was heard last and what it held then.
pub(super) fn state_of(epoch: &Value) -> String {
    match epoch["state"].as_str().unwrap_or_default() {
        "closed" if epoch["is_bound"] == true => "closed, bound".to_owned(),
        "silent" => {
            let heard = shown(epoch["last_heard_nanoseconds"].as_u64().unwrap_or(0));
            let unsent = cell(&epoch["unsent"]["packets"]);
            format!("open, last heard {heard}, {unsent} packets metered and not sent by then")
        }
        state => state.to_owned(),
    }
}

/// The elements of an array; nothing else has any.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn identity(identity: &Value) -> String {
    let mark = match (identity["holds"] == true, identity["is_bound"] == true) {
        (true, _) => "ok      ",
        (false, true) => "bound   ",
        (false, false) => "RESIDUAL",
    };
    let (hop, scope, equation) =
        (cell(&identity["hop"]), cell(&identity["scope"]), cell(&identity["equation"]));
    format!("  {mark} {hop:<8} {scope:<24} {equation}")
}

/// Of one that is none of ours: what it lost, as far as that can be known.
fn publisher(text: &mut String, terms: &Value) {
    if terms.is_null() {
        return;
    }
    let of = |term: &str| cell(&terms[term]);
    line(
        text,
        &format!(
            "  publisher {}: none of ours, so at most once, and what comes twice is stored twice; {} messages missed by their numbers, {} without one, \
             {} restarts; {} messages and {} records refused; {} values have no column",
            if terms["program"].is_null() { "(no name)".to_owned() } else { of("program") },
            of("missed_messages"),
            of("unnumbered_messages"),
            of("restarts"),
            of("refused_messages"),
            of("records_refused"),
            of("values_left_out"),
        ),
    );
    for (reason, count) in terms["told"].as_object().into_iter().flatten().filter(|(_, count)| **count != 0) {
        line(text, &format!("  publisher says that it lost {count}: {reason}"));
    }
}

fn missing(text: &mut String, stream: &Value) {
    let missing = &stream["missing"];
    if missing["batches"] == 0 {
        return;
    }
    let late = if stream["late"] == true { " (some may still come)" } else { "" };
    let of = |unit: &str| cell(&missing[unit]);
    line(
        text,
        &format!(
            "  not here stream {}: {} batches with {} records, {} packets, {} octets{late}",
            cell(&stream["stream"]),
            of("batches"),
            of("records"),
            of("packets"),
            of("octets"),
        ),
    );
}

/// `  discarded stream 0: 3 batches (spool_quota): 5-7`
fn fate(stream: &Value, fated: &Value) -> String {
    let reason =
        if fated["reason"].is_null() { String::new() } else { format!(" ({})", cell(&fated["reason"])) };
    let range = |range: &Value| match (&range[0], &range[1]) {
        (first, last) if first == last => cell(first),
        (first, last) => format!("{}-{}", cell(first), cell(last)),
    };
    let ranges: Vec<_> = list(&fated["ranges"]).iter().map(range).collect();
    format!(
        "  {:<8} stream {}: {} batches{reason}: {}",
        cell(&fated["fate"]),
        cell(&stream["stream"]),
        cell(&fated["batches"]),
        ranges.join(", ")
    )
}

fn refused(reason: &str, count: &Value) -> String {
    let alarm = match reason {
        "stream_full" => {
            "ALARM: a stream loses more than it delivers, or a publisher makes new ones all the time, and the store has no \
             room for more of it: the table kept_aside says of which probe; "
        }
        _ => "",
    };
    format!("{alarm}refused {reason}: {count} messages, kept aside")
}

fn twins(twins: &Value) -> String {
    let hosts: Vec<_> = list(&twins["exporters"]).iter().map(cell).collect();
    format!(
        "ALARM: two live probes have the identity {} (on {}): was a host copied? On one of them stop the probe, remove its \
         state directory (--state-dir), or give it a --probe-id of its own",
        cell(&twins["probe_id"]),
        hosts.join(" and ")
    )
}

fn verdict(answer: &Value) -> String {
    let hops: Vec<_> = list(&answer["hops"]).iter().map(cell).collect();
    let at = if hops.is_empty() { String::new() } else { format!(" at {}", hops.join(", ")) };
    format!(
        "{}: residual {} ({} octets){at}; lost {} packets, {} records{}; doubled {} batches (stored once)",
        cell(&answer["verdict"]),
        cell(&answer["residual"]["packets"]),
        cell(&answer["residual"]["octets"]),
        cell(&answer["lost"]["packets"]),
        cell(&answer["lost"]["records"]),
        of_publishers(&answer["lost"]),
        cell(&answer["doubled"]["batches"]),
    )
}

/// ` and 3 messages of other publishers, which say that they lost 5 more`
fn of_publishers(lost: &Value) -> String {
    match (lost["publisher_messages"].as_u64().unwrap_or(0), lost["publisher_told"].as_u64().unwrap_or(0)) {
        (0, 0) => String::new(),
        (messages, told) => {
            format!(" and {messages} messages of other publishers, which say that they lost {told} more")
        }
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fate_is_named_with_its_ranges() {
        let fated = |fate: &str, reason: Option<&str>| serde_json::json!({"fate": fate, "reason": reason, "batches": 4, "ranges": [[2, 4], [9, 9]]});
        let stream = serde_json::json!({"stream": 3});
        assert_eq!(fate(&stream, &fated("late", None)), "  late     stream 3: 4 batches: 2-4, 9");
        assert_eq!(
            fate(&stream, &fated("discarded", Some("spool_quota"))),
            "  discarded stream 3: 4 batches (spool_quota): 2-4, 9"
        );
    }

    #[test]
    fn two_probes_of_one_identity_are_an_alarm() {
        let twins = serde_json::json!([{"probe_id": "7f0c", "exporters": ["a", "b"]}]);
        let text = report(&serde_json::json!({"twins": twins}));
        assert!(text.contains("ALARM: two live probes have the identity 7f0c (on a and b)"), "{text}");
    }

    #[test]
    fn a_stream_that_is_full_is_an_alarm() {
        let text = report(&serde_json::json!({"refused": {"crc": 1, "stream_full": 7}}));
        assert!(
            text.contains("\nALARM: a stream") && text.contains("refused stream_full: 7 messages"),
            "{text}"
        );
        assert!(text.contains("refused crc: 1 messages, kept aside\n"), "{text}");
    }

    #[test]
    fn a_bound_is_told_from_a_residual() {
        let line = |holds: bool, bound: bool| {
            let value = serde_json::json!({"holds": holds, "is_bound": bound, "hop": "meter", "scope": "", "equation": "x"});
            identity(&value).split_whitespace().next().unwrap().to_owned()
        };
        assert_eq!([line(true, false), line(false, false), line(false, true)], ["ok", "RESIDUAL", "bound"]);
        let epoch = serde_json::json!({"state": "closed", "is_bound": true});
        assert_eq!(state_of(&epoch), "closed, bound");
    }
}
