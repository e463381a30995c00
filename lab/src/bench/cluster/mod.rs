//! `bench cluster`: `standin run` beside keepalived, in one set-up.
//!
//! Owns the order of the measurements. keepalived sends its advertisements to the other node alone,
//! as the heartbeats of `standin` are sent. Each measurement runs in a sandbox of its own, the
//! systems take turns, and nothing else runs meanwhile.

mod many;
mod measure;
mod pair;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::report::{Figures, Machine};
use super::{once, write_down};
pub use measure::measure;
use pair::System;

/// The first word of its measurements.
pub const NAME: &str = "cluster";

/// A measurement that every round makes, and of whom.
struct Round {
    what: &'static str,
    subjects: &'static [&'static str],
}

const ALL_FOUR: &[&str] = &["standin-10ms", "keepalived-fast", "standin", "keepalived-default"];

/// With a lease of a majority: two nodes and a witness.
const QUORUM: &str = "standin-quorum-60ms";
/// The same with the shortest lease there is.
const QUORUM_LEAST: &str = "standin-quorum-50ms";
const AND_QUORUM: &[&str] =
    &["standin-10ms", "keepalived-fast", "standin", "keepalived-default", QUORUM];

const ROUND: &[Round] = &[
    Round { what: "power-off", subjects: AND_QUORUM },
    Round { what: "moves", subjects: &["standin", QUORUM] },
    Round { what: "steady", subjects: &[QUORUM, QUORUM_LEAST] },
    Round { what: "drain", subjects: &["standin"] },
    Round { what: "stop", subjects: ALL_FOUR },
    Round { what: "restart", subjects: ALL_FOUR },
    Round { what: "killed", subjects: &["standin", "keepalived-default", QUORUM] },
    Round { what: "hung", subjects: &["standin", "keepalived-default", QUORUM] },
    Round { what: "renewals", subjects: &["vips-1", "vips-1000"] },
    Round { what: "nodes", subjects: &["homes-1", "homes-16", "pool-1", "pool-16"] },
];
/// Those whose subjects are no systems.
const SPECIAL: &[&str] = &["nodes", "renewals"];
/// What is measured once, since it takes minutes.
const LONG: &[&str] = &["loss", "busy"];
/// A measurement of a round that is not done by then hangs.
const LONGEST: Duration = Duration::from_mins(4);

struct Options {
    runs: usize,
    /// How long the loss lasts, in minutes; the busy processors half as long.
    minutes: f64,
    /// Planned moves in one run.
    moves: u32,
    /// How long a holder to which nothing happens is asked.
    steady: Duration,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
    only: Vec<String>,
    /// Tables, numbers and chart go into the documentation.
    record: bool,
    keep_user: bool,
}

/// Runs the benchmark.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let options = Options::parse(words)?;
    let rounds = || ROUND.iter().filter(|round| options.wants(round.what));
    for subject in rounds().filter(|round| !SPECIAL.contains(&round.what)).flat_map(|r| r.subjects)
    {
        System::named(subject)?.require_programs()?;
    }
    let mut figures = Figures::default();
    for number in 1..=options.runs {
        if rounds().next().is_some() {
            println!("round {number} of {}", options.runs);
        }
        for round in rounds() {
            for subject in round.subjects {
                let amount = match round.what {
                    "steady" => options.steady.as_secs_f64(),
                    _ => f64::from(options.moves),
                };
                one(&options, &mut figures, round.what, subject, amount)?;
            }
        }
    }
    let loss = options.minutes * 60.0;
    let long = [
        // keepalived moves within the first seconds.
        ("loss", "keepalived-fast", loss / 10.0),
        ("loss", "standin-50ms", loss),
        ("busy", "keepalived-fast", loss / 10.0),
        ("busy", "standin-100ms", loss / 2.0),
    ];
    for (what, subject, seconds) in long {
        if options.wants(what) {
            one(&options, &mut figures, what, subject, seconds)?;
        }
    }
    let machine = Machine::read();
    let text = report::text(&figures, &machine);
    print!("{text}");
    let json = super::report::json(&figures, &machine, report::AIMS);
    write_down(options.json.as_deref(), &format!("{json:#}\n"))?;
    write_down(options.svg.as_deref(), &report::chart(&figures).svg(&machine))?;
    if options.record {
        record(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A file of the documentation; the lab always runs from the source tree.
fn documented(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// Puts the tables into the documentation.
fn record(tables: &str) -> Result<()> {
    let path = documented("BENCHMARKS.md");
    let before = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let after = with_tables(&before, tables).context("BENCHMARKS.md has no place for tables")?;
    write_down(Some(&path), &after)
}

/// The first block of text behind the heading of this benchmark is exchanged.
fn with_tables(page: &str, tables: &str) -> Option<String> {
    let (head, rest) = page.split_once("## `cargo xtask bench cluster`")?;
    let (words, rest) = rest.split_once("```text\n")?;
    let (_, tail) = rest.split_once("```\n")?;
    let tables = tables.trim();
    Some(format!("{head}## `cargo xtask bench cluster`{words}```text\n{tables}\n```\n{tail}"))
}

fn one(
    options: &Options,
    figures: &mut Figures,
    what: &str,
    subject: &str,
    amount: f64,
) -> Result<()> {
    let arguments = [NAME.to_owned(), what.to_owned(), subject.to_owned(), amount.to_string()];
    let longest = LONGEST + Duration::from_secs_f64(amount);
    once(figures, (what, subject), &arguments, longest, options.keep_user)
}

impl Options {
    fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self {
            runs: 5,
            minutes: 10.0,
            moves: 50,
            steady: Duration::from_mins(1),
            json: None,
            svg: None,
            only: Vec::new(),
            record: false,
            keep_user: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--keep-user" => {
                    options.keep_user = true;
                    continue;
                }
                "--record" => {
                    options.record = true;
                    options.json = Some(documented("benchmarks/cluster.json"));
                    options.svg = Some(documented("benchmarks/cluster.svg"));
                    continue;
                }
                "--quick" => {
                    (options.runs, options.minutes, options.moves) = (1, 0.3, 10);
                    options.steady = Duration::from_secs(10);
                    continue;
                }
                _ => {}
            }
            let value = words.next().with_context(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--runs" => {
                    options.runs = value.parse().context("--runs needs a number")?;
                    ensure!(options.runs > 0, "--runs needs at least 1");
                }
                "--minutes" => {
                    options.minutes = value.parse().context("--minutes needs a number")?;
                    let right = (0.1..=600.0).contains(&options.minutes);
                    ensure!(right, "--minutes needs at least 0.1 and at most 600");
                }
                "--json" => options.json = Some(PathBuf::from(value)),
                "--svg" => options.svg = Some(PathBuf::from(value)),
                "--only" => options.only.push(value.clone()),
                other => bail!("there is no option {other}; see --help"),
            }
        }
        let known: Vec<&str> =
            ROUND.iter().map(|round| round.what).chain(LONG.iter().copied()).collect();
        for name in &options.only {
            ensure!(known.contains(&name.as_str()), "--only {name}: expected {}", known.join(", "));
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn options_are_read_and_wrong_ones_refused() {
        let options = parse("--quick --runs 2 --only stop --only loss").expect("well formed");
        assert_eq!((options.runs, options.moves), (2, 10));
        assert!(options.wants("loss") && !options.wants("moves"));
        let whole = parse("").expect("nothing is needed");
        assert!((whole.minutes - 10.0).abs() < 1e-9 && whole.wants("nodes"));
        for wrong in ["--runs 0", "--runs", "--minutes 0", "--only nothing", "--fast 1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tables_are_put_where_the_old_ones_were() {
        let page =
            "a\n```text\nkept\n```\n## `cargo xtask bench cluster`\nb\n```text\nold\n```\nc\n";
        let page = with_tables(page, "\nnew\n").expect("there is a place");
        assert!(page.contains("kept") && !page.contains("old"), "{page}");
        assert!(page.ends_with("b\n```text\nnew\n```\nc\n"), "{page}");
        assert_eq!(with_tables("no such heading", "new"), None);
    }

    #[test]
    fn every_subject_is_known() {
        for round in ROUND.iter().filter(|round| !SPECIAL.contains(&round.what)) {
            for subject in round.subjects {
                assert!(System::named(subject).is_ok(), "{subject}");
            }
        }
    }
}
