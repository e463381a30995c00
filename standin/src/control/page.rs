//! The status of a node of a cluster as a page of text: for `standin status` and `standin watch`.
//!
//! Owns what people see of it. Everything is in the JSON.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::table;
use crate::duration;

/// Heartbeats that are refused whenever a node starts: until it has proved that it is the one.
const ORDINARY: [&str; 2] = ["unknown-incarnation", "past-incarnation"];

/// The page; `None` when it is no status of a cluster.
pub fn render(status: &Value) -> Option<String> {
    let cluster = status.get("cluster")?.as_str()?;
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut page = format!("{} in cluster {cluster}, standin {}", text("node"), text("version"));
    if let Some(pid) = status.get("pid").and_then(Value::as_u64) {
        let _ = write!(page, ", process {pid}");
    }
    page.push('\n');
    if status.get("cut_off") == Some(&Value::Bool(true)) {
        page.push_str(
            "CUT OFF: neither a node nor an address of isolated-when-unreachable answers\n",
        );
    }
    if let Some(authority) = status.get("authority").filter(|authority| authority.is_object()) {
        let _ = writeln!(page, "{}", quorum(authority));
    }
    let rows = |key: &str| status.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut shown = Map::new();
    shown.insert("nodes".into(), rows("nodes").iter().map(node).collect());
    shown.insert("groups".into(), rows("groups").iter().map(group).collect());
    for key in ["hosts", "checks"] {
        let rows = rows(key);
        if !rows.is_empty() {
            shown.insert(key.into(), Value::Array(rows));
        }
    }
    page.push_str(&table::render(&Value::Object(shown)));
    for (key, what) in
        [("malformed", "frames not understood"), ("refused_heartbeats", "heartbeats refused")]
    {
        let counts = status.get(key).and_then(Value::as_object);
        let counts = counts.into_iter().flatten();
        let counts: Vec<String> = counts
            .filter(|(reason, _)| !ORDINARY.contains(&reason.as_str()))
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        if !counts.is_empty() {
            let _ = write!(page, "\n{what}: {}\n", counts.join(", "));
        }
    }
    Some(page)
}

/// Who votes, in a line.
pub(super) fn quorum(authority: &Value) -> String {
    let number = |key: &str| authority.get(key).and_then(Value::as_u64).unwrap_or_default();
    let is = |key: &str| authority.get(key) == Some(&Value::Bool(true));
    let voters = authority.get("voters").and_then(Value::as_array);
    let voters: Vec<&str> = voters.into_iter().flatten().filter_map(Value::as_str).collect();
    // A witness holds nothing, so there is nothing to end.
    let ended = match authority.get("kernel_ends_it").and_then(Value::as_bool) {
        Some(true) => ", ended by the kernel",
        Some(false) => ", ended by the lifetime of the addresses",
        None => "",
    };
    let length = duration::show(Duration::from_millis(number("lease_ms")));
    let mut line = format!(
        "quorum: {} of {} votes ({}), a lease of {length}{ended}",
        number("needed"),
        voters.len(),
        voters.join(", ")
    );
    if !is("settled") {
        line.push_str("; not every voter has taken over the latest change of voters");
    }
    let quiet = number("votes_in_ms");
    if quiet > 0 {
        let quiet = duration::show(Duration::from_millis(quiet));
        let _ = write!(line, "; this one has just started and votes in {quiet}");
    }
    line
}

/// A group's lease, in some words.
pub(super) fn lease(lease: &Value) -> Option<String> {
    let number = |key: &str| lease.get(key).and_then(Value::as_u64);
    if lease.get("claimed") != Some(&Value::Bool(true)) {
        return None;
    }
    let (votes, needed) = (number("votes").unwrap_or(0), number("needed").unwrap_or(0));
    let held = match number("left_ms") {
        Some(left) => format!("{} left", duration::show(Duration::from_millis(left))),
        None => "none yet".to_owned(),
    };
    let mut words = format!("{held}, {votes} votes of {needed} needed");
    if let Some(waits) = lease.get("waits").and_then(Value::as_str) {
        let _ = write!(words, "; waits: {waits}");
    }
    Some(words)
}

/// Other hosts that have what is here, a sentence each.
pub(super) fn rivals(group: &Value) -> impl Iterator<Item = String> + '_ {
    let contested = group.get("contested").and_then(Value::as_array).into_iter().flatten();
    contested.map(|rival| {
        let text = |key: &str| rival.get(key).and_then(Value::as_str).unwrap_or_default();
        format!("{} claims {} too", text("mac"), text("address"))
    })
}

pub(super) fn node(node: &Value) -> Value {
    let is = |key: &str| node.get(key) == Some(&Value::Bool(true));
    let state = node.get("state").and_then(Value::as_str).unwrap_or_default();
    let state = if is("witness") && state == "takes part" { "votes" } else { state };
    let state = if is("drained") { format!("{state}, drained") } else { state.to_owned() };
    let name = node.get("name").and_then(Value::as_str).unwrap_or_default();
    let paths = node.get("paths").and_then(Value::as_array);
    let paths = paths.into_iter().flatten().map(|path| {
        let address = path.get("address").and_then(Value::as_str).unwrap_or_default();
        match path.get("heard_ms_ago").and_then(Value::as_u64) {
            Some(ago) => format!("{address} {}", table::milliseconds_ago(ago)),
            None => format!("{address} silent"),
        }
    });
    json!({
        "name": if is("this") { format!("{name} (this one)") } else { name.to_owned() },
        "state": state,
        "round_trip_us": node.get("round_trip_us"),
        "paths": paths.collect::<Vec<_>>(),
        "trouble": node.get("trouble"),
    })
}

pub(super) fn group(group: &Value) -> Value {
    let text = |key: &str| group.get(key).and_then(Value::as_str);
    let name = text("group").unwrap_or_default();
    let addresses = group.get("addresses").and_then(Value::as_array).map(Vec::as_slice);
    let addresses: Vec<&str> =
        addresses.unwrap_or_default().iter().filter_map(Value::as_str).collect();
    let name = match addresses.as_slice() {
        [one] if *one == name => name.to_owned(),
        [one] => format!("{name} ({one})"),
        many => format!("{name} ({} addresses)", many.len()),
    };
    let mut reason = text("reason").unwrap_or_default().to_owned();
    if let Some(moving) = text("moving") {
        reason = format!("{moving}; {reason}");
    }
    for rival in rivals(group) {
        let _ = write!(reason, "; {rival}");
    }
    let mut row =
        json!({ "vip": name, "on": text("holder").unwrap_or("nobody"), "reason": reason });
    if let Some(words) = group.get("lease").and_then(lease) {
        row["lease here"] = words.into();
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_who_holds_what_and_what_is_wrong() {
        let status = json!({
            "version": "0.1.0", "pid": 7, "node": "pinky", "cluster": "web", "cut_off": true,
            "nodes": [
                { "name": "pinky", "this": true, "state": "takes part", "paths": [] },
                { "name": "edward", "witness": true, "state": "takes part", "paths": [] },
                { "name": "brain", "state": "dead", "drained": true, "trouble": "another key",
                  "paths": [{ "address": "10.0.0.2", "heard_ms_ago": 1500 },
                            { "address": "10.1.0.2", "heard_ms_ago": null }] },
            ],
            "groups": [
                { "group": "both", "addresses": ["10.0.0.9", "fd00::9"], "holder": "pinky",
                  "moving": "offered to brain", "reason": "brain is home" },
                { "group": "10.0.0.8", "addresses": ["10.0.0.8"], "holder": null, "reason": "x",
                  "lease": { "claimed": true, "left_ms": null, "votes": 1, "needed": 2,
                             "waits": "brain has it" } },
                { "group": "10.0.0.7", "addresses": ["10.0.0.7"], "holder": "pinky", "reason": "y",
                  "contested": [{ "address": "10.0.0.7", "mac": "02:00:00:00:00:09" }],
                  "lease": { "claimed": true, "left_ms": 240, "votes": 3, "needed": 2 } },
            ],
            "authority": { "voters": ["pinky", "brain", "edward"], "needed": 2, "settled": true,
                           "lease_ms": 300, "kernel_ends_it": true, "votes_in_ms": 120 },
            "malformed": {},
            "refused_heartbeats": { "unknown-key": 3, "unknown-incarnation": 2 },
        });
        let page = render(&status).expect("a page");
        for words in [
            "pinky in cluster web, standin 0.1.0, process 7\nCUT OFF",
            "pinky (this one)",
            "dead, drained",
            "10.0.0.2 1.5s ago, 10.1.0.2 silent",
            "another key",
            "both (2 addresses)",
            "offered to brain; brain is home",
            "nobody",
            "heartbeats refused: unknown-key 3\n",
            "quorum: 2 of 3 votes (pinky, brain, edward), a lease of 300ms, ended by the kernel; this \
             one has just started and votes in 120ms\n",
            "none yet, 1 votes of 2 needed; waits: brain has it",
            "y; 02:00:00:00:00:09 claims 10.0.0.7 too",
            "240ms left, 3 votes of 2 needed",
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert!(render(&json!({ "vips": [] })).is_none());
    }
}
