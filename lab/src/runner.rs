//! Runs cases, each in its own process, and tells how they ended.
//!
//! Owns the order, the parallelism and the summary. Cases that judge time run alone, after the
//! others, so that no neighbour takes their processor.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Read;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use standin_sys::process::CommandExt;

use crate::cases::Case;
use crate::cli;
use crate::sandbox;

/// A case that is not done by then hangs.
const LONGEST_CASE: Duration = Duration::from_mins(4);

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Cases at a time, of those that do not judge time.
    pub jobs: usize,
    /// How often everything is run.
    pub repeat: usize,
    /// Show the story of every case.
    pub verbose: bool,
    /// As root: no user namespace.
    pub keep_user: bool,
}

/// A process with one case in it.
pub struct Sandboxed {
    child: Child,
    output: JoinHandle<String>,
    begun: Instant,
}

impl Sandboxed {
    /// Starts the process. It dies with the calling *thread*.
    pub fn start(arguments: &[String], keep_user: bool) -> Result<Self> {
        let myself = std::env::current_exe().context("where this program is")?;
        let mut command = Command::new(myself);
        command.arg(sandbox::OUTER).args(arguments).env("PATH", cli::search_path());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        if keep_user {
            command.env(sandbox::KEEP_USER, "1");
        }
        let (mut reader, writer) = std::io::pipe().context("a pipe")?;
        command.stderr(writer.try_clone().context("a pipe")?).stdout(writer);
        command.die_with_parent();
        let child = command.spawn().context("a case's process did not start")?;
        // The command holds the writing end; without it the reader would never see the end.
        drop(command);
        let output = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = reader.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Ok(Self { child, output, begun: Instant::now() })
    }

    /// Waits for the end: whether it was good, what was printed, and how long it took.
    pub fn finish(self) -> Result<(bool, String, Duration)> {
        self.finish_within(LONGEST_CASE)
    }

    /// The same, where it may take longer than a case.
    pub fn finish_within(mut self, longest: Duration) -> Result<(bool, String, Duration)> {
        let mut good = None;
        while good.is_none() && self.begun.elapsed() < longest {
            good = self.child.try_wait().context("wait for a case")?.map(|status| status.success());
            std::thread::sleep(Duration::from_millis(5));
        }
        let late = good.is_none();
        if late {
            self.child.kill().context("end a case that hangs")?;
            self.child.wait().context("wait for a case")?;
        }
        let took = self.begun.elapsed();
        let mut output = self.output.join().unwrap_or_default();
        if late {
            let _ = writeln!(output, "failed: it was not done within {} s", longest.as_secs());
        }
        Ok((good == Some(true), output, took))
    }
}

/// Runs the cases and prints a line for each, and the summary.
pub fn run(cases: &[Case], plan: &Plan) -> Result<ExitCode> {
    let mut failed = Vec::new();
    let mut passed = 0;
    for round in 1..=plan.repeat {
        if plan.repeat > 1 {
            println!("round {round} of {}", plan.repeat);
        }
        let (alone, together): (Vec<Case>, Vec<Case>) = cases.iter().partition(|case| case.alone);
        let ended = batch(together, plan.jobs, plan)?.into_iter().chain(batch(alone, 1, plan)?);
        for (name, good) in ended {
            if good { passed += 1 } else { failed.push(name) }
        }
    }
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    println!("{passed} passed, {} failed", failed.len());
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn batch(cases: Vec<Case>, jobs: usize, plan: &Plan) -> Result<Vec<(&'static str, bool)>> {
    let queue = Mutex::new(VecDeque::from(cases));
    let ended = Mutex::new(Vec::new());
    let next = || queue.lock().ok()?.pop_front();
    let worker = || -> Result<()> {
        while let Some(case) = next() {
            let process = Sandboxed::start(&[case.name.to_owned()], plan.keep_user)?;
            let (good, output, took) = process.finish()?;
            let Ok(mut ended) = ended.lock() else { continue };
            let end = if good { "ok" } else { "FAILED" };
            println!("{:<34} {end:<6} {:>7.2} s", case.name, took.as_secs_f64());
            if plan.verbose || !good {
                println!("    | {}", case.about);
                for line in output.lines() {
                    println!("    | {line}");
                }
            }
            ended.push((case.name, good));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(ended.into_inner().unwrap_or_default())
}
