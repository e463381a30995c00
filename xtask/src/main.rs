//! What a developer of standin runs: `cargo xtask ci`, `cargo xtask lab`,
//! `cargo xtask sim`, `cargo xtask bench`, `cargo xtask fuzz`.
//!
//! This room owns the order of the checks and the way they are started. It never checks a promise
//! itself: tests do that, in the package whose promise it is. Nothing here is shipped.

mod ci;
mod counts;
mod deb;
mod docs;
mod faults;
#[path = "../../lab/src/fences.rs"]
mod fences;
mod fuzz;
mod machine;
mod man;
mod model;
mod mutants;
mod rpm;
mod sim;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::workspace::Workspace;

/// What a developer of standin runs.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Every check, in order, up to the first failure.
    Ci(ci::Options),
    /// Lab cases in network namespaces of their own; without arguments, all of them.
    Lab(LabOptions),
    /// Measurements beside the article's script, ucarp and keepalived; and of the page.
    Bench(BenchOptions),
    /// Seeds in the simulator, or faults planted to see whether it finds them.
    Sim(sim::Options),
    /// The models of the lease, searched by spin, with and without its rules.
    Model(model::Options),
    /// Any bytes whatever into parsers and nodes, under libFuzzer.
    Fuzz(fuzz::Options),
    /// Small faults in the core, one at a time: do its tests notice?
    Mutants(mutants::Options),
    /// The checks of README.md and docs/ alone; with --update the tables of keys are written first.
    Docs(DocsOptions),
    /// Manual pages and completions, from the command line and docs/CONFIGURATION.md.
    Man,
    /// The Debian package; with --test its whole life, with systemd.
    Deb(deb::Options),
    /// The RPM package, and whether it has everything that the Debian package has.
    Rpm,
}

#[derive(Args)]
struct LabOptions {
    /// Handed to the lab as they are: case names, `--list` and so on.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

#[derive(Args)]
struct DocsOptions {
    /// Write the tables of keys in docs/CONFIGURATION.md anew, from the program's own.
    #[arg(long)]
    update: bool,
}

/// What the lab takes behind the name of a benchmark.
const BENCH_HELP: &str = "\
Options of counts, the instructions of the core's most used paths:
      --update         write the budget that they are held to

Options of failover, cluster, alarms, scale, cost and page:
      --quick          few and short runs
      --runs <N>       runs of each measurement, the systems in turn
      --json <FILE>    every run's numbers
      --svg <FILE>     a chart (not of page)
      --record         tables, numbers and chart go into docs/
      --only <NAME>    this part alone; may be repeated

What they measure, their runs (with --quick) and what --only may name:
      failover         the article's job; 5 (1): a system, loss, left-behind
      cluster          a cluster of two, and of 64; 5 (1): power-off, moves, steady, drain,
                       stop, restart, killed, hung, renewals, nodes, loss, busy
      alarms           moves while nobody is dead; 1 (1): loss-0 to loss-40, burst-9,
                       burst-18, burst-26, busy, memory, arp, forged
      scale            the fastest settings, and thousands of addresses; 50 (5):
                       power-off, claim
      cost             processor, memory, frames, detection as it grows; 1 (1): nodes,
                       vips, checks, dead, singles
      page             the page's weight and first paint, and what scrapes cost; 1 (1):
                       paint, flood, scrape

Options of cluster, alarms and cost:
      --seconds <S>    how long what lasts is measured: cluster's loss 600 (18) and half of
                       it for busy, alarms 20 (4), cost 10 (3)
      --minutes <M>    the same in minutes

`all` runs every one of these six with --record. It takes --quick, and --no-record, which
only prints.";

#[derive(Args)]
#[command(after_help = BENCH_HELP)]
struct BenchOptions {
    /// Handed to the lab as they are, e.g. `failover --runs 5`, `cluster --quick` or `all`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let workspace = Workspace::find()?;
    match cli.task {
        Task::Ci(options) => ci::run(&workspace, &options),
        Task::Lab(options) => {
            workspace.build_release()?;
            let all = vec!["all".to_owned()];
            workspace.lab(if options.arguments.is_empty() { &all } else { &options.arguments })
        }
        Task::Bench(options) if options.arguments.first().is_some_and(|a| a == "counts") => {
            counts::run(&workspace, &options.arguments[1..])
        }
        Task::Bench(options) => {
            workspace.build_release()?;
            let mut arguments = vec!["bench".to_owned()];
            arguments.extend(options.arguments);
            workspace.lab(&arguments)
        }
        Task::Sim(options) => sim::run(&workspace, &options),
        Task::Model(options) => model::run(&workspace, &options),
        Task::Fuzz(options) => fuzz::run(&workspace, &options),
        Task::Mutants(options) => mutants::run(&workspace, &options),
        Task::Docs(options) => {
            if options.update {
                man::update_reference(&workspace)?;
            }
            docs::check(&workspace)
        }
        Task::Man => man::write(&workspace).map(drop),
        Task::Deb(options) => deb::run(&workspace, &options),
        Task::Rpm => rpm::run(&workspace),
    }
}
