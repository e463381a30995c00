//! One measurement, made inside the sandbox.
//!
//! Owns what each figure means. A client's figures are taken at the client.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use standin_sys::signal::{SIGKILL, SIGSTOP};

use super::RESULT;
use super::subject::Subject;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, World};

/// Requests a second.
const RATE_HZ: u32 = 1000;
/// The slowest subject needs up to 12 s.
const TAKEOVER_WITHIN: Duration = Duration::from_secs(30);
/// Answers of this long before a fault and after it has been mended.
const STEADY: Duration = Duration::from_millis(300);
/// A minute for us; keepalived at 10 ms moves the address within the first seconds.
const LOSS: Duration = Duration::from_mins(1);
const LOSS_PEER: Duration = Duration::from_secs(6);

/// Measures and prints the result's line.
pub fn measure(lab: &Lab, what: &str, rest: &[String]) -> Result<()> {
    let subject = rest.first().map(String::as_str).unwrap_or_default();
    let result = match what {
        "outage" => outage(lab, Subject::named(subject)?)?,
        "hand-back" => hand_back(lab, Subject::named(subject)?)?,
        "loss" => loss(lab, Subject::named(subject)?)?,
        "left-behind" => left_behind(lab, subject)?,
        other => bail!("there is no case or measurement {other:?}"),
    };
    println!("{RESULT}{result}");
    Ok(())
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The power of the home is pulled: how long the client waits.
fn outage(lab: &Lab, subject: Subject) -> Result<Value> {
    let world = World::new(lab)?;
    let _home = subject.start_home(&world, false)?;
    let stand_in = subject.start_stand_in(&world)?;
    let wire = world.capture_at(&world.pinky)?;
    let vip = Family::V4.vip(BRAIN);
    let client = world.ask(vip, RATE_HZ)?;
    client.wait_answered_by("brain", 0, TAKEOVER_WITHIN)?;
    std::thread::sleep(STEADY);
    world.power_off(&world.brain)?;
    let mark = client.mark();
    client.wait_answered_by("pinky", mark, TAKEOVER_WITHIN)?;
    std::thread::sleep(STEADY);
    let record = client.finish();
    let mut result = json!({
        "outage_ms": milliseconds(record.longest_gap()),
        "lost": record.lost(),
    });
    if matches!(subject, Subject::Standin | Subject::StandinFast) {
        let dead = stand_in.wait("peer-dead")?;
        let first = wire.wait("the first announcement", 0, PATIENCE, |one| {
            !one.to_host && one.announces(world.pinky.mac(), vip)
        })?;
        let after = Duration::from_nanos(first.at_ns.saturating_sub(dead.at_ns));
        result["decision_to_wire_ms"] = json!(milliseconds(after));
    }
    Ok(result)
}

/// The home has been away and comes back, its daemon with it: what the client loses by that.
fn hand_back(lab: &Lab, subject: Subject) -> Result<Value> {
    let world = World::new(lab)?;
    let home = subject.start_home(&world, true)?;
    let _stand_in = subject.start_stand_in(&world)?;
    let vip = Family::V4.vip(BRAIN);
    let client = world.ask(vip, RATE_HZ)?;
    client.wait_answered_by("brain", 0, TAKEOVER_WITHIN)?;
    world.power_off(&world.brain)?;
    subject.kill_rest_of_home()?;
    drop(home);
    client.wait_answered_by("pinky", client.mark(), TAKEOVER_WITHIN)?;
    drop(client);
    lab.say("the home boots: it has no VIP yet");
    if world.brain.has(vip) {
        world.brain.remove_address(vip)?;
    }
    world.power_on(&world.brain)?;
    let client = world.ask(vip, RATE_HZ)?;
    client.wait_answered_by("pinky", 0, TAKEOVER_WITHIN)?;
    std::thread::sleep(STEADY);
    let _home = subject.start_home(&world, true)?;
    client.wait_answered_by("brain", client.mark(), TAKEOVER_WITHIN)?;
    std::thread::sleep(STEADY);
    let record = client.finish();
    ensure!(!world.pinky.has(vip), "two hosts hold the VIP");
    Ok(json!({ "lost": record.lost(), "outage_ms": milliseconds(record.longest_gap()) }))
}

/// 20 % of the frames are lost each way, and nobody is dead: how often the address moves.
fn loss(lab: &Lab, subject: Subject) -> Result<Value> {
    let world = World::new(lab)?;
    let _home = subject.start_home(&world, false)?;
    let ours = subject == Subject::Standin;
    let stand_in = if ours {
        let vip = Family::V4.vip(BRAIN);
        let arguments = format!("{} --vip {vip} --dead-after 200ms", Family::V4.real(BRAIN));
        let daemon = world.pinky.standin_for(lab, &arguments)?;
        daemon.wait("peer-alive")?;
        daemon
    } else {
        subject.start_stand_in(&world)?
    };
    world.switch.lose("brain", 20)?;
    let vip = Family::V4.vip(BRAIN);
    let (begun, time) = (Instant::now(), if ours { LOSS } else { LOSS_PEER });
    let (mut moves, mut here) = (0, false);
    while begun.elapsed() < time {
        let now_here = world.pinky.has(vip);
        moves += u32::from(now_here != here);
        here = now_here;
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut result = json!({ "moves": moves, "seconds": time.as_secs() });
    if ours {
        result["takeovers"] = json!(stand_in.count("claimed"));
        result["suspicions"] = json!(stand_in.count("peer-suspected"));
    }
    Ok(result)
}

/// The stand-in is killed or hangs while it holds the address: how long that stays.
fn left_behind(lab: &Lab, signal: &str) -> Result<Value> {
    let signal = match signal {
        "SIGKILL" => SIGKILL,
        "SIGSTOP" => SIGSTOP,
        other => bail!("there is no measurement with {other}"),
    };
    let world = World::new(lab)?;
    let _home = Subject::StandinFast.start_home(&world, false)?;
    let stand_in = Subject::StandinFast.start_stand_in(&world)?;
    let vip = Family::V4.vip(BRAIN);
    world.power_off(&world.brain)?;
    stand_in.wait("claimed")?;
    let since = Instant::now();
    stand_in.signal(signal)?;
    wait::until_true("the kernel removes the address", PATIENCE, || !world.pinky.has(vip))?;
    Ok(json!({ "gone_after_ms": milliseconds(since.elapsed()) }))
}
