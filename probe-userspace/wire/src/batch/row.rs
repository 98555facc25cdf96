//! Columns become records again, for sinks that write row by row.

use std::net::IpAddr;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrowPrimitiveType, FixedSizeBinaryArray, PrimitiveArray, RecordBatch};

use super::Error;
use crate::record::{FlowEndReason, FlowRecord};
use crate::stamp::Epoch;

/// All rows of a batch that [`decode`](super::decode) gave.
///
/// # Errors
/// A column is not there, or a value is none that a record can have (a flow end reason that is not in IPFIX, an IP version
/// that is neither 4 nor 6).
pub fn records(batch: &RecordBatch) -> Result<Vec<FlowRecord>, Error> {
    let columns = Columns::of(batch)?;
    (0..batch.num_rows()).map(|row| columns.record(row)).collect()
}

macro_rules! columns {
    ($($name:ident: $kind:ty,)*) => {
        /// Each column once, by its name, so that rows are read without a look-up.
        struct Columns<'a> { $($name: &'a $kind,)* }

        impl<'a> Columns<'a> {
            fn of(batch: &'a RecordBatch) -> Result<Self, Error> {
                Ok(Self { $($name: <$kind as Typed>::of(batch, stringify!($name))?,)* })
            }
        }
    };
}

type Numbers<T> = PrimitiveArray<T>;

columns! {
    observation_domain_id: Numbers<UInt32Type>,
    ingress_interface: Numbers<UInt32Type>,
    flow_start_nanoseconds: Numbers<UInt64Type>,
    flow_end_nanoseconds: Numbers<UInt64Type>,
    ip_version: Numbers<UInt8Type>,
    source_ip_address: FixedSizeBinaryArray,
    destination_ip_address: FixedSizeBinaryArray,
    source_transport_port: Numbers<UInt16Type>,
    destination_transport_port: Numbers<UInt16Type>,
    protocol_identifier: Numbers<UInt8Type>,
    vlan_id: Numbers<UInt16Type>,
    customer_vlan_id: Numbers<UInt16Type>,
    packet_delta_count: Numbers<UInt64Type>,
    reverse_packet_delta_count: Numbers<UInt64Type>,
    octet_delta_count: Numbers<UInt64Type>,
    reverse_octet_delta_count: Numbers<UInt64Type>,
    layer2_octet_delta_count: Numbers<UInt64Type>,
    reverse_layer2_octet_delta_count: Numbers<UInt64Type>,
    tcp_control_bits: Numbers<UInt16Type>,
    reverse_tcp_control_bits: Numbers<UInt16Type>,
    ip_class_of_service: Numbers<UInt8Type>,
    reverse_ip_class_of_service: Numbers<UInt8Type>,
    minimum_ttl: Numbers<UInt8Type>,
    maximum_ttl: Numbers<UInt8Type>,
    icmp_type: Numbers<UInt8Type>,
    icmp_code: Numbers<UInt8Type>,
    flow_end_reason: Numbers<UInt8Type>,
    recovered_from: FixedSizeBinaryArray,
    shunted_packet_delta_count: Numbers<UInt64Type>,
}

impl Columns<'_> {
    fn record(&self, row: usize) -> Result<FlowRecord, Error> {
        let reason = self.flow_end_reason.value(row);
        let wrong = |column, value| Error::Value { column, row, value: u64::from(value) };
        let flow_end_reason =
            FlowEndReason::from_number(reason).ok_or_else(|| wrong("flow_end_reason", reason))?;
        let version = self.ip_version.value(row);
        let address = |column| address(column, row, version).ok_or_else(|| wrong("ip_version", version));
        Ok(FlowRecord {
            observation_domain_id: self.observation_domain_id.value(row),
            ingress_interface: self.ingress_interface.value(row),
            flow_start_nanoseconds: self.flow_start_nanoseconds.value(row),
            flow_end_nanoseconds: self.flow_end_nanoseconds.value(row),
            source_ip_address: address(self.source_ip_address)?,
            destination_ip_address: address(self.destination_ip_address)?,
            source_transport_port: self.source_transport_port.value(row),
            destination_transport_port: self.destination_transport_port.value(row),
            protocol_identifier: self.protocol_identifier.value(row),
            vlan_id: optional(self.vlan_id, row),
            customer_vlan_id: optional(self.customer_vlan_id, row),
            packet_delta_count: self.packet_delta_count.value(row),
            reverse_packet_delta_count: self.reverse_packet_delta_count.value(row),
            octet_delta_count: self.octet_delta_count.value(row),
            reverse_octet_delta_count: self.reverse_octet_delta_count.value(row),
            layer2_octet_delta_count: self.layer2_octet_delta_count.value(row),
            reverse_layer2_octet_delta_count: self.reverse_layer2_octet_delta_count.value(row),
            tcp_control_bits: optional(self.tcp_control_bits, row),
            reverse_tcp_control_bits: optional(self.reverse_tcp_control_bits, row),
            ip_class_of_service: self.ip_class_of_service.value(row),
            reverse_ip_class_of_service: optional(self.reverse_ip_class_of_service, row),
            minimum_ttl: self.minimum_ttl.value(row),
            maximum_ttl: self.maximum_ttl.value(row),
            icmp_type: optional(self.icmp_type, row),
            icmp_code: optional(self.icmp_code, row),
            flow_end_reason,
            recovered_from: epoch(self.recovered_from, row),
            shunted_packet_delta_count: optional(self.shunted_packet_delta_count, row),
        })
    }
}

/// An address of a packet of this IP version: an IPv6 packet may carry `::ffff:a.b.c.d` itself.
fn address(column: &FixedSizeBinaryArray, row: usize, version: u8) -> Option<IpAddr> {
    let octets: [u8; 16] = column.value(row).try_into().ok()?;
    match version {
        4 => Some(IpAddr::from(octets).to_canonical()),
        6 => Some(IpAddr::from(octets)),
        _ => None,
    }
}

/// Sixteen octets are a UUID whatever they are.
fn epoch(column: &FixedSizeBinaryArray, row: usize) -> Option<Epoch> {
    let octets = column.is_valid(row).then(|| column.value(row))?;
    Some(Epoch(uuid::Uuid::from_slice(octets).ok()?))
}

fn optional<T: ArrowPrimitiveType>(column: &Numbers<T>, row: usize) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}

/// A column by name and type.
trait Typed: Sized {
    fn of<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a Self, Error>;
}

impl<T: ArrowPrimitiveType> Typed for Numbers<T> {
    fn of<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a Self, Error> {
        batch
            .column_by_name(name)
            .and_then(|column| column.as_primitive_opt())
            .ok_or(Error::MissingColumn(name))
    }
}

impl Typed for FixedSizeBinaryArray {
    fn of<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a Self, Error> {
        let column = batch.column_by_name(name).and_then(|column| column.as_fixed_size_binary_opt());
        column.ok_or(Error::MissingColumn(name))
    }
}
