//! `cargo xtask mutants`: small faults put into the core one at a time, to see whether its tests
//! notice.
//!
//! Owns the way `cargo mutants` is called and the table of what it says; `.cargo/mutants.toml` owns
//! what is changed and by which tests. Never changes the source itself: cargo-mutants works on a
//! copy. Invariant: what is recorded was run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::workspace::{self, Workspace};

/// What to run.
#[derive(Args)]
pub struct Options {
    /// Only in files that match, e.g. `core/src/vip/*` (repeatable).
    #[arg(long, value_name = "GLOB")]
    file: Vec<String>,
    /// Only what matches, e.g. `handle_claim` (repeatable).
    #[arg(long, value_name = "REGEX")]
    only: Vec<String>,
    /// Try these tests of `core/tests` first, and all of them only on what they do not notice
    /// (repeatable).
    #[arg(long, value_name = "NAME")]
    first: Vec<String>,
    /// Name the mutants and stop.
    #[arg(long)]
    list: bool,
    /// Write the figures into docs/MUTATION.md.
    #[arg(long)]
    record: bool,
}

const RECORD: &str = "docs/MUTATION.md";

/// How many mutants of one file ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// A test failed, or took too long.
    caught: u64,
    /// Every test passed.
    missed: u64,
    /// It does not compile.
    unviable: u64,
}

/// Runs cargo-mutants, prints the table, and fails when a mutant lives that nobody explained.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let version = workspace.command(&workspace::cargo()).args(["mutants", "--version"]).output();
    ensure!(
        version.is_ok_and(|output| output.status.success()),
        "cargo-mutants is missing: cargo install cargo-mutants --locked"
    );
    let output = workspace.target().join("mutants");
    fs::create_dir_all(&output).with_context(|| format!("create {}", output.display()))?;
    if options.list {
        return workspace::run(command(workspace, options, &output).arg("--list"));
    }
    let mut outcomes = Vec::new();
    if !options.first.is_empty() {
        let mut near = command(workspace, options, &output);
        near.arg("--");
        for name in &options.first {
            near.args(["--test", name]);
        }
        outcomes = run_one(&output, &mut near)?;
    }
    let mut all = command(workspace, options, &output);
    if !outcomes.is_empty() {
        // Only what was missed.
        all.arg("--iterate");
        outcomes.retain(|outcome| outcome["summary"] != "MissedMutant");
    }
    outcomes.extend(run_one(&output, &mut all)?);
    let (tallies, living) = read(&outcomes)?;
    ensure!(!tallies.is_empty(), "no mutant was run");
    for (file, tally) in &tallies {
        println!("    {}", row(file, *tally));
    }
    if options.record {
        record(workspace, &tallies)?;
    }
    let page = fs::read_to_string(workspace.root().join(RECORD)).unwrap_or_default();
    let silent: Vec<&String> = living.iter().filter(|name| !is_explained(&page, name)).collect();
    for name in &silent {
        println!("    not noticed: {name}");
    }
    if silent.is_empty() { Ok(()) } else { bail!("{} mutants were not noticed", silent.len()) }
}

fn command(workspace: &Workspace, options: &Options, output: &Path) -> Command {
    let mut command = workspace.command("nice");
    command.args(["-n", "19"]).arg(workspace::cargo());
    command.args(["mutants", "--package", "standin-core", "--jobs", "1", "--no-shuffle"]);
    command.arg("--output").arg(output);
    for file in &options.file {
        command.args(["--file", file]);
    }
    for only in &options.only {
        command.args(["--re", only]);
    }
    command
}

/// Runs cargo-mutants once. That a mutant lives is no failure here: it is judged at the end.
fn run_one(output: &Path, command: &mut Command) -> Result<Vec<Value>> {
    let ended = workspace::run(command);
    let outcomes = output.join("mutants.out/outcomes.json");
    let Ok(outcomes) = fs::read_to_string(&outcomes) else {
        return ended.and_then(|()| bail!("{} is not there", outcomes.display()));
    };
    let outcomes: Value = serde_json::from_str(&outcomes).context("outcomes.json is no JSON")?;
    let outcomes = outcomes["outcomes"].as_array().context("there are no outcomes")?;
    let sound = outcomes.iter().all(|outcome| outcome["summary"] != "Failure");
    ensure!(sound, "the tests fail without any mutant; see {}", output.display());
    Ok(outcomes.clone())
}

/// The figures by file, and the names of the mutants that live.
fn read(outcomes: &[Value]) -> Result<(BTreeMap<String, Tally>, Vec<String>)> {
    let (mut tallies, mut living) = (BTreeMap::<String, Tally>::new(), Vec::new());
    for outcome in outcomes {
        let mutant = &outcome["scenario"]["Mutant"];
        let Some(file) = mutant["file"].as_str() else { continue };
        let tally = tallies.entry(file.to_owned()).or_default();
        match outcome["summary"].as_str() {
            Some("CaughtMutant" | "Timeout") => tally.caught += 1,
            Some("MissedMutant") => {
                tally.missed += 1;
                let name = mutant["name"].as_str().context("a mutant has a name")?;
                living.push(without_place(name));
            }
            Some("Unviable") => tally.unviable += 1,
            other => bail!("an outcome that is not known: {other:?}"),
        }
    }
    Ok((tallies, living))
}

/// `file:line:column: what` without line and column, which change with every edit.
fn without_place(name: &str) -> String {
    let mut parts = name.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_), Some(_), Some(what)) => format!("{file}: {}", what.trim()),
        _ => name.to_owned(),
    }
}

/// A mutant is explained by a row `| mutant | why it makes no difference |`.
fn is_explained(page: &str, name: &str) -> bool {
    page.lines().any(|line| line.starts_with(&format!("| `{name}` |")))
}

fn row(file: &str, tally: Tally) -> String {
    let Tally { caught, missed, unviable } = tally;
    format!("| `{file}` | {caught} | {missed} | {unviable} |")
}

/// Replaces the rows of the files that were run, and leaves the others.
fn record(workspace: &Workspace, tallies: &BTreeMap<String, Tally>) -> Result<()> {
    let path = workspace.root().join(RECORD);
    let page = fs::read_to_string(&path).with_context(|| format!("read {RECORD}"))?;
    let page = with_rows(&page, tallies)?;
    fs::write(Path::new(&path), page).with_context(|| format!("write {RECORD}"))
}

fn with_rows(page: &str, tallies: &BTreeMap<String, Tally>) -> Result<String> {
    let lines: Vec<&str> = page.lines().collect();
    let head = lines.iter().position(|line| line.starts_with("| file |"));
    let first = head.with_context(|| format!("{RECORD} has no table of files"))? + 2;
    let count = lines[first..].iter().take_while(|line| line.starts_with("| `")).count();
    let mut rows: BTreeMap<String, String> = lines[first..first + count]
        .iter()
        .filter_map(|line| Some((line.split('`').nth(1)?.to_owned(), (*line).to_owned())))
        .collect();
    rows.extend(tallies.iter().map(|(file, tally)| (file.clone(), row(file, *tally))));
    let before = lines[..first].iter().map(ToString::to_string);
    let after = lines[first + count..].iter().map(ToString::to_string);
    let all: Vec<String> = before.chain(rows.into_values()).chain(after).collect();
    Ok(all.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_by_file_and_the_living_named() {
        let outcome = |name: &str, summary: &str| {
            serde_json::json!({
                "scenario": { "Mutant": { "file": "core/src/a.rs", "name": name } },
                "summary": summary,
            })
        };
        let outcomes = [
            serde_json::json!({ "scenario": "Baseline", "summary": "Success" }),
            outcome("core/src/a.rs:1:2: replace f with ()", "CaughtMutant"),
            outcome("core/src/a.rs:3:4: replace A::b -> bool with true", "MissedMutant"),
            outcome("core/src/a.rs:5:6: replace g with ()", "Timeout"),
            outcome("core/src/a.rs:7:8: replace h with ()", "Unviable"),
        ];
        let (tallies, living) = read(&outcomes).expect("outcomes");
        assert_eq!(tallies["core/src/a.rs"], Tally { caught: 2, missed: 1, unviable: 1 });
        assert_eq!(living, ["core/src/a.rs: replace A::b -> bool with true"]);
        let page = "| `core/src/a.rs: replace A::b -> bool with true` | it is |";
        assert!(is_explained(page, &living[0]) && !is_explained("", &living[0]));
    }

    #[test]
    fn rows_of_files_that_were_not_run_stay() {
        let page = "x\n| file | c |\n|---|---|\n| `a` | old |\n| `c` | old |\n\ny\n";
        let tally = Tally { caught: 1, missed: 0, unviable: 2 };
        let tallies = BTreeMap::from([("a".to_owned(), tally), ("b".to_owned(), tally)]);
        let page = with_rows(page, &tallies).expect("a table");
        assert_eq!(
            page,
            "x\n| file | c |\n|---|---|\n| `a` | 1 | 0 | 2 |\n| `b` | 1 | 0 | 2 |\n| `c` | old |\n\ny\n"
        );
    }
}
