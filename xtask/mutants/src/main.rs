//! Faults planted in the core, all in one build, each switched on by itself.
//!
//! Owns a copy of the core in which every fault is there behind a question: 'am I the one?'. So the
//! compiler runs a few times and not once for each fault, and a fault costs what its tests take.
//! Never changes the source. Invariant: with no fault switched on the copy does what the core does,
//! which its tests have to show before any fault is tried.
//!
//! - [`plant`]: the faults, as changes of the syntax tree.
//! - [`ground`]: the copy and its builds; [`trial`]: the tests.

mod ground;
mod plant;
mod trial;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::plant::Fault;
use crate::trial::{End, Trial};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut words = words.iter();
    let mut next = |what: &str| words.next().cloned().with_context(|| format!("{what} is missing"));
    let (source, target) = (PathBuf::from(next("SOURCE")?), PathBuf::from(next("TARGET")?));
    let outcomes = next("OUTCOMES")?;
    let mut wanted: Vec<String> = Vec::new();
    let mut list = false;
    for word in words {
        if word == "--list" { list = true } else { wanted.push(word.clone()) }
    }
    let mut ground = Ground::new(&source, &target)?;
    let (faults, unviable) = if list { (ground.plant()?, Vec::new()) } else { ground.build()? };
    let chosen: Vec<&Fault> = faults
        .iter()
        .filter(|fault| {
            let name = fault.name();
            wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()))
        })
        .collect();
    ensure!(!chosen.is_empty(), "no fault has a name with {wanted:?} in it");
    if list {
        for fault in chosen {
            println!("{}", fault.name());
        }
        return Ok(());
    }
    let mut trial = Trial::new(ground.tests()?, &target.join("reached"))?;
    let mut ends: Vec<Value> = Vec::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (place, fault) in chosen.iter().enumerate() {
        let end = if unviable.contains(&fault.id) { End::Unviable } else { trial.run(fault)? };
        let word = end.word();
        *counts.entry(word).or_default() += 1;
        if end == End::Missed {
            println!("    missed {}", fault.name());
        }
        if place % 50 == 49 {
            println!("    {} of {}: {counts:?}", place + 1, chosen.len());
        }
        ends.push(
            json!({ "file": fault.file, "name": fault.label(), "line": fault.line, "end": word }),
        );
    }
    std::fs::write(&outcomes, json!(ends).to_string()).with_context(|| outcomes.clone())?;
    println!("    all {}: {counts:?}", chosen.len());
    Ok(())
}
