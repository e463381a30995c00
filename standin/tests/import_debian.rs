//! `standin import` over the samples that Debian ships with keepalived: each comes out as a valid
//! file or as a clear error, and every statement of it is translated or listed.

use std::fs;
use std::path::{Path, PathBuf};

use standin::failure::Code;
use standin::file::{self, Source};
use standin::import::{KEYWORDS, Listed, NamedNode, RealFiles, import};

const SAMPLES: &str = "/usr/share/doc/keepalived/samples";

/// Statements inside translated blocks that begin with a value: addresses, names of instances.
const LISTS: &[&str] = &[
    "virtual_ipaddress",
    "virtual_ipaddress_excluded",
    "unicast_peer",
    "group",
    "track_script",
    "track_interface",
];

fn samples() -> Vec<PathBuf> {
    let entries = fs::read_dir(SAMPLES)
        .unwrap_or_else(|error| panic!("{SAMPLES}: {error}; install the package keepalived"));
    let mut samples: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().contains("keepalived.conf."))
        .collect();
    samples.sort();
    samples
}

fn nodes() -> Vec<NamedNode> {
    let node = |name: &str, address: &str| NamedNode {
        name: name.into(),
        addresses: vec![address.parse().expect("an address")],
    };
    vec![node("high", "203.0.113.1"), node("low", "203.0.113.2")]
}

/// Lines of statements that are neither translated nor listed, by a reading of the text that
/// shares nothing with the program's: braces and first words, line by line.
fn unaccounted(path: &Path, text: &str, list: &[Listed]) -> Vec<String> {
    let is_listed = |line: usize| {
        list.iter().any(|one| one.path == path && (one.line..=one.end_line).contains(&line))
    };
    let mut open: Vec<String> = Vec::new();
    let mut missing = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split(['#', '!']).next().unwrap_or_default();
        let mut words = line.split_whitespace().peekable();
        if words.peek().is_some_and(|word| word.starts_with('@')) {
            words.next();
        }
        let first = words.peek().copied().unwrap_or_default().to_owned();
        let is_value = open.last().is_some_and(|block| LISTS.contains(&block.as_str()));
        let is_brace = matches!(first.as_str(), "" | "{" | "}");
        if !is_brace && !is_value && !KEYWORDS.contains(&first.as_str()) && !is_listed(number) {
            missing.push(format!("{number}: {line}"));
        }
        for letter in line.chars() {
            match letter {
                '{' => open.push(first.clone()),
                '}' => drop(open.pop()),
                _ => {}
            }
        }
    }
    missing
}

#[test]
fn every_sample_of_debians_comes_out_valid_or_with_a_clear_error() {
    let (mut valid, mut refused) = (0, 0);
    for path in samples() {
        let text = fs::read_to_string(&path).expect("a sample");
        let has_instance = text.lines().any(|line| line.trim().starts_with("vrrp_instance"));
        // Alone they do not say where the nodes are, but for one.
        let shown = path.display();
        for named in [Vec::new(), nodes()] {
            match import(std::slice::from_ref(&path), &named, None, &RealFiles, false) {
                Ok(outcome) => {
                    let parsed = file::parse(Source::new("standin.toml", outcome.text.as_str()));
                    let problems = parsed.problems.render(&parsed.source, false);
                    assert!(parsed.file.is_some(), "{shown}: {problems}");
                    assert_eq!(unaccounted(&path, &text, &outcome.list), [""; 0], "{shown}");
                    valid += 1;
                }
                Err(failure) => {
                    assert_eq!(failure.code(), Code::Config, "{shown}: {failure}");
                    let said = failure.to_string();
                    let is_clear = said.contains("no vrrp_instance in")
                        || said.contains("--node") && said.contains("is not known")
                        || said.contains("-->");
                    assert!(is_clear, "{shown}: {said}");
                    assert!(named.is_empty() || !has_instance, "{shown}: {said}");
                    refused += 1;
                }
            }
        }
    }
    assert!(valid >= 10 && refused >= 10, "{valid} valid, {refused} refused");
}
