//! `bench cost`: what a node takes of processor, memory and network, as the cluster grows.
//!
//! Owns the axes, their points and what is measured at each. One thing grows at a time, the others stay
//! at a base: two nodes, one VIP, no checks, the default `dead-after` of 1 s. Only the axis of the nodes
//! has another base, a `dead-after` of 4 s, since one host runs all of them: see `cluster::many`.

mod bare;
mod report;

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::cluster::many::{Fleet, Shape};
use super::cluster::measure::{TAKEOVER_WITHIN, milliseconds};
use super::cluster::pair::{Pair, Setting, Side, System};
use super::options::{Options, Words};
use super::report::{Figures, Machine};
use super::usage::Processes;
use super::{RESULT, once, publish};
use crate::story::Lab;
use crate::world::{Host, World};

/// The first word of its measurements, and what all of them are called.
pub const NAME: &str = "cost";

/// What grows, and to where. A point is measured by the name of its axis and its number: `vips-100`.
struct Axis {
    name: &'static str,
    /// For people.
    title: &'static str,
    points: &'static [u16],
    /// With `--quick` these alone.
    few: &'static [u16],
}

const AXES: [Axis; 4] = [
    Axis {
        name: "nodes",
        title: "nodes (dead-after 4 s)",
        points: &[2, 4, 8, 16, 32, 64],
        few: &[2, 16, 64],
    },
    Axis {
        name: "vips",
        title: "VIPs",
        points: &[1, 10, 100, 1000, 10_000],
        few: &[1, 100, 10_000],
    },
    Axis {
        name: "checks",
        title: "checks a second",
        points: &[1, 10, 100, 1000],
        few: &[1, 100, 1000],
    },
    Axis {
        name: "dead",
        title: "dead-after, ms",
        points: &[5, 10, 20, 50, 100, 200, 500, 1000],
        few: &[5, 20, 100, 1000],
    },
];

/// Beside keepalived: a heartbeat every 10 ms, and each as it comes, with one VIP and with many. `bare-10`
/// is the least that 10 ms can cost on this machine.
const SINGLES: [&str; 7] = [
    "bare-10",
    "dead-40",
    "keepalived-fast-1",
    "vips-1",
    "keepalived-default-1",
    "vips-10000",
    "keepalived-default-10000",
];

/// The first announcements and their repeats, and what a start leaves to be done, are over.
const QUIET_AFTER: Duration = Duration::from_secs(6);
/// The same of thousands of addresses.
const MANY_QUIET_AFTER: Duration = Duration::from_secs(20);
/// That many are thousands.
const MANY: u16 = 1000;
/// A measurement that is not done so long after its time hangs.
const LONGEST: Duration = Duration::from_mins(4);

/// What it takes.
pub fn words() -> Words {
    let mut parts: Vec<&str> = AXES.iter().map(|axis| axis.name).collect();
    parts.push("singles");
    Words { benchmark: NAME, runs: (1, 1), lasting: Some((10.0, 3.0)), parts }
}

/// Every point once, in their order.
fn subjects(options: &Options) -> Vec<String> {
    let mut all = Vec::new();
    if options.wants("singles") {
        all.extend(SINGLES.map(str::to_owned));
    }
    for axis in AXES.iter().filter(|axis| options.wants(axis.name)) {
        let points = if options.quick { axis.few } else { axis.points };
        all.extend(points.iter().map(|point| format!("{}-{point}", axis.name)));
    }
    let mut once = Vec::new();
    for subject in all {
        if !once.contains(&subject) {
            once.push(subject);
        }
    }
    once
}

/// Runs the benchmark.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let options = Options::parse(words, &self::words())?;
    System::named("keepalived-fast")?.require_programs()?;
    let mut figures = Figures::default();
    for number in 1..=options.runs {
        println!("round {number} of {}", options.runs);
        for subject in subjects(&options) {
            let seconds = options.seconds.to_string();
            let arguments = [NAME.to_owned(), subject.clone(), seconds];
            let longest = LONGEST + Duration::from_secs_f64(options.seconds);
            once(&mut figures, (NAME, &subject), &arguments, longest, options.keep_user)?;
        }
    }
    let machine = Machine::read();
    let text = report::text(&figures, &machine);
    let json = super::report::json(&figures, &machine, report::AIMS);
    publish(&options, NAME, &text, &json, &report::chart(&figures, &machine))?;
    Ok(ExitCode::SUCCESS)
}

/// One point, inside its sandbox.
pub fn measure(lab: &Lab, words: &[String]) -> Result<()> {
    let [subject, seconds] = words else { bail!("of what, and for how long?") };
    let time = Duration::from_secs_f64(seconds.parse().context("how long is a number")?);
    let (kind, number) = subject.rsplit_once('-').context("a name and a number")?;
    let number: u16 = number.parse().context("a name and a number")?;
    let world = World::new(lab)?;
    let result = match kind {
        "bare" => bare::measure(&world, Duration::from_millis(number.into()), time)?,
        "nodes" => of_fleet(&world, u8::try_from(number)?, time)?,
        _ => of_pair(&world, setting(kind, number)?, time)?,
    };
    println!("{RESULT}{result}");
    Ok(())
}

fn setting(kind: &str, number: u16) -> Result<Setting> {
    let base = Setting::plain(System::Standin(None));
    let dead_after = Duration::from_millis(number.into());
    Ok(match kind {
        "vips" => Setting { addresses: number, ..base },
        "checks" => Setting { checks: number, ..base },
        "dead" => Setting::plain(System::Standin(Some(dead_after))),
        peer => Setting { addresses: number, ..Setting::plain(System::named(peer)?) },
    })
}

fn of_fleet(world: &World<'_>, nodes: u8, time: Duration) -> Result<Value> {
    let fleet = Fleet::start(world, Shape::One, nodes)?;
    std::thread::sleep(QUIET_AFTER);
    let processes = |side| Processes(vec![fleet.daemon(side).process().id()]);
    let mut result = spent(world, (processes(Side::Home), processes(Side::Waiting)), time)?;
    result["detection_ms"] = json!(milliseconds(fleet.detect()?));
    Ok(result)
}

fn of_pair(world: &World<'_>, setting: Setting, time: Duration) -> Result<Value> {
    let served = [world.brain.serve_page()?, world.pinky.serve_page()?];
    let pair = Pair::start_with(world, setting)?;
    let sides = (pair.processes(Side::Home)?, pair.processes(Side::Waiting)?);
    let quiet_after = if setting.addresses < MANY { QUIET_AFTER } else { MANY_QUIET_AFTER };
    std::thread::sleep(quiet_after);
    let mut result = spent(world, sides, time)?;
    pair.wait_home_holds()?;
    let mark = pair.daemon(Side::Waiting, |daemon| Ok(daemon.mark()))?;
    let cut_ns = standin_sys::clock::realtime_ns();
    world.power_off(&world.brain)?;
    let verdict_ns = pair.verdict_ns(mark, TAKEOVER_WITHIN)?;
    let after = Duration::from_nanos(verdict_ns.saturating_sub(cut_ns));
    result["detection_ms"] = json!(milliseconds(after));
    drop(served);
    Ok(result)
}

/// What the holder and the one that waits take while nothing happens.
fn spent(
    world: &World<'_>,
    (home, waiting): (Processes, Processes),
    time: Duration,
) -> Result<Value> {
    let before = (home.spent()?, waiting.spent()?);
    let frames = (frames(&world.brain)?, frames(&world.pinky)?);
    std::thread::sleep(time);
    let (home_share, waiting_share) =
        (home.spent()?.since(&before.0), waiting.spent()?.since(&before.1));
    let rate = |now: u64, then: u64| -> Result<f64> {
        let count = f64::from(u32::try_from(now - then)?);
        Ok((count / time.as_secs_f64() * 10.0).round() / 10.0)
    };
    Ok(json!({
        "holder_processor_percent": home_share.all,
        "waiting_processor_percent": waiting_share.all,
        "holder_loop_percent": home_share.loop_alone,
        "waiting_loop_percent": waiting_share.loop_alone,
        "holder_frames_per_second": rate(self::frames(&world.brain)?, frames.0)?,
        "waiting_frames_per_second": rate(self::frames(&world.pinky)?, frames.1)?,
        "holder_memory_mb": (home.memory_kb()? / 10.24).round() / 100.0,
        "waiting_memory_mb": (waiting.memory_kb()? / 10.24).round() / 100.0,
    }))
}

/// Frames that a host has received and sent so far, on its first wire.
fn frames(host: &Host) -> Result<u64> {
    let path = "/proc/thread-self/net/dev";
    let text = host.namespace().run(|| fs::read_to_string(path))?.context(path)?;
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix("eth0:"));
    let fields: Vec<&str> = line.context("the wire eth0")?.split_whitespace().collect();
    // proc(5): bytes, packets and six more of what was received, then of what was sent.
    let number = |place: usize| fields.get(place).and_then(|word| word.parse::<u64>().ok());
    Ok(number(1).context("frames received")? + number(9).context("frames sent")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_known_and_measured_once() {
        let options = Options::parse(&[], &words()).expect("nothing is needed");
        let all = subjects(&options);
        for subject in &all {
            let (kind, number) = subject.rsplit_once('-').expect("a name and a number");
            let number = number.parse().expect("a number");
            assert!(
                ["nodes", "bare"].contains(&kind) || setting(kind, number).is_ok(),
                "{subject}"
            );
            assert_eq!(all.iter().filter(|other| *other == subject).count(), 1, "{subject}");
        }
        let quick = Options::parse(&["--quick".to_owned()], &words()).expect("well formed");
        assert!(subjects(&quick).len() < all.len());
        for axis in &AXES {
            assert!(axis.few.iter().all(|point| axis.points.contains(point)), "{}", axis.name);
        }
    }
}
