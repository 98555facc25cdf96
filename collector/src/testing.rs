//! Records, batches and ledger messages for tests.

use std::net::IpAddr;

use flow_wire::batch::{Sealed, encode};
use flow_wire::ledger::{Amount, Message, StreamCut};
use flow_wire::record::{FlowEndReason, FlowRecord};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use uuid::Uuid;

use crate::ingest::message::{Content, read};
use crate::store::{Arrival, Batch, Books, Bus, Intake, Place};

/// A stamp of the one test epoch.
pub fn stamp(stream: u16, sequence: u64) -> Stamp {
    Stamp {
        probe: ProbeId(Uuid::from_u128(1)),
        epoch: Epoch(Uuid::from_u128(2)),
        stream: StreamId(stream),
        sequence: Sequence(sequence),
    }
}

/// A flow whose every number hangs on `seed`.
pub fn record(seed: u64) -> FlowRecord {
    let address = |low: u64| -> IpAddr {
        if seed.is_multiple_of(3) {
            IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, low as u16])
        } else {
            IpAddr::from([10, 0, (low >> 8) as u8, low as u8])
        }
    };
    let start = 1_700_000_000_000_000_000 + seed % 1_000 * 100_000_000;
    FlowRecord {
        observation_domain_id: 1,
        ingress_interface: 2,
        flow_start_nanoseconds: start,
        flow_end_nanoseconds: start + seed % 7 * 700_000_001,
        source_ip_address: address(seed % 11),
        destination_ip_address: address(seed % 5 + 300),
        source_transport_port: 40_000 + (seed % 100) as u16,
        destination_transport_port: [53, 80, 443][seed as usize % 3],
        protocol_identifier: [6, 17][seed as usize % 2],
        vlan_id: seed.is_multiple_of(4).then_some(100),
        customer_vlan_id: None,
        packet_delta_count: seed % 50 + 1,
        reverse_packet_delta_count: seed % 3,
        octet_delta_count: seed % 50 * 100 + 40,
        reverse_octet_delta_count: seed % 3 * 1_500,
        layer2_octet_delta_count: seed % 50 * 114 + 60,
        reverse_layer2_octet_delta_count: seed % 3 * 1_514,
        tcp_control_bits: seed.is_multiple_of(2).then_some(0x1b),
        reverse_tcp_control_bits: None,
        ip_class_of_service: 0,
        reverse_ip_class_of_service: None,
        minimum_ttl: 64,
        maximum_ttl: 64,
        icmp_type: None,
        icmp_code: None,
        flow_end_reason: FlowEndReason::IdleTimeout,
        recovered_from: None,
        shunted_packet_delta_count: None,
    }
}

/// As a probe seals it.
///
/// # Panics
/// Where the records cannot be encoded.
pub fn sealed(stamp: Stamp, records: &[FlowRecord]) -> Sealed {
    #[expect(clippy::unwrap_used, reason = "a test that fails may panic")]
    encode(records, stamp).unwrap()
}

/// As it arrives.
///
/// # Panics
/// Where the records cannot be encoded.
pub fn batch(stamp: Stamp, records: &[FlowRecord]) -> Batch {
    let sealed = sealed(stamp, records);
    match read(Bus::Kafka, "test", Ok(sealed.header), &sealed.body).content {
        Content::Flows(batch) => batch,
        other => panic!("not a batch: {other:?}"),
    }
}

/// What came of these batches, each once.
pub fn intake(batches: Vec<Batch>, books: Vec<Books>) -> Intake {
    let flows = batches.iter().map(|batch| arrival(batch.stamp, batch.rows.num_rows() as u32));
    let ledger = books.iter().map(|books| arrival(books.stamp, 0));
    Intake {
        now_nanoseconds: 1_700_000_500_000_000_000,
        arrivals: flows.chain(ledger).collect(),
        batches,
        books,
        ..Intake::default()
    }
}

/// A batch that came over Kafka.
pub fn arrival(stamp: Stamp, records: u32) -> Arrival {
    Arrival { stamp, records, bus: Bus::Kafka, refused: false, reread: false, place: Place::default() }
}

/// A ledger message that says only how far its streams reach.
pub fn message(cuts: &[(u16, u64, u64, Amount)], closed: bool) -> Message {
    Message {
        version: Message::VERSION,
        exporter: "test".to_owned(),
        epoch_start_nanoseconds: 1_700_000_000_000_000_000,
        time_nanoseconds: 1_700_000_400_000_000_000,
        active_timeout_seconds: 120,
        queues: vec![],
        workers: vec![],
        cursors: vec![],
        cuts: cuts
            .iter()
            .map(|&(stream, next, records, exported)| StreamCut {
                stream: StreamId(stream),
                next: Sequence(next),
                records,
                exported,
            })
            .collect(),
        closed,
        ..Message::default()
    }
}

/// The same, as it arrives.
pub fn books(sequence: u64, message: Message) -> Books {
    let sealed = Sealed::ledger(&message, stamp(StreamId::CONTROL.0, sequence));
    #[expect(clippy::unwrap_used, reason = "a test that fails may panic")]
    let sealed = sealed.unwrap();
    Books {
        stamp: sealed.header.stamp,
        crc32c: sealed.header.crc32c,
        heard_nanoseconds: 1_700_000_500_000_000_000,
        sink: 0,
        body_octets: sealed.body.len(),
        message,
    }
}
