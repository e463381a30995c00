//! `bench failover`: our figures beside those of the systems people use today, in one set-up.
//! `bench cluster` is in [`mod@cluster`], `bench page` in [`page`].
//!
//! Owns the order of the measurements and what is printed. Each measurement runs in a sandbox of
//! its own (`measure`) and gives one line of JSON; nothing else runs meanwhile. The machine is
//! never as quiet as one would wish, so the subjects take turns, and medians and ratios count.

mod chart;
mod cluster;
mod measure;
mod page;
mod report;
mod subject;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::runner::Sandboxed;
use crate::story::Lab;
use report::{Figures, Machine};
use subject::Subject;

/// What stands before a measurement's result on its standard output.
const RESULT: &str = "RESULT ";
/// `standin` alone is measured under loss: so many times, since each takes a minute.
const LOSS_RUNS: usize = 1;
/// A measurement of `failover` that is not done by then hangs.
const LONGEST: Duration = Duration::from_mins(4);

struct Options {
    runs: usize,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
    only: Vec<String>,
    keep_user: bool,
}

/// Runs a benchmark.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let Some((which, rest)) = words.split_first() else {
        bail!("which benchmark? `failover`, `cluster` or `page`")
    };
    match which.as_str() {
        "failover" => failover(rest),
        "cluster" => cluster::run(rest),
        "page" => page::run(rest),
        _ => bail!("there is no benchmark {which:?}; there are `failover`, `cluster` and `page`"),
    }
}

/// One measurement, inside its sandbox.
pub fn measure(lab: &Lab, what: &str, rest: &[String]) -> Result<()> {
    match what {
        cluster::NAME => cluster::measure(lab, rest),
        page::NAME => page::measure(lab, rest),
        _ => measure::measure(lab, what, rest),
    }
}

fn failover(words: &[String]) -> Result<ExitCode> {
    let options = Options::parse(words)?;
    let subjects: Vec<Subject> =
        Subject::ALL.into_iter().filter(|subject| options.wants(subject.name())).collect();
    for subject in &subjects {
        subject.require_programs()?;
    }
    let mut figures = Figures::default();
    for round in 1..=options.runs {
        println!("round {round} of {}", options.runs);
        for subject in &subjects {
            one(&options, &mut figures, "outage", subject.name())?;
        }
        for subject in subjects.iter().filter(|subject| subject.hands_back()) {
            one(&options, &mut figures, "hand-back", subject.name())?;
        }
        if options.wants("left-behind") {
            one(&options, &mut figures, "left-behind", "SIGKILL")?;
            one(&options, &mut figures, "left-behind", "SIGSTOP")?;
        }
    }
    if options.wants("loss") {
        for _ in 0..LOSS_RUNS {
            one(&options, &mut figures, "loss", Subject::Standin.name())?;
            if options.only.is_empty() {
                one(&options, &mut figures, "loss", Subject::KEEPALIVED_FAST.name())?;
            }
        }
    }
    let machine = Machine::read();
    print!("{}", report::text(&figures, &machine));
    let json = report::json(&figures, &machine, report::AIMS);
    write_down(options.json.as_deref(), &format!("{json:#}\n"))?;
    write_down(options.svg.as_deref(), &chart::failover(&figures, &machine))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a file where one is wanted.
fn write_down(path: Option<&Path>, text: &str) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    fs::write(path, text).with_context(|| path.display().to_string())?;
    println!("written: {}", path.display());
    Ok(())
}

fn one(options: &Options, figures: &mut Figures, what: &str, subject: &str) -> Result<()> {
    let arguments = [what.to_owned(), subject.to_owned()];
    once(figures, (what, subject), &arguments, LONGEST, options.keep_user)
}

/// One measurement. One that fails is told and left out; it must not take the others with it.
fn once(
    figures: &mut Figures,
    (what, subject): (&str, &str),
    arguments: &[String],
    longest: Duration,
    keep_user: bool,
) -> Result<()> {
    let sandboxed = Sandboxed::start(arguments, keep_user)?;
    let (good, output, took) = sandboxed.finish_within(longest)?;
    let result = output.lines().find_map(|line| line.strip_prefix(RESULT));
    let Some(result) = result.filter(|_| good) else {
        println!("{what} of {subject} failed:");
        for line in output.lines() {
            println!("    | {line}");
        }
        figures.failed.push(format!("{what} of {subject}"));
        return Ok(());
    };
    println!("  {what:<12} {subject:<20} {result}   ({:.1} s)", took.as_secs_f64());
    let result: Value = serde_json::from_str(result).context("a measurement's result")?;
    let Value::Object(fields) = result else { bail!("a measurement's result is no object") };
    for (name, value) in fields {
        if let Some(number) = value.as_f64() {
            figures.add(what, subject, &name, number);
        }
    }
    Ok(())
}

impl Options {
    fn parse(words: &[String]) -> Result<Self> {
        let mut options =
            Self { runs: 5, json: None, svg: None, only: Vec::new(), keep_user: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--keep-user" {
                options.keep_user = true;
                continue;
            }
            let value = words.next().with_context(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--runs" => {
                    options.runs = value.parse().context("--runs needs a number")?;
                    ensure!(options.runs > 0, "--runs needs at least 1");
                }
                "--json" => options.json = Some(PathBuf::from(value)),
                "--svg" => options.svg = Some(PathBuf::from(value)),
                "--only" => options.only.push(value.clone()),
                other => bail!("there is no option {other}; see --help"),
            }
        }
        let known = Subject::ALL.map(Subject::name);
        for name in &options.only {
            let right =
                known.contains(&name.as_str()) || ["loss", "left-behind"].contains(&&**name);
            ensure!(right, "--only {name}: expected {}, loss or left-behind", known.join(", "));
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}
