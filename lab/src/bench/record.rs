//! Where figures go in the documentation.
//!
//! Owns the places: the block of text behind a benchmark's heading, and its files. The words around
//! them are written by hand, and stay.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A file of the documentation; the lab always runs from the source tree.
pub fn documented(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// Writes a file where one is wanted.
pub fn write_down(path: Option<&Path>, text: &str) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    fs::write(path, text).with_context(|| path.display().to_string())?;
    println!("written: {}", path.display());
    Ok(())
}

/// Puts the tables of a benchmark into the documentation.
pub fn record(benchmark: &str, tables: &str) -> Result<()> {
    let path = documented("BENCHMARKS.md");
    let before = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let after = with_tables(&before, benchmark, tables)
        .with_context(|| format!("BENCHMARKS.md has no place for tables of {benchmark}"))?;
    write_down(Some(&path), &after)
}

/// The first block of text behind the heading of this benchmark is exchanged.
fn with_tables(page: &str, benchmark: &str, tables: &str) -> Option<String> {
    let heading = format!("## `cargo xtask bench {benchmark}`\n");
    let (head, rest) = page.split_once(&heading)?;
    let (words, rest) = rest.split_once("```text\n")?;
    // The block has to be of this benchmark, not of the next.
    if words.lines().any(|line| line.starts_with("## ")) {
        return None;
    }
    let (_, tail) = rest.split_once("```\n")?;
    let lines: Vec<&str> = tables.trim().lines().map(str::trim_end).collect();
    Some(format!("{head}{heading}{words}```text\n{}\n```\n{tail}", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_put_where_the_old_ones_were() {
        let page =
            "a\n```text\nkept\n```\n## `cargo xtask bench cluster`\nb\n```text\nold\n```\nc\n";
        let page = with_tables(page, "cluster", "\nnew  \n").expect("there is a place");
        assert!(page.contains("kept") && !page.contains("old"), "{page}");
        assert!(page.ends_with("b\n```text\nnew\n```\nc\n"), "{page}");
        assert_eq!(with_tables("no such heading", "cluster", "new"), None);
        let next = "## `cargo xtask bench cost`\n## `cargo xtask bench page`\n```text\nold\n```\n";
        assert_eq!(with_tables(next, "cost", "new"), None);
    }

    #[test]
    fn every_benchmark_has_its_place() {
        let page = fs::read_to_string(documented("BENCHMARKS.md")).expect("the page is there");
        for benchmark in super::super::RECORDED {
            assert!(with_tables(&page, benchmark, "new").is_some(), "{benchmark}");
        }
    }
}
