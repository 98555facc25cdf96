//! What the spool costs an exporter: the same records through the same exporter and a sink that takes everything at once, with and without a
//! spool, in turns. `cargo run --release -p probe --example spool_cost -- [ROUNDS] [RECORDS] [FOLDER]`
#![allow(clippy::unwrap_used, reason = "a measurement that fails is none")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flow_wire::batch::encode;
use flow_wire::ledger::Guarantee;
use flow_wire::record::{FlowEndReason, FlowRecord};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use probe::export::Sink;
use probe::export::outbox::{Cursor, Next, Outbox, Wanted};
use probe::spool::{Note, Options, Spool, Sync};
use uuid::Uuid;

const PROBE: ProbeId = ProbeId(Uuid::from_u128(1));
const DAY: Duration = Duration::from_secs(86_400);
/// Batches of 1,000 records that wait when a spool is opened: about a gigabyte.
const BACKLOG_BATCHES: u64 = 8_000;

/// Acknowledges what it gets.
struct Ready;

impl Sink for Ready {
    fn name(&self) -> String {
        "ready".to_owned()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn run(self: Box<Self>, cursor: Cursor) {
        loop {
            match cursor.next(64, 8 << 20, Duration::from_millis(100)) {
                Next::Batches(batches) => cursor.acknowledge(batches.len()),
                Next::Nothing => {}
                Next::End => return,
            }
        }
    }
}

fn record(number: u64) -> FlowRecord {
    FlowRecord {
        observation_domain_id: 1,
        ingress_interface: 2,
        flow_start_nanoseconds: 1_700_000_000_000_000_000 + number,
        flow_end_nanoseconds: 1_700_000_001_000_000_000 + number,
        source_ip_address: std::net::Ipv4Addr::from(0x0a00_0000 | (number as u32 & 0xff_ffff)).into(),
        destination_ip_address: "198.51.100.2".parse().unwrap(),
        source_transport_port: number as u16,
        destination_transport_port: 443,
        protocol_identifier: 6,
        vlan_id: None,
        customer_vlan_id: None,
        packet_delta_count: 7,
        reverse_packet_delta_count: 5,
        octet_delta_count: 900,
        reverse_octet_delta_count: 4_100,
        layer2_octet_delta_count: 998,
        reverse_layer2_octet_delta_count: 4_170,
        tcp_control_bits: Some(27),
        reverse_tcp_control_bits: Some(27),
        ip_class_of_service: 0,
        reverse_ip_class_of_service: Some(0),
        minimum_ttl: 64,
        maximum_ttl: 64,
        icmp_type: None,
        icmp_code: None,
        flow_end_reason: FlowEndReason::EndOfFlow,
        recovered_from: None,
        shunted_packet_delta_count: None,
    }
}

/// Seconds that so many records take to be encoded, appended and acknowledged, as the exporter does it.
fn run(records: u64, spool: Option<Spool>) -> f64 {
    let sink: Box<dyn Sink> = Box::new(Ready);
    let outbox = Outbox::over(&[Wanted::by(&*sink)], usize::MAX, spool);
    let epoch = Epoch(Uuid::new_v4());
    outbox.begin_epoch(epoch, &[StreamId(0)]);
    let cursor = outbox.cursor(0);
    let sending = std::thread::spawn(move || sink.run(cursor));
    let is_over = AtomicBool::new(false);
    let seconds = std::thread::scope(|scope| {
        scope.spawn(|| outbox.keep(|| is_over.load(Ordering::Relaxed)));
        let begin = Instant::now();
        let mut batch = Vec::with_capacity(1_000);
        for sequence in 0..records / 1_000 {
            batch.clear();
            batch.extend((sequence * 1_000..(sequence + 1) * 1_000).map(record));
            let stamp = Stamp { probe: PROBE, epoch, stream: StreamId(0), sequence: Sequence(sequence) };
            outbox.append(&Arc::new(encode(&batch, stamp).unwrap()));
        }
        assert!(outbox.wait_empty(Duration::from_secs(600)), "not everything went out");
        let seconds = begin.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        outbox.wake_keeper();
        seconds
    });
    outbox.end();
    sending.join().unwrap();
    outbox.close();
    seconds
}

fn spool(folder: &Path, sync: Sync) -> Spool {
    let options = Options {
        quota_octets: 4 << 30,
        segment_octets: 64 << 20,
        age: 7 * DAY,
        cursor_ttl: 7 * DAY,
        memory_octets: 64 << 20,
        sync,
    };
    Spool::open(folder, PROBE, options, None).unwrap().0
}

/// Seconds to open a spool of which so many octets wait, and those octets.
fn reopen(folder: &Path) -> (f64, u64) {
    let mut first = spool(folder, Sync::None);
    first.open_cursor("kafka://nobody", 1_700_000_000).unwrap();
    let epoch = Epoch(Uuid::new_v4());
    first.begin_epoch(epoch, [StreamId(0)].into_iter());
    let records: Vec<_> = (0..1_000).map(record).collect();
    for sequence in 0..BACKLOG_BATCHES {
        let stamp = Stamp { probe: PROBE, epoch, stream: StreamId(0), sequence: Sequence(sequence) };
        let sealed = Arc::new(encode(&records, stamp).unwrap());
        first.append(&sealed, Note::Flows, 0, 1_700_000_000_000_000_000);
    }
    let octets = first.octets();
    drop(first);
    let begin = Instant::now();
    let second = spool(folder, Sync::None);
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(second.cursors()[0].waiting.batches, BACKLOG_BATCHES);
    (seconds, octets)
}

fn main() {
    let mut words = std::env::args().skip(1);
    let rounds: usize = words.next().map_or(7, |word| word.parse().unwrap());
    let records: u64 = words.next().map_or(2_000_000, |word| word.parse().unwrap());
    let folder = words.next().unwrap_or_else(|| "/tmp/gannet-spool-cost".to_owned());
    let kinds = [
        ("off", None),
        ("none", Some(Sync::None)),
        ("interval", Some(Sync::Interval)),
        ("batch", Some(Sync::Batch)),
    ];
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); kinds.len()];
    for _ in 0..rounds {
        for ((_, sync), rates) in kinds.iter().zip(&mut rates) {
            let spool = sync.map(|sync| spool(Path::new(&folder), sync));
            rates.push(records as f64 / run(records, spool));
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let (seconds, octets) = reopen(Path::new(&folder));
    println!("opened with {} MB waiting, from the page cache: {seconds:.3} s", octets >> 20);
    std::fs::remove_dir_all(&folder).unwrap();
    let median = |rates: &[f64]| {
        let mut sorted = rates.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    let off = median(&rates[0]);
    for ((name, _), rates) in kinds.iter().zip(&rates) {
        let rate = median(rates);
        println!("spool {name:<9} {:>9.0} records/s   ratio {:.3}", rate, rate / off);
    }
}
