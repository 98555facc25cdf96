//! What the tests of this room and of `survive` share.

use flow_wire::batch::Sealed;
use flow_wire::bus::Kind;
use flow_wire::record::{FlowEndReason, FlowRecord};
use uuid::Uuid;

use super::exporter::Exporter;
use super::outbox::{Next, Outbox};
use super::*;
use crate::survive::{Parts, Shape};
use crate::worker::Producer;

/// Both ends of a worker with a ring of so many entries.
pub(crate) fn lane(ring: usize) -> (Producer, LaneMemory) {
    let Parts { out, lane, .. } = Parts::anonymous(Shape { buckets: 0, ring, places: 0 }).unwrap();
    (out.ring, lane)
}

/// A flow of three packets of 100 octets.
pub(crate) fn record() -> FlowRecord {
    FlowRecord {
        observation_domain_id: 1,
        ingress_interface: 0,
        flow_start_nanoseconds: 1_700_000_000_000_000_000,
        flow_end_nanoseconds: 1_700_000_000_000_000_000,
        source_ip_address: "192.0.2.1".parse().unwrap(),
        destination_ip_address: "192.0.2.2".parse().unwrap(),
        source_transport_port: 1,
        destination_transport_port: 2,
        protocol_identifier: 17,
        vlan_id: None,
        customer_vlan_id: None,
        packet_delta_count: 2,
        reverse_packet_delta_count: 1,
        octet_delta_count: 172,
        reverse_octet_delta_count: 86,
        layer2_octet_delta_count: 200,
        reverse_layer2_octet_delta_count: 100,
        tcp_control_bits: None,
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

/// An exporter that is moved by hand, and its one sink.
pub(crate) struct ByHand {
    exporter: Exporter,
    cursor: Cursor,
}

struct Nobody;

impl Books for Nobody {
    fn queues(&mut self, _cuts: &[Cut]) -> Vec<QueueTerms> {
        Vec::new()
    }

    fn publish(&mut self, _message: &Arc<Message>, _spool: Option<Statistics>) {}
}

impl ByHand {
    pub(crate) fn new(epoch: Epoch, lanes: Vec<LaneMemory>, salvaged: Option<Salvaged>) -> Self {
        let outbox = Outbox::new(&[("sink".to_owned(), Guarantee::ExactlyOnce)], usize::MAX);
        Self::over(epoch, lanes, salvaged, outbox)
    }

    pub(crate) fn over(
        epoch: Epoch,
        lanes: Vec<LaneMemory>,
        salvaged: Option<Salvaged>,
        outbox: Arc<Outbox>,
    ) -> Self {
        let identity = Identity {
            probe: ProbeId(Uuid::from_u128(1)),
            epoch,
            epoch_start_nanoseconds: 0,
            exporter: "host".to_owned(),
            active_timeout: Duration::from_secs(120),
        };
        let cursor = outbox.cursor(0);
        Self { exporter: Exporter::new(&identity, lanes, salvaged, outbox, Box::new(Nobody)), cursor }
    }

    /// Until there is nothing to do.
    pub(crate) fn step(&mut self, now: Duration) {
        while self.exporter.step(now, 7, Pressure::Discard) {}
    }

    pub(crate) fn message(&mut self) -> Message {
        self.exporter.message(7, false)
    }

    /// Everything that was put behind the cursor: records of flows, and messages.
    pub(crate) fn sent(&self) -> (Vec<Arc<Sealed>>, Vec<Message>) {
        let mut all = Vec::new();
        while let Next::Batches(batches) = self.cursor.next(usize::MAX, usize::MAX, Duration::ZERO) {
            all.extend(batches);
        }
        let (flows, ledger): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|sealed| sealed.header.kind == Kind::Flows);
        (flows, ledger.iter().map(|sealed| Message::decode(&sealed.body).unwrap()).collect())
    }
}
