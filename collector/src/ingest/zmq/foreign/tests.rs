//! What becomes of messages, without a socket: every one of them is in the books.

use flow_wire::ledger::{Message, of_probe};
use flow_wire::stamp::StreamId;

use super::*;
use crate::store::Batch;

const STORE: Uuid = Uuid::from_u128(5);
const URL: &str = "zmq://test:1";

fn header(topic: &str, number: u32, source: u32) -> Vec<u8> {
    let mut header = vec![0; 36];
    header[..topic.len()].copy_from_slice(topic.as_bytes());
    header[16] = 4;
    header[28..32].copy_from_slice(&number.to_be_bytes());
    header[32..36].copy_from_slice(&source.to_le_bytes());
    header
}

fn flow(port: u16) -> String {
    format!(
        r#"{{"8":"10.0.0.1","12":"10.0.0.2","4":17,"7":{port},"22":1700000000,"21":1700000001,"1":100,"2":1,"999":0}}"#
    )
}

/// Everything that is to be handed over: batches, books, refusals.
fn ready(foreign: &mut Foreign) -> (Vec<Batch>, Vec<Message>, Vec<Refusal>) {
    let (mut batches, mut books, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(arrived) = foreign.next() {
        match arrived.content {
            Content::Flows(batch) => batches.push(batch),
            Content::Books(said) => books.push(said.message),
            Content::Refused(refusal) => refusals.push(refusal),
            Content::Nothing => panic!("nothing"),
        }
    }
    (batches, books, refusals)
}

fn assert_balanced(message: &Message) {
    let identities = of_probe(message, None);
    assert!(identities.len() == 2 && identities.iter().all(|identity| identity.holds()), "{identities:?}");
}

#[test]
fn gaps_restarts_and_bad_flows_are_in_books_that_balance() {
    let (mut foreign, now) = (Foreign::new(URL, STORE), Instant::now());
    for number in [4, 5, 9, 10, 1] {
        let flows = format!("[{},{{}}]", flow(number as u16));
        assert_eq!(foreign.take(&header("flow", number, 7), flows.as_bytes(), now), Sender::Foreign);
    }
    foreign.take(&header("option", 2, 7), b"not looked into", now);
    foreign.take(&header("flow", 3, 7), b"[{", now);
    foreign.take(&header("nothing", 4, 7), b"", now);
    foreign.turn(now + Duration::from_millis(999));
    let (batches, books, refusals) = ready(&mut foreign);
    assert!(batches.is_empty() && books.is_empty());
    let reasons: Vec<_> = refusals.iter().map(|refusal| (refusal.reason.name(), refusal.records)).collect();
    assert_eq!(reasons, [("record", 1); 5].into_iter().chain([("publisher", 0); 2]).collect::<Vec<_>>());
    assert!(
        refusals[0].detail.contains("1 of 2 flows; the first: a flow without a protocol"),
        "{refusals:?}"
    );

    foreign.turn(now + Duration::from_secs(1));
    let (batches, books, _) = ready(&mut foreign);
    let terms = books[0].publisher.as_ref().unwrap();
    assert_eq!((terms.source, terms.numbered, terms.messages), (7, 7 + 3, 7));
    assert_eq!((terms.missed_messages, terms.restarts, terms.refused_messages), (3, 1, 1));
    assert_eq!((terms.records_read, terms.records_refused, terms.values_left_out), (10, 5, 5));
    assert_eq!((batches[0].rows.num_rows(), books[0].cuts[0].records, books[0].closed), (5, 5, false));
    assert_balanced(&books[0]);
    foreign.turn(now + Duration::from_secs(9));
    assert!(foreign.is_empty(), "nothing new to say");
    foreign.close();
    let (_, books, _) = ready(&mut foreign);
    assert!(books[0].closed && books[0].publisher.as_ref().unwrap().numbered == 10);
    assert_balanced(&books[0]);
}

#[test]
fn each_source_has_an_identity_that_outlives_the_run_and_an_epoch_that_does_not() {
    let run = || {
        let mut foreign = Foreign::new(URL, STORE);
        for source in [7, 8] {
            foreign.take(&header("flow", 1, source), flow(1).as_bytes(), Instant::now());
        }
        foreign.close();
        let (batches, _, _) = ready(&mut foreign);
        batches.iter().map(|batch| batch.stamp).collect::<Vec<_>>()
    };
    let (one, other) = (run(), run());
    assert!(one[0].probe != one[1].probe && one[0].epoch != one[1].epoch);
    for (one, other) in one.iter().zip(&other) {
        assert!(one.probe == other.probe && one.epoch != other.epoch && one.stream == StreamId(0));
    }
}

#[test]
fn batches_are_sealed_at_a_thousand_rows_and_numbered_without_gaps() {
    let (mut foreign, now) = (Foreign::new(URL, STORE), Instant::now());
    let flows: Vec<_> = (0..500).map(flow).collect();
    for number in 0..5 {
        foreign.take(&header("flow", number, 7), format!("[{}]", flows.join(",")).as_bytes(), now);
    }
    foreign.turn(now + Duration::from_secs(1));
    let (batches, books, refusals) = ready(&mut foreign);
    let sealed: Vec<_> =
        batches.iter().map(|batch| (batch.stamp.sequence.0, batch.rows.num_rows())).collect();
    assert_eq!((sealed.as_slice(), refusals.len()), (&[(0, 1_000), (1, 1_000), (2, 500)][..], 0));
    assert_eq!((books[0].cuts[0].next.0, books[0].cuts[0].records), (3, 2_500));
    assert_eq!(books[0].cuts[0].exported.packets, 2_500);
}

#[test]
fn what_it_says_it_lost_counts_from_when_it_was_heard_first() {
    let mut foreign = Foreign::new(URL, STORE);
    for (number, drops) in (1..).zip([1_000, 1_002, 1_002, 5]) {
        let event =
            format!(r#"{{"packet_drops":{drops},"probe":{{"version":"v1"}},"timeout":{{"lifetime":9000}}}}"#);
        foreign.take(&header("event", number, 7), event.as_bytes(), Instant::now());
    }
    foreign.close();
    let (_, books, _) = ready(&mut foreign);
    let terms = books[0].publisher.as_ref().unwrap();
    assert_eq!((terms.told_sum(), terms.program.as_deref()), (2 + 5, Some("v1")));
    assert_eq!(books[0].active_timeout_seconds, 600, "no more is believed than by ntopng");
}

#[test]
fn sources_are_bounded_and_one_that_is_silent_makes_room() {
    let (mut foreign, now) = (Foreign::new(URL, STORE), Instant::now());
    for source in 0..=SOURCES_MAX as u32 {
        foreign.take(&header("flow", 1, source), flow(1).as_bytes(), now);
    }
    let (_, books, refusals) = ready(&mut foreign);
    assert_eq!((books.len(), refusals.len(), foreign.sources.len()), (0, 1, SOURCES_MAX));
    assert_eq!(refusals[0].reason, RefusalReason::StreamFull);
    let later = now + SILENT;
    foreign.take(&header("flow", 2, 0), flow(1).as_bytes(), later);
    foreign.take(&header("flow", 1, 9_999), flow(1).as_bytes(), later);
    let (batches, books, refusals) = ready(&mut foreign);
    assert_eq!((batches.len(), books.len(), refusals.len()), (1, 1, 0));
    assert!(books[0].closed && books[0].publisher.as_ref().unwrap().source == 1);
}

#[test]
fn what_a_probe_of_ours_writes_for_ntopng_is_left_alone() {
    let mut foreign = Foreign::new(URL, STORE);
    let mut header = header("flow", 1, 7);
    header[5..11].copy_from_slice(b"gannet");
    assert_eq!(foreign.take(&header, flow(1).as_bytes(), Instant::now()), Sender::Ours);
    foreign.close();
    assert!(foreign.is_empty());
}
