//! A status as a table for people, whatever it holds: lists of objects become tables with a
//! column per key, single values become `key: value` lines. So a new field shows up by itself.

use std::fmt::Write;

use serde_json::{Map, Value};

/// The status as text, each line ended.
pub fn render(status: &Value) -> String {
    let mut text = String::new();
    let Value::Object(status) = status else {
        return format!("{}\n", cell(status));
    };
    let (tables, lines): (Vec<_>, Vec<_>) = status.iter().partition(|(_, value)| is_rows(value));
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
    for (key, value) in lines {
        let _ = writeln!(text, "{:width$}  {}", title(key), cell(value));
    }
    for (key, value) in tables {
        if let Value::Array(rows) = value {
            let _ = writeln!(text, "\n{}", title(key).to_uppercase());
            table(&mut text, rows);
        }
    }
    text
}

fn is_rows(value: &Value) -> bool {
    matches!(value, Value::Array(rows) if !rows.is_empty() && rows.iter().all(Value::is_object))
}

/// One table: columns in the order in which the keys first appear.
fn table(text: &mut String, rows: &[Value]) {
    let rows: Vec<&Map<String, Value>> = rows.iter().filter_map(Value::as_object).collect();
    let mut keys: Vec<&str> = Vec::new();
    for key in rows.iter().flat_map(|row| row.keys()) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let mut lines = vec![keys.iter().map(|key| title(key)).collect::<Vec<_>>()];
    lines.extend(
        rows.iter().map(|row| {
            keys.iter().map(|key| row.get(*key).map(cell).unwrap_or_default()).collect()
        }),
    );
    let widths: Vec<usize> = (0..keys.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    for line in lines {
        let mut row = String::from(" ");
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(row, " {cell:width$} ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
}

fn title(key: &str) -> String {
    key.replace('_', " ")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            map.iter().map(|(k, v)| format!("{}={}", k, cell(v))).collect::<Vec<_>>().join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::render;

    #[test]
    fn lists_become_tables_and_values_become_lines() {
        let status = json!({
            "version": "0.1.0",
            "vips": [
                { "address": "10.0.0.9", "state": "held", "since_ms": 12 },
                { "address": "10.0.0.10", "state": "at home", "why": null },
            ],
        });
        let text = render(&status);
        assert!(text.starts_with("version  0.1.0\n\nVIPS\n"), "{text}");
        let rows: Vec<&str> = text.lines().skip(3).collect();
        assert_eq!(rows.len(), 3, "{text}");
        let column = |row: &str, word: &str| row.find(word).expect("a word in its row");
        assert_eq!(column(rows[0], "state"), column(rows[1], "held"));
        assert_eq!(column(rows[0], "state"), column(rows[2], "at home"));
    }

    #[test]
    fn a_status_cannot_disturb_the_terminal() {
        assert_eq!(render(&json!({ "host": "a\u{1b}[2J" })), "host  a [2J\n");
    }
}
