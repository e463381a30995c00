//! `cargo xtask model`: the models of `models/`, searched by spin from end to end.
//!
//! Owns the list of searches, their bounds, and what each has to find. Never believes a search that
//! did not come to its end. Invariant: for each rule there is a search without it, which has to find
//! two holders; where it finds none the model no longer says anything, and that is a failure.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::workspace::Workspace;

/// Which searches to run.
#[derive(Args)]
pub struct Options {
    /// The larger bounds as well; takes minutes and up to 3 GB.
    #[arg(long)]
    pub long: bool,
    /// Only searches whose name contains this (repeatable).
    #[arg(long, value_name = "WORD")]
    pub only: Vec<String>,
}

/// What a search has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Never two, in any state that can be reached.
    Never,
    /// Two holders: a rule was left out.
    Two,
}

/// One search.
#[derive(Clone, Copy)]
struct Search {
    name: &'static str,
    file: &'static str,
    /// Given to the model: its bounds, and the rules that it leaves out.
    defines: &'static [&'static str],
    expected: Expected,
    long: bool,
}

const fn never(name: &'static str, file: &'static str, defines: &'static [&'static str]) -> Search {
    Search { name, file, defines, expected: Expected::Never, long: false }
}

const fn two(name: &'static str, file: &'static str, defines: &'static [&'static str]) -> Search {
    Search { name, file, defines, expected: Expected::Two, long: false }
}

const fn long(search: Search) -> Search {
    Search { long: true, ..search }
}

const LEASE: &str = "lease.pml";
const VOTERS: &str = "voters.pml";

const SEARCHES: &[Search] = &[
    never("lease: two claim it, one voter restarts", LEASE, &[]),
    two("lease: no margin for the clocks", LEASE, &["RESTARTS=0", "NO_MARGIN"]),
    two("lease: counted from the answer", LEASE, &["RESTARTS=0", "SLOW", "FROM_ANSWER"]),
    two("lease: not quiet after a restart", LEASE, &["NO_QUIET"]),
    two("lease: granted while another's lives", LEASE, &["RESTARTS=0", "TWICE"]),
    two("lease: released with any ballot", LEASE, &["RESTARTS=0", "ANY_BALLOT"]),
    two("lease: grants of an earlier claim count", LEASE, &["RESTARTS=0", "SLOW", "ANY_TENURE"]),
    long(never("lease: answers as late as may be", LEASE, &["SLOW"])),
    long(never("lease: each clock errs when it likes", LEASE, &["APART"])),
    long(never("lease: finer time", LEASE, &["T0=1", "L=3"])),
    never("voters: a node is replaced", VOTERS, &["L=1"]),
    two("voters: settled too early", VOTERS, &["L=1", "SETTLING=0"]),
    two("voters: settled only for oneself", VOTERS, &["L=1", "SAID_AT_ONCE"]),
    two("voters: changed while unsettled", VOTERS, &["L=1", "JUMPING"]),
    never(
        "voters: two of three go, one restarts",
        VOTERS,
        &["L=1", "RESTARTS=1", "V1=7", "V2=6", "V3=4"],
    ),
    never("voters: one comes, a dead one goes", VOTERS, &["L=1", "V1=3", "V2=7", "V3=6"]),
    two("voters: the others are no majority", VOTERS, &["L=1", "V1=7", "V2=6", "V3=4", "MINORITY"]),
    long(two("voters: settled too early, finer time", VOTERS, &["L=2", "SETTLING=0"])),
];

/// What the verifier needs at most, in megabytes.
const MEMORY_MEGABYTES: u32 = 3000;
const DEPTH: &str = "-m2000000";

/// What a search has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    states: u64,
    /// Two holders.
    violated: bool,
}

/// Runs the searches, one line each, and fails at the first that does not say what it has to.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let named = |search: &&Search| {
        options.only.is_empty() || options.only.iter().any(|word| search.name.contains(&**word))
    };
    let wanted = SEARCHES.iter().filter(|search| options.long || !search.long).filter(named);
    let wanted: Vec<&Search> = wanted.collect();
    ensure!(!wanted.is_empty(), "no search has such a name");
    println!("{:<44} {:>12} {:>9}  found", "search", "states", "time");
    for search in &wanted {
        let begun = Instant::now();
        let found = explore(workspace, search).with_context(|| search.name)?;
        let said = if found.violated { "two holders" } else { "never two" };
        let seconds = begun.elapsed().as_secs_f64();
        println!("{:<44} {:>12} {seconds:>7.1} s  {said}", search.name, found.states);
        match (search.expected, found.violated) {
            (Expected::Never, false) | (Expected::Two, true) => {}
            (Expected::Never, true) => {
                story(workspace, search);
                bail!("{}: two holders; above is the way there", search.name);
            }
            (Expected::Two, false) => bail!(
                "{}: a rule is left out and nothing is found, so the model sees nothing",
                search.name
            ),
        }
    }
    println!("{} searches, each as expected", wanted.len());
    Ok(())
}

/// Writes the verifier of a model, builds it, and runs it to its end.
fn explore(workspace: &Workspace, search: &Search) -> Result<Found> {
    let room = workspace.target().join("model");
    fs::create_dir_all(&room).with_context(|| format!("cannot create {}", room.display()))?;
    let model = workspace.root().join("models").join(search.file);
    // Spin leaves its files beside the model.
    fs::copy(&model, room.join(search.file))
        .with_context(|| format!("cannot read {}", model.display()))?;
    output(in_room(&room, "spin").arg("-a").args(defines(search)).arg(search.file))?;
    let mut compiler = in_room(&room, "cc");
    compiler.args(["-O1", "-w", "-DSAFETY", &format!("-DMEMLIM={MEMORY_MEGABYTES}")]);
    // A full search goes deep and keeps little; the shortest way to an error is found in breadth.
    compiler.args(match search.expected {
        Expected::Never if search.long => ["-DCOLLAPSE"].as_slice(),
        Expected::Never => &[],
        Expected::Two => &["-DCOLLAPSE", "-DBFS"],
    });
    output(compiler.args(["-o", "pan", "pan.c"]))?;
    let said = output(in_room(&room, room.join("pan")).arg(DEPTH))?;
    parse(&said).with_context(|| format!("the verifier said\n{said}"))
}

/// How the verifier got to two holders, as far as the model tells it.
fn story(workspace: &Workspace, search: &Search) {
    let room = workspace.target().join("model");
    let mut spin = in_room(&room, "spin");
    match output(spin.arg("-t").args(defines(search)).arg(search.file)) {
        Ok(story) => println!("{story}"),
        Err(error) => println!("spin does not tell the story: {error:#}"),
    }
}

fn defines(search: &Search) -> impl Iterator<Item = String> {
    search.defines.iter().map(|define| format!("-D{define}"))
}

fn in_room(room: &Path, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(room);
    command
}

/// What a command prints, once it has succeeded.
fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| {
        format!("{program} did not start; `cargo xtask ci --only machine` installs what is missing")
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout);
    if !output.status.success() {
        bail!("{program} failed ({})\n{said}{}", output.status, text(&output.stderr));
    }
    Ok(said)
}

/// Reads what a verifier prints. A search that ended for any other reason than its end, or an
/// assertion, is an error.
fn parse(said: &str) -> Result<Found> {
    let violated = said.contains("assertion violated");
    let number = |line: &str, word: &str| -> Option<u64> {
        let at = line.find(word)?;
        line[..at].split_whitespace().next_back()?.parse().ok()
    };
    let states = said.lines().find_map(|line| number(line, "states, stored"));
    let errors = said.lines().find_map(|line| {
        line.split("errors: ").nth(1).and_then(|rest| rest.trim().parse::<u64>().ok())
    });
    let (states, errors) = (states.context("no number of states")?, errors.context("no errors")?);
    ensure!((errors > 0) == violated, "it ended for another reason");
    let complete = ["Search not completed", "search depth too small", "out of memory"]
        .iter()
        .all(|word| !said.contains(word));
    ensure!(violated || complete, "it did not come to its end");
    Ok(Found { states, violated })
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: &str =
        "State-vector 84 byte, depth reached 150, errors: 0\n   685153 states, stored\n";

    #[test]
    fn a_search_that_came_to_its_end_is_believed() {
        let found = parse(END).expect("a whole search");
        assert_eq!(found, Found { states: 685_153, violated: false });
        let said = "pan:1: assertion violated (1) (at depth 18)\nWarning: Search not completed\n\
                    depth reached 18, errors: 1\n    85787 states, stored\n";
        assert_eq!(parse(said).expect("an error"), Found { states: 85_787, violated: true });
    }

    #[test]
    fn a_search_that_was_cut_short_is_an_error() {
        for reason in ["Warning: Search not completed\n", "error: max search depth too small\n"] {
            assert!(parse(&format!("{reason}{END}")).is_err(), "{reason}");
        }
        let other = END.replace("errors: 0", "errors: 1");
        assert!(parse(&format!("pan:1: invalid end state (at depth 3)\n{other}")).is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn every_model_has_a_search_of_each_kind() {
        for file in [LEASE, VOTERS] {
            for expected in [Expected::Never, Expected::Two] {
                let kind = |search: &Search| search.file == file && search.expected == expected;
                assert!(SEARCHES.iter().any(|search| kind(search) && !search.long), "{file}");
            }
        }
    }
}
