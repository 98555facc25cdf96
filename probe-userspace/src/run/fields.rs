//! `gannet-probe fields`: what can be told of a flow.

use flow_wire::field::{Element, FIELDS, REVERSE_PEN, Template, template};
use flow_wire::generic::{self, Format, Writer};

use crate::config::SchemaWord;

/// What is wrong with `-T`.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// As such.
    #[error(transparent)]
    Template(#[from] template::Error),
    /// In this format.
    #[error(transparent)]
    Format(#[from] generic::Error),
}

/// The table, or the schema of a template.
pub(super) fn show(word: SchemaWord, text: Option<&str>) -> Result<String, TemplateError> {
    let format = match word {
        SchemaWord::List => return Ok(list()),
        SchemaWord::Avro => Format::Avro,
        SchemaWord::Proto => Format::Protobuf,
    };
    let template = text.map_or_else(|| Ok(Template::ntopng()), Template::parse)?;
    let schema = Writer::new(&template, format)?.schema().map(|schema| schema.text).unwrap_or_default();
    Ok(schema.trim_end().to_owned())
}

fn list() -> String {
    let mut text = format!("{:<26} {:>6}  {:<30} {:>9}  what it is\n", "ntop", "number", "IANA", "number");
    for field in FIELDS {
        let (ntop, iana) = (field.ntop, field.iana);
        let name = |element: Option<Element>| element.map_or("", |element| element.name);
        let star = if field.is_read_by_ntopng { "*" } else { "" };
        let line = format!(
            "{:<26} {:>6}  {:<30} {:>9}  {}",
            format!("{}{star}", name(ntop)),
            ntop.and_then(|element| element.flat()).map(|flat| flat.to_string()).unwrap_or_default(),
            name(iana),
            iana.map(number).unwrap_or_default(),
            field.doc,
        );
        text += line.trim_end();
        text.push('\n');
    }
    text + "\n* is in @NTOPNG@, which is what ntopng reads. A field can be named by either name."
}

fn number(element: Element) -> String {
    match (element.pen, element.id) {
        (_, 0) => String::new(),
        (REVERSE_PEN, id) => format!("{REVERSE_PEN}/{id}"),
        (_, id) => id.to_string(),
    }
}
