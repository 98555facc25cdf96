//! Records become messages: cut so that ntopng neither truncates them nor counts them wrong.

use super::json::{Json, Keys};
use super::tlv::Tlv;
use crate::field::Template;
use crate::record::FlowRecord;

/// Flows of a message: ntopng counts them in an octet, and 256 would be none.
pub const FLOWS_MAX: u16 = 255;

/// Octets of a message: half of what ntopng has room for (131,072; a longer one is dropped without being counted), and what the 16 bits of older
/// headers can tell.
pub const PAYLOAD_OCTETS_MAX: usize = 60_000;

/// How flows are written.
#[derive(Clone, Debug)]
pub enum Encoder {
    /// nDPI's.
    Tlv(Tlv),
    /// Text.
    Json(Json),
}

impl Encoder {
    /// nDPI's TLV.
    pub fn tlv(template: &Template) -> Self {
        Self::Tlv(Tlv::new(template))
    }

    /// JSON with such keys.
    pub fn json(template: &Template, keys: Keys) -> Self {
        Self::Json(Json::new(template, keys))
    }

    fn record_octets_max(&self) -> usize {
        match self {
            Self::Tlv(tlv) => tlv.record_octets_max(),
            Self::Json(json) => json.record_octets_max(),
        }
    }

    fn record(&self, record: &FlowRecord, is_first: bool, out: &mut Vec<u8>) {
        match self {
            Self::Tlv(tlv) => {
                if is_first {
                    Tlv::begin(out);
                }
                tlv.record(record, out);
            }
            Self::Json(json) => json.record(record, is_first, out),
        }
    }

    fn end(&self, out: &mut Vec<u8>) {
        if let Self::Json(_) = self {
            Json::end(out);
        }
    }
}

/// An encoder with the room for one message, which is used again and again.
#[derive(Debug)]
pub struct Flows {
    encoder: Encoder,
    octets_max: usize,
    payload: Vec<u8>,
}

impl Flows {
    /// Messages of at most so many octets, which must be room for one record; [`PAYLOAD_OCTETS_MAX`] always is.
    pub fn new(encoder: Encoder, octets_max: usize) -> Self {
        let payload = Vec::with_capacity(octets_max.max(encoder.record_octets_max()) + 1);
        Self { encoder, octets_max, payload }
    }

    /// Writes all records, in their order, and hands each message over with the number of flows in it.
    ///
    /// # Errors
    /// Those of `send`: what comes behind that message is not written.
    pub fn write<'a, E>(
        &mut self,
        records: impl Iterator<Item = &'a FlowRecord>,
        mut send: impl FnMut(&[u8], u16) -> Result<(), E>,
    ) -> Result<(), E> {
        // The end of an array behind the last.
        let room = self.octets_max.saturating_sub(self.encoder.record_octets_max() + 1);
        let mut flows = 0;
        self.payload.clear();
        for record in records {
            self.encoder.record(record, flows == 0, &mut self.payload);
            flows += 1;
            if flows == FLOWS_MAX || self.payload.len() > room {
                self.finish(&mut flows, &mut send)?;
            }
        }
        if flows > 0 { self.finish(&mut flows, &mut send) } else { Ok(()) }
    }

    fn finish<E>(
        &mut self,
        flows: &mut u16,
        send: &mut impl FnMut(&[u8], u16) -> Result<(), E>,
    ) -> Result<(), E> {
        self.encoder.end(&mut self.payload);
        let sent = send(&self.payload, std::mem::take(flows));
        self.payload.clear();
        sent
    }
}
