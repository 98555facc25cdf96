//! Which fields are told of a flow: nProbe's `-T`.

use super::{FIELDS, Field, NTOPNG_MANDATORY};

/// What ntopng reads.
const NTOPNG: &str = "@NTOPNG@";

/// Fields that a template may have: the whole table several times over, so that a message always has room for a record.
const ITEMS_MAX: usize = 128;
/// Octets of an alias.
const ALIAS_OCTETS_MAX: usize = 64;
/// How near a name must be to be suggested (Jaro-Winkler, 0 to 1).
const NEAR: f64 = 0.8;

/// Fields in their order. Prepared once; encoders look nothing up by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    items: Vec<Item>,
}

/// One field of it.
#[derive(Clone, Debug)]
pub struct Item {
    /// Which.
    pub field: &'static Field,
    /// The name that was asked for instead of its own.
    pub alias: Option<String>,
}

/// A field is a line of the table, wherever it lies.
impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.field.name() == other.field.name() && self.alias == other.alias
    }
}

impl Eq for Item {}

impl Item {
    /// The number that it goes by, in formats that have numbers.
    fn number(&self) -> Option<(u32, u16)> {
        let element = self.field.element();
        (self.alias.is_none() && element.id > 0).then_some((element.pen, element.id))
    }

    /// The name that it goes by.
    pub fn name(&self) -> &str {
        self.alias.as_deref().unwrap_or_else(|| self.field.name())
    }
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No word in it.
    #[error(
        "it names no field: write for example {NTOPNG}, or '%IPV4_SRC_ADDR %IPV4_DST_ADDR %IN_BYTES %OUT_BYTES'"
    )]
    Empty,
    /// A word without `%`.
    #[error("'{0}' is neither %FIELD nor {NTOPNG}: write %{0}, if that is what you mean")]
    Word(String),
    /// A field that there is not.
    #[error("there is no field {0}{1}; `gannet-probe fields` lists all")]
    Unknown(String, String),
    /// An alias that would be taken for something else.
    #[error(
        "the alias '{0}' is not a word of at most {ALIAS_OCTETS_MAX} letters, digits, '_', '-' and '.', the first of them a letter or '_'"
    )]
    Alias(String),
    /// Two fields under one name.
    #[error("two fields would have the name {0}: give one of them another alias")]
    Twice(String),
    /// Two fields under one number.
    #[error("{0} and {1} have the same number: give one of them an alias, as in %{1}=>name")]
    Number(&'static str, &'static str),
    /// A list beyond reason.
    #[error("it has {0} fields, and a record has room for {ITEMS_MAX}")]
    TooMany(usize),
}

impl Template {
    /// `%FIELD`, `%FIELD=>ALIAS` and `@NTOPNG@`, separated by blanks or commas. A field that is named again under the same name is there once.
    ///
    /// # Errors
    /// See [`Error`]: unknown fields are all named at once, each with the name that is nearest.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut items = Vec::new();
        let mut unknown = Vec::new();
        for word in text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()) {
            if word == NTOPNG {
                items.extend(Self::ntopng().items);
                continue;
            }
            match item(word)? {
                Some(item) => items.push(item),
                None => unknown.push(word),
            }
        }
        if !unknown.is_empty() {
            return Err(unknown_fields(&unknown));
        }
        Self::of(items)
    }

    /// What ntopng reads of what there is.
    pub fn ntopng() -> Self {
        let read = FIELDS.iter().filter(|field| field.is_read_by_ntopng);
        Self { items: read.map(|field| Item { field, alias: None }).collect() }
    }

    fn of(all: Vec<Item>) -> Result<Self, Error> {
        let mut items: Vec<Item> = Vec::with_capacity(all.len());
        for item in all {
            let is_like = |known: &&Item| known.number().is_some() && known.number() == item.number();
            if let Some(other) =
                items.iter().find(is_like).filter(|other| other.field.name() != item.field.name())
            {
                return Err(Error::Number(other.field.name(), item.field.name()));
            }
            match items.iter().find(|known| known.name() == item.name()) {
                Some(known) if known.field.name() == item.field.name() => {}
                Some(_) => return Err(Error::Twice(item.name().to_owned())),
                None => items.push(item),
            }
        }
        match items.len() {
            0 => Err(Error::Empty),
            count if count > ITEMS_MAX => Err(Error::TooMany(count)),
            _ => Ok(Self { items }),
        }
    }

    /// In their order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Fields that ntopng warns about where they are missing, under their own names.
    pub fn missing_for_ntopng(&self) -> Vec<&'static str> {
        let has = |name: &&str| self.items.iter().any(|item| item.name() == *name);
        NTOPNG_MANDATORY.into_iter().filter(|name| !has(name)).collect()
    }
}

impl Default for Template {
    fn default() -> Self {
        Self::ntopng()
    }
}

/// `None` = there is no such field.
fn item(word: &str) -> Result<Option<Item>, Error> {
    let Some(rest) = word.strip_prefix('%') else { return Err(Error::Word(word.to_owned())) };
    let (name, alias) = rest.split_once("=>").map_or((rest, None), |(name, alias)| (name, Some(alias)));
    if let Some(alias) = alias.filter(|alias| !is_sound(alias)) {
        return Err(Error::Alias(alias.to_owned()));
    }
    Ok(Field::named(name).map(|field| Item { field, alias: alias.map(str::to_owned) }))
}

/// No quote, no control character, and nothing that ntopng would take for a number.
fn is_sound(alias: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let begins = alias.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && alias.len() <= ALIAS_OCTETS_MAX && alias.chars().all(letters)
}

fn unknown_fields(words: &[&str]) -> Error {
    let name = |word: &str| word.split("=>").next().unwrap_or(word).to_owned();
    let suggested: Vec<String> = words
        .iter()
        .filter_map(|word| nearest(name(word).trim_start_matches('%')))
        .map(|name| format!("%{name}"))
        .collect();
    let names: Vec<String> = words.iter().map(|word| name(word)).collect();
    let hint = match suggested.is_empty() {
        true => String::new(),
        false => format!("; did you mean {}?", suggested.join(" ")),
    };
    Error::Unknown(names.join(", "), hint)
}

fn nearest(name: &str) -> Option<&'static str> {
    let names =
        FIELDS.iter().flat_map(|field| [field.ntop, field.iana]).flatten().map(|element| element.name);
    let likeness =
        |known: &str| strsim::jaro_winkler(&known.to_ascii_lowercase(), &name.to_ascii_lowercase());
    let scored = names.map(|known| (likeness(known), known)).filter(|(score, _)| *score >= NEAR);
    scored.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        Template::parse(text).unwrap().items().iter().map(|item| item.name().to_owned()).collect()
    }

    fn refused(text: &str) -> String {
        Template::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn fields_stand_in_the_order_in_which_they_were_named_under_ntops_or_ianas_name() {
        assert_eq!(
            names("%PROTOCOL,%octetDeltaCount  %layer2OctetDeltaCount"),
            ["PROTOCOL", "IN_BYTES", "layer2OctetDeltaCount"]
        );
    }

    #[test]
    fn the_default_is_what_ntopng_reads_with_all_that_it_demands() {
        let template = Template::default();
        assert_eq!(template.missing_for_ntopng(), [] as [&str; 0]);
        assert_eq!(names("@NTOPNG@").len(), template.items().len());
        assert_eq!(
            names("@NTOPNG@ %IN_BYTES %MIN_TTL").len(),
            template.items().len() + 1,
            "a field is there once"
        );
        assert!(Template::parse("%IN_BYTES").unwrap().missing_for_ntopng().contains(&"OUT_BYTES"));
        assert!(Template::parse("@NTOPNG@ %IN_BYTES=>octets").unwrap().missing_for_ntopng().is_empty());
    }

    #[test]
    fn an_alias_is_the_name_that_goes_out() {
        assert_eq!(names("%IN_BYTES=>octets.in %IN_BYTES"), ["octets.in", "IN_BYTES"]);
        assert!(refused("%IN_BYTES=>7").contains("alias '7'"));
        assert!(refused("%IN_BYTES=>a\"b").contains("alias"));
        assert!(refused(&format!("%IN_BYTES=>{}", "a".repeat(65))).contains("alias"));
        assert!(refused("%SRC_VLAN %vlanId").contains("as in %vlanId=>name"));
        assert_eq!(names("%SRC_VLAN %vlanId=>outer"), ["SRC_VLAN", "outer"]);
        assert!(refused("%IN_BYTES=>PROTOCOL %PROTOCOL").contains("name PROTOCOL"));
    }

    #[test]
    fn refusals_name_the_word_and_the_mend() {
        assert!(refused("").contains("write for example @NTOPNG@"));
        assert!(refused("IN_BYTES").contains("write %IN_BYTES"));
        let said = refused("%IN_BYTE %IN_PKTS %L4_SRCPORT %zzz");
        assert!(said.contains("%IN_BYTE, %L4_SRCPORT, %zzz"), "{said}");
        assert!(said.contains("did you mean %IN_BYTES %L4_SRC_PORT?"), "{said}");
        assert!(refused("@SIP@").contains("'@SIP@' is neither"));
        let many: String = (0..200).map(|number| format!("%IN_BYTES=>a{number} ")).collect();
        assert!(refused(&many).contains("200 fields"));
    }
}
