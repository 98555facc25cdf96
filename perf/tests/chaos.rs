//! The chaos harness judged by itself: its schedules come again, and each of its witnesses can say no.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../chaos/chaos.rs"]
mod chaos;

use std::collections::{BTreeMap, BTreeSet};

use std::time::{Duration, Instant};

use chaos::excuse::{self, Excuses, Shortfall};
use chaos::oracle::{self, Batches, Log, Packets};
use chaos::store::{Stamp, Stored};
use chaos::tally::Carried;
use chaos::traffic::Round;
use chaos::{Bus, kinds, schedule};
use perf::flows::{self, Flows};

#[test]
fn a_seed_makes_the_same_schedule_and_another_makes_another() {
    let make = |seed| schedule::make(seed, 50, &kinds(Bus::Kafka));
    assert_eq!(make(1), make(1));
    assert_ne!(make(1), make(2));
}

#[test]
fn every_kind_of_event_comes_equally_often() {
    for bus in [Bus::Kafka, Bus::Zmq, Bus::Both] {
        let kinds = kinds(bus);
        let mut times = BTreeMap::new();
        for event in schedule::make(7, 3 * kinds.len(), &kinds) {
            *times.entry((event.whom, event.what)).or_insert(0) += 1;
        }
        assert_eq!(times.len(), kinds.len());
        assert!(times.values().all(|times| *times == 3), "{times:?}");
    }
}

fn flows(packets: &[(u16, u64)]) -> Flows {
    let mut all = Flows::new();
    for (port, packets) in packets {
        let line = format!(
            r#"{{"source_ip_address":"10.0.0.1","destination_ip_address":"10.0.0.2","source_transport_port":{port},
            "destination_transport_port":53,"protocol_identifier":17,"vlan_id":null,"packet_delta_count":{packets},
            "reverse_packet_delta_count":0,"octet_delta_count":{octets},"reverse_octet_delta_count":0,
            "layer2_octet_delta_count":{octets},"reverse_layer2_octet_delta_count":0}}"#,
            octets = packets * 60
        );
        flows::add(&mut all, &serde_json::from_str(&line).unwrap());
    }
    all
}

#[test]
fn what_one_flow_lacks_another_does_not_make_up_for() {
    let sent = flows(&[(1, 5), (2, 5), (3, 5)]);
    let found = oracle::packets(&sent, &flows(&[(1, 5), (2, 7), (4, 1)]));
    assert_eq!(found, Packets { lost: 5, doubled: 3, uneven: 0 });
    assert_eq!(oracle::packets(&sent, &sent), Packets::default());
    let mut other = sent.clone();
    other.values_mut().for_each(|both| both.upward.octets += 1);
    assert_eq!(oracle::packets(&sent, &other), Packets { lost: 0, doubled: 0, uneven: 3 });
}

fn stamp(stream: u16, sequence: u64) -> Stamp {
    ("e".to_owned(), stream, sequence)
}

#[test]
fn the_log_of_sealed_batches_misses_what_is_not_stored_and_knows_what_was_never_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("sealed");
    // A torn last line is no entry.
    std::fs::write(&log, "e 0 0 11 1000\ne 0 1 12 1000\ne 0 2 13 7\ne 1 0 14 9\ne 1 1").unwrap();
    let sealed = oracle::read(&log);
    let none = BTreeSet::new();
    let stored = |batches: &[(Stamp, (u32, u32))]| Stored {
        batches: batches.iter().cloned().collect(),
        ..Stored::default()
    };
    let all = [
        (stamp(0, 0), (11, 1000)),
        (stamp(0, 1), (12, 1000)),
        (stamp(0, 2), (13, 7)),
        (stamp(1, 0), (14, 9)),
    ];
    let good = Batches { sealed: 4, stored: 4, ..Batches::default() };
    assert_eq!(oracle::batches(&sealed, &stored(&all), &none), good);
    // What a kill may have cut off is no other one, and need not be missing.
    let cut_off = BTreeSet::from([stamp(1, 0), stamp(0, 2)]);
    let found = oracle::batches(&sealed, &stored(&all[1..3]), &cut_off);
    assert_eq!(found, Batches { stored: 2, missing: vec![stamp(0, 0)], cut_off: 1, ..good.clone() });
    let mut other = all.clone();
    other[1].1 = (99, 1000);
    assert_eq!(
        oracle::batches(&sealed, &stored(&other), &none),
        Batches { wrong: vec![stamp(0, 1)], ..good.clone() }
    );
    let twice = Stored { doubled: vec![stamp(1, 0)], ..stored(&all) };
    assert_eq!(oracle::batches(&sealed, &twice, &none), Batches { wrong: vec![stamp(1, 0)], ..good });
}

/// Three rounds of ten packets.
fn rounds() -> Vec<Round> {
    [1, 2, 3].map(|port| Round { flows: flows(&[(port, 10)]), packets: 10 }).into()
}

#[test]
fn a_round_lacks_what_it_had_on_the_wire_while_nobody_metered_and_nothing_else() {
    let judge = |stored: &[(u16, u64)], unheard: &[std::ops::Range<u64>]| {
        let Shortfall { bound, excused, inexcusable } = excuse::shortfall(&rounds(), &flows(stored), unheard);
        [bound, excused, inexcusable]
    };
    let all = [(1, 10), (2, 10), (3, 10)];
    assert_eq!(judge(&all, &[]), [0, 0, 0]);
    // Without a kill, one packet is too much.
    assert_eq!(judge(&[(1, 10), (2, 9), (3, 10)], &[]), [0, 0, 1]);
    // Half of the second round and one of the third; windows that overlap count once.
    let dead = [15..18, 16..21];
    assert_eq!(judge(&[(1, 10), (2, 5), (3, 9)], &dead), [6, 6, 0]);
    // What was open in the cache of the killed probe came before, and is no part of it.
    assert_eq!(judge(&[(2, 5), (3, 9)], &dead), [6, 6, 10]);
    assert_eq!(judge(&[(1, 10), (2, 4), (3, 10)], &dead), [6, 5, 1]);
}

#[test]
fn a_kill_is_excused_from_half_a_second_before_until_the_next_start_meters_and_one_at_rest_never() {
    let begin = Instant::now();
    let at = |milliseconds| begin + Duration::from_millis(milliseconds);
    // A packet a millisecond, read every ten of them.
    let carried = Carried::of((0..1_000).map(|ten| (at(10 * ten), 10 * ten)).collect());
    let mut excuses = Excuses::default();
    excuses.killed_at_rest(&Log::new());
    assert!(excuses.is_empty());
    excuses.killed(at(2_000), &Log::new());
    // Killed again before it metered.
    excuses.killed(at(2_400), &Log::new());
    assert_eq!(excuses.unheard(&[at(0), at(3_000), at(5_000)], &carried), [1_500..3_000, 1_900..3_000]);
    assert_eq!(excuses.unheard(&[at(0)], &carried), [1_500..9_990, 1_900..9_990]);
}

#[test]
fn a_kill_may_cut_off_the_last_batch_of_each_stream_of_its_own_epoch_alone() {
    let log = |stamps: &[(&str, u16, u64)]| -> Log {
        stamps
            .iter()
            .map(|(epoch, stream, sequence)| (((*epoch).to_owned(), *stream, *sequence), (1, 1)))
            .collect()
    };
    let mut excuses = Excuses::default();
    excuses.stopped(&log(&[("a", 0, 0)]));
    excuses.killed(Instant::now(), &log(&[("a", 0, 0), ("b", 0, 0), ("b", 0, 1), ("b", 1, 0)]));
    excuses.stopped(&log(&[("a", 0, 0), ("b", 0, 1), ("b", 1, 0), ("c", 0, 0)]));
    let expected = [("b".to_owned(), 0, 1), ("b".to_owned(), 1, 0)];
    assert_eq!(excuses.cut_off(), &BTreeSet::from(expected));
}
