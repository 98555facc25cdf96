//! What flows to ntopng and on a topic of `--kafka` cost, in CPU seconds of the thread that writes them: the encoder alone, and as the sink does it,
//! from sealed batches. What librdkafka takes for a message is not in it.
//! `cargo run --release -p probe --example ntop_cost -- [RECORDS] [ROUNDS]`
#![allow(clippy::unwrap_used, reason = "a measurement that fails is none")]

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flow_wire::batch::{Sealed, encode, open, records};
use flow_wire::field::Template;
use flow_wire::generic::{Format, Writer};
use flow_wire::ntop::{Encoder, Flows, Keys, PAYLOAD_OCTETS_MAX};
use flow_wire::record::{FlowEndReason, FlowRecord};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

/// As a probe seals them.
const BATCH_RECORDS: usize = 1_000;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>().unwrap());
    let count = arguments.next().unwrap_or(1_000_000);
    let rounds = arguments.next().unwrap_or(5);
    let all: Vec<FlowRecord> = (0..count as u64).map(varied).collect();
    let batches: Vec<Sealed> = (0..)
        .zip(all.chunks(BATCH_RECORDS))
        .map(|(number, rows)| encode(rows, stamp(number)).unwrap())
        .collect();
    let template = Template::ntopng();
    println!("{count} records, {} fields in the template", template.items().len());
    for round in 1..=rounds {
        for (name, mut write) in writers(&template) {
            let alone = cost(|| write(&all));
            let from_batches = cost(|| {
                batches.iter().fold(Written::default(), |sum, sealed| {
                    let decoded = open(&sealed.header, &sealed.body).unwrap();
                    sum.plus(write(&records(&decoded.batch).unwrap()))
                })
            });
            for (what, (seconds, written)) in [("alone", alone), ("from batches", from_batches)] {
                assert_eq!(written.flows, count as u64);
                println!(
                    "round {round}  {name:<14} {what:<12} {:>9.0} flows/CPU s  {:>5.1} octets/flow  {:>6.1} flows/message",
                    count as f64 / seconds,
                    written.octets as f64 / count as f64,
                    count as f64 / written.messages as f64,
                );
            }
        }
    }
}

/// Writes records, and says what came out.
type Write = Box<dyn FnMut(&[FlowRecord]) -> Written>;

/// Many flows a message for ntopng, one each for a topic.
fn writers(template: &Template) -> Vec<(&'static str, Write)> {
    let ntop = |name, encoder| {
        let mut flows = Flows::new(encoder, PAYLOAD_OCTETS_MAX);
        (name, Box::new(move |records: &[FlowRecord]| write(&mut flows, records)) as Write)
    };
    let topic = |name, format| {
        let writer = Writer::new(template, format).unwrap().framed(7);
        (name, Box::new(move |records: &[FlowRecord]| write_each(&writer, records)) as Write)
    };
    let json = |keys| Format::Json { keys, has_timestamp: false };
    vec![
        ntop("tlv", Encoder::tlv(template)),
        ntop("json", Encoder::json(template, Keys::Numbers)),
        ntop("json-names", Encoder::json(template, Keys::Names)),
        topic("kafka json", json(Keys::Numbers)),
        topic("kafka names", json(Keys::Names)),
        topic("kafka avro", Format::Avro),
        topic("kafka protobuf", Format::Protobuf),
    ]
}

fn write_each(writer: &Writer, records: &[FlowRecord]) -> Written {
    let mut message = Vec::new();
    records.iter().fold(Written::default(), |sum, record| {
        message.clear();
        writer.write(record, &mut message);
        let octets = std::hint::black_box(&message).len() as u64;
        sum.plus(Written { flows: 1, octets, messages: 1 })
    })
}

/// What came out.
#[derive(Clone, Copy, Default)]
struct Written {
    flows: u64,
    octets: u64,
    messages: u64,
}

impl Written {
    fn plus(self, other: Self) -> Self {
        Self {
            flows: self.flows + other.flows,
            octets: self.octets + other.octets,
            messages: self.messages + other.messages,
        }
    }
}

fn write(flows: &mut Flows, records: &[FlowRecord]) -> Written {
    let mut written = Written::default();
    let Ok(()) = flows.write(records.iter(), |payload, flows| {
        let octets = std::hint::black_box(payload).len() as u64;
        written = written.plus(Written { flows: flows.into(), octets, messages: 1 });
        Ok::<(), Infallible>(())
    });
    written
}

/// CPU seconds of this thread.
fn cost(work: impl FnOnce() -> Written) -> (f64, Written) {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let start = now();
    let written = work();
    (now() - start, written)
}

fn stamp(sequence: u64) -> Stamp {
    Stamp {
        probe: ProbeId(Uuid::from_u128(1)),
        epoch: Epoch(Uuid::from_u128(2)),
        stream: StreamId(0),
        sequence: Sequence(sequence),
    }
}

/// TCP, UDP and ICMP, a quarter of it IPv6, some in a VLAN, octets from tens to billions.
fn varied(number: u64) -> FlowRecord {
    // splitmix64: no two alike, the same at each run.
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let is_v6 = next() % 4 == 0;
    let mut address = || -> IpAddr {
        match is_v6 {
            true => Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(next())).into(),
            false => Ipv4Addr::from(next() as u32).into(),
        }
    };
    let (source, destination) = (address(), address());
    let protocol = [6, 6, 6, 17, 17, 1][next() as usize % 6];
    let is_tcp = protocol == 6;
    let packets = 1 + (next() >> (next() % 48 + 16)) % 1_000_000;
    let reverse = packets * 2 / 3;
    let start = 1_700_000_000_000_000_000 + next() % 3_600_000_000_000;
    FlowRecord {
        observation_domain_id: 1,
        ingress_interface: (next() % 4) as u32,
        flow_start_nanoseconds: start,
        flow_end_nanoseconds: start + next() % 120_000_000_000,
        source_ip_address: source,
        destination_ip_address: destination,
        source_transport_port: if protocol == 1 { 0 } else { next() as u16 | 0x8000 },
        destination_transport_port: if protocol == 1 { 0 } else { [443, 53, 80, 8_080][next() as usize % 4] },
        protocol_identifier: protocol,
        vlan_id: (next() % 3 == 0).then(|| (next() % 4_095) as u16),
        customer_vlan_id: None,
        packet_delta_count: packets,
        reverse_packet_delta_count: reverse,
        octet_delta_count: packets * (40 + next() % 1_460),
        reverse_octet_delta_count: reverse * (40 + next() % 1_460),
        layer2_octet_delta_count: packets * 60,
        reverse_layer2_octet_delta_count: reverse * 60,
        tcp_control_bits: is_tcp.then_some(27),
        reverse_tcp_control_bits: is_tcp.then_some(26),
        ip_class_of_service: (next() % 3 * 8) as u8,
        reverse_ip_class_of_service: (reverse > 0).then_some(0),
        minimum_ttl: 63,
        maximum_ttl: 64,
        icmp_type: (protocol == 1).then_some(8),
        icmp_code: (protocol == 1).then_some(0),
        flow_end_reason: FlowEndReason::ALL[next() as usize % 5],
        recovered_from: None,
        shunted_packet_delta_count: None,
    }
}
