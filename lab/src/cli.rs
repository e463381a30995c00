//! The command line of the lab.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::bench;
use crate::cases::{self, Case};
use crate::runner::{self, Plan};
use crate::sandbox;
use crate::story::Lab;

const USAGE: &str = "\
standin-lab: the real standin against real kernels and real peers, in namespaces of its own

  standin-lab all [OPTIONS]            every case
  standin-lab run NAME… [OPTIONS]      the cases whose names contain NAME
  standin-lab list                     their names
  standin-lab bench NAME [--quick] [--runs N] [--seconds S] [--json FILE] [--svg FILE]
                         [--record] [--only PART]…
                                       failover, cluster, alarms, scale, cost, page, or all

Options:
  --jobs N        cases at a time (default 2); those that measure time run alone all the same
  --repeat N      everything so often (default 1)
  --verbose       the story of every case, not only of those that fail
  --keep-user     as root: no user namespace

The binary under test is that of STANDIN_BIN, or the one beside this program.";

/// Where Debian puts administrators' programs, which an ordinary user's PATH leaves out.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The program.
pub fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("standin-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[String]) -> Result<ExitCode> {
    let Some((first, rest)) = words.split_first() else {
        println!("{USAGE}");
        return Ok(ExitCode::from(64));
    };
    match first.as_str() {
        sandbox::OUTER => sandbox::outer(rest),
        sandbox::INNER => inner(rest),
        bench::hardship::EATER => bench::hardship::eat(rest).map(|()| ExitCode::SUCCESS),
        "list" => {
            for case in cases::all() {
                println!("{:<34} {}", case.name, case.about);
            }
            Ok(ExitCode::SUCCESS)
        }
        "all" => {
            let (names, plan) = options(rest)?;
            anyhow::ensure!(names.is_empty(), "`all` takes no names; `run` does");
            ready()?;
            runner::run(&cases::all(), &plan)
        }
        "run" => {
            let (names, plan) = options(rest)?;
            ready()?;
            runner::run(&chosen(&names)?, &plan)
        }
        "bench" => {
            ready()?;
            bench::run(rest)
        }
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("there is no command {other:?}; see --help"),
    }
}

/// Before any thread starts: the binary is there, and the programs of administrators are found.
fn ready() -> Result<()> {
    let binary = standin()?;
    anyhow::ensure!(
        binary.is_file(),
        "{} is not there; build it with `cargo build --release --package standin`, or name it by \
         STANDIN_BIN",
        binary.display()
    );
    Ok(())
}

/// The PATH for whatever the lab starts.
pub fn search_path() -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).chain(SYSTEM_DIRECTORIES.iter().map(PathBuf::from));
    std::env::join_paths(all).unwrap_or(path)
}

fn standin() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("STANDIN_BIN") {
        return std::path::absolute(PathBuf::from(named)).context("STANDIN_BIN");
    }
    let myself = std::env::current_exe().context("where this program is")?;
    Ok(myself.with_file_name("standin"))
}

fn chosen(names: &[String]) -> Result<Vec<Case>> {
    anyhow::ensure!(!names.is_empty(), "name a case, or say `all`; `list` lists them");
    let mut found = Vec::new();
    for name in names {
        let all = cases::all();
        let exact: Vec<Case> = all.iter().filter(|case| case.name == *name).copied().collect();
        let part: Vec<Case> = all.iter().filter(|case| case.name.contains(name)).copied().collect();
        let matching = if exact.is_empty() { part } else { exact };
        anyhow::ensure!(!matching.is_empty(), "no case is called {name:?}; `list` lists them");
        found.extend(matching);
    }
    Ok(found)
}

fn options(words: &[String]) -> Result<(Vec<String>, Plan)> {
    let mut names = Vec::new();
    let mut plan = Plan { jobs: 2, repeat: 1, verbose: false, keep_user: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || -> Result<usize> {
            let text = words.next().with_context(|| format!("{word} needs a number"))?;
            text.parse().with_context(|| format!("{word} needs a number, not {text:?}"))
        };
        match word.as_str() {
            "--jobs" => plan.jobs = number()?.max(1),
            "--repeat" => plan.repeat = number()?.max(1),
            "--verbose" => plan.verbose = true,
            "--keep-user" => plan.keep_user = true,
            flag if flag.starts_with('-') => bail!("there is no option {flag}; see --help"),
            name => names.push(name.to_owned()),
        }
    }
    Ok((names, plan))
}

/// Runs one case, or one measurement, inside the namespaces.
fn inner(words: &[String]) -> Result<ExitCode> {
    let (name, rest) = words.split_first().context("which case?")?;
    sandbox::prepare_files()?;
    let lab = Lab::new(standin()?);
    let outcome = match cases::all().into_iter().find(|case| case.name == *name) {
        Some(case) => (case.run)(&lab),
        None => bench::measure(&lab, name, rest),
    };
    let Err(error) = outcome else { return Ok(ExitCode::SUCCESS) };
    println!("\nfailed: {error:#}\n");
    lab.print_logs();
    Ok(ExitCode::FAILURE)
}
