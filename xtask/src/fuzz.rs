//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, on the stable toolchain.
//!
//! Owns the flags of the instrumented build, the run of each target and the record of it. Never
//! knows what a target does. Invariant: what is recorded was run, and what failed is kept in a file
//! and named; a find ends the record of its target.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::workspace::{self, Workspace};

/// What to run.
#[derive(Args)]
pub struct Options {
    /// This target only; without it, all of them in turn.
    target: Option<String>,
    /// How long each runs, after its corpus was read.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Add what was run to docs/FUZZING.md.
    #[arg(long)]
    record: bool,
    /// Keep the smallest inputs that reach everything in `fuzz/corpus`, to be committed.
    #[arg(long)]
    keep: bool,
}

/// Coverage as libFuzzer wants it, from the compiler's own passes: no flag of the nightly toolchain
/// is among them.
const FLAGS: &[&str] = &[
    "--cfg fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// What one target may have of the committed corpus, so that all of it stays below 1 MiB.
const KEPT_BYTES_MOST: u64 = 32 << 10;
/// And in how many files.
const KEPT_FILES_MOST: usize = 150;
/// An input that takes longer than this is a finding.
const INPUT_SECONDS_MOST: u32 = 120;
const RECORD: &str = "docs/FUZZING.md";

/// A target as `standin-fuzz list` names it.
struct Target {
    name: String,
    longest: String,
    about: String,
}

/// How a run of a target ended.
struct Ended {
    seconds: u64,
    executions: u64,
    /// The last words of one that found something.
    found: Option<String>,
}

/// Builds, runs, keeps and records.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let targets = targets(workspace)?;
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    if let Some(name) = &options.target {
        ensure!(
            names.contains(&name.as_str()),
            "there is no target {name:?}; the targets are {}",
            names.join(", ")
        );
    }
    let ground = Ground::build(workspace)?;
    let mut failed = Vec::new();
    for target in &targets {
        if options.target.as_ref().is_some_and(|name| *name != target.name) {
            continue;
        }
        let ended = ground.run(target, options.seconds)?;
        println!("    {:<11} {:>6} s {:>12} inputs", target.name, ended.seconds, ended.executions);
        if let Some(words) = ended.found {
            println!("{words}");
            failed.push(target.name.as_str());
            if options.record {
                record(workspace, target, None)?;
            }
            continue;
        }
        if options.keep {
            ground.keep(target)?;
        }
        if options.record {
            record(workspace, target, Some(&ended))?;
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("something was found by: {}", failed.join(", ")) }
}

fn tool(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = workspace.command(&workspace::cargo());
    command.args(["run", "--quiet", "--locked", "--package", "standin-fuzz", "--"]);
    command.args(arguments);
    command
}

fn targets(workspace: &Workspace) -> Result<Vec<Target>> {
    let output = tool(workspace, &["list"]).output().context("cargo run")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "standin-fuzz does not build:\n{said}");
    let listed = String::from_utf8(output.stdout).context("a list of targets is text")?;
    let rows = listed.lines().map(|line| {
        let mut cells = line.split('\t').map(str::to_owned);
        let mut cell = || cells.next().context("a target has three cells");
        Ok(Target { name: cell()?, longest: cell()?, about: cell()? })
    });
    rows.collect()
}

/// The instrumented binary, and where what it finds is put.
struct Ground<'w> {
    workspace: &'w Workspace,
    root: PathBuf,
    binary: PathBuf,
}

impl<'w> Ground<'w> {
    fn build(workspace: &'w Workspace) -> Result<Self> {
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
        let found = Command::new(&compiler).arg("--version").output();
        ensure!(
            found.is_ok_and(|output| output.status.success()),
            "libFuzzer is built from its source and needs a C++ compiler; `{compiler}` does not \
             run. On Debian: apt-get install g++"
        );
        let host = host(workspace)?;
        let root = workspace.target().join("fuzz");
        let mut command = workspace.command(&workspace::cargo());
        // With a target named, build scripts and macros are not instrumented.
        command.args(["build", "--release", "--target", &host, "--manifest-path"]);
        command.arg("fuzz/libfuzzer/Cargo.toml");
        command.env("CARGO_TARGET_DIR", &root).env("RUSTFLAGS", FLAGS.join(" "));
        workspace::run(&mut command)
            .context("the targets could not be built with instrumentation")?;
        let binary = root.join(host).join("release/standin-libfuzzer");
        Ok(Self { workspace, root, binary })
    }

    /// `work` for what is found, `kept` for what is minimised, `artifacts` for what fails.
    fn directory(&self, target: &Target, what: &str) -> Result<PathBuf> {
        let directory = self.root.join("runs").join(&target.name).join(what);
        fs::create_dir_all(&directory).with_context(|| format!("{}", directory.display()))?;
        Ok(directory)
    }

    fn committed(&self, target: &Target) -> Result<PathBuf> {
        let directory = self.workspace.root().join("fuzz/corpus").join(&target.name);
        fs::create_dir_all(&directory).with_context(|| format!("{}", directory.display()))?;
        Ok(directory)
    }

    fn fuzzer(&self, target: &Target, log: &Path) -> Result<Command> {
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(&self.binary);
        command.env("STANDIN_FUZZ_TARGET", &target.name).env("RUST_BACKTRACE", "0");
        let prefix = self.directory(target, "artifacts")?;
        command.arg(format!("-artifact_prefix={}/", prefix.display()));
        command.arg(format!("-timeout={INPUT_SECONDS_MOST}"));
        command.arg(format!("-max_len={}", target.longest));
        let log = File::create(log).with_context(|| format!("create {}", log.display()))?;
        command.stdout(log.try_clone().context("a second way to the log")?).stderr(log);
        Ok(command)
    }

    fn run(&self, target: &Target, seconds: u64) -> Result<Ended> {
        let seeds = self.directory(target, "seeds")?;
        let written = tool(self.workspace, &["seeds", &target.name]).arg(&seeds).status();
        ensure!(written.context("cargo run")?.success(), "no seeds of {}", target.name);
        let log = self.root.join(format!("{}.log", target.name));
        let mut command = self.fuzzer(target, &log)?;
        command.args(["-print_final_stats=1", &format!("-max_total_time={seconds}")]);
        command.arg(self.directory(target, "work")?).arg(self.committed(target)?).arg(seeds);
        let begun = Instant::now();
        let status = command.status().context("nice")?;
        let seconds = begun.elapsed().as_secs();
        let said = fs::read(&log).with_context(|| format!("read {}", log.display()))?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let found = (!status.success()).then(|| last_words(&said, &log));
        Ok(Ended { seconds, executions: executions(&said), found })
    }

    /// Minimises everything that is known into the committed corpus.
    fn keep(&self, target: &Target) -> Result<()> {
        let kept = self.directory(target, "kept")?;
        fs::remove_dir_all(&kept).context("empty the minimised corpus")?;
        fs::create_dir_all(&kept).context("empty the minimised corpus")?;
        let log = self.root.join(format!("{}-merge.log", target.name));
        let mut command = self.fuzzer(target, &log)?;
        command.args(["-set_cover_merge=1"]).arg(&kept).arg(self.committed(target)?);
        command.arg(self.directory(target, "work")?).arg(self.directory(target, "seeds")?);
        ensure!(command.status().context("nice")?.success(), "see {}", log.display());
        let mut inputs = Vec::new();
        for entry in kept.read_dir().context("read the minimised corpus")? {
            let entry = entry.context("read the minimised corpus")?;
            inputs.push((entry.metadata().context("an input")?.len(), entry.path()));
        }
        inputs.sort();
        let committed = self.committed(target)?;
        fs::remove_dir_all(&committed).context("replace the corpus")?;
        fs::create_dir_all(&committed).context("replace the corpus")?;
        let mut room = KEPT_BYTES_MOST;
        for (length, input) in inputs.into_iter().take(KEPT_FILES_MOST) {
            let Some(left) = room.checked_sub(length) else { break };
            room = left;
            let name = input.file_name().context("an input has a name")?;
            fs::copy(&input, committed.join(name)).context("keep an input")?;
        }
        Ok(())
    }
}

/// The target triple of this machine.
fn host(workspace: &Workspace) -> Result<String> {
    let output = workspace.command("rustc").arg("-vV").output().context("rustc -vV")?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc names no host")
}

fn executions(said: &str) -> u64 {
    let line = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// What went wrong, and the file with which it does again.
fn last_words(said: &str, log: &Path) -> String {
    let telling = |line: &&str| {
        line.contains("panicked at") || line.contains("ERROR") || line.contains("Test unit written")
    };
    let mut words = String::new();
    let lines: Vec<&str> = said.lines().collect();
    for (place, _) in lines.iter().enumerate().filter(|(_, line)| telling(line)) {
        for line in lines[place..].iter().take(2) {
            let _ = writeln!(words, "        {line}");
        }
    }
    let _ = write!(words, "        all of it: {}", log.display());
    words
}

/// Adds a run of a target to its row; one that found something (`None`) ends the row.
fn record(workspace: &Workspace, target: &Target, ended: Option<&Ended>) -> Result<()> {
    let head = workspace.command("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = String::from_utf8_lossy(&head.context("git")?.stdout).trim().to_owned();
    let path = workspace.root().join(RECORD);
    let page = fs::read_to_string(&path).with_context(|| format!("read {RECORD}"))?;
    let before = page.lines().find_map(|line| Row::parse(line, &target.name)).unwrap_or_default();
    let row = ended.map(|ended| before.and(ended, &commit).shown(target));
    fs::write(&path, with_row(&page, &target.name, row.as_deref())?)
        .with_context(|| format!("write {RECORD}"))
}

/// All recorded runs of a target since it last found something.
#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    seconds: u64,
    executions: u64,
    /// The first and the last, which may be the same.
    commits: Option<(String, String)>,
}

impl Row {
    /// Reads `| `name` | about | seconds | inputs | commits |`.
    fn parse(line: &str, name: &str) -> Option<Self> {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        if cells.next()? != format!("`{name}`") {
            return None;
        }
        let mut cells = cells.skip(1);
        let (seconds, executions) = (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
        let commits = cells.next()?;
        let (first, last) = commits.split_once(" to ").unwrap_or((commits, commits));
        Some(Self { seconds, executions, commits: Some((first.to_owned(), last.to_owned())) })
    }

    /// With one more run.
    fn and(self, ended: &Ended, commit: &str) -> Self {
        let first = self.commits.map_or_else(|| commit.to_owned(), |(first, _)| first);
        Self {
            seconds: self.seconds + ended.seconds,
            executions: self.executions + ended.executions,
            commits: Some((first, commit.to_owned())),
        }
    }

    fn shown(&self, target: &Target) -> String {
        let Target { name, about, .. } = target;
        let Self { seconds, executions, commits } = self;
        let commits = match commits {
            Some((first, last)) if first == last => first.clone(),
            Some((first, last)) => format!("{first} to {last}"),
            None => String::new(),
        };
        format!("| `{name}` | {about} | {seconds} | {executions} | {commits} |")
    }
}

/// The page with the row of this target replaced, added behind the last, or taken away.
fn with_row(page: &str, name: &str, row: Option<&str>) -> Result<String> {
    let mut lines: Vec<&str> = page.lines().collect();
    let begins = format!("| `{name}` |");
    let known = lines.iter().position(|line| line.starts_with(&begins));
    match (known, row) {
        (Some(place), Some(row)) => lines[place] = row,
        (Some(place), None) => {
            lines.remove(place);
        }
        (None, Some(row)) => {
            let head = lines.iter().position(|line| line.starts_with("| target |"));
            let head = head.with_context(|| format!("{RECORD} has no table of targets"))?;
            let rows = lines[head..].iter().take_while(|line| line.starts_with('|')).count();
            lines.insert(head + rows, row);
        }
        (None, None) => {}
    }
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# x\n\n| target | s |\n|---|---|\n| `arp` | old |\n\nEnd\n";

    #[test]
    fn a_row_is_replaced_or_added() {
        let replaced = with_row(PAGE, "arp", Some("| `arp` | new |")).expect("a table");
        assert_eq!(replaced, PAGE.replace("old", "new"));
        let added = with_row(PAGE, "ndp", Some("| `ndp` | 1 |")).expect("a table");
        assert!(added.contains("| `arp` | old |\n| `ndp` | 1 |\n\nEnd\n"), "{added}");
        assert_eq!(with_row(&added, "ndp", None).expect("a table"), PAGE, "it found something");
        assert_eq!(with_row(PAGE, "ndp", None).expect("a table"), PAGE);
        assert!(with_row("nothing", "arp", Some("")).is_err());
    }

    #[test]
    fn runs_of_one_target_add_up() {
        let target = Target { name: "arp".into(), longest: "9".into(), about: "frames".into() };
        let ended = |seconds| Ended { seconds, executions: seconds * 1000, found: None };
        let first = Row::default().and(&ended(60), "aaa");
        assert_eq!(first.shown(&target), "| `arp` | frames | 60 | 60000 | aaa |");
        let read = Row::parse(&first.shown(&target), "arp").expect("a row");
        assert_eq!(read, first);
        let again = read.and(&ended(5), "aaa").and(&ended(5), "bbb");
        assert_eq!(again.shown(&target), "| `arp` | frames | 70 | 70000 | aaa to bbb |");
        let third = Row::parse(&again.shown(&target), "arp").expect("a row").and(&ended(1), "ccc");
        assert_eq!(third.shown(&target), "| `arp` | frames | 71 | 71000 | aaa to ccc |");
        assert_eq!(Row::parse("| `ndp` | frames | 1 | 1 | aaa |", "arp"), None);
        assert_eq!(Row::parse("| target | asserts | seconds | inputs | commit |", "arp"), None);
    }

    #[test]
    fn the_number_of_inputs_is_read() {
        let said = "#7 DONE\nstat::number_of_executed_units: 1234\nstat::average: 1\n";
        assert_eq!(executions(said), 1234);
        assert_eq!(executions("nothing"), 0);
    }
}
