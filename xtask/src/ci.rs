//! `cargo xtask ci`: every check, in order, up to the first failure.
//!
//! Owns the list of steps, their selection and the summary. A step is a name and a function; it
//! never knows of the others. Dependencies are compiled once for the tests (dev profile), once for
//! the binary the lab runs (release), and only checked by clippy.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace::{self, Workspace};
use crate::{counts, deb, docs, machine, model, sim};

/// Which steps to run.
#[derive(Args)]
pub struct Options {
    /// Run this step only (repeatable).
    #[arg(long, value_name = "STEP", conflicts_with = "from")]
    only: Vec<String>,
    /// Start at this step.
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
    /// Leave this step out (repeatable).
    #[arg(long, value_name = "STEP")]
    skip: Vec<String>,
    /// Name the steps and stop.
    #[arg(long)]
    list: bool,
}

/// How a step that did not fail ended.
enum Outcome {
    Passed,
    /// Not run, and why.
    Skipped(&'static str),
}

struct Step {
    name: &'static str,
    about: &'static str,
    /// Run only when named by `--only`.
    on_request: bool,
    run: fn(&Workspace) -> Result<Outcome>,
}

const STEPS: &[Step] = &[
    Step {
        name: "machine",
        about: "programs and toolchain components; installs what is missing, as root",
        on_request: false,
        run: |workspace| passed(machine::prepare(workspace)),
    },
    Step {
        name: "fmt",
        about: "every file as rustfmt writes it",
        on_request: false,
        run: |workspace| passed(workspace.cargo(&["fmt", "--all", "--check"])),
    },
    Step {
        name: "clippy",
        about: "no warning from rustc or clippy, in any target",
        on_request: false,
        run: |workspace| {
            passed(workspace.cargo(&[
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]))
        },
    },
    Step {
        name: "no-os",
        about: "the core, built for a target without an operating system, where one is installed",
        on_request: false,
        run: without_operating_system,
    },
    Step {
        name: "release",
        about: "the binary that the lab and the documentation's checks run, and the lab",
        on_request: false,
        run: |workspace| passed(workspace.build_release()),
    },
    Step {
        name: "deny",
        about: "licences, banned crates and sources of every dependency",
        on_request: false,
        run: |workspace| {
            cargo_deny(workspace)?;
            passed(workspace.cargo(&["deny", "check", "bans", "licenses", "sources"]))
        },
    },
    Step {
        name: "docs",
        about: "rustdoc without a warning; commands, flags and links in README.md and docs/",
        on_request: false,
        run: documentation,
    },
    Step {
        name: "test",
        about: "unit and integration tests of every package, and the rules of the house",
        on_request: false,
        run: |workspace| passed(workspace.cargo(&["test", "--locked", "--workspace"])),
    },
    Step {
        name: "counts",
        about: "instructions of the core's most used paths, within their budget",
        on_request: false,
        run: |workspace| passed(counts::run(workspace, &[])),
    },
    Step {
        name: "model",
        about: "models of the lease searched by spin, with and without its rules",
        on_request: false,
        run: |workspace| {
            passed(model::run(workspace, &model::Options { long: false, only: Vec::new() }))
        },
    },
    Step {
        name: "sim",
        about: "ten thousand seeds in the simulator, and a thousand of them twice more",
        on_request: false,
        run: |workspace| {
            // That a seed comes out alike shows as well in a part of them.
            sim::seeds(workspace, &["--seeds", "1000"].map(str::to_owned))?;
            passed(sim::seeds(workspace, &["--seeds", "10000", "--once"].map(str::to_owned)))
        },
    },
    Step {
        name: "lab",
        about: "the release binary against real kernels, in network namespaces of their own",
        on_request: false,
        run: |workspace| passed(workspace.lab(&["all".to_owned()])),
    },
    Step {
        name: "deb",
        about: "the Debian package's whole life with a real systemd; needs root, so only on request",
        on_request: true,
        run: |workspace| passed(deb::run(workspace, &deb::Options { test: true })),
    },
    Step {
        name: "advisories",
        about: "known vulnerabilities; fetches the RustSec database, so only on request",
        on_request: true,
        run: advisories,
    },
];

/// Runs the chosen steps and prints the summary, whatever the end.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.list {
        for step in STEPS {
            println!("{:<11} {}", step.name, step.about);
        }
        return Ok(());
    }
    let chosen = choose(options)?;
    let mut summary = Summary { chosen: chosen.len(), ended: Vec::new() };
    for (index, step) in chosen.iter().enumerate() {
        println!("\n==> {} ({} of {}): {}", step.name, index + 1, chosen.len(), step.about);
        let begun = Instant::now();
        let result = (step.run)(workspace);
        let (end, note) = match &result {
            Ok(Outcome::Passed) => ("passed", ""),
            Ok(Outcome::Skipped(why)) => ("skipped", *why),
            Err(_) => ("failed", ""),
        };
        let line = format!("{:<11} {end:<8} {:>8}  {note}", step.name, spent(begun.elapsed()));
        println!("<== {}", line.trim_end());
        summary.ended.push((end, line));
        if let Err(error) = result {
            summary.print();
            return Err(error.context(again(step)));
        }
    }
    summary.print();
    Ok(())
}

fn again(step: &Step) -> String {
    let again =
        format!("step {0} failed; run it again with `cargo xtask ci --only {0}`", step.name);
    if step.on_request {
        return again;
    }
    format!("{again}, or go on from there with `cargo xtask ci --from {}`", step.name)
}

fn choose(options: &Options) -> Result<Vec<&'static Step>> {
    for name in options.only.iter().chain(&options.from).chain(&options.skip) {
        position(name)?;
    }
    let first = options.from.as_deref().map_or(Ok(0), position)?;
    let wanted = |step: &Step| {
        let named = options.only.iter().any(|name| name == step.name);
        let left_out = options.skip.iter().any(|name| name == step.name);
        !left_out && (named || (options.only.is_empty() && !step.on_request))
    };
    let chosen: Vec<&Step> = STEPS[first..].iter().filter(|step| wanted(step)).collect();
    if chosen.is_empty() {
        bail!("no step is left to run");
    }
    Ok(chosen)
}

fn position(name: &str) -> Result<usize> {
    STEPS.iter().position(|step| step.name == name).with_context(|| {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        format!("there is no step {name:?}; the steps are {}", names.join(", "))
    })
}

/// The steps that ran: how each ended, and its line.
struct Summary {
    chosen: usize,
    ended: Vec<(&'static str, String)>,
}

impl Summary {
    fn print(&self) {
        println!("\n==> summary");
        for (_, line) in &self.ended {
            println!("    {}", line.trim_end());
        }
        let count = |end| self.ended.iter().filter(|(ended, _)| *ended == end).count();
        println!(
            "    steps: {} passed, {} failed, {} skipped, {} not reached",
            count("passed"),
            count("failed"),
            count("skipped"),
            self.chosen - self.ended.len()
        );
    }
}

fn spent(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} m {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

fn passed(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Passed)
}

/// Purity checked by the compiler: without an operating system there is no clock and no socket to
/// reach for. `no_std` alone checks the core's own code; this checks its dependencies as well.
fn without_operating_system(workspace: &Workspace) -> Result<Outcome> {
    let listed = workspace.command("rustup").args(["target", "list", "--installed"]).output();
    let Ok(listed) = listed else {
        return Ok(Outcome::Skipped("no rustup to ask for targets; `no_std` still holds"));
    };
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let bare = |target: &&str| target.split('-').any(|part| part == "none");
    let Some(target) = listed.lines().find(bare) else {
        return Ok(Outcome::Skipped("`rustup target add x86_64-unknown-none` enables it"));
    };
    passed(workspace.cargo(&["build", "--locked", "--package", "standin-core", "--target", target]))
}

fn cargo_deny(workspace: &Workspace) -> Result<()> {
    let cargo = workspace::cargo();
    let version = workspace.command(&cargo).args(["deny", "--version"]).output();
    if version.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    workspace.cargo(&["install", "cargo-deny", "--locked"])
}

/// Two commands, so that a missing network and a vulnerable dependency are not mistaken for each other.
fn advisories(workspace: &Workspace) -> Result<Outcome> {
    cargo_deny(workspace)?;
    let fetched = workspace.cargo(&["deny", "fetch", "db"]);
    fetched.context("the RustSec database is out of reach; this step needs the network")?;
    passed(workspace.cargo(&["deny", "check", "--disable-fetch", "advisories"]))
}

fn documentation(workspace: &Workspace) -> Result<Outcome> {
    let mut command = workspace.command(&workspace::cargo());
    command.args(["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
    workspace::run(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    passed(docs::check(workspace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], from: Option<&str>, skip: &[&str]) -> Result<Vec<&'static str>> {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let options = Options {
            only: owned(only),
            from: from.map(str::to_owned),
            skip: owned(skip),
            list: false,
        };
        Ok(choose(&options)?.iter().map(|step| step.name).collect())
    }

    #[test]
    fn everything_runs_but_what_is_on_request() {
        let all = names(&[], None, &[]).expect("the plain selection");
        assert_eq!(all.first(), Some(&"machine"));
        assert_eq!(all.len(), STEPS.iter().filter(|step| !step.on_request).count());
        assert!(!all.contains(&"advisories") && !all.contains(&"deb"));
    }

    #[test]
    fn steps_are_chosen_in_their_own_order() {
        let only = names(&["docs", "advisories", "fmt"], None, &[]);
        assert_eq!(only.expect("three steps"), ["fmt", "docs", "advisories"]);
        let rest = names(&[], Some("model"), &["sim"]);
        assert_eq!(rest.expect("two steps are left"), ["model", "lab"]);
    }

    #[test]
    fn a_wrong_or_empty_choice_is_an_error() {
        let unknown = names(&[], None, &["labs"]).expect_err("no such step").to_string();
        assert!(unknown.contains("\"labs\"") && unknown.contains("lab, deb"), "{unknown}");
        assert!(names(&["docs"], None, &["docs"]).is_err());
    }
}
