//! `gannet-probe fields`: what can be told of a flow.

use flow_wire::field::{Element, FIELDS, REVERSE_PEN};

/// The table, as text.
pub(super) fn list() -> String {
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
