//! The same as JSON: an array of objects, one a flow. ntopng's Community edition leaves such flows unread; its Pro editions do not.

use super::text;
use crate::field::{Template, Value, template};
use crate::record::FlowRecord;

/// Key of the time that no template names.
const TIMESTAMP: &[u8] = b"\"@timestamp\":";

/// How fields are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// `"8"`, and ntop's own as 57472 + id: `"57550"`.
    #[default]
    Numbers,
    /// `"8"`, and others with their private enterprise number: `"35632.78"`.
    Dotted,
    /// `"IPV4_SRC_ADDR"`.
    Names,
}

/// A template, prepared.
#[derive(Clone, Debug)]
pub struct Json {
    slots: Vec<Slot>,
    record_octets_max: usize,
    has_timestamp: bool,
}

#[derive(Clone, Debug)]
struct Slot {
    /// `"IN_BYTES":`
    key: Vec<u8>,
    value: Value,
}

impl Json {
    /// With such keys; aliases are used as they are.
    pub fn new(template: &Template, keys: Keys) -> Self {
        let slots: Vec<Slot> = template.items().iter().map(|item| slot(item, keys)).collect();
        // A separator and two quotes.
        let octets = |slot: &Slot| slot.key.len() + 3 + slot.value.text_octets_max();
        let record_octets_max = slots.iter().map(octets).sum::<usize>() + 3;
        Self { slots, record_octets_max, has_timestamp: false }
    }

    /// Each object ends with `@timestamp`, as nProbe calls it: the time of the last packet, by ISO 8601.
    #[must_use]
    pub fn with_timestamp(self, has_timestamp: bool) -> Self {
        let octets = TIMESTAMP.len() + text::TIMESTAMP_OCTETS + 3;
        let record_octets_max = self.record_octets_max + if has_timestamp { octets } else { 0 };
        Self { has_timestamp, record_octets_max, ..self }
    }

    pub(super) fn record_octets_max(&self) -> usize {
        self.record_octets_max
    }

    /// Appends an object, and before it what begins or goes on with the array.
    pub(super) fn record(&self, record: &FlowRecord, is_first: bool, out: &mut Vec<u8>) {
        out.push(if is_first { b'[' } else { b',' });
        self.object(record, out);
    }

    /// Appends an object alone.
    pub fn object(&self, record: &FlowRecord, out: &mut Vec<u8>) {
        let mut separator = b'{';
        for slot in &self.slots {
            let mut begin = |out: &mut Vec<u8>| {
                out.push(std::mem::replace(&mut separator, b','));
                out.extend_from_slice(&slot.key);
            };
            match slot.value {
                Value::Number(_, of) => {
                    if let Some(value) = of(record) {
                        begin(out);
                        text::number(value, out);
                    }
                }
                Value::Address(of) => {
                    if let Some(address) = of(record) {
                        begin(out);
                        quoted(out, |out| text::address(address, out));
                    }
                }
                Value::Word(of) => {
                    if let Some(word) = of(record) {
                        begin(out);
                        quoted(out, |out| out.extend_from_slice(word.as_bytes()));
                    }
                }
                Value::Epoch(of) => {
                    if let Some(epoch) = of(record) {
                        begin(out);
                        let mut buffer = uuid::Uuid::encode_buffer();
                        let text = epoch.0.hyphenated().encode_lower(&mut buffer);
                        quoted(out, |out| out.extend_from_slice(text.as_bytes()));
                    }
                }
            }
        }
        if self.has_timestamp {
            out.push(std::mem::replace(&mut separator, b','));
            out.extend_from_slice(TIMESTAMP);
            quoted(out, |out| text::timestamp(record.flow_end_nanoseconds, out));
        }
        if separator == b'{' {
            // Nothing to tell of this flow.
            out.push(b'{');
        }
        out.push(b'}');
    }

    pub(super) fn end(out: &mut Vec<u8>) {
        out.push(b']');
    }
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn slot(item: &template::Item, keys: Keys) -> Slot {
    let element = item.field.element();
    let number = match (keys, element.pen) {
        _ if item.alias.is_some() || element.id == 0 => None,
        (Keys::Names, _) => None,
        (Keys::Numbers, _) if element.flat().is_some() => element.flat().map(|flat| flat.to_string()),
        (_, 0) => Some(element.id.to_string()),
        (_, pen) => Some(format!("{pen}.{}", element.id)),
    };
    let name = number.unwrap_or_else(|| item.name().to_owned());
    Slot { key: format!("\"{name}\":").into_bytes(), value: item.field.value }
}
