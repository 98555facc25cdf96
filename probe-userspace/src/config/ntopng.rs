//! `-T`, `--zmq-format`, `--zmq-disable-compression`, `--zmq-header-version`: how ntopng is spoken to.

use flow_wire::endpoint::Endpoint;
use flow_wire::field::Template;
use flow_wire::ntop::{Keys, Layout};

use super::check::{ranged, word};
use super::{Error, Words};
use crate::export::zmq::ntop::Format;

/// What ntopng subscribes, by prefix (ntopng 6.3): our own topics must not begin so.
const TOPICS: [&str; 9] =
    ["flow", "event", "counter", "template", "option", "hello", "listening-ports", "snmp-ifaces", "message"];

/// What goes to ntopng, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ntop {
    /// Fields of a flow.
    pub template: Template,
    /// Of flows.
    pub format: Format,
    /// Of the header.
    pub layout: Layout,
    /// Text may be compressed.
    pub compresses: bool,
}

impl Ntop {
    /// A sentence for the operator where ntopng would miss something.
    pub fn warning(&self) -> Option<String> {
        let missing = self.template.missing_for_ntopng();
        let names = missing.iter().map(|name| format!("%{name}")).collect::<Vec<_>>().join(" ");
        (!missing.is_empty()).then(|| {
            format!("-T lacks {names}: an ntopng warns of that, and shows flows without them wrong; add them, or @NTOPNG@")
        })
    }
}

impl Default for Ntop {
    fn default() -> Self {
        Self { template: Template::ntopng(), format: Format::Tlv, layout: Layout::V3, compresses: true }
    }
}

pub(super) fn ntop(words: &Words, sinks: &[Endpoint]) -> Result<Ntop, Error> {
    check_prefix(words, sinks)?;
    Ok(Ntop {
        template: template(words)?,
        format: format(words)?,
        layout: layout(words)?,
        compresses: !words.zmq_disable_compression,
    })
}

/// Of `-T`, for whoever is told flows field by field.
pub(super) fn template(words: &Words) -> Result<Template, Error> {
    let Some(text) = words.template.as_deref() else { return Ok(Template::ntopng()) };
    Template::parse(text).map_err(|error| {
        word(
            "-T",
            format!("'{text}'"),
            &error.to_string(),
            "leave it out for what ntopng reads (@NTOPNG@)".into(),
        )
    })
}

fn format(words: &Words) -> Result<Format, Error> {
    let text = words.zmq_format.as_deref().unwrap_or("t");
    match text {
        "t" | "tlv" => Ok(Format::Tlv),
        "j" | "json" if words.json_labels => Ok(Format::Json(Keys::Names)),
        "j" | "json" => Ok(Format::Json(Keys::Numbers)),
        "json-dotted" => Ok(Format::Json(Keys::Dotted)),
        "json-names" => Ok(Format::Json(Keys::Names)),
        _ => Err(word(
            "--zmq-format",
            text,
            "not a format that is written here",
            "take t (TLV), j (JSON), json-dotted or json-names; ntopng Community reads t alone".into(),
        )),
    }
}

fn layout(words: &Words) -> Result<Layout, Error> {
    let option = ("--zmq-header-version", words.zmq_header_version.unwrap_or(3));
    Ok(
        match ranged(
            option,
            (1, 3, "as ntopng numbers them"),
            "3 is for nProbe 10.8 and later, 2 and 1 for an older ntopng",
        )? {
            1 => Layout::V1,
            2 => Layout::V2,
            _ => Layout::V3,
        },
    )
}

/// ntopng would be sent what it cannot read.
fn check_prefix(words: &Words, sinks: &[Endpoint]) -> Result<(), Error> {
    let Some(prefix) = &words.topic_prefix else { return Ok(()) };
    let is_zmq = sinks.iter().any(|sink| matches!(sink, Endpoint::Zmq(_)));
    match TOPICS.into_iter().find(|topic| is_zmq && prefix.starts_with(topic)) {
        None => Ok(()),
        Some(topic) => Err(word(
            "--topic-prefix",
            prefix,
            &format!(
                "on ZMQ ntopng subscribes all that begins with '{topic}', and would be sent our own topics"
            ),
            "take a word that begins otherwise".into(),
        )),
    }
}
