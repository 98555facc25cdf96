//! Flows for anybody who reads Kafka: a message is a flow, in a format that has readers everywhere.
//!
//! ```text
//! Template ─► Writer (json, avro or protobuf), prepared once ─► schema, for people and for a registry
//! record ──► [ framing ] [ flow ]
//!              none, or Confluent's: 00, id of the schema (4 octets, network order), protobuf: 00 = the first message of the schema
//! ```
//! The framing is that of "Wire format" in Confluent's documentation of its schema registry.

pub mod avro;
mod numbers;
pub mod protobuf;

use crate::field::Template;
use crate::ntop::Keys;
use crate::ntop::json::Json;
use crate::record::FlowRecord;

/// How a flow is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An object.
    Json {
        /// Names or numbers.
        keys: Keys,
        /// Each has `@timestamp`.
        has_timestamp: bool,
    },
    /// Avro's binary encoding.
    Avro,
    /// Protocol Buffers.
    Protobuf,
}

/// Why a template cannot be written so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An alias that is no name there.
    #[error("'{0}' is no name in Avro and Protobuf, which have letters, digits and '_' alone")]
    Name(String),
    /// A field twice, under two names.
    #[error("{0} is there twice, and Protobuf has one number for it")]
    Twice(&'static str),
    /// Two names that are one name in Protobuf's JSON.
    #[error("{0} and {1} are the same name in the JSON of Protobuf, which leaves '_' out")]
    Alike(String, String),
    /// A line is missing in the table of numbers: a test looks.
    #[error("{0} has no number in Protobuf")]
    Unnumbered(&'static str),
}

/// What a registry is to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// As the registry's REST names it: `AVRO`, `PROTOBUF`.
    pub kind: &'static str,
    /// The schema itself.
    pub text: String,
}

/// Writes flows; prepared once.
#[derive(Clone, Debug)]
pub struct Writer {
    encoder: Encoder,
    framing: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Encoder {
    Json(Json),
    Avro(avro::Avro),
    Protobuf(protobuf::Protobuf),
}

impl Writer {
    /// Bare flows.
    ///
    /// # Errors
    /// The format cannot have the template's names or fields.
    pub fn new(template: &Template, format: Format) -> Result<Self, Error> {
        let encoder = match format {
            Format::Json { keys, has_timestamp } => {
                Encoder::Json(Json::new(template, keys).with_timestamp(has_timestamp))
            }
            Format::Avro => Encoder::Avro(avro::Avro::new(template)?),
            Format::Protobuf => Encoder::Protobuf(protobuf::Protobuf::new(template)?),
        };
        Ok(Self { encoder, framing: Vec::new() })
    }

    /// What it writes, where that needs a schema.
    pub fn schema(&self) -> Option<Schema> {
        match &self.encoder {
            Encoder::Json(_) => None,
            Encoder::Avro(avro) => Some(Schema { kind: "AVRO", text: avro.schema().to_owned() }),
            Encoder::Protobuf(protobuf) => {
                Some(Schema { kind: "PROTOBUF", text: protobuf.schema().to_owned() })
            }
        }
    }

    /// With the registry's id of the schema before each flow, where there is a schema.
    #[must_use]
    pub fn framed(mut self, id: u32) -> Self {
        self.framing.clear();
        if !matches!(self.encoder, Encoder::Json(_)) {
            self.framing.push(0);
            self.framing.extend_from_slice(&id.to_be_bytes());
        }
        if matches!(self.encoder, Encoder::Protobuf(_)) {
            self.framing.push(0);
        }
        self
    }

    /// Appends a message.
    pub fn write(&self, record: &FlowRecord, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.framing);
        match &self.encoder {
            Encoder::Json(json) => json.object(record, out),
            Encoder::Avro(avro) => avro.record(record, out),
            Encoder::Protobuf(protobuf) => protobuf.record(record, out),
        }
    }
}

/// Base 128, the lowest seven bits first: Avro's and Protobuf's.
fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a text behind its length, which has one octet: `shift` is what Avro does to a length, and none of ours has 64 octets.
fn short_text(shift: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    write(out);
    out[at] = ((out.len() - at - 1) << shift) as u8;
}

fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FIELDS;

    #[test]
    fn every_text_has_a_length_of_one_octet() {
        for field in FIELDS {
            assert!(field.value.text_octets_max() < 64, "{}", field.name());
        }
    }

    #[test]
    fn json_has_no_framing_and_protobuf_one_octet_more() {
        let template = Template::parse("%IN_BYTES").unwrap();
        let framing = |format| Writer::new(&template, format).unwrap().framed(0x0102_0304).framing;
        let json = Format::Json { keys: Keys::Names, has_timestamp: false };
        assert_eq!(framing(json), [] as [u8; 0]);
        assert_eq!(framing(Format::Avro), [0, 1, 2, 3, 4]);
        assert_eq!(framing(Format::Protobuf), [0, 1, 2, 3, 4, 0]);
    }

    #[test]
    fn an_alias_that_has_no_place_in_a_schema_is_named() {
        let refused = |text: &str, format| {
            Writer::new(&Template::parse(text).unwrap(), format).unwrap_err().to_string()
        };
        for format in [Format::Avro, Format::Protobuf] {
            assert!(refused("%IN_BYTES=>octets.in", format).contains("'octets.in'"));
        }
        assert!(refused("%IN_BYTES=>a %IN_BYTES=>b", Format::Protobuf).contains("IN_BYTES is there twice"));
        assert!(refused("%IN_BYTES %OUT_BYTES=>INBYTES", Format::Protobuf).contains("INBYTES"));
    }
}
