//! The store against a plain model.

use std::net::IpAddr;

use flow_wire::ledger::Amount;
use flow_wire::record::FlowRecord;
use proptest::prelude::*;

use super::super::received::RANGES_MAX;
use super::super::{
    Arrival, Bus, Depth, Expiry, Intake, Offset, Reader, Received, Refusal, RefusalReason, Stored, StreamKey,
    Writer,
};
use super::DuckDb;
use crate::query::answer::Cell;
use crate::query::words::Words;
use crate::testing::{arrival, batch, books, intake, message, record, stamp};

fn words(query: &[(&str, &str)]) -> Vec<(String, String)> {
    query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn ask<'a>(pairs: &'a [(String, String)]) -> Words<'a> {
    Words { pairs, now_nanoseconds: 0 }
}

fn store() -> (tempfile::TempDir, DuckDb) {
    let directory = tempfile::tempdir().unwrap();
    let store = DuckDb::open(directory.path(), None).unwrap();
    (directory, store)
}

fn filled(records: &[FlowRecord]) -> (tempfile::TempDir, DuckDb, Box<dyn Reader>) {
    let (directory, mut store) = store();
    let batches = records
        .chunks(100)
        .enumerate()
        .map(|(sequence, records)| batch(stamp(0, sequence as u64), records))
        .collect();
    store.commit(&intake(batches, vec![])).unwrap();
    let reader = store.reader().unwrap();
    (directory, store, reader)
}

fn octets(record: &FlowRecord) -> u64 {
    record.octet_delta_count + record.reverse_octet_delta_count
}

#[test]
fn the_same_batch_is_stored_once() {
    let (_directory, mut store) = store();
    let once = batch(stamp(0, 0), &[record(1), record(2)]);
    // One arrival, handed over twice: what a fault between bus and store would do.
    let twice = Intake { batches: vec![once.clone(), once.clone()], ..intake(vec![once.clone()], vec![]) };
    let committed = store.commit(&twice).unwrap();
    assert_eq!((committed.rows, committed.batches, committed.duplicates), (2, 1, 1));
    let committed = store.commit(&intake(vec![once], vec![])).unwrap();
    assert_eq!((committed.rows, committed.batches, committed.duplicates), (0, 0, 1));
    let books = store.reader().unwrap().books(Depth::DoubledRows).unwrap();
    let stream = books.epochs[0].streams.values().next().unwrap();
    assert_eq!(
        (books.rows, books.doubled_rows, stream.again.batches, stream.duplicate.batches),
        (2, Some(0), 1, 2)
    );
}

#[test]
fn another_content_under_the_same_stamp_is_a_conflict_and_kept() {
    let (_directory, mut store) = store();
    store.commit(&intake(vec![batch(stamp(0, 0), &[record(1)])], vec![])).unwrap();
    let other = batch(stamp(0, 0), &[record(2)]);
    let body = other.body.clone();
    let committed = store.commit(&intake(vec![other], vec![])).unwrap();
    assert_eq!((committed.rows, committed.duplicates, committed.conflicts), (0, 0, 1));
    let kept: Vec<u8> =
        store.connection.query_row("SELECT body FROM kept_aside", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, body);
    assert_eq!(store.reader().unwrap().books(Depth::Batches).unwrap().refused["conflict"], 1);
}

#[test]
fn a_stream_that_is_full_holds_up_no_other_one() {
    let (_directory, mut store) = store();
    store.commit(&intake(vec![batch(stamp(0, 0), &[record(0)])], vec![])).unwrap();
    let gaps: Vec<_> = (1..=RANGES_MAX as u64).map(|at| format!("{0}-{0}", 2 * at)).collect();
    let stream = store.streams.get_mut(&stamp(0, 0).into()).unwrap();
    stream.received = Received::parse(1, &gaps.join(",")).unwrap();
    stream.arrived = stream.received.clone();
    let next = 2 * RANGES_MAX as u64 + 2;
    let said = message(&[(0, next + 1, 2, Amount::ZERO)], false);
    let full = || batch(stamp(0, next), &[record(1), record(2)]);
    let batches = vec![full(), batch(stamp(1, 0), &[record(3)])];
    let committed = store.commit(&intake(batches, vec![books(0, said)])).unwrap();
    assert_eq!((committed.rows, committed.parked), (1, 1));
    // It comes again, as after a kill in front of the acknowledgement: it was refused once all the same.
    store.commit(&intake(vec![full()], vec![])).unwrap();
    let books = store.reader().unwrap().books(Depth::Batches).unwrap();
    let stream = &books.epochs[0].streams[&stamp(0, 0).stream];
    assert_eq!((stream.refused_below_cut.records, stream.refused_at.text()), (2, format!("{next}-{next}")));
    assert_eq!(books.refused["stream_full"], 2, "messages, as they came");
}

#[test]
fn whoever_makes_streams_without_end_holds_up_none_that_is_known() {
    let (_directory, mut store) = store();
    let one = |stream, sequence| batch(stamp(stream, sequence), &[record(0)]);
    store.commit(&intake(vec![one(0, 0)], vec![])).unwrap();
    let committed = store.commit(&intake((1..200).map(|stream| one(stream, 0)).collect(), vec![])).unwrap();
    assert_eq!((committed.rows, committed.parked), (99, 100));
    let committed = store.commit(&intake(vec![one(0, 1), one(900, 0)], vec![])).unwrap();
    assert_eq!((committed.rows, committed.parked), (1, 1));
    assert_eq!(store.reader().unwrap().books(Depth::Batches).unwrap().refused["stream_full"], 101);
}

#[test]
fn a_late_batch_below_others_is_stored() {
    let (_directory, mut store) = store();
    let at = |sequence| batch(stamp(0, sequence), &[record(sequence)]);
    store.commit(&intake(vec![at(0), at(2), at(3)], vec![])).unwrap();
    let committed = store.commit(&intake(vec![at(1)], vec![])).unwrap();
    assert_eq!((committed.rows, committed.duplicates), (1, 0));
}

#[test]
fn a_reopened_store_knows_sets_offsets_and_refusals() {
    let directory = tempfile::tempdir().unwrap();
    let offset = |partition, last| Offset {
        cluster: "c".into(),
        topic: "t".into(),
        partition,
        last,
        mark: None,
        expiry: Expiry { below: 3, until_nanoseconds: 9 },
    };
    let refusal = Refusal {
        source: "zmq".into(),
        reason: RefusalReason::Crc,
        detail: "test".into(),
        stamp: Some(stamp(0, 5)),
        records: 3,
        body: vec![1, 2],
    };
    let first = {
        let mut store = DuckDb::open(directory.path(), None).unwrap();
        let all = vec![batch(stamp(0, 0), &[record(0)]), batch(stamp(0, 2), &[record(2)])];
        let offsets = vec![offset(0, 4), offset(1, 9), offset(0, 5)];
        store.commit(&Intake { offsets, refusals: vec![refusal], ..intake(all, vec![]) }).unwrap();
        store.id()
    };
    let mut store = DuckDb::open(directory.path(), None).unwrap();
    assert_eq!(store.id(), first);
    let mut offsets = store.all_offsets().unwrap();
    offsets.sort_by_key(|offset| offset.partition);
    assert_eq!(offsets, [offset(0, 5), offset(1, 9)]);
    let stream = &store.streams[&StreamKey::from(stamp(0, 0))];
    assert_eq!((stream.received.floor(), stream.received.above_text().as_str()), (1, "2-2"));
    let committed = store.commit(&intake(vec![batch(stamp(0, 2), &[record(2)])], vec![])).unwrap();
    assert_eq!(committed.duplicates, 1);
}

#[test]
fn a_commit_that_fails_leaves_no_trace() {
    let (_directory, mut store) = store();
    let mut broken = batch(stamp(0, 1), &[record(1)]);
    broken.rows = broken.rows.project(&[0, 1]).unwrap();
    let good = batch(stamp(0, 0), &[record(0)]);
    assert!(store.commit(&intake(vec![good.clone(), broken], vec![])).is_err());
    assert!(store.reader().unwrap().books(Depth::DoubledRows).unwrap().epochs.is_empty());
    assert_eq!(store.commit(&intake(vec![good], vec![])).unwrap().rows, 1);
}

#[test]
fn cuts_are_held_against_the_batches_below_them() {
    let (_directory, mut store) = store();
    let at = |sequence| batch(stamp(0, sequence), &[record(sequence), record(7)]);
    let said = message(&[(0, 2, 4, Amount { packets: 1, octets: 1 })], false);
    store.commit(&intake(vec![at(0), at(1), at(2)], vec![books(1, said.clone())])).unwrap();
    let older = message(&[(0, 1, 2, Amount::ZERO)], false);
    store.commit(&intake(vec![], vec![books(0, older)])).unwrap();
    let found = store.reader().unwrap().books(Depth::DoubledRows).unwrap();
    assert_eq!(found.epochs[0].message.as_ref(), Some(&said));
    let stream = &found.epochs[0].streams[&stamp(0, 0).stream];
    assert_eq!((stream.stored.records, stream.stored_below_cut.records), (6, 4));
    assert_eq!((stream.rows_below_cut, stream.arrived_below_cut.records), (Some(stream.stored_below_cut), 4));
    assert!(!found.epochs[0].drained);
    store.commit(&Intake { drained: true, ..intake(vec![], vec![]) }).unwrap();
    assert!(store.reader().unwrap().books(Depth::Batches).unwrap().epochs[0].drained);
    assert_eq!(store.reader().unwrap().seconds(0).unwrap().len(), 2);
}

#[test]
fn of_a_backlog_of_messages_the_latest_two_and_every_second_are_kept() {
    let (_directory, mut store) = store();
    let said = |time| message(&[(0, time, 0, Amount::ZERO)], false);
    let late = books(7, said(7));
    store.commit(&intake(vec![], vec![late])).unwrap();
    // As partitions never bring them, but two buses do.
    let all = [5, 9, 6, 8, 4].map(|sequence| books(sequence, said(sequence)));
    store.commit(&intake(vec![], all.to_vec())).unwrap();
    let found = store.reader().unwrap().books(Depth::Batches).unwrap();
    assert_eq!(found.epochs[0].message, Some(said(9)));
    assert_eq!(found.epochs[0].previous, Some(said(8)));
    assert_eq!(store.reader().unwrap().seconds(0).unwrap().len(), 6);
}

#[test]
fn empty_store_answers_with_nothing() {
    let (_directory, store) = store();
    let reader = store.reader().unwrap();
    assert!(reader.flows(&ask(&[]).flows().unwrap()).unwrap().rows.is_empty());
    let top = reader.top(&ask(&words(&[("measure", "flows,octets")])).top().unwrap()).unwrap();
    assert_eq!((top.rows.len(), &top.rows[0].sums, top.total), (1, &vec![0, 0], vec![0, 0]));
    let by = words(&[("by", "src")]);
    assert!(reader.top(&ask(&by).top().unwrap()).unwrap().rows.is_empty());
    let series = reader.timeseries(&ask(&by).timeseries().unwrap()).unwrap();
    assert_eq!((series.buckets(), series.series.len()), (0, 0));
}

#[test]
fn filters_select_what_they_say() {
    let records: Vec<_> = (0..300).map(record).collect();
    let (_directory, _store, reader) = filled(&records);
    let holds = |query: &str, model: &dyn Fn(&FlowRecord) -> bool| {
        let pairs = words(&[("filter", query), ("measure", "flows,octets")]);
        let top = reader.top(&ask(&pairs).top().unwrap()).unwrap();
        let kept: Vec<_> = records.iter().filter(|record| model(record)).collect();
        let sum = kept.iter().map(|record| octets(record)).sum::<u64>();
        assert!(!kept.is_empty(), "{query} selects nothing and so shows nothing");
        assert_eq!(top.rows[0].sums, [kept.len() as u64, sum], "{query}");
    };
    let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
    holds("src=10.0.0.4", &|r| r.source_ip_address == ip("10.0.0.4"));
    holds("host=10.0.1.44/30", &|r| {
        [r.source_ip_address, r.destination_ip_address].iter().any(
            |a| matches!(a, IpAddr::V4(v4) if u32::from(*v4) >> 2 == u32::from_be_bytes([10, 0, 1, 44]) >> 2),
        )
    });
    holds("src=0.0.0.0/0", &|r| r.source_ip_address.is_ipv4());
    holds("src=2001:db8::/32 dport=53,443", &|r| {
        r.source_ip_address.is_ipv6() && [53, 443].contains(&r.destination_transport_port)
    });
    holds("port=40010-40019 proto=tcp", &|r| {
        (40_010..=40_019).contains(&r.source_transport_port) && r.protocol_identifier == 6
    });
    holds("vlan=none", &|r| r.vlan_id.is_none());
    holds("vlan!=100", &|r| r.vlan_id != Some(100));
    holds("vlan=100,none", &|_| true);
    holds("tcp_control_bits=27 flow_end_reason=idle_timeout", &|r| r.tcp_control_bits == Some(27));
    holds("probe=00000000-0000-0000-0000-000000000001", &|_| true);
}

#[test]
fn flows_are_the_last_ones_with_every_element() {
    let records: Vec<_> = (0..300).map(record).collect();
    let (_directory, _store, reader) = filled(&records);
    let pairs = words(&[("limit", "7")]);
    let flows = reader.flows(&ask(&pairs).flows().unwrap()).unwrap();
    assert!(flows.truncated);
    let mut ends: Vec<_> = records.iter().map(|record| record.flow_end_nanoseconds).collect();
    ends.sort_unstable_by_key(|end| std::cmp::Reverse(*end));
    let found: Vec<_> = flows.rows.iter().map(|row| row[1]).collect();
    assert_eq!(found, ends[..7].iter().map(|end| Cell::Unsigned(*end)).collect::<Vec<_>>());
    let value = serde_json::to_value(&flows).unwrap();
    let first = &value["flows"][0];
    let number = first["sequence"].as_u64().unwrap() * 100 + first["row"].as_u64().unwrap();
    let expected = &records[number as usize];
    assert_eq!(first["source_ip_address"], expected.source_ip_address.to_string());
    assert_eq!(first["vlan_id"].as_u64(), expected.vlan_id.map(u64::from));
    assert_eq!(first["flow_end_reason"], "idle_timeout");
    assert_eq!(first["epoch"], "00000000-0000-0000-0000-000000000002");
}

#[test]
fn ranges_count_each_flow_once() {
    let records: Vec<_> = (0..300).map(record).collect();
    let (_directory, _store, reader) = filled(&records);
    let middle = 1_700_000_012_345_678_901_u64.to_string();
    let flows = |name: &str| {
        let pairs = words(&[(name, &middle), ("measure", "flows")]);
        reader.top(&ask(&pairs).top().unwrap()).unwrap().total[0]
    };
    let (before, after) = (flows("to"), flows("from"));
    assert!(before > 0 && after > 0);
    assert_eq!(before + after, 300);
}

#[test]
fn hostile_times_and_counts_break_no_query() {
    let mut hostile = record(1);
    hostile.flow_start_nanoseconds = u64::MAX;
    hostile.flow_end_nanoseconds = 0;
    hostile.octet_delta_count = u64::MAX;
    hostile.reverse_octet_delta_count = 0;
    let mut long = record(2);
    long.flow_start_nanoseconds = 0;
    long.flow_end_nanoseconds = u64::MAX;
    let (_directory, _store, reader) = filled(&[hostile, long.clone()]);
    assert!(matches!(reader.top(&ask(&[]).top().unwrap()), Err(super::Error::Overflow)));
    assert!(reader.timeseries(&ask(&[]).timeseries().unwrap()).is_ok());
    let pairs = words(&[("measure", "packets")]);
    let series = reader.timeseries(&ask(&pairs).timeseries().unwrap()).unwrap();
    assert_eq!(series.series[0].values[0], long.packet_delta_count + long.reverse_packet_delta_count);
}

fn any_record() -> impl Strategy<Value = FlowRecord> {
    let times = (0_u64..400, 0_u64..20_000_000_000, 0_u64..30_000_000_000);
    (any::<u64>(), times, any::<u32>(), 0_u64..1 << 50).prop_map(
        |(seed, (second, offset, duration), octets, big)| {
            let start = 1_700_000_000_000_000_000 + second * 1_000_000_000 + offset;
            FlowRecord {
                flow_start_nanoseconds: start,
                flow_end_nanoseconds: start + if seed.is_multiple_of(4) { 0 } else { duration },
                octet_delta_count: u64::from(octets),
                reverse_octet_delta_count: if seed.is_multiple_of(5) { big } else { 0 },
                ..record(seed % 1_000)
            }
        },
    )
}

/// The share of a flow in `[begin, end)`, by the definition and nothing else.
fn share(record: &FlowRecord, begin: u64, end: u64) -> u64 {
    let (s, e) = (record.flow_start_nanoseconds, record.flow_end_nanoseconds);
    if s == e {
        return if (begin..end).contains(&s) { octets(record) } else { 0 };
    }
    let until = |time: u64| u128::from(octets(record)) * u128::from(time.clamp(s, e) - s) / u128::from(e - s);
    (until(end) - until(begin)) as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_agree_with_a_plain_model(records in proptest::collection::vec(any_record(), 1..120), step in 1_u64..40, limit in 1_u32..6) {
        let (_directory, _store, reader) = filled(&records);

        let mut sums = std::collections::BTreeMap::<(IpAddr, u8), [u64; 2]>::new();
        for record in &records {
            let entry = sums.entry((record.source_ip_address, record.protocol_identifier)).or_default();
            entry[0] += octets(record);
            entry[1] += 1;
        }
        let limit_text = limit.to_string();
        let pairs = words(&[("by", "src,proto"), ("measure", "octets,flows"), ("limit", &limit_text)]);
        let top = reader.top(&ask(&pairs).top().unwrap()).unwrap();
        let mut model: Vec<_> = sums.values().map(|sums| sums[0]).collect();
        model.sort_unstable_by_key(|sum| std::cmp::Reverse(*sum));
        model.truncate(limit as usize);
        prop_assert_eq!(top.rows.iter().map(|group| group.sums[0]).collect::<Vec<_>>(), model);
        for group in &top.rows {
            let (Cell::Address(address), Cell::Unsigned(protocol)) = (group.key[0], group.key[1]) else { panic!() };
            prop_assert_eq!(&group.sums[..], &sums[&(address, protocol as u8)][..]);
        }
        let all: u64 = records.iter().map(octets).sum();
        prop_assert_eq!(&top.total, &vec![all, records.len() as u64]);

        let step_text = format!("{step}s");
        let pairs = words(&[("step", &step_text), ("by", "vlan"), ("limit", "1")]);
        let series = reader.timeseries(&ask(&pairs).timeseries().unwrap()).unwrap();
        let total: u64 = series.series.iter().map(|series| series.total()).sum();
        prop_assert_eq!(total, all);
        for at in 0..series.buckets() {
            let begin = series.from_nanoseconds + at * series.step_nanoseconds;
            let model: u64 = records.iter().map(|record| share(record, begin, begin + series.step_nanoseconds)).sum();
            let found: u64 = series.series.iter().map(|series| series.values[at as usize]).sum();
            prop_assert_eq!(found, model);
        }
        // A part of the range gives the same buckets.
        let middle = 1_700_000_000 / step * step + 200 / step * step;
        let middle_text = middle.to_string();
        let pairs = words(&[("step", &step_text), ("from", &middle_text)]);
        let part = reader.timeseries(&ask(&pairs).timeseries().unwrap()).unwrap();
        let found: u64 = part.series.iter().map(|series| series.total()).sum();
        let model: u64 = records.iter().map(|record| share(record, part.from_nanoseconds, u64::MAX)).sum();
        prop_assert_eq!(found, model);
    }
}

#[test]
fn arrivals_that_never_reach_the_store_stay_visible() {
    let (_directory, mut store) = store();
    let said = books(0, message(&[(0, 2, 9, Amount::ZERO)], false));
    let mut lost = intake(vec![], vec![said]);
    lost.arrivals.push(arrival(stamp(0, 0), 5));
    lost.arrivals.push(Arrival { refused: true, ..arrival(stamp(0, 1), 4) });
    store.commit(&lost).unwrap();
    let books = store.reader().unwrap().books(Depth::Batches).unwrap();
    let stream = &books.epochs[0].streams[&stamp(0, 0).stream];
    assert_eq!((stream.arrived_below_cut.records, stream.refused_below_cut.records), (5, 4));
    assert_eq!(stream.stored, Stored::default());
}

#[test]
fn what_comes_on_two_buses_was_read_on_purpose() {
    let (_directory, mut store) = store();
    let once = batch(stamp(0, 0), &[record(1)]);
    store.commit(&intake(vec![once.clone()], vec![])).unwrap();
    let mut again = intake(vec![once.clone()], vec![]);
    again.arrivals[0].bus = Bus::Zmq;
    store.commit(&again).unwrap();
    store.commit(&intake(vec![once], vec![])).unwrap();
    let stream = &store.streams[&StreamKey::from(stamp(0, 0))];
    assert_eq!((stream.again.batches, stream.reread.batches, stream.bus), (2, 1, Bus::Kafka));
}

#[test]
fn the_engine_is_bounded_and_locked_in() {
    let (_directory, store) = store();
    let ask = |text: &str| store.connection.query_row(text, [], |row| row.get::<_, String>(0));
    assert_eq!(ask("SELECT current_setting('memory_limit')").unwrap(), "2.0 GiB");
    assert!(ask("SELECT content FROM read_text('/etc/hostname')").is_err());
    assert!(ask("SET enable_external_access = true").is_err());
}
