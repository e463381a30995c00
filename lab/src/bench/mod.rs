//! `cargo xtask bench`: our figures beside those of the systems people use today, in one set-up.
//!
//! Owns which benchmarks there are, the running of one measurement, and `bench failover`; every
//! other benchmark has a room of its own. Each measurement runs in a sandbox of its own and gives one
//! line of JSON; nothing else runs meanwhile. The machine is never as quiet as one would wish, so the
//! subjects take turns, and medians and ratios count.

mod alarms;
mod all;
mod chart;
mod cluster;
mod cost;
pub mod hardship;
mod lines;
mod measure;
mod options;
mod page;
mod record;
mod report;
mod scale;
mod subject;
mod table;
pub mod usage;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::runner::Sandboxed;
use crate::story::Lab;
use options::{Options, Words};
use record::{record, write_down};
use report::{Figures, Machine};
use subject::Subject;

/// What stands before a measurement's result on its standard output.
const RESULT: &str = "RESULT ";
/// `standin` alone is measured under loss: so many times, since each takes a minute.
const LOSS_RUNS: usize = 1;
/// A measurement of `failover` that is not done by then hangs.
const LONGEST: Duration = Duration::from_mins(4);
/// Lines from the beginning of what a failed measurement says, and from its end.
const TOLD_OF_A_FAILURE: usize = 40;
/// Those that stand in the documentation with tables that are written by `--record`.
const RECORDED: [&str; 6] =
    ["failover", cluster::NAME, alarms::NAME, scale::NAME, cost::NAME, page::NAME];

/// Runs a benchmark.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let Some((which, rest)) = words.split_first() else {
        bail!("which benchmark? {} or all", RECORDED.join(", "))
    };
    match which.as_str() {
        "failover" => failover(rest),
        cluster::NAME => cluster::run(rest),
        alarms::NAME => alarms::run(rest),
        scale::NAME => scale::run(rest),
        cost::NAME => cost::run(rest),
        page::NAME => page::run(rest),
        "all" => all::run(rest),
        _ => bail!("there is no benchmark {which:?}; there are {} and all", RECORDED.join(", ")),
    }
}

/// One measurement, inside its sandbox.
pub fn measure(lab: &Lab, what: &str, rest: &[String]) -> Result<()> {
    match what {
        cluster::NAME => cluster::measure(lab, rest),
        alarms::NAME => alarms::measure(lab, rest),
        scale::NAME => scale::measure(lab, rest),
        cost::NAME => cost::measure(lab, rest),
        page::NAME => page::measure(lab, rest),
        _ => measure::measure(lab, what, rest),
    }
}

fn failover(words: &[String]) -> Result<ExitCode> {
    let mut parts = Subject::ALL.map(Subject::name).to_vec();
    parts.extend(["loss", "left-behind"]);
    let known = Words { benchmark: "failover", runs: (5, 1), lasting: None, parts };
    let options = Options::parse(words, &known)?;
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
    let text = report::text(&figures, &machine);
    let json = report::json(&figures, &machine, report::AIMS);
    publish(&options, "failover", &text, &json, &chart::failover(&figures, &machine))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what was measured, and puts it wherever it is wanted.
fn publish(options: &Options, name: &str, text: &str, json: &Value, svg: &str) -> Result<()> {
    print!("{text}");
    write_down(options.json.as_deref(), &format!("{json:#}\n"))?;
    write_down(options.svg.as_deref(), svg)?;
    if options.record { record(name, text) } else { Ok(()) }
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
        let lines: Vec<&str> = output.lines().collect();
        let (first, last) = lines.split_at(lines.len().min(TOLD_OF_A_FAILURE));
        let left_out = last.len().saturating_sub(TOLD_OF_A_FAILURE);
        for line in first {
            println!("    | {line}");
        }
        if left_out > 0 {
            println!("    | ({left_out} lines are left out)");
        }
        for line in last.iter().skip(left_out) {
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
