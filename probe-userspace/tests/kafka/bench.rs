//! Batches, a sink in a thread of its own, and what it has acknowledged.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flow_wire::batch::{Sealed, encode};
use flow_wire::endpoint::Endpoint;
use flow_wire::ledger::{CursorTerms, Discard};
use flow_wire::record::{FlowEndReason, FlowRecord};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use probe::export::Sink;
use probe::export::kafka::{Kafka, Options};
use probe::export::outbox::{Outbox, Wanted};
use probe::spool::{self, Spool};
use tempfile::TempDir;
use uuid::Uuid;

const DAY: Duration = Duration::from_secs(86_400);

pub(crate) const PROBE: ProbeId = ProbeId(Uuid::from_u128(0x0102_0304_0506_4708_890a_0b0c_0d0e_0f10));

pub(crate) fn record(sequence: u64) -> FlowRecord {
    FlowRecord {
        observation_domain_id: 1,
        ingress_interface: 2,
        flow_start_nanoseconds: 1_700_000_000_123_456_789,
        flow_end_nanoseconds: 1_700_000_001_123_456_789,
        source_ip_address: "192.0.2.1".parse().unwrap(),
        destination_ip_address: "2001:db8::2".parse().unwrap(),
        source_transport_port: 51_000,
        destination_transport_port: 443,
        protocol_identifier: 6,
        vlan_id: Some(7),
        customer_vlan_id: None,
        packet_delta_count: 7,
        reverse_packet_delta_count: 5,
        octet_delta_count: 900,
        reverse_octet_delta_count: 4_100,
        layer2_octet_delta_count: 998,
        reverse_layer2_octet_delta_count: 4_170 + sequence,
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

pub(crate) fn sealed(epoch: Epoch, stream: u16, sequence: u64, rows: usize) -> Arc<Sealed> {
    let stamp = Stamp { probe: PROBE, epoch, stream: StreamId(stream), sequence: Sequence(sequence) };
    Arc::new(encode(&vec![record(sequence); rows], stamp).unwrap())
}

/// A full batch that zstd cannot make small.
pub(crate) fn incompressible(epoch: Epoch, sequence: u64) -> Arc<Sealed> {
    let stamp = Stamp { probe: PROBE, epoch, stream: StreamId(0), sequence: Sequence(sequence) };
    let random = |_| FlowRecord {
        source_ip_address: std::net::Ipv6Addr::from(Uuid::new_v4().as_u128()).into(),
        destination_ip_address: std::net::Ipv6Addr::from(Uuid::new_v4().as_u128()).into(),
        ..record(0)
    };
    Arc::new(encode(&(0..1_000).map(random).collect::<Vec<_>>(), stamp).unwrap())
}

pub(crate) fn new_epoch() -> Epoch {
    Epoch(Uuid::new_v4())
}

/// A prefix of its own per test: the broker may be shared.
pub(crate) fn new_prefix() -> String {
    format!("test-{}", Uuid::new_v4().simple())
}

pub(crate) fn sink(bootstrap: &str, prefix: &str) -> Box<Kafka> {
    sink_at(&format!("kafka://{bootstrap}"), options(prefix, &[]))
}

/// With settings of the client.
pub(crate) fn options(prefix: &str, settings: &[(&str, &str)]) -> Options {
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Options { prefix: prefix.to_owned(), settings, ..Options::default() }
}

pub(crate) fn sink_at(url: &str, options: Options) -> Box<Kafka> {
    let Endpoint::Kafka(endpoint) = url.parse().unwrap() else { panic!("{url} is none of Kafka") };
    Box::new(Kafka::new(&endpoint, PROBE, options).unwrap())
}

/// A sink that runs in a thread of its own.
pub(crate) struct Running {
    pub(crate) outbox: Arc<Outbox>,
    thread: std::thread::JoinHandle<()>,
    said: Said,
    begun: Mutex<BTreeSet<(Epoch, StreamId)>>,
    /// Where nobody gave the spool one.
    folder: Option<TempDir>,
}

impl Running {
    /// As the probe does: over a spool, whose cursor is in the transactions.
    pub(crate) fn start(sink: Box<Kafka>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let running = Self::spooled(sink, folder.path());
        Self { folder: Some(folder), ..running }
    }

    /// Over an outbox in memory (`--no-spool`).
    pub(crate) fn in_memory(sink: Box<Kafka>) -> Self {
        let outbox = Outbox::new(&[(sink.name(), sink.guarantee())], usize::MAX);
        Self::over(sink, outbox)
    }

    /// Over a spool in this folder.
    pub(crate) fn spooled(sink: Box<Kafka>, folder: &Path) -> Self {
        let options = spool::Options {
            quota_octets: 256 << 20,
            segment_octets: 2 << 20,
            age: 7 * DAY,
            cursor_ttl: 7 * DAY,
            memory_octets: 1 << 20,
            sync: spool::Sync::Interval,
        };
        let (spool, _folder) = Spool::open(folder, PROBE, options, None).unwrap();
        let outbox = Outbox::over(&[Wanted::by(&*sink)], usize::MAX, Some(spool));
        Self::over(sink, outbox)
    }

    /// Its cursor is the first one of the outbox.
    pub(crate) fn over(sink: Box<Kafka>, outbox: Arc<Outbox>) -> Self {
        let (cursor, said) = (outbox.cursor(0), Said::default());
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(said.clone()).finish();
        let run = move || tracing::subscriber::with_default(subscriber, || sink.run(cursor));
        let thread = std::thread::spawn(run);
        Self { outbox, thread, said, begun: Mutex::default(), folder: None }
    }

    /// The first one of a stream begins its epoch.
    pub(crate) fn put(&self, sealed: &Arc<Sealed>) {
        let stamp = sealed.header.stamp;
        if self.begun.lock().unwrap().insert((stamp.epoch, stamp.stream)) {
            self.outbox.begin_epoch(stamp.epoch, &[stamp.stream]);
        }
        self.outbox.append(sealed);
    }

    /// So many batches of a stream, of a row each; the first has the sequence `from`.
    pub(crate) fn append(&self, epoch: Epoch, stream: u16, sequences: std::ops::Range<u64>) {
        sequences.for_each(|sequence| self.put(&sealed(epoch, stream, sequence, 1)));
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.outbox.terms().iter().map(|terms| terms.acknowledged).sum()
    }

    pub(crate) fn wait_acknowledged(&self, records: u64) {
        self.wait_until(&format!("{records} records are acknowledged"), || self.acknowledged() >= records);
    }

    /// Until the operator has read these words.
    pub(crate) fn wait_said(&self, words: &str) {
        self.wait_until(&format!("it says '{words}'"), || self.said.text().contains(words));
    }

    /// What the operator has read so far.
    pub(crate) fn said(&self) -> String {
        self.said.text()
    }

    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !condition() {
            let (terms, said) = (self.outbox.terms(), self.said.text());
            assert!(Instant::now() < until, "waited in vain until {what}\n{terms:?}\n{said}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Everything arrives, and the books balance.
    pub(crate) fn finish(self) -> Vec<CursorTerms> {
        let is_empty = self.outbox.wait_empty(Duration::from_secs(60));
        assert!(is_empty, "{:?}\n{}", self.outbox.terms(), self.said.text());
        self.outbox.end();
        self.thread.join().unwrap();
        balanced(&self.outbox)
    }

    /// Nothing more is sent: what waits is counted (in memory as discarded), and the books balance.
    pub(crate) fn abandon(self) -> (Vec<CursorTerms>, String) {
        self.outbox.abandon(Discard::DrainTimeout);
        self.outbox.end();
        self.wait_until("the sink has ended", || self.thread.is_finished());
        self.thread.join().unwrap();
        self.outbox.abandon(Discard::DrainTimeout);
        (balanced(&self.outbox), self.said.text())
    }

    /// Nothing more is sent: what waits stays in the spool, which is closed. Gives the records.
    pub(crate) fn leave(self) -> u64 {
        self.outbox.abandon(Discard::DrainTimeout);
        self.outbox.end();
        self.thread.join().unwrap();
        balanced(&self.outbox);
        let left = self.outbox.left().into_iter().map(|(_, records)| records).sum();
        self.outbox.close();
        left
    }
}

/// records_out = acknowledged + in_spool + discarded, of every stream.
fn balanced(outbox: &Outbox) -> Vec<CursorTerms> {
    let terms = outbox.terms();
    for terms in &terms {
        let discarded: u64 = terms.discarded.values().sum();
        assert_eq!(terms.records_out, terms.acknowledged + terms.in_spool + discarded, "{terms:?}");
    }
    terms
}

/// What the sink's thread logged.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl std::io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Said {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

pub(crate) fn all_below(count: u64) -> Vec<u64> {
    (0..count).collect()
}
