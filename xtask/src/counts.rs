//! `cargo xtask bench counts`: the instructions of the core's most used paths, held to a budget.
//!
//! Owns the budget's file and the way to valgrind, which counts. Counts do not depend on what else
//! the machine does, so they can be held where times cannot. They depend on the compiler: with a new
//! one the file is written anew. The situations are in `core/examples/counts.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::Workspace;

/// The file of the budget, below the root.
const BUDGET: &str = "core/examples/counts.budget";
/// In percent, how much more than the budget is no news yet.
const MARGIN: u64 = 5;
/// Each situation, and how many rounds of it are run.
const PATHS: &[(&str, u64)] = &[
    ("heartbeats-2-1", 1000),
    ("heartbeats-64-1000", 20),
    ("renewals-2-1", 1000),
    ("renewals-2-1000", 1000),
    ("answers", 1000),
    ("decides-64-1000", 4),
    ("announces-10000", 1),
];
/// The situation whose allocations are counted, over so many rounds.
const STEADY: (&str, u64) = ("heartbeats-2-1", 1000);
const HEAD: &str = "\
# Instructions of one round of each path in core/examples/counts.rs, and allocations of the core in
# a thousand heartbeats sent and received at 10 ms (those that there are renew addresses' lifetimes).
# `cargo xtask bench counts` counts, and fails when one is exceeded by more than 5 %. After a change
# that is worth it, `cargo xtask bench counts --update` writes this file; the commit says why.
";

/// Counts, and compares or writes the file.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let update = match arguments {
        [] => false,
        [only] if only == "--update" => true,
        _ => bail!("usage: cargo xtask bench counts [--update]"),
    };
    let path = workspace.root().join(BUDGET);
    let counted = count(workspace)?;
    if update {
        let mut text = HEAD.to_owned();
        for (name, count) in &counted {
            writeln!(text, "{name} {count}")?;
        }
        return std::fs::write(&path, text).with_context(|| path.display().to_string());
    }
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let budget = parse(&text)?;
    let mut exceeded = Vec::new();
    for (name, count) in &counted {
        let allowed = budget.get(name).with_context(|| format!("{BUDGET} has no {name}"))?;
        println!("{name:<32} {count:>10}  of {allowed:>10}");
        if is_exceeded(*count, *allowed) {
            exceeded.push(format!("{name}: {count} instead of {allowed}"));
        }
    }
    ensure!(
        exceeded.is_empty(),
        "more than {BUDGET} allows: {}; if it has to be, write the file with \
         `cargo xtask bench counts --update` and say why in the commit",
        exceeded.join(", ")
    );
    Ok(())
}

fn is_exceeded(count: u64, budget: u64) -> bool {
    count > budget + budget * MARGIN / 100
}

fn parse(text: &str) -> Result<BTreeMap<String, u64>> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, count) = line.split_once(' ').with_context(|| line.to_owned())?;
            Ok((name.to_owned(), count.parse().with_context(|| line.to_owned())?))
        })
        .collect()
}

fn count(workspace: &Workspace) -> Result<BTreeMap<String, u64>> {
    let build = ["build", "--release", "--locked", "--package", "standin-core"];
    workspace.cargo(&[build.as_slice(), &["--example", "counts"]].concat())?;
    let mut counted = BTreeMap::new();
    for (name, rounds) in PATHS {
        let tool = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
        let toggle = ["--toggle-collect=*counts*measured*"];
        let said = valgrind(workspace, &[&tool[..], &toggle].concat(), name, *rounds)?;
        let total = number_after(&said, "Collected : ").context("callgrind gave no count")?;
        ensure!(total > 0, "{name}: nothing was counted");
        counted.insert((*name).to_owned(), total / rounds);
    }
    let (name, rounds) = STEADY;
    let allocations = |rounds| -> Result<u64> {
        let said = valgrind(workspace, &["--leak-check=no"], name, rounds)?;
        number_after(&said, "total heap usage: ").context("memcheck gave no count")
    };
    // What was allocated before the counting is in both.
    let more = allocations(2 * rounds)?.saturating_sub(allocations(rounds)?);
    counted.insert(format!("allocations-{name}"), more);
    Ok(counted)
}

fn valgrind(workspace: &Workspace, options: &[&str], name: &str, rounds: u64) -> Result<String> {
    let example: PathBuf = workspace.target().join("release").join("examples").join("counts");
    let mut command = workspace.command("valgrind");
    command.args(options).arg(example).args([name, &rounds.to_string()]);
    let output = command.output().context("valgrind did not start: is it installed?")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{name}: {said}");
    Ok(said)
}

/// The number behind these words, with or without commas between its digits.
fn number_after(text: &str, words: &str) -> Option<u64> {
    let (_, rest) = text.split_once(words)?;
    let digits: String =
        rest.chars().filter(|c| *c != ',').take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_with_and_without_commas() {
        assert_eq!(number_after("==1== Collected : 40190020\n", "Collected : "), Some(40_190_020));
        let heap = "==2==   total heap usage: 1,371 allocs, 370 frees";
        assert_eq!(number_after(heap, "total heap usage: "), Some(1371));
        assert_eq!(number_after("nothing", "Collected : "), None);
    }

    #[test]
    fn a_budget_has_a_margin_and_nothing_has_none() {
        assert!(!is_exceeded(105, 100));
        assert!(is_exceeded(106, 100));
        assert!(is_exceeded(1, 0));
    }

    #[test]
    fn the_file_has_a_line_for_each_path_and_nothing_else() {
        let text = include_str!("../../core/examples/counts.budget");
        let budget = parse(text).expect("it is written by this room");
        let mut names: Vec<String> = PATHS.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.push(format!("allocations-{}", STEADY.0));
        names.sort();
        assert!(budget.keys().eq(names.iter()));
        assert!(text.starts_with(HEAD));
        assert!(parse("a b\n").is_err());
    }
}
