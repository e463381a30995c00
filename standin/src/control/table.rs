//! A status as a table for people, whatever it holds: lists of objects become tables with a
//! column per key, single values become lines. So a new field shows up by itself; only the order
//! and the units of what is known are looked after.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::duration;

/// Columns and tables that come first, in this order.
const FIRST: [&str; 13] = [
    "nodes",
    "groups",
    "vips",
    "hosts",
    "checks",
    "address",
    "name",
    "vip",
    "check",
    "state",
    "since_ms",
    "interface",
    "home",
];
/// Columns that come last: sentences.
const LAST: [&str; 2] = ["last_failure", "reason"];

/// The status as text, each line ended.
pub fn render(status: &Value) -> String {
    let mut text = String::new();
    let Value::Object(status) = status else {
        return format!("{}\n", cell("", status));
    };
    let (tables, lines): (Vec<_>, Vec<_>) =
        keys(&[status]).into_iter().partition(|key| is_rows(&status[*key]));
    let width = lines.iter().map(|key| title(key).len()).max().unwrap_or_default();
    for key in lines {
        let _ = writeln!(text, "{:width$}  {}", title(key), cell(key, &status[key]));
    }
    for key in tables {
        if let Value::Array(rows) = &status[key] {
            let _ = writeln!(text, "\n{}", title(key).to_uppercase());
            table(&mut text, rows);
        }
    }
    text
}

fn is_rows(value: &Value) -> bool {
    matches!(value, Value::Array(rows) if !rows.is_empty() && rows.iter().all(Value::is_object))
}

/// All keys of the objects: the known ones in their places, the others in between.
fn keys<'a>(rows: &[&'a Map<String, Value>]) -> Vec<&'a str> {
    let mut keys: Vec<&str> = Vec::new();
    for key in rows.iter().flat_map(|row| row.keys()) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    keys.sort_by_key(|key| {
        let place = |known: &[&str]| known.iter().position(|known| known == key);
        match (place(&FIRST), place(&LAST)) {
            (Some(first), _) => first,
            (None, Some(last)) => FIRST.len() + 1 + last,
            (None, None) => FIRST.len(),
        }
    });
    keys
}

fn table(text: &mut String, rows: &[Value]) {
    let rows: Vec<&Map<String, Value>> = rows.iter().filter_map(Value::as_object).collect();
    let keys = keys(&rows);
    let mut lines = vec![keys.iter().map(|key| title(key)).collect::<Vec<_>>()];
    let shown = |row: &Map<String, Value>| {
        keys.iter()
            .map(|key| row.get(*key).map(|value| cell(key, value)).unwrap_or_default())
            .collect()
    };
    lines.extend(rows.into_iter().map(shown));
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

/// A key's words, without the unit that its values are shown with.
fn title(key: &str) -> String {
    key.trim_end_matches("_ago").trim_end_matches("_ms").trim_end_matches("_us").replace('_', " ")
}

fn cell(key: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        Value::Number(number) => match number.as_u64().and_then(|count| time(key, count)) {
            Some(time) => time,
            None => number.to_string(),
        },
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => {
            items.iter().map(|item| cell(key, item)).collect::<Vec<_>>().join(", ")
        }
        Value::Object(map) if map.is_empty() => "-".into(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| format!("{}={}", title(key), cell(key, value)))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// A silence, in words.
pub fn milliseconds_ago(count: u64) -> String {
    time("heard_ms_ago", count).unwrap_or_default()
}

/// A number whose key ends with a unit of time.
fn time(key: &str, count: u64) -> Option<String> {
    let (key, ago) = match key.strip_suffix("_ago") {
        Some(key) => (key, " ago"),
        None => (key, ""),
    };
    let length = if key.ends_with("_ms") {
        Duration::from_millis(count)
    } else if key.ends_with("_us") {
        Duration::from_micros(count)
    } else {
        return None;
    };
    let minutes = length.as_secs() / 60;
    let text = match minutes {
        0 => duration::show(length),
        1..60 => format!("{minutes}m{:02}s", length.as_secs() % 60),
        60..1440 => format!("{}h{:02}m", minutes / 60, minutes % 60),
        _ => format!("{}d{:02}h", minutes / 1440, minutes / 60 % 24),
    };
    Some(text + ago)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_become_tables_and_values_become_lines() {
        let status = json!({
            "version": "0.1.0",
            "malformed": {},
            "hosts": [{ "name": "brain", "heard_ms_ago": 192, "round_trip_us": 276 }],
            "vips": [
                { "address": "10.0.0.9", "state": "held", "since_ms": 1250, "reason": "dead" },
                { "address": "10.0.0.10", "state": "at home", "answered_by": null },
            ],
        });
        assert_eq!(
            render(&status),
            "\
malformed  -
version    0.1.0

VIPS
  address    state    since  answered by  reason
  10.0.0.9   held     1.25s               dead
  10.0.0.10  at home         -

HOSTS
  name   heard      round trip
  brain  192ms ago  276us
"
        );
    }

    #[test]
    fn long_times_are_cut_to_two_units() {
        for (milliseconds, text) in
            [(59_000, "59s"), (61_000, "1m01s"), (7_260_000, "2h01m"), (90_000_000, "1d01h")]
        {
            assert_eq!(time("since_ms", milliseconds).as_deref(), Some(text));
        }
        assert_eq!(time("rounds", 5), None);
    }

    #[test]
    fn a_status_cannot_disturb_the_terminal() {
        assert_eq!(render(&json!({ "host": "a\u{1b}[2J" })), "host  a [2J\n");
    }
}
