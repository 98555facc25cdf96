//! FORMAT.md says what the code does.
#![allow(clippy::unwrap_used, reason = "tests")]

use arrow_schema::DataType;
use flow_wire::batch::{BATCH_ROWS_LIMIT, FIELDS, STAMP_FIELDS};
use flow_wire::bus::{BODY_OCTETS_MAX, SCHEMA_VERSION, header};
use flow_wire::ledger::Message;

const FORMAT: &str = include_str!("../FORMAT.md");

fn row(name: &str, iana: &str, kind: &DataType, nullable: bool, doc: &str) -> String {
    let null = if nullable { "yes" } else { "" };
    format!("| `{name}` | {iana} | {kind} | {null} | {doc} |\n")
}

#[test]
fn the_table_of_columns_is_the_schema() {
    let stamp = STAMP_FIELDS.iter().map(|(name, kind, doc)| row(name, "", kind, false, doc));
    let record = FIELDS
        .iter()
        .map(|field| row(field.name, field.iana, &field.data_type(), field.nullable(), field.doc));
    let table: String = stamp.chain(record).collect();
    if std::env::var_os("GANNET_WRITE_FORMAT").is_some() {
        let (before, rest) = FORMAT.split_once("| null | meaning |\n|---|---|---|---|---|\n").unwrap();
        let behind = rest.find("\nAddresses have").unwrap();
        let text = format!("{before}| null | meaning |\n|---|---|---|---|---|\n{table}{}", &rest[behind..]);
        std::fs::write("FORMAT.md", text).unwrap();
    }
    assert!(FORMAT.contains(&table), "FORMAT.md should have this table:\n{table}");
}

#[test]
fn headers_versions_and_bounds_are_those_of_the_code() {
    let headers = [
        header::VERSION,
        header::KIND,
        header::PROBE,
        header::EPOCH,
        header::STREAM,
        header::SEQUENCE,
        header::ROWS,
        header::CRC32C,
    ];
    for key in headers {
        assert!(FORMAT.contains(&format!("| `{key}` |")), "{key}");
    }
    assert!(FORMAT.contains(&format!("At most {BATCH_ROWS_LIMIT} rows")));
    let octets = format!("{},{:03} octets", BODY_OCTETS_MAX / 1_000, BODY_OCTETS_MAX % 1_000);
    assert!(FORMAT.contains(&octets), "{octets}");
    assert!(FORMAT.contains(&format!("| `gannet-version` | `{SCHEMA_VERSION}`")));
    assert_eq!((SCHEMA_VERSION, Message::VERSION), (1, 1), "FORMAT.md speaks of version 1");
}

#[test]
fn every_key_of_a_ledger_message_is_named() {
    let message: Message = serde_json::from_str(
        r#"{"version":1,"exporter":"","epoch_start_nanoseconds":0,"time_nanoseconds":0,"active_timeout_seconds":0,
            "queues":[],"workers":[],"cursors":[],"cuts":[],"closed":true}"#,
    )
    .unwrap();
    for key in serde_json::to_value(message).unwrap().as_object().unwrap().keys() {
        assert!(FORMAT.contains(&format!("`{key}")), "{key}");
    }
}

/// The table of the guide is the registry.
#[test]
fn every_field_of_a_template_is_in_the_guide() {
    const GUIDE: &str = include_str!("../../../deploy/guide/ntopng.md");
    let row = |field: &flow_wire::field::Field| {
        let ntop = field.ntop.map_or(String::new(), |element| format!("`{}`", element.name));
        let star = if field.is_read_by_ntopng { " *" } else { "" };
        let flat =
            field.ntop.and_then(|element| element.flat()).map_or(String::new(), |flat| flat.to_string());
        let iana = field.iana.map_or(String::new(), |element| format!("`{}`", element.name));
        let number =
            field.iana.filter(|element| element.id > 0).map_or(String::new(), |element| match element.pen {
                0 => element.id.to_string(),
                pen => format!("{pen} / {}", element.id),
            });
        format!("| {ntop}{star} | {flat} | {iana} | {number} | {} |\n", field.doc)
    };
    let head = "| ntop | number | IANA | number | meaning |\n|---|---|---|---|---|\n";
    let table: String = flow_wire::field::FIELDS.iter().map(row).collect();
    if std::env::var_os("GANNET_WRITE_FORMAT").is_some() {
        let (before, _) = GUIDE.split_once(head).unwrap();
        std::fs::write("../../deploy/guide/ntopng.md", format!("{before}{head}{table}")).unwrap();
    }
    assert!(
        GUIDE.contains(&format!("{head}{table}")),
        "deploy/guide/ntopng.md should end with this table:\n{table}"
    );
}
