//! `src=10.0.0.0/8 port=80,443 proto!=tcp`: terms that must all hold.

use super::address;
use super::field::{self, Field};
use super::parameter::BadParameter;
use crate::store::Kind;

/// Terms of one filter: more is a mistake, and each costs a comparison per row.
pub const TERMS_MAX: usize = 32;

/// Values of one term: the same.
pub const VALUES_MAX: usize = 256;

/// Terms that must all hold; none = every flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// In the order given.
    pub terms: Vec<Term>,
}

/// One field, and the values of which one must match.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// What is looked at.
    pub field: Field,
    /// `!=`: none of the values may match.
    pub negated: bool,
    /// At least one.
    pub values: Vec<Match>,
}

/// What a value of a filter matches; ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Not applicable (`vlan=none`).
    Absent,
    /// A number or a range of them.
    Numbers(u64, u64),
    /// An address or a prefix; a UUID as a range of one.
    Octets([u8; 16], [u8; 16]),
}

impl Filter {
    /// Adds the terms of `text`.
    pub fn extend(&mut self, text: &str) -> Result<(), BadParameter> {
        for word in text.split_whitespace() {
            if self.terms.len() == TERMS_MAX {
                let mend = format!("give at most {TERMS_MAX} terms");
                return Err(BadParameter::new("filter", text, "too many terms", mend));
            }
            self.terms.push(term(word)?);
        }
        Ok(())
    }
}

fn term(word: &str) -> Result<Term, BadParameter> {
    let wrong = |error: &str, mend: String| BadParameter::new("filter", word, error, mend);
    let Some((name, values)) = word.split_once('=') else {
        return Err(wrong("a term without '='", "write field=value, for example src=10.0.0.0/8".into()));
    };
    let (name, negated) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
    let Some(field) = field::field(name) else {
        return Err(wrong("no such field", field::WORDS.into()));
    };
    if values.split(',').count() > VALUES_MAX {
        return Err(wrong("too many values", format!("give at most {VALUES_MAX}, or a range")));
    }
    let values = values
        .split(',')
        .map(|value| matching(field, value).map_err(|(error, mend)| wrong(error, mend.into())))
        .collect::<Result<_, _>>()?;
    Ok(Term { field, negated, values })
}

type Refusal = (&'static str, &'static str);

fn matching(field: Field, value: &str) -> Result<Match, Refusal> {
    match field.kind() {
        Kind::Address => address::range(value)
            .map(|(first, last)| Match::Octets(first, last))
            .ok_or(("not an address or prefix", "write src=10.0.0.0/8 or src=2001:db8::1")),
        Kind::Uuid => uuid::Uuid::parse_str(value)
            .map(|uuid| Match::Octets(uuid.into_bytes(), uuid.into_bytes()))
            .map_err(|_| ("not a UUID", "copy one from /api/v1/probes")),
        Kind::U8 => numbers(field, value, u8::MAX.into()),
        Kind::U16 => numbers(field, value, u16::MAX.into()),
        Kind::U32 => numbers(field, value, u32::MAX.into()),
        Kind::U64 => numbers(field, value, u64::MAX),
    }
}

/// `most` is what the column holds: a number above it would match nothing, and is a slip.
fn numbers(field: Field, value: &str, most: u64) -> Result<Match, Refusal> {
    if value == "none" {
        return match field {
            Field::One(column) if column.nullable => Ok(Match::Absent),
            _ => Err(("this field is never absent", "write a number")),
        };
    }
    let named = if field.is("protocol_identifier") {
        field::protocol(value)
    } else if field.is("flow_end_reason") {
        field::end_reason(value)
    } else {
        None
    };
    if let Some(number) = named {
        return Ok(Match::Numbers(number, number));
    }
    let (first, last) = value.split_once('-').unwrap_or((value, value));
    match (number(first), number(last)) {
        (Some(_), Some(last)) if last > most => Err((
            "larger than this field can be",
            "ports and VLANs end at 65535, protocols, TTLs and ICMP types at 255",
        )),
        (Some(first), Some(last)) if first <= last => Ok(Match::Numbers(first, last)),
        (Some(_), Some(_)) => Err(("a range that ends before it begins", "write the smaller number first")),
        _ => Err(("not a number", "write a number, a range as 1024-65535, or (for proto) a name as tcp")),
    }
}

fn number(text: &str) -> Option<u64> {
    // `parse` would take "+1".
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Filter {
        let mut filter = Filter::default();
        filter.extend(text).unwrap();
        filter
    }

    #[test]
    fn words_become_terms() {
        let filter = parsed("src=10.0.0.0/8 port=80,8000-8080 proto!=tcp vlan=none");
        assert_eq!(filter.terms.len(), 4);
        assert_eq!(filter.terms[1].values, [Match::Numbers(80, 80), Match::Numbers(8000, 8080)]);
        assert!(matches!(filter.terms[1].field, Field::Either(..)));
        assert!(filter.terms[2].negated);
        assert_eq!(filter.terms[2].values, [Match::Numbers(6, 6)]);
        assert_eq!(filter.terms[3].values, [Match::Absent]);
        assert_eq!(parsed("flow_end_reason=idle_timeout").terms[0].values, [Match::Numbers(1, 1)]);
        assert!(parsed("  ").terms.is_empty());
    }

    #[test]
    fn refusals_name_value_and_mend() {
        for wrong in [
            "src",
            "nowhere=1",
            "src=10.0.0.0/33",
            "src=",
            "port=http",
            "port=9-8",
            "port=70000",
            "port=1024-65536",
            "proto=256",
            "port=none",
            "proto=+6",
            "probe=1",
            "port=",
        ] {
            let refused = Filter::default().extend(wrong).unwrap_err();
            assert_eq!((refused.parameter.as_str(), refused.value.as_str()), ("filter", wrong));
            assert!(!refused.mend.is_empty());
        }
        assert!(Filter::default().extend(&"port=1 ".repeat(TERMS_MAX + 1)).is_err());
        assert!(Filter::default().extend(&format!("port={}", "1,".repeat(VALUES_MAX))).is_err());
    }
}
