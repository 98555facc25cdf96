//! The chaos harness judged by itself: its schedules come again, and each of its witnesses can say no.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../chaos/chaos.rs"]
mod chaos;

use std::collections::BTreeMap;

use chaos::oracle::{self, Batches, Packets};
use chaos::store::{Stamp, Stored};
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
    assert_eq!(oracle::batches(&log, &stored(&all)), good);
    // The last of a stream may have been cut off, one before it not.
    let found = oracle::batches(&log, &stored(&all[1..3]));
    assert_eq!(found, Batches { stored: 2, missing: vec![stamp(0, 0)], cut_off: 1, ..good.clone() });
    let mut other = all.clone();
    other[1].1 = (99, 1000);
    assert_eq!(oracle::batches(&log, &stored(&other)), Batches { wrong: vec![stamp(0, 1)], ..good.clone() });
    let twice = Stored { doubled: vec![stamp(1, 0)], ..stored(&all) };
    assert_eq!(oracle::batches(&log, &twice), Batches { wrong: vec![stamp(1, 0)], ..good });
}
