//! The exposition: complete, as documented, and as the field's own tool wants it.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use standin::http::metrics::table::{ALL, Kind};
use standin::http::metrics::{Format, exposition};

use crate::world::{ledger, seen};

fn text(format: Format) -> String {
    exposition(&seen(4), &ledger(), format)
}

/// Runs a program of the package `prometheus` with this as its input; what it says.
fn promtool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: install the package prometheus");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("promtool ends");
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(output.status.success(), "promtool {arguments:?}: {}", said.concat());
    said.concat()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}

#[test]
fn every_metric_is_exposed_with_samples_and_in_the_order_of_the_table() {
    let text = text(Format::Text);
    let types: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let wanted: Vec<String> =
        ALL.iter().map(standin::http::metrics::table::Family::sample_name).collect();
    assert_eq!(types, wanted);
    for family in ALL {
        let name = family.sample_name();
        let sampled = text.lines().any(|line| line.starts_with(&name));
        assert!(sampled, "{name} has no sample");
        assert_eq!(family.unit.is_some(), name.ends_with("_seconds"), "{name}");
        assert!(family.kind != Kind::Histogram || family.unit.is_some(), "{name}");
    }
}

#[test]
fn the_document_has_a_row_for_every_metric_and_no_other() {
    let mut table =
        "| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n".to_owned();
    for family in ALL {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} | {} |",
            family.sample_name(),
            family.kind.word(),
            family.unit.unwrap_or_default(),
            labels.join(", "),
            family.help
        );
    }
    let path = repository().join("docs/METRICS.md");
    let document = fs::read_to_string(&path).expect("docs/METRICS.md");
    assert!(document.contains(&table), "docs/METRICS.md should have this table:\n{table}");
    let rows = document.lines().filter(|line| line.starts_with("| `standin_")).count();
    assert_eq!(rows, ALL.len(), "a row of a metric that there is not");
}

#[test]
fn promtool_finds_nothing_to_say() {
    assert_eq!(promtool(&["check", "metrics"], &text(Format::Text)), "");
}

#[test]
fn the_alert_rules_are_right_and_name_metrics_that_exist() {
    let path = repository().join("packaging/prometheus/alerts.yml");
    let said = promtool(&["check", "rules", path.to_str().expect("a path")], "");
    assert!(said.contains("SUCCESS"), "{said}");
    let tests = repository().join("packaging/prometheus/alerts-test.yml");
    let said = promtool(&["test", "rules", tests.to_str().expect("a path")], "");
    assert!(said.contains("SUCCESS"), "{said}");
    for file in ["packaging/prometheus/alerts.yml", "packaging/grafana/standin.json"] {
        let text = fs::read_to_string(repository().join(file)).expect(file);
        let mut named = 0;
        for (at, _) in text.match_indices("standin_") {
            let end = text[at..].find(|c: char| !(c.is_ascii_lowercase() || c == '_'));
            let name = &text[at..end.map_or(text.len(), |end| at + end)];
            named += 1;
            let known = ALL.iter().any(|family| {
                let sample = family.sample_name();
                let suffixes = ["_bucket", "_sum", "_count"].map(|end| format!("{sample}{end}"));
                name == sample
                    || (family.kind == Kind::Histogram && suffixes.contains(&name.to_owned()))
            });
            assert!(known, "{file} names {name}, which there is not");
        }
        assert!(named > 5, "{file}");
    }
}

#[test]
fn the_dashboard_is_json_with_a_title_for_every_panel() {
    let text = fs::read_to_string(repository().join("packaging/grafana/standin.json"));
    let dashboard: serde_json::Value =
        serde_json::from_str(&text.expect("a dashboard")).expect("JSON");
    assert_eq!(dashboard["uid"], "standin");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() >= 8);
    for panel in panels {
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        assert!(panel["gridPos"].is_object(), "{panel}");
    }
}

#[test]
fn values_are_those_that_were_seen() {
    let text = text(Format::OpenMetrics);
    for line in [
        "standin_node_info{cluster=\"web\",node=\"pinky\"} 1",
        "standin_vip_holder{vip=\"10.10.0.1\",node=\"brain\"} 1",
        "standin_vip_held{vip=\"10.10.0.0\",interface=\"eth0\"} 1",
        "standin_vip_held{vip=\"10.10.0.1\",interface=\"eth0\"} 0",
        "standin_transitions_total{vip=\"10.10.0.0\",change=\"taken\",reason=\"holder-dead\"} 1",
        "standin_lease_margin_seconds{group=\"group <0>\"} 0.75",
        "standin_takeover_seconds_bucket{le=\"0.25\"} 1",
        "standin_heartbeats_lost_total{node=\"brain\",path=\"fd00::2\"} 2",
        "standin_heartbeat_gap_seconds_count{node=\"brain\",path=\"10.0.0.2\"} 3",
        "standin_heartbeat_age_seconds{node=\"brain\",path=\"10.0.0.2\"} 0.02",
        "standin_packets_dropped_total{kind=\"heartbeat\",reason=\"replayed\"} 3",
        "standin_check_passing{check=\"web\",vip=\"10.10.0.0\"} 1",
        "standin_check_runs_total{check=\"web\",result=\"passed\"} 1",
        "standin_hook_runs_total{hook=\"on-take\",result=\"failed\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
    }
    assert!(!text.contains("standin_heartbeat_age_seconds{node=\"brain\",path=\"fd00::2\"}"));
    assert!(text.ends_with("# EOF\n"));
}
