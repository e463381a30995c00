//! The measurements with two nodes, each made inside a sandbox of its own.
//!
//! Owns what each figure means. Losses and waits are taken at the client, holders from the kernels.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use standin_sys::signal::{SIGKILL, SIGSTOP};

use super::many;
use super::pair::{Pair, Setting, Side, System};
use crate::bench::{RESULT, hardship};
use crate::client::{Client, Record};
use crate::story::Lab;
use crate::world::World;

/// Requests a second.
pub const RATE_HZ: u32 = 1000;
/// keepalived needs up to 4 s by default.
pub const TAKEOVER_WITHIN: Duration = Duration::from_secs(30);
/// Answers of this long after everything has come to rest.
const STEADY: Duration = Duration::from_millis(300);
/// How long two holders are watched where nothing ends them.
const WATCH: Duration = Duration::from_secs(8);
/// Whose renewals are counted.
const LEASE: Duration = Duration::from_millis(60);
const QUIET_AFTER: Duration = Duration::from_secs(5);
const COUNTED: Duration = Duration::from_secs(30);
/// Processes that do nothing but take processors.
const SPINNERS: usize = 4;

/// Measures and prints the result's line. `words`: what, of whom, and how much of it.
pub fn measure(lab: &Lab, words: &[String]) -> Result<()> {
    let [what, subject, rest @ ..] = words else { bail!("what is to be measured?") };
    let amount = rest.first().map_or(Ok(0.0), |word| word.parse::<f64>());
    let amount = amount.context("how much is a number")?;
    let result = if what == "nodes" {
        many::measure(lab, subject)?
    } else if what == "renewals" {
        let addresses = subject.strip_prefix("vips-").and_then(|number| number.parse().ok());
        renewals(&World::new(lab)?, addresses.with_context(|| format!("no {subject}"))?)?
    } else {
        let world = World::new(lab)?;
        let pair = Pair::start(&world, System::named(subject)?)?;
        match what.as_str() {
            "power-off" => power_off(&world, &pair)?,
            "moves" => moves(&world, &pair, amount)?,
            "steady" => steady(&world, &pair, Duration::from_secs_f64(amount))?,
            "drain" => drain(&world, &pair)?,
            "stop" => stop(&world, &pair)?,
            "restart" => restart(&world, &pair)?,
            "killed" => dumb(&world, &pair, SIGKILL)?,
            "hung" => dumb(&world, &pair, SIGSTOP)?,
            "loss" => loss(&world, &pair, Duration::from_secs_f64(amount))?,
            "busy" => busy(&pair, Duration::from_secs_f64(amount))?,
            other => bail!("there is no measurement {other:?}"),
        }
    };
    println!("{RESULT}{result}");
    Ok(())
}

/// In thousandths.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn client(world: &World<'_>) -> Result<Client> {
    let client = world.ask(Pair::vip(), RATE_HZ)?;
    client.wait_answered_by("brain", 0, TAKEOVER_WITHIN)?;
    Ok(client)
}

/// What the client has met with.
fn figures(client: Client) -> Value {
    figures_of(&at_rest(client))
}

fn at_rest(client: Client) -> Record {
    std::thread::sleep(STEADY);
    client.finish()
}

fn figures_of(record: &Record) -> Value {
    json!({
        "outage_ms": milliseconds(record.longest_gap()),
        "lost": record.lost(),
        "moves": record.moves(),
        "requests": record.sent(),
    })
}

/// The power of the holder is pulled.
fn power_off(world: &World<'_>, pair: &Pair<'_, '_>) -> Result<Value> {
    let client = client(world)?;
    pair.settle();
    world.power_off(&world.brain)?;
    client.wait_answered_by("pinky", client.mark(), TAKEOVER_WITHIN)?;
    Ok(figures(client))
}

/// An operator moves the VIP to and fro.
fn moves(world: &World<'_>, pair: &Pair<'_, '_>, count: f64) -> Result<Value> {
    let client = client(world)?;
    pair.settle();
    let (mut made, mut to) = (0.0, Side::Waiting);
    while made < count {
        let (name, from, next) = match to {
            Side::Waiting => ("pinky", Side::Home, Side::Home),
            Side::Home => ("brain", Side::Waiting, Side::Waiting),
        };
        pair.order(from, &format!("move {} {name}", Pair::vip()))?;
        pair.wait_held_by(to)?;
        client.wait_answered_by(name, client.mark(), TAKEOVER_WITHIN)?;
        made += 1.0;
        to = next;
    }
    Ok(figures(client))
}

/// Nothing happens for a while.
fn steady(world: &World<'_>, pair: &Pair<'_, '_>, time: Duration) -> Result<Value> {
    let client = client(world)?;
    pair.settle();
    std::thread::sleep(time);
    Ok(figures(client))
}

/// The holder is drained and taken back.
fn drain(world: &World<'_>, pair: &Pair<'_, '_>) -> Result<Value> {
    let client = client(world)?;
    pair.settle();
    for (order, to) in [("drain", Side::Waiting), ("undrain", Side::Home)] {
        pair.order(Side::Waiting, &format!("{order} brain"))?;
        pair.wait_held_by(to)?;
    }
    client.wait_answered_by("brain", client.mark(), TAKEOVER_WITHIN)?;
    Ok(figures(client))
}

/// The holder's daemon is stopped.
fn stop(world: &World<'_>, pair: &Pair<'_, '_>) -> Result<Value> {
    let client = client(world)?;
    pair.settle();
    pair.stop_home()?;
    client.wait_answered_by("pinky", client.mark(), TAKEOVER_WITHIN)?;
    Ok(figures(client))
}

/// The holder's daemon is restarted, as for a new version of it.
fn restart(world: &World<'_>, pair: &Pair<'_, '_>) -> Result<Value> {
    let client = client(world)?;
    pair.settle();
    pair.stop_home_for_restart()?;
    pair.start_side(Side::Home)?;
    pair.wait_ready(Side::Home)?;
    pair.wait_home_holds()?;
    client.wait_answered_by("brain", client.mark(), TAKEOVER_WITHIN)?;
    // What would still come: an address that is dropped lives for 2 s without renewal.
    std::thread::sleep(Duration::from_millis(2500));
    Ok(figures(client))
}

/// The holder's daemon is killed or hangs, and its host lives.
fn dumb(world: &World<'_>, pair: &Pair<'_, '_>, signal: i32) -> Result<Value> {
    let client = client(world)?;
    pair.settle();
    pair.signal_home(signal)?;
    let watched = watch(pair, WATCH, Duration::ZERO);
    client.wait_answered_by("pinky", client.mark(), TAKEOVER_WITHIN)?;
    let mut result = if pair.is_leased() {
        // The address stays on the host; what counts is who answers.
        let record = at_rest(client);
        let between = record.handed_over("brain", "pinky").context("both have answered")? * 1e3;
        let mut result = figures_of(&record);
        result["between_ms"] = json!((between * 1e3).round() / 1e3);
        result["overlap_ms"] = json!((-between).max(0.0));
        result
    } else {
        let mut result = figures(client);
        result["overlap_ms"] = json!(milliseconds(watched.both));
        result
    };
    result["nobody_ms"] = json!(milliseconds(watched.nobody));
    result["watched_s"] = json!(WATCH.as_secs());
    Ok(result)
}

/// What a lease costs its holder: its processor time while nothing happens.
fn renewals(world: &World<'_>, addresses: u16) -> Result<Value> {
    let pair =
        Pair::start_with(world, Setting { addresses, ..Setting::plain(System::Quorum(LEASE)) })?;
    // The first announcements are over.
    std::thread::sleep(QUIET_AFTER);
    let processes = pair.processes(Side::Home)?;
    let before = processes.spent()?;
    std::thread::sleep(COUNTED);
    Ok(json!({ "processor_percent": processes.spent()?.since(&before).all }))
}

/// 20 % of the frames are lost each way between the two.
fn loss(world: &World<'_>, pair: &Pair<'_, '_>, time: Duration) -> Result<Value> {
    pair.settle();
    world.switch.lose("brain", 20)?;
    undisturbed(pair, time, Duration::from_millis(2))
}

/// All processors are busy with something else.
fn busy(pair: &Pair<'_, '_>, time: Duration) -> Result<Value> {
    pair.settle();
    let _spinners = hardship::spinners(SPINNERS)?;
    undisturbed(pair, time, Duration::from_millis(10))
}

/// Nobody is dead: how often the VIP comes or goes on either node.
pub fn undisturbed(pair: &Pair<'_, '_>, time: Duration, look_every: Duration) -> Result<Value> {
    let watched = watch(pair, time, look_every);
    let mut result = json!({
        "moves": watched.changes,
        "seconds": time.as_secs(),
        "overlap_ms": milliseconds(watched.both),
        "nobody_ms": milliseconds(watched.nobody),
    });
    for name in ["peer-suspected", "claimed", "stalled"] {
        let said = |side| pair.daemon(side, |daemon| Ok(daemon.count(name)));
        result[name] = json!(said(Side::Waiting)? + said(Side::Home)?);
    }
    Ok(result)
}

/// What was seen of the holders.
struct Watched {
    /// How often an address came or went.
    changes: u32,
    /// How long both had it.
    both: Duration,
    /// How long nobody had it.
    nobody: Duration,
}

fn watch(pair: &Pair<'_, '_>, time: Duration, look_every: Duration) -> Watched {
    let mut watched = Watched { changes: 0, both: Duration::ZERO, nobody: Duration::ZERO };
    let begun = Instant::now();
    let (mut before, mut looked) = (pair.holders(), begun);
    while begun.elapsed() < time {
        std::thread::sleep(look_every.max(Duration::from_micros(200)));
        let (now, at) = (pair.holders(), Instant::now());
        watched.changes += u32::from(now.0 != before.0) + u32::from(now.1 != before.1);
        match now {
            (true, true) => watched.both += at - looked,
            (false, false) => watched.nobody += at - looked,
            (true, false) | (false, true) => {}
        }
        (before, looked) = (now, at);
    }
    watched
}
