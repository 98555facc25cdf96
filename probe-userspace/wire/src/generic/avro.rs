//! Avro's binary encoding (its specification 1.12, "Binary encoding"): the values one behind the other, nothing between them.
//!
//! Each field is a union of null and its type: a reader's schema may have fields that a writer's template has not, and the other way round.

use serde_json::json;

use super::{Error, is_name, short_text, varint};
use crate::field::{Template, Value};
use crate::ntop::text;
use crate::record::FlowRecord;

/// Branches of the union, zigzag.
const NULL: u8 = 0;
const THERE: u8 = 2;

/// A template, prepared.
#[derive(Clone, Debug)]
pub struct Avro {
    values: Vec<Value>,
    schema: String,
}

impl Avro {
    /// A record `gannet.Flow`.
    ///
    /// # Errors
    /// A name that Avro does not have.
    pub fn new(template: &Template) -> Result<Self, Error> {
        let mut fields = Vec::new();
        for item in template.items() {
            if !is_name(item.name()) {
                return Err(Error::Name(item.name().to_owned()));
            }
            fields.push(json!({
                "name": item.name(),
                "doc": item.field.doc,
                "type": ["null", kind(&item.field.value)],
                "default": null,
            }));
        }
        let schema = json!({"type": "record", "name": "Flow", "namespace": "gannet", "fields": fields});
        let values = template.items().iter().map(|item| item.field.value).collect();
        Ok(Self { values, schema: schema.to_string() })
    }

    /// As JSON.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    pub(super) fn record(&self, record: &FlowRecord, out: &mut Vec<u8>) {
        for value in &self.values {
            let at = out.len();
            out.push(THERE);
            let is_there = match value {
                Value::Number(_, of) => of(record).map(|value| long(value, out)),
                Value::Address(of) => {
                    of(record).map(|address| short_text(1, out, |out| text::address(address, out)))
                }
                Value::Word(of) => {
                    of(record).map(|word| short_text(1, out, |out| out.extend_from_slice(word.as_bytes())))
                }
                Value::Epoch(of) => of(record).map(|epoch| {
                    let mut buffer = uuid::Uuid::encode_buffer();
                    let text = epoch.0.hyphenated().encode_lower(&mut buffer);
                    short_text(1, out, |out| out.extend_from_slice(text.as_bytes()));
                }),
            };
            if is_there.is_none() {
                out[at] = NULL;
            }
        }
    }
}

/// Avro has no unsigned numbers: what is beyond its 63 bits is written as their largest.
fn long(value: u64, out: &mut Vec<u8>) {
    varint(value.min(i64::MAX as u64) << 1, out);
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Number(1 | 2, _) => "int",
        Value::Number(..) => "long",
        Value::Address(_) | Value::Word(_) | Value::Epoch(_) => "string",
    }
}
