//! JSON: an object, or an array of them.
//!
//! nProbe nests more of a flow in a member `json`, as text or as an object; its members are of the flow like any other. Values that are neither number nor text tell
//! nothing here.

use serde_json::{Map, Value as Json};

use super::Error;
use super::draft::Draft;
use super::item::{Key, Value};

/// Where more members may be.
const NESTED: &str = "json";

/// All records.
pub(super) fn records(text: &[u8], each: &mut impl FnMut(Draft)) -> Result<(), Error> {
    match read(text)? {
        Json::Object(members) => each(draft(&members)),
        Json::Array(flows) => {
            for flow in &flows {
                let Json::Object(members) = flow else {
                    return Err(Error::Json("an element of the array is no object".to_owned()));
                };
                each(draft(members));
            }
        }
        _ => return Err(Error::Json("neither an object nor an array of them".to_owned())),
    }
    Ok(())
}

/// Any JSON; octets of 0 behind it are a publisher's that sends the end of its string as well.
pub(super) fn read(text: &[u8]) -> Result<Json, Error> {
    let text = text.trim_ascii_end();
    let end = text.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    serde_json::from_slice(&text[..end]).map_err(|error| Error::Json(error.to_string()))
}

fn draft(members: &Map<String, Json>) -> Draft {
    let mut draft = Draft::default();
    fill(&mut draft, members);
    let nested = match members.get(NESTED) {
        Some(Json::String(text)) => read(text.as_bytes()).ok(),
        Some(Json::Object(more)) => Some(Json::Object(more.clone())),
        _ => None,
    };
    if let Some(Json::Object(more)) = nested {
        fill(&mut draft, &more);
    }
    draft
}

fn fill(draft: &mut Draft, members: &Map<String, Json>) {
    for (name, value) in members.iter().filter(|(name, _)| *name != NESTED) {
        let value = match value {
            Json::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => Value::Unsigned(number),
                (None, Some(number)) => Value::Signed(number),
                (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Text(text),
            Json::Bool(_) | Json::Null | Json::Array(_) | Json::Object(_) => Value::Text(""),
        };
        draft.set(Key::Text(name), value);
    }
}
