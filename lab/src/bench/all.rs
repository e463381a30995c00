//! `bench all`: every benchmark beside the peers in one run, into the documentation.
//!
//! Owns their order. Each writes its own tables, numbers and chart; the words around them in
//! `docs/BENCHMARKS.md` are written by hand and stay.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::RECORDED;

/// Runs all of them.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let known = ["--quick", "--keep-user", "--no-record"];
    if let Some(other) = words.iter().find(|word| !known.contains(&word.as_str())) {
        bail!("bench all has no option {other}; it takes {}", known.join(", "));
    }
    let said = |word: &str| words.iter().any(|one| one == word);
    let begun = Instant::now();
    let mut failed = Vec::new();
    for benchmark in RECORDED {
        println!("\n=== bench {benchmark}, after {:.0} s", begun.elapsed().as_secs_f64());
        let mut its = vec![benchmark.to_owned()];
        let options = [
            (!said("--no-record"), "--record"),
            (said("--quick"), "--quick"),
            (said("--keep-user"), "--keep-user"),
        ];
        its.extend(options.into_iter().filter(|(is, _)| *is).map(|(_, word)| word.to_owned()));
        if super::run(&its).with_context(|| format!("bench {benchmark}"))? != ExitCode::SUCCESS {
            failed.push(benchmark);
        }
    }
    println!("\nall of them took {:.0} min", begun.elapsed().as_secs_f64() / 60.0);
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
