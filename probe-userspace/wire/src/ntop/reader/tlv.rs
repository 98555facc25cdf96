//! nDPI's TLV (`ndpi_serializer.c`).
//!
//! ```text
//! 01 version │ 01 format │ item item .. 01 │ item item .. 01 │            01 = end of record, behind each flow
//! item = type octet (key type << 4 | value type) │ key │ value
//!   2 u8  3 u16  4 u32  5 u64   6 i8  7 i16  8 i32  9 i64   10 float   11 string: length u16, octets        numbers in network order
//! ```
//! Blocks and lists (12 to 15) stand in no flow that ntopng reads: it gives up there, and so does this.

use super::Error;
use super::draft::Draft;
use super::item::{Key, Value};

const BEGIN: [u8; 2] = [1, 1];
const END_OF_RECORD: u8 = 1;

/// All records. What stands behind the last end is no record, and an error if there is any.
pub(super) fn records(payload: &[u8], each: &mut impl FnMut(Draft)) -> Result<(), Error> {
    if payload.get(..2) != Some(&BEGIN) {
        return Err(Error::Tlv { at: 0, what: "it does not begin with version 1, format 1" });
    }
    let mut octets = Octets { payload, at: 2 };
    let (mut draft, mut is_open) = (Draft::default(), false);
    while let Some(&kind) = payload.get(octets.at) {
        octets.at += 1;
        if kind == END_OF_RECORD {
            each(std::mem::take(&mut draft));
            is_open = false;
            continue;
        }
        is_open = true;
        let key = match octets.value(kind >> 4)? {
            Value::Unsigned(number) => Key::Number(number),
            Value::Text(text) => Key::Text(text),
            Value::Signed(_) | Value::Float(_) => {
                return Err(octets.wrong("a key that is no number and no text"));
            }
        };
        let value = octets.value(kind & 15)?;
        draft.set(key, value);
    }
    if is_open { Err(octets.wrong("the last record has no end")) } else { Ok(()) }
}

/// Where it stands.
struct Octets<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Octets<'a> {
    fn value(&mut self, kind: u8) -> Result<Value<'a>, Error> {
        Ok(match kind {
            2 => Value::Unsigned(self.number(1)?),
            3 => Value::Unsigned(self.number(2)?),
            4 => Value::Unsigned(self.number(4)?),
            5 => Value::Unsigned(self.number(8)?),
            6 => Value::Signed(self.signed(1)?),
            7 => Value::Signed(self.signed(2)?),
            8 => Value::Signed(self.signed(4)?),
            9 => Value::Signed(self.signed(8)?),
            // The only one that nDPI copies as it lies in memory.
            10 => Value::Float(f64::from(f32::from_bits((self.number(4)? as u32).swap_bytes()))),
            11 => {
                let length = self.number(2)? as usize;
                let text = std::str::from_utf8(self.take(length)?);
                Value::Text(text.map_err(|_| self.wrong("text that is not UTF-8"))?)
            }
            _ => return Err(self.wrong("a type that stands in no flow")),
        })
    }

    fn number(&mut self, octets: usize) -> Result<u64, Error> {
        Ok(self.take(octets)?.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet)))
    }

    fn signed(&mut self, octets: usize) -> Result<i64, Error> {
        let unused = 64 - 8 * octets as u32;
        Ok((self.number(octets)? << unused).cast_signed() >> unused)
    }

    fn take(&mut self, octets: usize) -> Result<&'a [u8], Error> {
        let taken = self.payload.get(self.at..).and_then(|rest| rest.get(..octets));
        let taken = taken.ok_or_else(|| self.wrong("it is cut off"))?;
        self.at += octets;
        Ok(taken)
    }

    fn wrong(&self, what: &'static str) -> Error {
        Error::Tlv { at: self.at, what }
    }
}
