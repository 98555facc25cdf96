//! A flow as a table: the names of the JSON lines, and any other name that the table of fields has.

use std::collections::HashMap;
use std::net::IpAddr;

use flow_wire::field::{FIELDS, Field, Value as Read};
use flow_wire::record::{FlowEndReason, FlowRecord};
use flow_wire::stamp::Epoch;
use mlua::{Lua, LuaString, Table, Value};

/// The flows of a batch.
pub(in super::super) fn records(body: &[u8]) -> Result<Vec<FlowRecord>, String> {
    let decoded = flow_wire::batch::decode(body).map_err(|error| error.to_string())?;
    flow_wire::batch::records(&decoded.batch).map_err(|error| error.to_string())
}

/// What a key holds.
enum Cell {
    Number(u64),
    Text(String),
    Nothing,
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl<T: Into<u64>> From<Option<T>> for Cell {
    fn from(number: Option<T>) -> Self {
        number.map_or(Self::Nothing, |number| Self::Number(number.into()))
    }
}

/// What a key holds of a record.
type Cells = fn(&FlowRecord) -> Cell;

/// With its name.
type Key = (&'static str, Cells);

/// The keys of a JSON line that speak of the flow itself.
static KEYS: [Key; 27] = [
    ("observation_domain_id", |r| u64::from(r.observation_domain_id).into()),
    ("ingress_interface", |r| u64::from(r.ingress_interface).into()),
    ("flow_start_nanoseconds", |r| r.flow_start_nanoseconds.into()),
    ("flow_end_nanoseconds", |r| r.flow_end_nanoseconds.into()),
    ("source_ip_address", |r| Cell::Text(r.source_ip_address.to_string())),
    ("destination_ip_address", |r| Cell::Text(r.destination_ip_address.to_string())),
    ("source_transport_port", |r| u64::from(r.source_transport_port).into()),
    ("destination_transport_port", |r| u64::from(r.destination_transport_port).into()),
    ("protocol_identifier", |r| u64::from(r.protocol_identifier).into()),
    ("vlan_id", |r| r.vlan_id.into()),
    ("customer_vlan_id", |r| r.customer_vlan_id.into()),
    ("packet_delta_count", |r| r.packet_delta_count.into()),
    ("reverse_packet_delta_count", |r| r.reverse_packet_delta_count.into()),
    ("octet_delta_count", |r| r.octet_delta_count.into()),
    ("reverse_octet_delta_count", |r| r.reverse_octet_delta_count.into()),
    ("layer2_octet_delta_count", |r| r.layer2_octet_delta_count.into()),
    ("reverse_layer2_octet_delta_count", |r| r.reverse_layer2_octet_delta_count.into()),
    ("tcp_control_bits", |r| r.tcp_control_bits.into()),
    ("reverse_tcp_control_bits", |r| r.reverse_tcp_control_bits.into()),
    ("ip_class_of_service", |r| u64::from(r.ip_class_of_service).into()),
    ("reverse_ip_class_of_service", |r| r.reverse_ip_class_of_service.into()),
    ("minimum_ttl", |r| u64::from(r.minimum_ttl).into()),
    ("maximum_ttl", |r| u64::from(r.maximum_ttl).into()),
    ("icmp_type", |r| r.icmp_type.into()),
    ("icmp_code", |r| r.icmp_code.into()),
    ("recovered_from", |r| r.recovered_from.map_or(Cell::Nothing, |epoch| Cell::Text(epoch.0.to_string()))),
    ("shunted_packet_delta_count", |r| r.shunted_packet_delta_count.into()),
];

const REASON: &str = "flow_end_reason";

const REASONS: [(FlowEndReason, &str); 5] = [
    (FlowEndReason::IdleTimeout, "idle_timeout"),
    (FlowEndReason::ActiveTimeout, "active_timeout"),
    (FlowEndReason::EndOfFlow, "end_of_flow"),
    (FlowEndReason::ForcedEnd, "forced_end"),
    (FlowEndReason::LackOfResources, "lack_of_resources"),
];

/// What all tables of a state share: made once, for a flow has many keys.
pub(in super::super) struct Shape {
    keys: Vec<(LuaString, Cells)>,
    reason: LuaString,
    reasons: Vec<(FlowEndReason, LuaString)>,
    /// Reads other names off the table itself.
    metatable: Table,
}

impl Shape {
    pub(in super::super) fn new(lua: &Lua) -> mlua::Result<Self> {
        let names = KEYS.iter().map(|(name, read)| Ok((lua.create_string(name)?, *read)));
        let reasons = REASONS.iter().map(|(reason, word)| Ok((*reason, lua.create_string(word)?)));
        let metatable = lua.create_table()?;
        let fields = other_names();
        let index = move |lua: &Lua, (flow, name): (Table, Value)| {
            let Value::String(name) = name else { return Ok(Value::Nil) };
            let Some(field) = name.to_str().ok().and_then(|name| fields.get(&*name).copied()) else {
                return Ok(Value::Nil);
            };
            value(lua, field, &record(&flow)?)
        };
        metatable.raw_set("__index", lua.create_function(index)?)?;
        Ok(Self {
            keys: names.collect::<mlua::Result<_>>()?,
            reason: lua.create_string(REASON)?,
            reasons: reasons.collect::<mlua::Result<_>>()?,
            metatable,
        })
    }

    pub(in super::super) fn table(&self, lua: &Lua, record: &FlowRecord) -> mlua::Result<Table> {
        let table = lua.create_table_with_capacity(0, self.keys.len() + 1)?;
        for (key, read) in &self.keys {
            match read(record) {
                Cell::Number(number) => table.raw_set(key, number.cast_signed())?,
                Cell::Text(text) => table.raw_set(key, text)?,
                Cell::Nothing => {}
            }
        }
        if let Some((_, word)) = self.reasons.iter().find(|(reason, _)| *reason == record.flow_end_reason) {
            table.raw_set(&self.reason, word)?;
        }
        table.set_metatable(Some(self.metatable.clone()))?;
        Ok(table)
    }
}

/// Names of ntop and IANA that are not keys themselves.
fn other_names() -> HashMap<&'static str, &'static Field> {
    let named =
        |field: &'static Field| [field.ntop, field.iana].into_iter().flatten().map(move |e| (e.name, field));
    FIELDS.iter().flat_map(named).collect()
}

fn value(lua: &Lua, field: &Field, record: &FlowRecord) -> mlua::Result<Value> {
    let text = |text: Option<String>| match text {
        Some(text) => lua.create_string(text).map(Value::String),
        None => Ok(Value::Nil),
    };
    match field.value {
        Read::Number(_, read) => {
            Ok(read(record).map_or(Value::Nil, |number| Value::Integer(number.cast_signed())))
        }
        Read::Address(read) => text(read(record).map(|address| address.to_string())),
        Read::Word(read) => text(read(record).map(str::to_owned)),
        Read::Epoch(read) => text(read(record).map(|epoch| epoch.0.to_string())),
    }
}

/// The record that a table was made of; what the script has changed counts.
fn record(flow: &Table) -> mlua::Result<FlowRecord> {
    let number =
        |name: &str| flow.raw_get::<Option<i64>>(name).map(|number| number.unwrap_or(0).cast_unsigned());
    let optional =
        |name: &str| flow.raw_get::<Option<i64>>(name).map(|number| number.map(i64::cast_unsigned));
    let address = |name: &str| -> mlua::Result<IpAddr> {
        flow.raw_get::<String>(name)?
            .parse()
            .map_err(|error| mlua::Error::runtime(format!("{name}: {error}")))
    };
    let reason: String = flow.raw_get(REASON)?;
    let reason = REASONS
        .iter()
        .find(|(_, word)| *word == reason)
        .map_or(FlowEndReason::ForcedEnd, |(reason, _)| *reason);
    let epoch =
        flow.raw_get::<Option<String>>("recovered_from")?.and_then(|text| text.parse().ok()).map(Epoch);
    Ok(FlowRecord {
        observation_domain_id: number("observation_domain_id")? as u32,
        ingress_interface: number("ingress_interface")? as u32,
        flow_start_nanoseconds: number("flow_start_nanoseconds")?,
        flow_end_nanoseconds: number("flow_end_nanoseconds")?,
        source_ip_address: address("source_ip_address")?,
        destination_ip_address: address("destination_ip_address")?,
        source_transport_port: number("source_transport_port")? as u16,
        destination_transport_port: number("destination_transport_port")? as u16,
        protocol_identifier: number("protocol_identifier")? as u8,
        vlan_id: optional("vlan_id")?.map(|number| number as u16),
        customer_vlan_id: optional("customer_vlan_id")?.map(|number| number as u16),
        packet_delta_count: number("packet_delta_count")?,
        reverse_packet_delta_count: number("reverse_packet_delta_count")?,
        octet_delta_count: number("octet_delta_count")?,
        reverse_octet_delta_count: number("reverse_octet_delta_count")?,
        layer2_octet_delta_count: number("layer2_octet_delta_count")?,
        reverse_layer2_octet_delta_count: number("reverse_layer2_octet_delta_count")?,
        tcp_control_bits: optional("tcp_control_bits")?.map(|number| number as u16),
        reverse_tcp_control_bits: optional("reverse_tcp_control_bits")?.map(|number| number as u16),
        ip_class_of_service: number("ip_class_of_service")? as u8,
        reverse_ip_class_of_service: optional("reverse_ip_class_of_service")?.map(|number| number as u8),
        minimum_ttl: number("minimum_ttl")? as u8,
        maximum_ttl: number("maximum_ttl")? as u8,
        icmp_type: optional("icmp_type")?.map(|number| number as u8),
        icmp_code: optional("icmp_code")?.map(|number| number as u8),
        flow_end_reason: reason,
        recovered_from: epoch,
        shunted_packet_delta_count: optional("shunted_packet_delta_count")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_table_has_all_of_its_record_and_gives_it_back() {
        let lua = Lua::new();
        let shape = Shape::new(&lua).unwrap();
        for seed in 0..100 {
            let mut known = testing::record(seed);
            known.flow_end_reason = FlowEndReason::ALL[seed as usize % 5];
            known.recovered_from = seed.is_multiple_of(2).then(|| testing::stamp(0, 0).epoch);
            known.shunted_packet_delta_count = seed.is_multiple_of(7).then_some(seed);
            let table = shape.table(&lua, &known).unwrap();
            assert_eq!(record(&table).unwrap(), known);
            let keys = table.pairs::<String, Value>().count();
            assert!((19..=KEYS.len() + 1).contains(&keys), "{keys}");
        }
    }

    #[test]
    fn every_name_of_ntop_and_iana_gives_what_a_template_gives() {
        let lua = Lua::new();
        let known = testing::record(4);
        let table = Shape::new(&lua).unwrap().table(&lua, &known).unwrap();
        for (name, field) in other_names() {
            let found: Value = table.get(name).unwrap();
            assert_eq!(found, value(&lua, field, &known).unwrap(), "{name}");
        }
        assert_eq!(table.get::<u64>("IN_BYTES").unwrap(), known.octet_delta_count);
        assert_eq!(table.get::<u64>("FIRST_SWITCHED").unwrap(), known.flow_start_nanoseconds / 1_000_000_000);
        assert_eq!(table.get::<String>("sourceIPv4Address").unwrap(), known.source_ip_address.to_string());
        assert!(table.get::<Value>("NO_SUCH_NAME").unwrap().is_nil());
    }
}
