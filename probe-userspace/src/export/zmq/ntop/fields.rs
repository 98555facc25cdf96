//! The template message: what the fields are, by PEN and number.

use flow_wire::field::{Template, Value};
use serde_json::json;

/// An array of all fields that have a number and go by their own name. It never changes while the probe runs.
pub(super) fn message(template: &Template) -> Vec<u8> {
    let known = template.items().iter().filter(|item| item.alias.is_none() && item.field.element().id > 0);
    let fields: Vec<_> = known
        .map(|item| {
            let (field, element) = (item.field, item.field.element());
            let format = match field.value {
                Value::Number(..) => "formatted_uint",
                Value::Address(_) => "formatted_ip",
                Value::Word(_) | Value::Epoch(_) => "formatted_string",
            };
            json!({
                "PEN": element.pen,
                "field": element.flat().filter(|_| element.pen != 0).unwrap_or_else(|| element.id.into()),
                "len": field.value.octets(),
                "format": format,
                "name": element.name,
                "descr": field.doc,
            })
        })
        .collect();
    serde_json::Value::Array(fields).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntopng_finds_every_name_that_it_demands_and_no_alias() {
        let template = Template::parse("@NTOPNG@ %MIN_TTL=>ttl").unwrap();
        let fields: serde_json::Value = serde_json::from_slice(&message(&template)).unwrap();
        let fields = fields.as_array().unwrap();
        assert_eq!(fields.len() + 1, template.items().len());
        for name in flow_wire::field::NTOPNG_MANDATORY {
            assert!(fields.iter().any(|field| field["name"] == name), "{name}");
        }
        let flags = fields.iter().find(|field| field["name"] == "CLIENT_TCP_FLAGS").unwrap();
        assert_eq!(
            (&flags["PEN"], &flags["field"], &flags["len"]),
            (&35_632.into(), &57_550.into(), &2.into())
        );
    }
}
