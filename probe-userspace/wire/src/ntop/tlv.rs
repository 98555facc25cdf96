//! nDPI's TLV: what ntopng reads by default, and the only flows that its Community edition reads.
//!
//! ```text
//! 01 version │ 01 format │ item item .. 01 │ item item .. 01 │          01 = end of record, behind each flow
//! item = type octet (key type << 4 | value type) │ key │ value
//!        2 u8   3 u16   4 u32   5 u64   b string: length u16, octets        numbers in network order, in the narrowest type
//! ```

use super::text;
use crate::field::{Template, Value, template};
use crate::record::FlowRecord;

/// Before the first record.
const BEGIN: [u8; 2] = [1, 1];
const END_OF_RECORD: u8 = 1;
const U8: u8 = 2;
const U16: u8 = 3;
const U32: u8 = 4;
const U64: u8 = 5;
const STRING: u8 = 11;

/// A template, prepared.
#[derive(Clone, Debug)]
pub struct Tlv {
    slots: Vec<Slot>,
    record_octets_max: usize,
}

#[derive(Clone, Debug)]
struct Slot {
    /// The type octet without the value's type, and the key.
    key: Vec<u8>,
    value: Value,
}

impl Tlv {
    /// Numbers are the keys; a name where there is none, or an alias.
    pub fn new(template: &Template) -> Self {
        let slots: Vec<Slot> = template.items().iter().map(slot).collect();
        // Type octet in the key, length of a string.
        let octets = |slot: &Slot| slot.key.len() + 2 + slot.value.text_octets_max();
        let record_octets_max = slots.iter().map(octets).sum::<usize>() + 1;
        Self { slots, record_octets_max }
    }

    pub(super) fn record_octets_max(&self) -> usize {
        self.record_octets_max
    }

    pub(super) fn begin(out: &mut Vec<u8>) {
        out.extend_from_slice(&BEGIN);
    }

    /// Appends a record.
    pub(super) fn record(&self, record: &FlowRecord, out: &mut Vec<u8>) {
        for slot in &self.slots {
            match slot.value {
                Value::Number(_, of) => {
                    if let Some(value) = of(record) {
                        slot.number(value, out);
                    }
                }
                Value::Address(of) => {
                    if let Some(address) = of(record) {
                        slot.text(out, |out| text::address(address, out));
                    }
                }
                Value::Word(of) => {
                    if let Some(word) = of(record) {
                        slot.text(out, |out| out.extend_from_slice(word.as_bytes()));
                    }
                }
                Value::Epoch(of) => {
                    if let Some(epoch) = of(record) {
                        let mut buffer = uuid::Uuid::encode_buffer();
                        let text = epoch.0.hyphenated().encode_lower(&mut buffer);
                        slot.text(out, |out| out.extend_from_slice(text.as_bytes()));
                    }
                }
            }
        }
        out.push(END_OF_RECORD);
    }
}

impl Slot {
    fn number(&self, value: u64, out: &mut Vec<u8>) {
        let octets = value.to_be_bytes();
        let (kind, first) = match value {
            0..=0xff => (U8, 7),
            0x100..=0xffff => (U16, 6),
            0x1_0000..=0xffff_ffff => (U32, 4),
            _ => (U64, 0),
        };
        self.key(kind, out);
        out.extend_from_slice(&octets[first..]);
    }

    fn text(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(STRING, out);
        let at = out.len();
        out.extend_from_slice(&[0; 2]);
        write(out);
        // At most `text_octets_max`.
        let length = (out.len() - at - 2) as u16;
        out[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }

    fn key(&self, kind: u8, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(&self.key);
        out[at] |= kind;
    }
}

fn slot(item: &template::Item) -> Slot {
    let flat = item.field.element().flat().filter(|_| item.alias.is_none());
    let mut key = Vec::new();
    match flat {
        Some(number @ 0..=0xff) => key.extend_from_slice(&[U8 << 4, number as u8]),
        Some(number @ 0x100..=0xffff) => {
            key.push(U16 << 4);
            key.extend_from_slice(&(number as u16).to_be_bytes());
        }
        Some(number) => {
            key.push(U32 << 4);
            key.extend_from_slice(&number.to_be_bytes());
        }
        None => {
            let name = item.name().as_bytes();
            key.push(STRING << 4);
            // At most an alias, or a name of ours.
            key.extend_from_slice(&(name.len() as u16).to_be_bytes());
            key.extend_from_slice(name);
        }
    }
    Slot { key, value: item.field.value }
}
