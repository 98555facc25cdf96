//! Rows as aligned columns or CSV.

use serde_json::Value;

use crate::config::Format;

/// Columns and rows of text.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// As text, with a final line break. No rows = no lines but (for CSV) the head.
    pub(super) fn text(&self, format: Format) -> String {
        match format {
            Format::Csv => self.csv(),
            Format::Table | Format::Json => self.aligned(),
        }
    }

    fn csv(&self) -> String {
        let line =
            |cells: &[String]| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\r\n";
        std::iter::once(&self.columns).chain(&self.rows).map(|cells| line(cells)).collect()
    }

    fn aligned(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let width = |at: usize| {
            std::iter::once(&self.columns)
                .chain(&self.rows)
                .map(|row| row[at].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// RFC 4180.
fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// A JSON value as a cell: `null` is empty, text has no quotes.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table { columns: vec!["a".into(), "long".into()], rows: vec![vec!["1,2".into(), "x\"y".into()]] }
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        assert_eq!(table().text(Format::Csv), "a,long\r\n\"1,2\",\"x\"\"y\"\r\n");
    }

    #[test]
    fn columns_are_aligned_and_nothing_is_printed_for_no_rows() {
        assert_eq!(table().text(Format::Table), "  a  long\n1,2   x\"y\n");
        assert_eq!(Table { rows: vec![], ..table() }.text(Format::Table), "");
    }
}
