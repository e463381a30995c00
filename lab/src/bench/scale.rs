//! `bench scale`: how fast a takeover is at its fastest, and with thousands of addresses.
//!
//! Owns what each figure means. Waits are the client's; announcements are taken from the wire at the
//! new holder's port, with the kernel's time stamps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use standin_core::wire::frame::Frame;
use standin_core::wire::{ArpPacket, Mac};
use standin_sys::packet::PacketSocket;

use super::chart::{Chart, Row, Scale};
use super::cluster::measure::{RATE_HZ, TAKEOVER_WITHIN, milliseconds, undisturbed};
use super::cluster::pair::{Pair, Setting, Side, System};
use super::options::{Options, Words};
use super::report::{self, Aim, Figures, Machine, aim};
use super::table::Table;
use super::{RESULT, once, publish};
use crate::capture::{Capture, Seen};
use crate::story::Lab;
use crate::wait;
use crate::world::World;

/// The first word of its measurements.
pub const NAME: &str = "scale";

/// The fastest settings, the least first, and keepalived's.
const FASTEST: [&str; 4] = ["standin-5ms", "standin-7ms", "standin-10ms", "keepalived-fast"];
/// By which name the fastest that is safe stands in the tables: the first of ours that moved nothing
/// and was never two in all the time that all of its runs were watched before the cut.
const SAFE: &str = "fastest-safe";
/// Before the cut it is watched for so long, in seconds, and with `--quick`.
const CALM: (f64, f64) = (2.0, 1.0);
/// Addresses that move as one.
const CLAIMS: [&str; 6] = [
    "standin-1000",
    "keepalived-1000",
    "standin-5000",
    "keepalived-5000",
    "standin-10000",
    "keepalived-10000",
];
/// As many announcements that nobody decides upon, from a loop that does nothing else: what the host
/// and the switch take for the frames alone.
const FRAMES: [&str; 3] = ["frames-1000", "frames-5000", "frames-10000"];
/// The first of their addresses: 10.200.0.0.
const FIRST_FRAME: u32 = 0x0ac8_0000;
/// Frames in one call.
const FRAMES_AT_ONCE: usize = 512;
/// One run of these is made for so many of the others.
const RUNS_PER_CLAIM: usize = 10;
/// The first announcements are over, and so are those of the repeats.
const QUIET_AFTER: Duration = Duration::from_secs(6);
const CLAIMED_WITHIN: Duration = Duration::from_secs(40);
/// A measurement that is not done by then hangs.
const LONGEST: Duration = Duration::from_mins(3);

const TABLES: &[Table] = &[
    Table {
        title: "power off: longest wait at the client, ms",
        what: "power-off",
        figure: "outage_ms",
        rows: FASTEST_BESIDE,
    },
    Table {
        title: "from the cut to the verdict, ms",
        what: "power-off",
        figure: "cut_to_verdict_ms",
        rows: FASTEST_BESIDE,
    },
    Table {
        title: "the client's own longest pause between two requests, ms",
        what: "power-off",
        figure: "client_pause_ms",
        rows: FASTEST_BESIDE,
    },
    Table {
        title: "false moves in all that time before the cut",
        what: "power-off",
        figure: "moves",
        rows: FASTEST_BESIDE,
    },
    Table {
        title: "from the first address announced to the last, ms",
        what: "claim",
        figure: "first_to_last_ms",
        rows: PAIRS,
    },
    Table {
        title: "the same frames from a loop that does nothing else, ms",
        what: "claim",
        figure: "first_to_last_ms",
        rows: FRAMES_BESIDE,
    },
    Table {
        title: "from the verdict to the last address announced, ms",
        what: "claim",
        figure: "verdict_to_last_ms",
        rows: PAIRS,
    },
];
const FASTEST_BESIDE: &[(&str, Option<&str>)] =
    &[("standin-5ms", Some("keepalived-fast")), ("standin-7ms", None), ("standin-10ms", None)];
const PAIRS: &[(&str, Option<&str>)] = &[
    ("standin-1000", Some("keepalived-1000")),
    ("standin-5000", Some("keepalived-5000")),
    ("standin-10000", Some("keepalived-10000")),
];
const FRAMES_BESIDE: &[(&str, Option<&str>)] = &[
    ("frames-1000", Some("standin-1000")),
    ("frames-5000", Some("standin-5000")),
    ("frames-10000", Some("standin-10000")),
];

/// What the issue asks for.
pub const AIMS: &[Aim] = &[
    Aim {
        worst: false,
        ..aim(
            "power off, fastest safe setting: median wait",
            ("power-off", SAFE, "outage_ms"),
            (8.0, "ms"),
            "35–38 ms",
        )
    },
    aim(
        "power off, fastest safe setting: longest of all",
        ("power-off", SAFE, "outage_ms"),
        (15.0, "ms"),
        "",
    ),
    Aim {
        worst: false,
        ..aim(
            "1000 VIPs: first to last announced",
            ("claim", "standin-1000", "first_to_last_ms"),
            (5.0, "ms"),
            "43 ms",
        )
    },
    Aim {
        worst: false,
        ..aim(
            "10 000 VIPs: verdict to last announced",
            ("claim", "standin-10000", "verdict_to_last_ms"),
            (40.0, "ms"),
            "5000: 733 ms",
        )
    },
];

/// What it takes.
pub fn words() -> Words {
    Words { benchmark: NAME, runs: (50, 5), lasting: None, parts: vec!["power-off", "claim"] }
}

/// Runs the benchmark.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let options = Options::parse(words, &self::words())?;
    System::named("keepalived-fast")?.require_programs()?;
    let mut figures = Figures::default();
    let calm = if options.quick { CALM.1 } else { CALM.0 };
    for number in 1..=options.runs {
        println!("round {number} of {}", options.runs);
        if options.wants("power-off") {
            for subject in FASTEST {
                one(&options, &mut figures, "power-off", subject, calm)?;
            }
        }
        // Spread over the rounds, so that a busy moment does not meet all of them.
        if options.wants("claim") && number % RUNS_PER_CLAIM == 1 {
            for subject in CLAIMS.into_iter().chain(FRAMES) {
                one(&options, &mut figures, "claim", subject, 0.0)?;
            }
        }
    }
    let safe = name_the_safe(&mut figures);
    let machine = Machine::read();
    let text = text(&figures, &machine, safe);
    let json = report::json(&figures, &machine, AIMS);
    publish(&options, NAME, &text, &json, &chart(&figures).svg(&machine))?;
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
    once(figures, (what, subject), &arguments, LONGEST, options.keep_user)
}

/// Finds the fastest setting of ours that is safe, and gives its runs that name too.
fn name_the_safe(figures: &mut Figures) -> Option<&'static str> {
    let none = |subject: &str, figure| {
        figures.most("power-off", subject, figure).is_some_and(|most| most < 0.5)
    };
    let ours = FASTEST.into_iter().filter(|subject| subject.starts_with("standin"));
    let safe = ours.into_iter().find(|one| none(one, "moves") && none(one, "overlap_ms"))?;
    for run in figures.runs("power-off", safe, "outage_ms").to_vec() {
        figures.add("power-off", SAFE, "outage_ms", run);
    }
    Some(safe)
}

/// One of them, inside its sandbox.
pub fn measure(lab: &Lab, words: &[String]) -> Result<()> {
    let [what, subject, amount] = words else { bail!("what, of whom, and how much?") };
    let amount: f64 = amount.parse().context("how much is a number")?;
    let world = World::new(lab)?;
    let result = match what.as_str() {
        "power-off" => power_off(&world, System::named(subject)?, amount)?,
        "claim" => match subject.strip_prefix("frames-") {
            Some(count) => frames(&world, count.parse().context("how many frames is a number")?)?,
            None => claim(&world, claim_setting(subject)?)?,
        },
        other => bail!("there is no measurement {other:?}"),
    };
    println!("{RESULT}{result}");
    Ok(())
}

/// Of `standin-1000`: as it comes; of `keepalived-1000`: at its fastest.
fn claim_setting(subject: &str) -> Result<Setting> {
    let (name, number) = subject.split_once('-').context("of how many addresses?")?;
    let name = if name == "keepalived" { "keepalived-fast" } else { name };
    let addresses = number.parse().context("how many addresses is a number")?;
    Ok(Setting { addresses, ..Setting::plain(System::named(name)?) })
}

/// Nobody is dead for a while; then the power of the holder is pulled.
fn power_off(world: &World<'_>, system: System, calm: f64) -> Result<Value> {
    let pair = Pair::start(world, system)?;
    let client = world.ask(Pair::vip(), RATE_HZ)?;
    client.wait_answered_by("brain", 0, TAKEOVER_WITHIN)?;
    let mut result = undisturbed(&pair, Duration::from_secs_f64(calm), Duration::from_millis(2))?;
    pair.wait_home_holds()?;
    client.wait_answered_by("brain", client.mark(), TAKEOVER_WITHIN)?;
    pair.settle();
    let mark = pair.daemon(Side::Waiting, |daemon| Ok(daemon.mark()))?;
    let cut_ns = standin_sys::clock::realtime_ns();
    world.power_off(&world.brain)?;
    client.wait_answered_by("pinky", client.mark(), TAKEOVER_WITHIN)?;
    std::thread::sleep(Duration::from_millis(300));
    let record = client.finish();
    result["outage_ms"] = json!(milliseconds(record.longest_gap()));
    result["client_pause_ms"] = json!(milliseconds(record.longest_pause()));
    let verdict_ns = pair.verdict_ns(mark, TAKEOVER_WITHIN)?;
    let after = Duration::from_nanos(verdict_ns.saturating_sub(cut_ns));
    result["cut_to_verdict_ms"] = json!(milliseconds(after));
    Ok(result)
}

/// The holder of many addresses loses its power: when is each of them announced?
fn claim(world: &World<'_>, setting: Setting) -> Result<Value> {
    let pair = Pair::start_with(world, setting)?;
    std::thread::sleep(QUIET_AFTER);
    pair.wait_home_holds()?;
    let wire = world.capture_at(&world.pinky)?;
    let mark = pair.daemon(Side::Waiting, |daemon| Ok(daemon.mark()))?;
    let cut_ns = standin_sys::clock::realtime_ns();
    world.power_off(&world.brain)?;
    let wanted: BTreeSet<Ipv4Addr> = pair.addresses().into_iter().collect();
    let first = wait_all_announced(&wire, &wanted, world)?;
    let verdict_ns = pair.verdict_ns(mark, TAKEOVER_WITHIN)?;
    let (begun, done) = ends(&first)?;
    ensure!(
        verdict_ns <= begun,
        "the verdict that was told came {} ms after the first announcement: another was not told",
        (verdict_ns - begun) / 1_000_000
    );
    let after = |from: u64, to: u64| milliseconds(Duration::from_nanos(to.saturating_sub(from)));
    Ok(json!({
        "first_to_last_ms": after(begun, done),
        "verdict_to_first_ms": after(verdict_ns, begun),
        "verdict_to_last_ms": after(verdict_ns, done),
        "cut_to_last_ms": after(cut_ns, done),
        "first_to_half_ms": after(begun, at_part(&first, 2)),
        "first_to_nine_tenths_ms": after(begun, at_part(&first, 10)),
    }))
}

/// The announcements of so many addresses, sent as fast as this host can.
fn frames(world: &World<'_>, count: u32) -> Result<Value> {
    let (mac, ifindex) = (world.pinky.mac(), world.pinky.nic().ifindex);
    let of = |number| Ipv4Addr::from(FIRST_FRAME + number);
    let wanted: BTreeSet<Ipv4Addr> = (0..count).map(of).collect();
    let encode =
        |ip: &Ipv4Addr| ArpPacket::gratuitous_request(mac, *ip).encode(mac, Mac::BROADCAST);
    let frames: Vec<Frame> = wanted.iter().map(encode).collect();
    let frames: Vec<&[u8]> = frames.iter().map(|frame| &**frame).collect();
    let socket = world.pinky.namespace().run(|| PacketSocket::sender(ifindex))??;
    // Caches are warm, as they are not where an address is claimed: the least that there may be.
    socket.send_batch(&frames[..1])?;
    let wire = world.capture_at(&world.pinky)?;
    for part in frames.chunks(FRAMES_AT_ONCE) {
        let mut left = part;
        while !left.is_empty() {
            left = &left[socket.send_batch(left)?..];
        }
    }
    let first = wait_all_announced(&wire, &wanted, world)?;
    let (begun, done) = ends(&first)?;
    let took = Duration::from_nanos(done.saturating_sub(begun));
    Ok(json!({ "first_to_last_ms": milliseconds(took) }))
}

/// When the first of them was announced, and the last.
fn ends(first: &BTreeMap<Ipv4Addr, u64>) -> Result<(u64, u64)> {
    let at = |pick: fn(u64, u64) -> u64| first.values().copied().reduce(pick).context("announced");
    Ok((at(u64::min)?, at(u64::max)?))
}

/// When all but one of so many parts of the addresses were announced.
fn at_part(first: &BTreeMap<Ipv4Addr, u64>, parts: usize) -> u64 {
    let mut times: Vec<u64> = first.values().copied().collect();
    times.sort_unstable();
    times.get(times.len() - times.len() / parts - 1).copied().unwrap_or_default()
}

/// When each address was first announced, in nanoseconds since 1970.
fn wait_all_announced(
    wire: &Capture,
    wanted: &BTreeSet<Ipv4Addr>,
    world: &World<'_>,
) -> Result<BTreeMap<Ipv4Addr, u64>> {
    let (mut first, mut looked) = (BTreeMap::new(), 0);
    let what = "every address is announced";
    let all = wait::until_true(what, CLAIMED_WITHIN, || {
        // To look at the frames takes a processor, and whoever announces may want it.
        let grown = wire.mark();
        if grown < wanted.len() {
            std::thread::sleep(Duration::from_millis(20));
            return false;
        }
        for seen in wire.after(looked, |one| !one.to_host) {
            if let Some(vip) = announced(&seen, world).filter(|vip| wanted.contains(vip)) {
                first.entry(vip).or_insert(seen.at_ns);
            }
        }
        looked = grown;
        std::thread::sleep(Duration::from_millis(50));
        first.len() == wanted.len()
    });
    all.with_context(|| format!("{} of {} were announced", first.len(), wanted.len()))?;
    Ok(first)
}

fn announced(seen: &Seen, world: &World<'_>) -> Option<Ipv4Addr> {
    let (_, IpAddr::V4(vip)) = seen.asserts()? else { return None };
    seen.announces(world.pinky.mac(), vip.into()).then_some(vip)
}

/// The tables.
fn text(figures: &Figures, machine: &Machine, safe: Option<&str>) -> String {
    let mut text = format!("\n{}\n", machine.line());
    for table in TABLES {
        table.print(&mut text, figures);
    }
    if !figures.runs("power-off", FASTEST[0], "outage_ms").is_empty() {
        let named = safe.unwrap_or("none of these");
        let _ = writeln!(text, "\nfastest safe setting: {named}");
    }
    report::aims(&mut text, figures, AIMS);
    for failed in &figures.failed {
        let _ = writeln!(text, "failed: {failed}");
    }
    text
}

fn chart(figures: &Figures) -> Chart<'_> {
    let mut rows = Vec::new();
    let mut add = |what, subject: &'static str, figure, label: String| {
        if let Some(median) = figures.median(what, subject, figure) {
            let (ours, runs) =
                (subject.starts_with("standin"), figures.runs(what, subject, figure));
            rows.push(Row { label, ours, runs, median });
        }
    };
    for subject in FASTEST {
        add("power-off", subject, "outage_ms", format!("power off, wait: {subject}"));
    }
    for subject in CLAIMS {
        add("claim", subject, "first_to_last_ms", format!("first to last announced: {subject}"));
    }
    for subject in CLAIMS {
        add("claim", subject, "verdict_to_last_ms", format!("verdict to last: {subject}"));
    }
    let title = "The fastest settings, and thousands of addresses";
    Chart { title, left: 330.0, scale: Scale::Milliseconds(1.0), rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_is_known() {
        for subject in FASTEST {
            assert!(System::named(subject).is_ok(), "{subject}");
        }
        for subject in CLAIMS {
            let setting = claim_setting(subject).expect("a setting");
            assert!(setting.addresses >= 1000, "{subject}");
        }
    }

    #[test]
    fn what_moved_without_a_reason_is_not_safe() {
        let mut figures = Figures::default();
        for (subject, moves, outage) in
            [("standin-5ms", 2.0, 5.0), ("standin-7ms", 0.0, 7.0), ("standin-10ms", 0.0, 10.0)]
        {
            figures.add("power-off", subject, "moves", moves);
            figures.add("power-off", subject, "overlap_ms", 0.0);
            figures.add("power-off", subject, "outage_ms", outage);
        }
        assert_eq!(name_the_safe(&mut figures), Some("standin-7ms"));
        let text = text(&figures, &Machine::read(), Some("standin-7ms"));
        assert!(text.contains("fastest safe setting: standin-7ms"), "{text}");
        assert!(text.contains("7.000         8 ms  met"), "{text}");
    }
}
