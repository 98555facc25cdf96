//! Batches, a sink in a thread of its own, and what it has acknowledged.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_wire::batch::{Sealed, encode};
use flow_wire::endpoint::Endpoint;
use flow_wire::ledger::CursorTerms;
use flow_wire::record::{FlowEndReason, FlowRecord};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use probe::export::Sink;
use probe::export::kafka::{Kafka, Options};
use probe::export::outbox::Outbox;
use uuid::Uuid;

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
    }
}

pub(crate) fn sealed(epoch: Epoch, stream: u16, sequence: u64, rows: usize) -> Arc<Sealed> {
    let stamp = Stamp { probe: PROBE, epoch, stream: StreamId(stream), sequence: Sequence(sequence) };
    Arc::new(encode(&vec![record(sequence); rows], stamp).unwrap())
}

pub(crate) fn new_epoch() -> Epoch {
    Epoch(Uuid::new_v4())
}

/// A prefix of its own per test: the broker may be shared.
pub(crate) fn new_prefix() -> String {
    format!("test-{}", Uuid::new_v4().simple())
}

pub(crate) fn sink(bootstrap: &str, prefix: &str) -> Box<Kafka> {
    let options = Options { prefix: prefix.to_owned(), ..Options::default() };
    sink_at(&format!("kafka://{bootstrap}"), options)
}

pub(crate) fn sink_at(url: &str, options: Options) -> Box<Kafka> {
    let Endpoint::Kafka(endpoint) = url.parse().unwrap() else { panic!("{url} is none of Kafka") };
    Box::new(Kafka::new(&endpoint, PROBE, options).unwrap())
}

/// A sink that runs in a thread of its own.
pub(crate) struct Running {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) thread: std::thread::JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(sink: Box<Kafka>) -> Self {
        let outbox = Outbox::new(&[(sink.name(), sink.guarantee())], usize::MAX);
        let cursor = outbox.cursor(0);
        Self { outbox, thread: std::thread::spawn(move || sink.run(cursor)) }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.outbox.terms().iter().map(|terms| terms.acknowledged).sum()
    }

    pub(crate) fn wait_acknowledged(&self, records: u64) {
        let until = Instant::now() + Duration::from_secs(60);
        while self.acknowledged() < records {
            assert!(Instant::now() < until, "{} of {records} records were acknowledged", self.acknowledged());
            std::thread::yield_now();
        }
    }

    pub(crate) fn finish(self) -> Vec<CursorTerms> {
        assert!(self.outbox.wait_empty(Duration::from_secs(60)), "{:?}", self.outbox.terms());
        self.outbox.end();
        self.thread.join().unwrap();
        self.outbox.terms()
    }
}

pub(crate) fn all_below(count: u64) -> Vec<u64> {
    (0..count).collect()
}
