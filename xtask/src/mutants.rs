//! `cargo xtask mutants`: faults put into the core one at a time, to see whether its tests notice.
//!
//! Owns the call of `xtask/mutants`, which plants and tries them, and the table of what it says.
//! Invariant: what is recorded was run; a fault that nobody notices is a failure unless the page
//! says why it makes no difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::workspace::{self, Workspace};

/// What to run.
#[derive(Args)]
pub struct Options {
    /// Parts of names: a directory, a file, a function; without any, all faults.
    names: Vec<String>,
    /// Name the faults and stop.
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

/// Plants and tries, prints the table, and fails when a fault lives that nobody explained.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let ground = workspace.target().join("mutants");
    let outcomes = ground.join("outcomes.json");
    fs::create_dir_all(&ground).with_context(|| format!("create {}", ground.display()))?;
    let mut command = workspace.command("nice");
    command.args(["-n", "19"]).arg(workspace::cargo()).args(["run", "--quiet", "--manifest-path"]);
    command.arg("xtask/mutants/Cargo.toml").env("CARGO_TARGET_DIR", ground.join("tool"));
    command.arg("--").arg(workspace.root()).arg(ground.join("copy")).arg(&outcomes);
    command.args(&options.names);
    if options.list {
        return workspace::run(command.arg("--list"));
    }
    workspace::run(&mut command)?;
    let outcomes = fs::read_to_string(&outcomes).context("read the outcomes")?;
    let outcomes: Vec<Value> = serde_json::from_str(&outcomes).context("they are no JSON")?;
    let (tallies, living) = read(&outcomes)?;
    for (file, tally) in &tallies {
        println!("    {}", row(file, *tally));
    }
    if options.record {
        ensure!(options.names.iter().all(|name| !name.contains(' ')), "record whole files");
        record(workspace, &tallies)?;
    }
    let page = fs::read_to_string(workspace.root().join(RECORD)).unwrap_or_default();
    let silent: Vec<&String> = living.iter().filter(|name| !is_explained(&page, name)).collect();
    for name in &silent {
        println!("    nobody notices: {name}");
    }
    if silent.is_empty() { Ok(()) } else { bail!("{} faults live", silent.len()) }
}

/// The figures by file, and the names of the faults that live.
fn read(outcomes: &[Value]) -> Result<(BTreeMap<String, Tally>, BTreeSet<String>)> {
    let (mut tallies, mut living) = (BTreeMap::<String, Tally>::new(), BTreeSet::new());
    for outcome in outcomes {
        let text = |key: &str| outcome[key].as_str().with_context(|| format!("no {key}"));
        let tally = tallies.entry(text("file")?.to_owned()).or_default();
        match text("end")? {
            "caught" => tally.caught += 1,
            "missed" => {
                tally.missed += 1;
                living.insert(text("name")?.to_owned());
            }
            "unviable" => tally.unviable += 1,
            other => bail!("an end that is not known: {other}"),
        }
    }
    Ok((tallies, living))
}

/// A fault is explained by a row `| fault | why it makes no difference |`.
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
    fs::write(&path, page).with_context(|| format!("write {RECORD}"))
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
        let outcome = |name: &str, end: &str| serde_json::json!({ "file": "core/src/a.rs", "name": name, "line": 1, "end": end });
        let outcomes = [
            outcome("core/src/a.rs: return () in f", "caught"),
            outcome("core/src/a.rs: == is != in A::b", "missed"),
            outcome("core/src/a.rs: == is != in A::b", "missed"),
            outcome("core/src/a.rs: return 0 in h", "unviable"),
        ];
        let (tallies, living) = read(&outcomes).expect("outcomes");
        assert_eq!(tallies["core/src/a.rs"], Tally { caught: 1, missed: 2, unviable: 1 });
        assert_eq!(living.iter().collect::<Vec<_>>(), ["core/src/a.rs: == is != in A::b"]);
        let page = "| `core/src/a.rs: == is != in A::b` | it is |";
        assert!(is_explained(page, "core/src/a.rs: == is != in A::b") && !is_explained("", "x"));
        assert!(read(&[outcome("x", "lost")]).is_err());
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
