//! A host comes back, and its address goes home.

use std::time::Duration;

use anyhow::{Result, ensure};
use standin_sys::signal::{SIGINT, SIGKILL, SIGTERM};

use super::{Case, beside, brain_has_its_vip, stand_in};
use crate::capture::Capture;
use crate::daemon::Daemon;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, PINKY, World};

const QUICK: &str = "--dead-after 300ms --back-after 500ms";

pub const CASES: &[Case] = &[
    beside(
        "hand_back_real_address",
        "an agentless home is back: removed here, then the router told",
        |lab| hand_back_real_address(lab, Family::V4),
    ),
    beside("hand_back_real_address_ipv6", "the same with IPv6", |lab| {
        hand_back_real_address(lab, Family::V6)
    }),
    beside("hand_back_both_run_standin", "the owner asks, the stand-in lets go at once", |lab| {
        hand_back_both(lab, Family::V4)
    }),
    beside("hand_back_both_run_standin_ipv6", "the same with IPv6", |lab| {
        hand_back_both(lab, Family::V6)
    }),
    beside(
        "hand_back_at_homes_announcement",
        "home announces its VIP: released at once",
        home_announces,
    ),
    beside("hand_back_home_without_vip", "home is back but has no VIP: said so", home_without_vip),
    beside("failback_no", "the address stays until the end, or until home asks", failback_no),
    beside(
        "failback_duration",
        "the address goes home after the time that was asked for",
        failback_duration,
    ),
    beside("sigterm_releases", "SIGTERM: everything released, exit 0", |lab| {
        ends_well(lab, SIGTERM)
    }),
    beside("sigint_releases", "SIGINT: everything released, exit 0", |lab| ends_well(lab, SIGINT)),
    beside(
        "adopt_after_kill",
        "killed and started again while standing in: no gap, still released later",
        adopt_after_kill,
    ),
    beside(
        "start_own_while_stood_in_for",
        "--own that a stand-in holds: asked for, let go, claimed",
        start_own,
    ),
];

/// Brain has died and Pinky stands in.
fn stood_in(world: &World<'_>, family: Family, more: &str) -> Result<Daemon> {
    let vip = brain_has_its_vip(world, family)?;
    let standin = stand_in(world, family, more)?;
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    world.ask(vip, 200)?.wait_answered_by("pinky", 0, PATIENCE)?;
    Ok(standin)
}

fn hand_back_real_address(lab: &Lab, family: Family) -> Result<()> {
    let world = World::new(lab)?;
    let standin = stood_in(&world, family, QUICK)?;
    let vip = family.vip(BRAIN);
    let wire = world.capture_at(&world.pinky)?;
    let client = world.ask(vip, 200)?;
    client.wait_answered_by("pinky", 0, PATIENCE)?;
    world.power_on(&world.brain)?;
    let released = standin.wait("released")?;
    ensure!(released.text("reason") == "home-returned", "{:?}", released.text("reason"));
    ensure!(!world.pinky.has(vip), "released, and still there");
    standin.wait("handed-back")?;
    world.wait_router_sends(vip, &world.brain)?;
    client.wait_answered_by("brain", client.mark(), PATIENCE)?;
    // Nothing in our own name after the address has gone.
    let late = wire.after(0, |one| {
        !one.to_host && one.announces(world.pinky.mac(), vip) && one.at_ns > released.at_ns
    });
    ensure!(late.is_empty(), "announced after the release: {late:?}");
    standin.stop()
}

/// Both run it; gives what they are.
fn both(world: &World<'_>, family: Family) -> Result<(Daemon, String)> {
    let for_brain = format!("{} --vip {} {QUICK}", family.real(BRAIN), family.vip(BRAIN));
    let own = format!("{} --own {} {QUICK}", family.real(PINKY), family.vip(BRAIN));
    Ok((world.pinky.standin_for(world.lab, &for_brain)?, own))
}

fn hand_back_both(lab: &Lab, family: Family) -> Result<()> {
    let world = World::new(lab)?;
    let vip = family.vip(BRAIN);
    let (pinky, own) = both(&world, family)?;
    pinky.wait("peer-alive")?;
    let brain = world.brain.standin_for(lab, &own)?;
    brain.wait("claimed")?;
    world.power_off(&world.brain)?;
    pinky.wait("claimed")?;
    wait::until_true("Brain's kernel drops the VIP", PATIENCE, || !world.brain.has(vip))?;
    drop(brain);
    let client = world.ask(vip, 1000)?;
    client.wait_answered_by("pinky", 0, PATIENCE)?;
    world.power_on(&world.brain)?;
    let brain = world.brain.standin_for(lab, &own)?;
    brain.wait("claimed")?;
    let released = pinky.wait("released")?;
    ensure!(released.text("reason") == "home-claims", "released for {:?}", released.text("reason"));
    client.wait_answered_by("brain", client.mark(), PATIENCE)?;
    let record = client.finish();
    lab.say(format!("{} requests, {} lost", record.sent(), record.lost()));
    ensure!(record.moves() == 1, "the answers went back and forth {} times", record.moves());
    // The bench holds the number of the promise; this is for a busy machine.
    ensure!(record.lost() <= 100, "{} requests lost", record.lost());
    ensure!(!world.pinky.has(vip), "two hosts hold {vip}");
    brain.stop()?;
    pinky.stop()
}

fn home_announces(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    // So long that only the announcement can be the reason.
    let standin = stood_in(&world, Family::V4, "--dead-after 300ms --back-after 60s")?;
    let vip = Family::V4.vip(BRAIN);
    world.power_on(&world.brain)?;
    let again = standin.mark();
    standin.wait_after(again, "peer-alive", PATIENCE).or_else(|_| standin.wait("peer-alive"))?;
    ensure!(world.pinky.has(vip), "released before anything was said");
    let told = world.brain.standin(lab, &format!("announce {vip} --interface eth0"))?;
    ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let released = standin.wait("released")?;
    ensure!(released.text("reason") == "home-claims", "{:?}", released.text("reason"));
    world.wait_router_sends(vip, &world.brain)?;
    standin.stop()
}

fn home_without_vip(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let standin = stood_in(&world, Family::V4, QUICK)?;
    world.brain.remove_address(Family::V4.vip(BRAIN))?;
    world.power_on(&world.brain)?;
    standin.wait("released")?;
    let said = standin.wait("nobody-answers")?;
    ensure!(said.message().contains("--own"), "no advice in {:?}", said.message());
    standin.stop()
}

fn failback_no(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let standin = stood_in(&world, Family::V4, &format!("{QUICK} --failback no"))?;
    let vip = Family::V4.vip(BRAIN);
    world.brain.remove_address(vip)?;
    let mark = standin.mark();
    world.power_on(&world.brain)?;
    standin.wait_after(mark, "peer-alive", PATIENCE)?;
    wait::throughout("the address stays", Duration::from_secs(2), || world.pinky.has(vip))?;
    ensure!(standin.count("released") == 0, "it was released");
    standin.stop()?;
    ensure!(!world.pinky.has(vip), "the address was left behind");
    Ok(())
}

fn failback_duration(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let standin = stood_in(&world, Family::V4, &format!("{QUICK} --failback 2s"))?;
    let mark = standin.mark();
    world.power_on(&world.brain)?;
    let alive = standin.wait_after(mark, "peer-alive", PATIENCE)?;
    let released = standin.wait_after(mark, "released", PATIENCE)?;
    let after_ms = (released.at_ns - alive.at_ns) / 1_000_000;
    ensure!((1990..3500).contains(&after_ms), "released after {after_ms} ms");
    world.wait_router_sends(Family::V4.vip(BRAIN), &world.brain)?;
    standin.stop()
}

fn ends_well(lab: &Lab, signal: i32) -> Result<()> {
    let world = World::new(lab)?;
    let own = Family::V6.vip(PINKY);
    let standin = stood_in(&world, Family::V4, &format!("{QUICK} --own {own}"))?;
    let vip = Family::V4.vip(BRAIN);
    standin.wait_about(0, "claimed", own, PATIENCE)?;
    ensure!(world.pinky.has(vip) && world.pinky.has(own), "the addresses are not there");
    let wire: Capture = world.capture_at(&world.pinky)?;
    standin.signal(signal)?;
    let status = standin.wait_end(PATIENCE)?;
    ensure!(status.code() == Some(0), "it ended with {status}");
    for address in [vip, own] {
        ensure!(!world.pinky.has(address), "{address} was left behind");
        standin.wait_about(0, "released", address, PATIENCE)?;
    }
    let asserted = wire.after(0, |one| {
        !one.to_host && one.asserts().is_some_and(|(_, ip)| ip == vip || ip == own)
    });
    ensure!(asserted.is_empty(), "announced while it was told to stop: {asserted:?}");
    Ok(())
}

fn adopt_after_kill(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let standin = stood_in(&world, Family::V4, QUICK)?;
    let vip = Family::V4.vip(BRAIN);
    let client = world.ask(vip, 500)?;
    client.wait_answered_by("pinky", 0, PATIENCE)?;
    standin.signal(SIGKILL)?;
    standin.wait_end(PATIENCE)?;
    let real = Family::V4.real(BRAIN);
    let again = world.pinky.standin_for(lab, &format!("{real} --vip {vip} {QUICK}"))?;
    again.wait("claimed")?;
    wait::throughout("the adopted address stays", Duration::from_secs(4), || world.pinky.has(vip))?;
    let gap = client.finish().longest_gap();
    ensure!(gap < Duration::from_secs(1), "the client waited {} ms", gap.as_millis());
    world.power_on(&world.brain)?;
    again.wait("released")?;
    world.wait_router_sends(vip, &world.brain)?;
    again.stop()
}

fn start_own(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = Family::V4.vip(BRAIN);
    let standin = stood_in(&world, Family::V4, "--dead-after 300ms --back-after 60s")?;
    world.brain.remove_address(vip)?;
    world.power_on(&world.brain)?;
    let wire = world.capture_at(&world.brain)?;
    let real = Family::V4.real(PINKY);
    let brain = world.brain.standin_for(lab, &format!("{real} --own {vip}"))?;
    brain.wait("claimed")?;
    let released = standin.wait("released")?;
    ensure!(released.text("reason") == "home-claims", "{:?}", released.text("reason"));
    let asked = wire.after(0, |one| !one.to_host && one.probes(vip));
    ensure!(!asked.is_empty(), "claimed without a question");
    let claims = wire.announcements(0, world.brain.mac(), vip);
    ensure!(claims.iter().all(|one| one.at_ns > asked[0].at_ns), "claimed before the question");
    ensure!(world.brain.has(vip) && !world.pinky.has(vip), "not exactly one holds {vip}");
    world.wait_router_sends(vip, &world.brain)?;
    brain.stop()?;
    standin.stop()
}
