//! A reader of what is sent to ntopng, strict where ntopng is lenient. It shares nothing with the encoder, not even a name of a field: what it
//! knows is from nDPI and ntopng.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::collections::BTreeMap;
use std::io::Read;

/// A flow: keys as text (`"8"`, `"57550"`, `"octets.in"`), values as text or number.
pub(crate) type Flow = BTreeMap<String, Value>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number(u64),
    Text(String),
}

impl Value {
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => panic!("'{text}' is no number"),
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => panic!("{number} is no text"),
        }
    }
}

/// The first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) topic: String,
    pub(crate) version: u8,
    pub(crate) is_tlv: bool,
    pub(crate) is_compressed: bool,
    pub(crate) size: u32,
    pub(crate) wire_size: u32,
    pub(crate) number: u32,
    pub(crate) source: u32,
}

fn little(octets: &[u8]) -> u32 {
    octets.iter().rev().fold(0, |sum, octet| sum << 8 | u32::from(*octet))
}

fn big(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet))
}

pub(crate) fn head(frame: &[u8]) -> Head {
    let end = frame[..16].iter().position(|octet| *octet == 0).expect("a NUL behind the topic");
    // Behind the NUL, where no reader of ntop's looks, a probe of ours says that it is one.
    assert_eq!(frame[end + 1..16].split(|octet| *octet == 0).next().unwrap(), b"gannet");
    assert!(frame[end + 7..16].iter().all(|octet| *octet == 0));
    let topic = String::from_utf8(frame[..end].to_vec()).unwrap();
    let version = frame[16];
    let number = |at: usize| big(&frame[at..at + 4]) as u32;
    match frame.len() {
        24 => Head {
            topic,
            version,
            is_tlv: version == 3,
            is_compressed: false,
            size: little(&frame[18..20]),
            wire_size: little(&frame[18..20]),
            number: number(20),
            source: frame[17].into(),
        },
        28 => {
            assert_eq!(frame[17], 0);
            Head { source: little(&frame[24..28]), ..head_of_28(frame, topic, version, number(20)) }
        }
        36 => {
            assert_eq!((version, &frame[18..20]), (4, &[0, 0][..]));
            assert_eq!(frame[17] & !6, 0, "flags that nobody knows");
            Head {
                topic,
                version,
                is_tlv: frame[17] & 2 != 0,
                is_compressed: frame[17] & 4 != 0,
                size: little(&frame[20..24]),
                wire_size: little(&frame[24..28]),
                number: number(28),
                source: little(&frame[32..36]),
            }
        }
        octets => panic!("a header of {octets} octets"),
    }
}

fn head_of_28(frame: &[u8], topic: String, version: u8, number: u32) -> Head {
    let size = little(&frame[18..20]);
    Head {
        topic,
        version,
        is_tlv: version == 3,
        is_compressed: false,
        size,
        wire_size: size,
        number,
        source: 0,
    }
}

/// A whole message, with the limits of ntopng.
pub(crate) fn message(frames: &[Vec<u8>]) -> (Head, Vec<Flow>, String) {
    let [first, payload] = frames else { panic!("{} frames", frames.len()) };
    let mut head = head(first);
    assert_eq!(head.wire_size as usize, payload.len(), "{head:?}");
    assert!(payload.len() < 131_072 / 2, "far below what ntopng has room for");
    if head.version < 4 && !head.is_tlv {
        head.is_compressed = payload.first() == Some(&0);
    }
    let text = match (head.is_tlv, head.is_compressed) {
        (true, compressed) => {
            assert!(!compressed, "ntopng inflates no TLV");
            String::new()
        }
        (false, false) => String::from_utf8(payload.clone()).unwrap(),
        (false, true) => {
            assert!(head.version < 4, "ntopng makes too little room to inflate what has this header");
            let mut text = String::new();
            flate2::read::ZlibDecoder::new(&payload[1..]).read_to_string(&mut text).unwrap();
            assert!(text.len() <= 131_072 / 3, "ntopng makes no more room than that");
            text
        }
    };
    let flows = match (&*head.topic, head.is_tlv) {
        ("flow", true) => tlv(payload),
        ("flow", false) => json(&text),
        _ => Vec::new(),
    };
    assert!(flows.len() <= 255, "ntopng counts the flows of a message in an octet");
    (head, flows, text)
}

/// All records of a TLV payload.
pub(crate) fn tlv(payload: &[u8]) -> Vec<Flow> {
    assert_eq!(payload[..2], [1, 1], "version and format");
    let mut rest = &payload[2..];
    let mut flows = Vec::new();
    let mut flow = Flow::new();
    while let Some((kind, behind)) = rest.split_first() {
        rest = behind;
        if *kind == 1 {
            flows.push(std::mem::take(&mut flow));
            continue;
        }
        let key = match item(kind >> 4, &mut rest) {
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text,
        };
        let value = item(kind & 15, &mut rest);
        assert_eq!(flow.insert(key.clone(), value), None, "{key} is there twice");
    }
    assert!(flow.is_empty(), "the last record has no end");
    flows
}

fn take<'a>(octets: usize, rest: &mut &'a [u8]) -> &'a [u8] {
    let (taken, behind) = rest.split_at_checked(octets).expect("it is cut off");
    *rest = behind;
    taken
}

fn item(kind: u8, rest: &mut &[u8]) -> Value {
    match kind {
        2 => Value::Number(big(take(1, rest))),
        3 => narrowest(big(take(2, rest)), 8),
        4 => narrowest(big(take(4, rest)), 16),
        5 => narrowest(big(take(8, rest)), 32),
        11 => {
            let length = big(take(2, rest)) as usize;
            Value::Text(String::from_utf8(take(length, rest).to_vec()).unwrap())
        }
        other => panic!("type {other}"),
    }
}

fn narrowest(number: u64, below: u32) -> Value {
    assert!(number >> below > 0, "{number} has a wider type than it needs");
    Value::Number(number)
}

/// The objects of an array.
pub(crate) fn json(text: &str) -> Vec<Flow> {
    let serde_json::Value::Array(objects) = serde_json::from_str(text).unwrap() else { panic!("no array") };
    let value = |value: &serde_json::Value| match value {
        serde_json::Value::Number(number) => Value::Number(number.as_u64().unwrap()),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        other => panic!("{other} is neither number nor text"),
    };
    let flow = |object: &serde_json::Value| {
        object.as_object().unwrap().iter().map(|(key, of)| (key.clone(), value(of))).collect()
    };
    objects.iter().map(flow).collect()
}
