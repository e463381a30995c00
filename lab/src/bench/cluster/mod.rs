//! `bench cluster`: `standin run` beside keepalived, in one set-up.
//!
//! Owns the order of the measurements. keepalived sends its advertisements to the other node alone,
//! as the heartbeats of `standin` are sent. Each measurement runs in a sandbox of its own, the
//! systems take turns, and nothing else runs meanwhile.

pub mod many;
pub mod measure;
pub mod pair;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::options::{Options, Words};
use super::report::{Figures, Machine};
use super::{once, publish};
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

/// Planned moves in one run.
const MOVES: (f64, f64) = (50.0, 10.0);
/// How long a holder to which nothing happens is asked, in seconds.
const STEADY_S: (f64, f64) = (60.0, 10.0);

/// What it takes.
pub fn words() -> Words {
    let parts = ROUND.iter().map(|round| round.what).chain(LONG.iter().copied()).collect();
    Words { benchmark: NAME, runs: (5, 1), lasting: Some((600.0, 18.0)), parts }
}

/// Runs the benchmark.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let options = Options::parse(words, &self::words())?;
    let rounds = || ROUND.iter().filter(|round| options.wants(round.what));
    for subject in rounds().filter(|round| !SPECIAL.contains(&round.what)).flat_map(|r| r.subjects)
    {
        System::named(subject)?.require_programs()?;
    }
    let amount = |what: &str| {
        let (whole, quick) = if what == "steady" { STEADY_S } else { MOVES };
        if options.quick { quick } else { whole }
    };
    let mut figures = Figures::default();
    for number in 1..=options.runs {
        if rounds().next().is_some() {
            println!("round {number} of {}", options.runs);
        }
        for round in rounds() {
            for subject in round.subjects {
                one(&options, &mut figures, round.what, subject, amount(round.what))?;
            }
        }
    }
    let loss = options.seconds;
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
    let json = super::report::json(&figures, &machine, report::AIMS);
    publish(&options, NAME, &text, &json, &report::chart(&figures).svg(&machine))?;
    Ok(ExitCode::SUCCESS)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_is_known() {
        for round in ROUND.iter().filter(|round| !SPECIAL.contains(&round.what)) {
            for subject in round.subjects {
                assert!(System::named(subject).is_ok(), "{subject}");
            }
        }
    }
}
