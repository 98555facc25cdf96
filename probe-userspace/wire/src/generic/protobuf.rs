//! Protocol Buffers (its guide "Encoding"): each value behind a tag, number of the field and type; what is not there is left out.

use std::fmt::Write;

use super::numbers::number;
use super::{Error, is_name, short_text, varint};
use crate::field::{Template, Value, template};
use crate::ntop::text;
use crate::record::FlowRecord;

/// Types on the wire.
const VARINT: u32 = 0;
const LENGTH: u32 = 2;

/// A template, prepared.
#[derive(Clone, Debug)]
pub struct Protobuf {
    slots: Vec<Slot>,
    schema: String,
}

#[derive(Clone, Debug)]
struct Slot {
    tag: Vec<u8>,
    value: Value,
}

impl Protobuf {
    /// A message `gannet.Flow`, the only one of its file.
    ///
    /// # Errors
    /// A name that Protobuf does not have, or has already; a field under two names.
    pub fn new(template: &Template) -> Result<Self, Error> {
        let mut known: Vec<(u32, String, &str)> = Vec::new();
        for item in template.items() {
            let (number, name) = (number(item.field)?, item.name());
            if !is_name(name) {
                return Err(Error::Name(name.to_owned()));
            }
            if known.iter().any(|(other, ..)| *other == number) {
                return Err(Error::Twice(item.field.name()));
            }
            let in_json = name_in_json(name);
            if let Some((.., other)) = known.iter().find(|(_, other, _)| *other == in_json) {
                return Err(Error::Alike((*other).to_owned(), name.to_owned()));
            }
            known.push((number, in_json, name));
        }
        let slots = template.items().iter().map(slot).collect::<Result<_, _>>()?;
        Ok(Self { slots, schema: schema(template)? })
    }

    /// As a `.proto` file.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    pub(super) fn record(&self, record: &FlowRecord, out: &mut Vec<u8>) {
        for slot in &self.slots {
            let at = out.len();
            out.extend_from_slice(&slot.tag);
            let is_there = match slot.value {
                Value::Number(_, of) => of(record).map(|value| varint(value, out)),
                Value::Address(of) => {
                    of(record).map(|address| short_text(0, out, |out| text::address(address, out)))
                }
                Value::Word(of) => {
                    of(record).map(|word| short_text(0, out, |out| out.extend_from_slice(word.as_bytes())))
                }
                Value::Epoch(of) => of(record).map(|epoch| {
                    let mut buffer = uuid::Uuid::encode_buffer();
                    let text = epoch.0.hyphenated().encode_lower(&mut buffer);
                    short_text(0, out, |out| out.extend_from_slice(text.as_bytes()));
                }),
            };
            if is_there.is_none() {
                out.truncate(at);
            }
        }
    }
}

fn slot(item: &template::Item) -> Result<Slot, Error> {
    let (kind, _) = kinds(&item.field.value);
    let mut tag = Vec::new();
    varint(u64::from(number(item.field)? << 3 | kind), &mut tag);
    Ok(Slot { tag, value: item.field.value })
}

/// On the wire, and in the file. `optional` keeps a 0 apart from what is not there.
fn kinds(value: &Value) -> (u32, &'static str) {
    match value {
        Value::Number(1 | 2 | 4, _) => (VARINT, "uint32"),
        Value::Number(..) => (VARINT, "uint64"),
        Value::Address(_) | Value::Word(_) | Value::Epoch(_) => (LENGTH, "string"),
    }
}

fn schema(template: &Template) -> Result<String, Error> {
    let mut text =
        "syntax = \"proto3\";\n\npackage gannet;\n\n// A flow, as gannet-probe writes it.\nmessage Flow {\n"
            .to_owned();
    for item in template.items() {
        let (_, kind) = kinds(&item.field.value);
        let (doc, name, number) = (item.field.doc, item.name(), number(item.field)?);
        // Into a string: it cannot fail.
        let _ = writeln!(text, "  // {doc}\n  optional {kind} {name} = {number};");
    }
    Ok(text + "}\n")
}

/// As protoc makes it: without underscores, and what follows one as a capital. Two fields of a message must not share it.
fn name_in_json(name: &str) -> String {
    let mut behind_underscore = false;
    let mut in_json = String::with_capacity(name.len());
    for c in name.chars() {
        match (c, std::mem::take(&mut behind_underscore)) {
            ('_', _) => behind_underscore = true,
            (c, true) => in_json.push(c.to_ascii_uppercase()),
            (c, false) => in_json.push(c),
        }
    }
    in_json
}
