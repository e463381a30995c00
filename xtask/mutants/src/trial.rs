//! The core's own tests, with one fault switched on.
//!
//! Owns the order: the programs that noticed a fault of the same file before come first. A program
//! that takes much longer than without a fault has noticed it too.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::plant::Fault;

/// The patience with a program, whatever it took without a fault.
const PATIENCE_LEAST: Duration = Duration::from_secs(20);
const PATIENCE_FACTOR: u32 = 8;
/// Without a fault.
const FIRST_PATIENCE: Duration = Duration::from_secs(900);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Caught,
    Missed,
    Unviable,
}

impl End {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::Missed => "missed",
            Self::Unviable => "unviable",
        }
    }
}

struct Program {
    path: PathBuf,
    patience: Duration,
    took: Duration,
    /// The faults whose places it comes by: it cannot notice another.
    reaches: BTreeSet<u32>,
}

pub struct Trial {
    programs: Vec<Program>,
    /// How often each program noticed a fault of each file.
    noticed: BTreeMap<(String, usize), u32>,
}

impl Trial {
    /// Runs everything once without a fault; `reached` is a file to use.
    pub fn new(paths: Vec<PathBuf>, reached: &Path) -> Result<Self> {
        let mut programs = Vec::new();
        for path in paths {
            let begun = Instant::now();
            let _ = fs::remove_file(reached);
            let passes = passes(&path, ("STANDIN_REACHED", reached.as_os_str()), FIRST_PATIENCE)?;
            ensure!(passes, "{} fails without any fault", path.display());
            let took = begun.elapsed();
            let patience = (took * PATIENCE_FACTOR).max(PATIENCE_LEAST);
            let told = fs::read_to_string(reached).unwrap_or_default();
            let reaches = told.lines().filter_map(|line| line.parse().ok()).collect();
            programs.push(Program { path, patience, took, reaches });
        }
        let all: Duration = programs.iter().map(|program| program.took).sum();
        println!("    {} test programs, {} s without a fault", programs.len(), all.as_secs());
        Ok(Self { programs, noticed: BTreeMap::new() })
    }

    pub fn run(&mut self, fault: &Fault) -> Result<End> {
        let reaches = |place: &usize| self.programs[*place].reaches.contains(&fault.id);
        let mut order: Vec<usize> = (0..self.programs.len()).filter(reaches).collect();
        order.sort_by_key(|place| {
            let noticed = self.noticed.get(&(fault.file.clone(), *place)).copied().unwrap_or(0);
            (u32::MAX - noticed, self.programs[*place].took)
        });
        for place in order {
            let program = &self.programs[place];
            let id = OsString::from(fault.id.to_string());
            if !passes(&program.path, ("STANDIN_FAULT", &id), program.patience)? {
                *self.noticed.entry((fault.file.clone(), place)).or_default() += 1;
                return Ok(End::Caught);
            }
        }
        Ok(End::Missed)
    }
}

fn passes(path: &Path, (name, value): (&str, &OsStr), patience: Duration) -> Result<bool> {
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.env("RUST_BACKTRACE", "0").env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
    command.env(name, value);
    let mut child = command.spawn().with_context(|| path.display().to_string())?;
    let begun = Instant::now();
    let failed = Arc::new(AtomicBool::new(false));
    let (said, seen) = (child.stdout.take().context("what it says")?, failed.clone());
    let reader = thread::spawn(move || {
        // The first test that fails is enough; the others are not waited for.
        let lines = BufReader::new(said).lines().map_while(Result::ok);
        for line in lines.filter(|line| line.ends_with("FAILED")) {
            seen.store(!line.is_empty(), Ordering::Relaxed);
        }
    });
    loop {
        if let Some(status) = child.try_wait().context("wait for a test")? {
            let _ = reader.join();
            return Ok(status.success());
        }
        if begun.elapsed() > patience || failed.load(Ordering::Relaxed) {
            let _ = child.kill();
            child.wait().context("wait for a test")?;
            return Ok(false);
        }
        thread::sleep(LOOK_INTERVAL);
    }
}
