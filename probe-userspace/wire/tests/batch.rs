//! The batch as it travels: golden octets, a foreign reader, hostile bodies.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::IpAddr;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt8Type, UInt16Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use flow_wire::batch::{BATCH_ROWS_LIMIT, Error, FIELDS, STAMP_FIELDS, decode, encode, open, schema};
use flow_wire::bus::BODY_OCTETS_MAX;
use flow_wire::ledger::Amount;
use flow_wire::record::{FlowEndReason, FlowRecord};
use flow_wire::stamp::{Epoch, ProbeId, Sequence, Stamp, StreamId};
use proptest::prelude::*;
use uuid::Uuid;

const GOLDEN: &[u8] = include_bytes!("golden/batch-v1-shunted.arrow");
/// As probes sealed before they shunted anything: without the column.
const GOLDEN_BEFORE_SHUNT: &[u8] = include_bytes!("golden/batch-v1-recovered_from.arrow");
/// As probes sealed before they recovered anything: without either.
const GOLDEN_BEFORE: &[u8] = include_bytes!("golden/batch-v1.arrow");

fn stamp() -> Stamp {
    Stamp {
        probe: ProbeId(Uuid::from_u128(0x0102_0304_0506_4708_890a_0b0c_0d0e_0f10)),
        epoch: Epoch(Uuid::from_u128(0xa1a2_a3a4_a5a6_47a8_a9aa_abac_adae_afb0)),
        stream: StreamId(3),
        sequence: Sequence(41),
    }
}

fn tcp() -> FlowRecord {
    FlowRecord {
        observation_domain_id: 1,
        ingress_interface: 2,
        flow_start_nanoseconds: 1_700_000_000_123_456_789,
        flow_end_nanoseconds: 1_700_000_001_123_456_789,
        source_ip_address: "2001:db8::1".parse().unwrap(),
        destination_ip_address: "2001:db8::2".parse().unwrap(),
        source_transport_port: 51_000,
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
        ip_class_of_service: 0x10,
        reverse_ip_class_of_service: Some(0),
        minimum_ttl: 63,
        maximum_ttl: 64,
        icmp_type: None,
        icmp_code: None,
        flow_end_reason: FlowEndReason::EndOfFlow,
        recovered_from: None,
        shunted_packet_delta_count: Some(5),
    }
}

fn ping() -> FlowRecord {
    FlowRecord {
        source_ip_address: "192.0.2.1".parse().unwrap(),
        destination_ip_address: "198.51.100.7".parse().unwrap(),
        source_transport_port: 0,
        destination_transport_port: 0,
        protocol_identifier: 1,
        vlan_id: Some(0),
        customer_vlan_id: Some(4_095),
        reverse_packet_delta_count: 0,
        reverse_octet_delta_count: 0,
        reverse_layer2_octet_delta_count: 0,
        tcp_control_bits: None,
        reverse_tcp_control_bits: None,
        reverse_ip_class_of_service: None,
        icmp_type: Some(8),
        icmp_code: Some(0),
        flow_end_reason: FlowEndReason::IdleTimeout,
        recovered_from: Some(Epoch(Uuid::from_u128(0xb1b2_b3b4_b5b6_47b8_b9ba_bbbc_bdbe_bfc0))),
        shunted_packet_delta_count: None,
        ..tcp()
    }
}

fn u64s(batch: &RecordBatch, name: &str) -> Vec<u64> {
    batch.column_by_name(name).unwrap().as_primitive::<UInt64Type>().values().to_vec()
}

#[test]
fn a_batch_has_the_golden_octets() {
    let sealed = encode(&[tcp(), ping()], stamp()).unwrap();
    if std::env::var_os("GANNET_WRITE_GOLDEN").is_some() {
        std::fs::write("tests/golden/batch-v1-shunted.arrow", &sealed.body).unwrap();
    }
    assert!(
        sealed.body == GOLDEN,
        "the encoding changed: a new SCHEMA_VERSION, and a new golden file beside the old one"
    );
}

#[test]
fn golden_octets_are_read_as_they_were_meant() {
    let decoded = decode(GOLDEN).unwrap();
    let batch = &decoded.batch;
    assert_eq!(decoded.stamp, stamp());
    assert_eq!(batch.schema(), schema());
    assert_eq!(u64s(batch, "packet_delta_count"), [7, 7]);
    assert_eq!(u64s(batch, "reverse_layer2_octet_delta_count"), [4_170, 0]);
    assert_eq!(u64s(batch, "flow_start_nanoseconds"), [1_700_000_000_123_456_789; 2]);
    let sources = batch.column_by_name("source_ip_address").unwrap().as_fixed_size_binary();
    assert_eq!(IpAddr::from(<[u8; 16]>::try_from(sources.value(0)).unwrap()), tcp().source_ip_address);
    assert_eq!(
        IpAddr::from(<[u8; 16]>::try_from(sources.value(1)).unwrap()).to_canonical(),
        ping().source_ip_address
    );
    let versions = batch.column_by_name("ip_version").unwrap().as_primitive::<UInt8Type>();
    assert_eq!(versions.values().to_vec(), [6, 4]);
    let vlans = batch.column_by_name("vlan_id").unwrap().as_primitive::<UInt16Type>();
    assert_eq!(vlans.iter().collect::<Vec<_>>(), [None, Some(0)]);
    assert_eq!(flow_wire::batch::records(batch).unwrap(), [tcp(), ping()]);
}

#[test]
fn golden_octets_from_before_recovery_are_read() {
    let batch = decode(GOLDEN_BEFORE).unwrap().batch;
    assert_eq!(batch.schema(), schema());
    let of_their_own_epoch = FlowRecord { recovered_from: None, ..ping() };
    assert_eq!(flow_wire::batch::records(&batch).unwrap(), [not_shunted(tcp()), of_their_own_epoch]);
}

fn not_shunted(record: FlowRecord) -> FlowRecord {
    FlowRecord { shunted_packet_delta_count: None, ..record }
}

#[test]
fn golden_octets_from_before_the_shunt_are_read() {
    let batch = decode(GOLDEN_BEFORE_SHUNT).unwrap().batch;
    assert_eq!(batch.schema(), schema());
    assert_eq!(flow_wire::batch::records(&batch).unwrap(), [not_shunted(tcp()), ping()]);
}

#[test]
fn exported_is_what_the_octets_say() {
    let sealed = encode(&[tcp(), ping()], stamp()).unwrap();
    assert_eq!(sealed.exported, Amount { packets: 7 + 5 + 7, octets: 998 + 4_170 + 998 });
    assert_eq!(sealed.header.rows, 2);
    assert_eq!(open(&sealed.header, &sealed.body).unwrap().exported(), Ok(sealed.exported));
}

#[test]
fn arrows_own_reader_reads_the_same() {
    let records: Vec<_> = std::iter::repeat_n([tcp(), ping()], 500).flatten().collect();
    let sealed = encode(&records, stamp()).unwrap();
    let mut reader = StreamReader::try_new(sealed.body.as_slice(), None).unwrap();
    let theirs = reader.next().unwrap().unwrap();
    let ours = decode(&sealed.body).unwrap().batch;
    assert!(reader.next().is_none());
    assert_eq!(theirs.columns(), ours.columns());
    assert_eq!(theirs.schema().metadata()["gannet-sequence"], "41");
    let names: Vec<_> =
        STAMP_FIELDS.iter().map(|field| field.0).chain(FIELDS.iter().map(|f| f.name)).collect();
    assert_eq!(theirs.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), names);
}

#[test]
fn the_largest_batch_stays_below_the_largest_body() {
    let sealed = encode(&vec![tcp(); BATCH_ROWS_LIMIT], stamp()).unwrap();
    assert!(sealed.body.len() < BODY_OCTETS_MAX, "{}", sealed.body.len());
    assert_eq!(encode(&vec![tcp(); BATCH_ROWS_LIMIT + 1], stamp()).unwrap_err(), Error::Rows(4_097));
    assert_eq!(encode(&[], stamp()).unwrap_err(), Error::Rows(0));
}

#[test]
fn counts_beyond_64_bits_are_refused() {
    let record = FlowRecord { packet_delta_count: u64::MAX, ..tcp() };
    assert_eq!(encode(&[record], stamp()).unwrap_err(), Error::Sum("reverse_packet_delta_count"));
}

#[test]
fn headers_of_another_batch_are_refused() {
    let sealed = encode(&[tcp()], stamp()).unwrap();
    let mut header = sealed.header;
    header.stamp.sequence = Sequence(42);
    assert_eq!(open(&header, &sealed.body).unwrap_err(), Error::Header("another stamp"));
    let mut header = sealed.header;
    header.rows = 2;
    assert_eq!(open(&header, &sealed.body).unwrap_err(), Error::Header("another number of rows"));
}

#[test]
fn every_shortened_body_is_refused() {
    for length in 0..GOLDEN.len() {
        assert!(decode(&GOLDEN[..length]).is_err(), "{length} of {} octets were accepted", GOLDEN.len());
    }
    let longer = [GOLDEN, &[0]].concat();
    assert!(matches!(decode(&longer), Err(Error::Framing(_))));
}

/// Columns, rewritten by Arrow's own writer: what another or a later writer might send.
mod rewritten {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, StringArray, UInt64Array};
    use arrow_ipc::writer::StreamWriter;
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    type Columns = Vec<(Field, ArrayRef)>;

    fn rewrite(change: impl Fn(&mut Columns)) -> Result<flow_wire::batch::Decoded, Error> {
        let mut reader = StreamReader::try_new(GOLDEN, None).unwrap();
        let batch = reader.next().unwrap().unwrap();
        let fields = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect::<Vec<_>>();
        let mut columns: Columns = fields.into_iter().zip(batch.columns().iter().cloned()).collect();
        change(&mut columns);
        let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let schema = Arc::new(Schema::new_with_metadata(fields, batch.schema().metadata().clone()));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &schema).unwrap();
        writer.write(&batch).unwrap();
        decode(&writer.into_inner().unwrap())
    }

    fn at(columns: &Columns, name: &str) -> usize {
        columns.iter().position(|(field, _)| field.name() == name).unwrap()
    }

    #[test]
    fn alignment_and_order_of_columns_do_not_matter() {
        assert_eq!(rewrite(|columns| columns.reverse()), decode(GOLDEN));
    }

    #[test]
    fn a_later_release_may_add_a_column() {
        let later = |columns: &mut Columns| {
            let names: ArrayRef = Arc::new(StringArray::from(vec![Some("tls"), None]));
            columns.insert(9, (Field::new("application_name", DataType::Utf8, true), names));
        };
        assert_eq!(rewrite(later), decode(GOLDEN));
    }

    #[test]
    fn an_absent_nullable_column_is_null_and_another_is_refused() {
        let without = |name: &'static str| {
            rewrite(move |columns| {
                let index = at(columns, name);
                columns.remove(index);
            })
        };
        let decoded = without("icmp_type").unwrap();
        assert_eq!(decoded.batch.column_by_name("icmp_type").unwrap().null_count(), 2);
        assert_eq!(without("flow_end_reason"), Err(Error::MissingColumn("flow_end_reason")));
        assert_eq!(without("row"), Err(Error::MissingColumn("row")));
    }

    #[test]
    fn types_and_stamps_of_rows_are_checked() {
        let signed = rewrite(|columns| {
            let index = at(columns, "vlan_id");
            let wide: ArrayRef = Arc::new(UInt64Array::from(vec![None, Some(0)]));
            columns[index] = (Field::new("vlan_id", DataType::UInt64, true), wide);
        });
        assert!(matches!(signed, Err(Error::ColumnType { column, .. }) if column == "vlan_id"));
        let sequence = rewrite(|columns| {
            let index = at(columns, "sequence");
            columns[index].1 = Arc::new(UInt64Array::from(vec![41, 42]));
        });
        assert_eq!(sequence, Err(Error::RowStamp("sequence")));
        let twice = rewrite(|columns| columns.push(columns[0].clone()));
        assert_eq!(twice, Err(Error::TwiceColumn("probe_id".to_owned())));
    }
}

fn record() -> impl Strategy<Value = FlowRecord> {
    let end_reasons = prop_oneof![
        Just(FlowEndReason::IdleTimeout),
        Just(FlowEndReason::ActiveTimeout),
        Just(FlowEndReason::ForcedEnd),
        Just(FlowEndReason::LackOfResources),
    ];
    (any::<[u32; 8]>(), any::<IpAddr>(), any::<(Option<u16>, Option<u8>, u8)>(), end_reasons).prop_map(
        |(counts, address, (tag, octet, ttl), flow_end_reason)| FlowRecord {
            shunted_packet_delta_count: tag.map(|tag| u64::from(tag) << 40),
            recovered_from: octet.map(|octet| Epoch(Uuid::from_u128(octet.into()))),
            observation_domain_id: counts[0],
            flow_start_nanoseconds: u64::from(counts[1]) << 31,
            source_ip_address: address,
            destination_ip_address: address,
            packet_delta_count: u64::from(counts[2]),
            reverse_packet_delta_count: u64::from(counts[3]),
            layer2_octet_delta_count: u64::from(counts[4]) << 8,
            reverse_layer2_octet_delta_count: u64::from(counts[5]) << 8,
            vlan_id: tag,
            reverse_ip_class_of_service: octet,
            icmp_code: octet,
            maximum_ttl: ttl,
            flow_end_reason,
            ..tcp()
        },
    )
}

proptest! {
    #[test]
    fn what_is_sealed_is_read(records in proptest::collection::vec(record(), 1..40)) {
        let sealed = encode(&records, stamp()).unwrap();
        let decoded = open(&sealed.header, &sealed.body).unwrap();
        let packets: u64 =
            records.iter().map(|r| r.packet_delta_count + r.reverse_packet_delta_count).sum();
        prop_assert_eq!(decoded.exported().unwrap().packets, packets);
        prop_assert_eq!(flow_wire::batch::records(&decoded.batch).unwrap(), records);
    }

    /// Metadata, buffers and framing alike: several octets anywhere, as an attacker or a bad disk would.
    #[test]
    fn mutated_bodies_never_panic(changes in proptest::collection::vec((0..GOLDEN.len(), any::<u8>()), 1..8)) {
        let mut body = GOLDEN.to_vec();
        for (at, octet) in changes {
            body[at] = octet;
        }
        let _ = decode(&body);
    }

    #[test]
    fn whole_words_of_the_messages_may_be_anything(
        changes in proptest::collection::vec((0..GOLDEN.len() / 4, prop_oneof![Just(u32::MAX), Just(0), Just(0x7fff_ffff), any::<u32>()]), 1..4)
    ) {
        let mut body = GOLDEN.to_vec();
        for (word, value) in changes {
            body[word * 4..][..4].copy_from_slice(&value.to_le_bytes());
        }
        let _ = decode(&body);
    }

    #[test]
    fn arbitrary_octets_never_panic(body: Vec<u8>) {
        prop_assert!(decode(&body).is_err());
    }
}
