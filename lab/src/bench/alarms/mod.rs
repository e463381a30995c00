//! `bench alarms`: nobody is dead, and much is wrong. How often does the address move?
//!
//! Owns the order of the conditions and what is counted: an address that comes or goes on either node.
//! keepalived stands beside at the same detection time: three advertisements of 10 ms and its skew are
//! 36 ms, so `standin` has a `dead-after` of 35 ms.

mod report;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::cluster::measure::undisturbed;
use super::cluster::pair::{Pair, Side, System};
use super::hardship::{self, Bursts, Flood, Scarcity};
use super::options::{Options, Words};
use super::report::{Figures, Machine};
use super::{RESULT, once, publish};
use crate::story::Lab;
use crate::world::{BRAIN, World};

/// The first word of its measurements.
pub const NAME: &str = "alarms";

const OURS: &str = "standin-35ms";
const SUBJECTS: [&str; 2] = [OURS, "keepalived-fast"];

/// What is wrong, and what the tables call it. `loss-20` is 20 % of the frames each way at the
/// holder's port, `burst-9` all of them for 9 ms, every so often.
const CONDITIONS: [(&str, &str); 13] = [
    ("loss-0", "nothing is wrong"),
    ("loss-5", "5 % of all frames lost each way"),
    ("loss-10", "10 % of all frames lost each way"),
    ("loss-20", "20 % of all frames lost each way"),
    ("loss-30", "30 % of all frames lost each way"),
    ("loss-40", "40 % of all frames lost each way"),
    ("burst-9", "all lost for 9 ms, four times a second"),
    ("burst-18", "all lost for 18 ms, four times a second"),
    ("burst-26", "all lost for 26 ms, four times a second"),
    ("busy", "4 processes that spin"),
    ("memory", "memory is scarce"),
    ("arp", "a storm of ARP"),
    ("forged", "a flood of forged signs of life"),
];
const BURSTS_EVERY: Duration = Duration::from_millis(250);
const SPINNERS: usize = 4;
/// Frames a second of a flood.
const FLOOD_HZ: u64 = 100_000;
/// Between two looks at the addresses.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A measurement that is not done so long after its time hangs.
const LONGEST: Duration = Duration::from_mins(2);

/// What it takes.
pub fn words() -> Words {
    let parts = CONDITIONS.iter().map(|(name, _)| *name).collect();
    Words { benchmark: NAME, runs: (1, 1), lasting: Some((20.0, 4.0)), parts }
}

/// Runs the benchmark.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let options = Options::parse(words, &self::words())?;
    for subject in SUBJECTS {
        System::named(subject)?.require_programs()?;
    }
    let mut figures = Figures::default();
    for number in 1..=options.runs {
        println!("round {number} of {}", options.runs);
        for (condition, _) in CONDITIONS.iter().filter(|(name, _)| options.wants(name)) {
            for subject in SUBJECTS {
                let seconds = options.seconds.to_string();
                let words = [NAME, condition, subject, &seconds].map(str::to_owned);
                let longest = LONGEST + Duration::from_secs_f64(options.seconds);
                once(&mut figures, (condition, subject), &words, longest, options.keep_user)?;
            }
        }
    }
    let machine = Machine::read();
    let text = report::text(&figures, &machine);
    let json = super::report::json(&figures, &machine, report::AIMS);
    publish(&options, NAME, &text, &json, &report::chart(&figures).svg(&machine))?;
    Ok(ExitCode::SUCCESS)
}

/// One of them, inside its sandbox.
pub fn measure(lab: &Lab, words: &[String]) -> Result<()> {
    let [condition, subject, seconds] = words else { bail!("what, of whom, and for how long?") };
    let seconds: f64 = seconds.parse().context("how long is a number")?;
    let world = World::new(lab)?;
    let pair = Pair::start(&world, System::named(subject)?)?;
    pair.settle();
    let trouble = Trouble::begin(condition, &world, &pair)?;
    let watching = pair.processes(Side::Waiting)?;
    let before = watching.spent()?;
    let mut result = undisturbed(&pair, Duration::from_secs_f64(seconds), LOOK_EVERY)?;
    let share = watching.spent()?.since(&before);
    result["processor_percent"] = json!(share.all);
    result["loop_percent"] = json!(share.loop_alone);
    match &trouble {
        Trouble::Flood(flood) => result["frames_per_second"] = json!(flood.rate_hz()),
        Trouble::Scarcity(scarcity) => {
            result["limited"] = json!(u8::from(scarcity.is_limited()));
            result["eaten"] = json!(scarcity.rounds()?);
        }
        Trouble::Wire | Trouble::Bursts(_) | Trouble::Spinners(_) => {}
    }
    let minutes = seconds / 60.0;
    let moves = result["moves"].as_f64().context("moves are counted")?;
    result["moves_per_minute"] = json!((moves / minutes * 10.0).round() / 10.0);
    println!("{RESULT}{result}");
    Ok(())
}

/// What is wrong. It ends when dropped, but for the wire, which goes with the sandbox.
enum Trouble {
    Wire,
    Bursts(#[expect(dead_code, reason = "a guard")] Bursts),
    Spinners(#[expect(dead_code, reason = "a guard")] Vec<crate::daemon::Daemon>),
    Scarcity(Scarcity),
    Flood(Flood),
}

impl Trouble {
    fn begin(condition: &str, world: &World<'_>, pair: &Pair<'_, '_>) -> Result<Self> {
        let (kind, number) = condition.split_once('-').unwrap_or((condition, "0"));
        let number: u32 = number.parse().context("how much is a number")?;
        Ok(match kind {
            "loss" => {
                world.switch.lose("brain", number)?;
                Self::Wire
            }
            "burst" => {
                let long = Duration::from_millis(number.into());
                Self::Bursts(Bursts::begin(world, "brain", long, BURSTS_EVERY)?)
            }
            "busy" => Self::Spinners(hardship::spinners(SPINNERS)?),
            "memory" => {
                let mut all = pair.processes(Side::Home)?.0;
                all.extend(pair.processes(Side::Waiting)?.0);
                Self::Scarcity(Scarcity::begin(&all)?)
            }
            "arp" => Self::Flood(Flood::of_arp(world, FLOOD_HZ)?),
            "forged" => {
                let ends = (BRAIN, &*world.pinky);
                Self::Flood(Flood::of_forgeries(world, ends, FLOOD_HZ)?)
            }
            other => bail!("there is no condition {other:?}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_is_known() {
        for subject in SUBJECTS {
            assert!(System::named(subject).is_ok(), "{subject}");
        }
    }
}
