//! What else may happen to a held address: its process dies or hangs, somebody strips it, somebody
//! claims it, its interface goes.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use standin_sys::signal::{SIGCONT, SIGKILL, SIGSTOP};

use super::{Case, alone, beside, brain_has_its_vip, stand_in};
use crate::daemon::Daemon;
use crate::sandbox::tool;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, LAN, PINKY, SNOWBALL, World};

const QUICK: &str = "--dead-after 300ms --back-after 500ms";
/// The kernel removes what is not renewed.
const GONE_WITHIN: Duration = Duration::from_millis(3200);

/// A held address is asked for every ten seconds, and an answer takes no time.
const FOUND_WITHIN: Duration = Duration::from_secs(15);

pub const CASES: &[Case] = &[
    alone("sigkill_standin", "killed: the kernel removes the address within 3.2 s", |lab| {
        sigkill(lab, Family::V4)
    }),
    alone("sigkill_standin_ipv6", "the same with IPv6", |lab| sigkill(lab, Family::V6)),
    alone("sigstop_standin", "hung: gone within 3.2 s; when it runs again it asks first", sigstop),
    beside(
        "sigstop_home_returns",
        "hung while home comes back: home is not robbed",
        sigstop_home_returns,
    ),
    beside(
        "address_stripped",
        "another program strips the address: back at once and announced",
        |lab| stripped(lab, Family::V4),
    ),
    beside("address_stripped_ipv6", "the same with IPv6", |lab| stripped(lab, Family::V6)),
    beside(
        "competing_claimant",
        "another host claims a held VIP: one defence, both MACs logged, no war",
        competing,
    ),
    beside(
        "silent_duplicate",
        "another host has a held VIP too and says nothing: found, and named in the status",
        |lab| silent(lab, Family::V4),
    ),
    beside("silent_duplicate_ipv6", "the same with IPv6", |lab| silent(lab, Family::V6)),
    beside(
        "own_address_kept",
        "--own: asked, announced, put back, announced again after a flap",
        own_address,
    ),
    beside(
        "interface_recreated",
        "the interface is deleted and made again: held and announced again",
        interface_recreated,
    ),
    beside(
        "interface_without_files",
        "the same while no file can be opened: tried until one can",
        interface_without_files,
    ),
    beside(
        "interface_renamed",
        "the interface gets another name: held as before, and guarded",
        interface_renamed,
    ),
    beside(
        "second_instance_refused",
        "a second standin for the same VIP on this host is refused",
        second_instance,
    ),
];

fn stood_in(world: &World<'_>, family: Family) -> Result<Daemon> {
    brain_has_its_vip(world, family)?;
    let standin = stand_in(world, family, QUICK)?;
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    Ok(standin)
}

fn gone_in_time(world: &World<'_>, family: Family, since: Instant) -> Result<()> {
    let vip = family.vip(BRAIN);
    wait::until_true("the kernel removes the address", PATIENCE, || !world.pinky.has(vip))?;
    let took = since.elapsed();
    world.lab.say(format!("gone after {} ms", took.as_millis()));
    ensure!(took <= GONE_WITHIN, "it took {} ms", took.as_millis());
    Ok(())
}

fn sigkill(lab: &Lab, family: Family) -> Result<()> {
    let world = World::new(lab)?;
    let standin = stood_in(&world, family)?;
    // Not the first lifetime: one that was renewed.
    wait::throughout("it is renewed", Duration::from_secs(3), || {
        world.pinky.has(family.vip(BRAIN))
    })?;
    let killed = Instant::now();
    standin.signal(SIGKILL)?;
    gone_in_time(&world, family, killed)
}

fn sigstop(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let standin = stood_in(&world, Family::V4)?;
    let vip = Family::V4.vip(BRAIN);
    let wire = world.capture_at(&world.pinky)?;
    let stopped = Instant::now();
    standin.signal(SIGSTOP)?;
    gone_in_time(&world, Family::V4, stopped)?;
    let (mark, log_mark) = (wire.mark(), standin.mark());
    lab.say("it runs again");
    standin.signal(SIGCONT)?;
    standin.wait_after(log_mark, "lapsed", PATIENCE)?;
    standin.wait_after(log_mark, "claimed", PATIENCE)?;
    let mac = world.pinky.mac();
    wire.wait("it is announced", mark, PATIENCE, |one| !one.to_host && one.announces(mac, vip))?;
    let frames = wire.after(mark, |one| !one.to_host);
    let asked = frames.iter().position(|one| one.probes(vip));
    let claimed = frames.iter().position(|one| one.announces(mac, vip));
    ensure!(asked.is_some() && asked < claimed, "asked at {asked:?}, claimed at {claimed:?}");
    standin.stop()
}

fn sigstop_home_returns(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let standin = stood_in(&world, Family::V4)?;
    let vip = Family::V4.vip(BRAIN);
    standin.signal(SIGSTOP)?;
    wait::until_true("the kernel removes the address", PATIENCE, || !world.pinky.has(vip))?;
    world.power_on(&world.brain)?;
    world.router_forgets()?;
    let client = world.ask(vip, 500)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    let wire = world.capture_at(&world.pinky)?;
    let mark = standin.mark();
    standin.signal(SIGCONT)?;
    standin.wait_after(mark, "peer-alive", PATIENCE)?;
    wait::throughout("home keeps its VIP", Duration::from_secs(2), || !world.pinky.has(vip))?;
    let claims = wire.announcements(0, world.pinky.mac(), vip);
    ensure!(claims.is_empty(), "it claimed: {claims:?}");
    ensure!(client.last_answered_by().as_deref() == Some("brain"), "Brain is robbed");
    standin.stop()
}

fn stripped(lab: &Lab, family: Family) -> Result<()> {
    let world = World::new(lab)?;
    let standin = stood_in(&world, family)?;
    let vip = family.vip(BRAIN);
    let wire = world.capture_at(&world.pinky)?;
    for _ in 0..3 {
        let (mark, log_mark) = (wire.mark(), standin.mark());
        world.pinky.remove_address(vip)?;
        standin.wait_after(log_mark, "stripped", PATIENCE)?;
        wait::until_true("the address is back", PATIENCE, || world.pinky.has(vip))?;
        wire.wait("announced again", mark, PATIENCE, |one| {
            !one.to_host && one.announces(world.pinky.mac(), vip)
        })?;
    }
    world.ask(vip, 200)?.wait_answered_by("pinky", 0, PATIENCE)?;
    standin.stop()
}

fn competing(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let snowball = world.add_host("snowball", SNOWBALL)?;
    let standin = stood_in(&world, Family::V4)?;
    let vip = Family::V4.vip(BRAIN);
    // Past the series, so that what is said from here on is an answer to the claim.
    let wire = world.capture_at(&world.pinky)?;
    let first = standin.wait("claimed")?.at_ns;
    wire.wait("the last of the series", 0, PATIENCE, |one| {
        !one.to_host
            && one.announces(world.pinky.mac(), vip)
            && one.at_ns + 20_000_000 >= first + 5_000_000_000
    })?;
    let mark = wire.mark();
    let announce = format!("announce {vip} --interface eth0 --count 20 --interval 100ms");
    let told = snowball.standin(lab, &announce)?;
    ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let conflict = standin.wait("conflict")?;
    ensure!(conflict.text("ours") == world.pinky.mac().to_string(), "{conflict:?}");
    ensure!(conflict.text("theirs") == snowball.mac().to_string(), "{conflict:?}");
    let claims = wire.announcements(mark, snowball.mac(), vip).len()
        + wire.after(mark, |one| one.to_host && one.announces(snowball.mac(), vip)).len();
    let defences = wire.announcements(mark, world.pinky.mac(), vip);
    lab.say(format!("{claims} frames of claims, {} of defence", defences.len()));
    ensure!(claims >= 20, "only {claims} claims were seen");
    // One defence is one round: request, reply, and a question to each known neighbour.
    ensure!((1..=5).contains(&defences.len()), "{} frames of defence", defences.len());
    ensure!(standin.count("conflict") <= 2, "{} lines about it", standin.count("conflict"));
    ensure!(world.pinky.has(vip), "the address was given up");
    standin.stop()
}

/// A host gets the VIP as an administrator gives it: its kernel announces nothing.
fn silent(lab: &Lab, family: Family) -> Result<()> {
    let world = World::new(lab)?;
    let snowball = world.add_host("snowball", SNOWBALL)?;
    let vip = family.vip(BRAIN);
    brain_has_its_vip(&world, family)?;
    let socket = Lab::directory().join("pinky.sock");
    let standin = stand_in(&world, family, &format!("{QUICK} --socket {}", socket.display()))?;
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    let mark = standin.mark();
    snowball.configure(vip)?;
    let conflict = standin.wait_after(mark, "conflict", FOUND_WITHIN)?;
    ensure!(conflict.text("ours") == world.pinky.mac().to_string(), "{conflict:?}");
    ensure!(conflict.text("theirs") == snowball.mac().to_string(), "{conflict:?}");
    let asked =
        world.pinky.standin(lab, &format!("status --json --socket {}", socket.display()))?;
    let status: Value = serde_json::from_slice(&asked.stdout).context("the status is JSON")?;
    let by = status.pointer("/vips/0/contested_by").and_then(Value::as_str);
    ensure!(by == Some(snowball.mac().to_string().as_str()), "{status}");
    ensure!(world.pinky.has(vip), "the address was given up");
    standin.stop()
}

fn own_address(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let own = Family::V4.vip(PINKY);
    let wire = world.capture_at(&world.pinky)?;
    let standin =
        world.pinky.standin_for(lab, &format!("{} --own {own}", Family::V4.real(BRAIN)))?;
    let claimed = standin.wait("claimed")?;
    ensure!(claimed.text("reason") == "own", "{:?}", claimed.text("reason"));
    let mac = world.pinky.mac();
    wire.wait("announced at the start", 0, PATIENCE, |one| {
        !one.to_host && one.announces(mac, own)
    })?;
    let frames = wire.after(0, |one| !one.to_host);
    let asked = frames.iter().position(|one| one.probes(own));
    let told = frames.iter().position(|one| one.announces(mac, own));
    ensure!(asked.is_some() && asked < told, "asked at {asked:?}, told at {told:?}");
    world.ask(own, 200)?.wait_answered_by("pinky", 0, PATIENCE)?;
    world.pinky.remove_address(own)?;
    standin.wait("stripped")?;
    wait::until_true("it is put back", PATIENCE, || world.pinky.has(own))?;
    world.cut(&world.pinky, true)?;
    standin.wait("link-down")?;
    let wire = world.capture_at(&world.pinky)?;
    world.cut(&world.pinky, false)?;
    wire.wait("announced after the flap", 0, PATIENCE, |one| {
        !one.to_host && one.announces(mac, own)
    })?;
    world.ask(own, 200)?.wait_answered_by("pinky", 0, PATIENCE)?;
    standin.stop()?;
    ensure!(!world.pinky.has(own), "left behind");
    Ok(())
}

/// The home has its address back, and the one that stood in for it ends.
fn home_returns(world: &World<'_>, standin: &Daemon, mark: usize) -> Result<()> {
    world.power_on(&world.brain)?;
    standin.wait_after(mark, "released", PATIENCE)?;
    standin.stop()
}

fn interface_recreated(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let standin = stood_in(&world, Family::V4)?;
    let vip = Family::V4.vip(BRAIN);
    let mark = standin.mark();
    let nic = world.pinky.nic();
    world.pinky.route(|route| route.delete_link(nic.ifindex))?;
    standin.wait_after(mark, "link-down", PATIENCE)?;
    ensure!(!world.pinky.has(vip), "an address without an interface");
    let nic = world.rewire(&world.pinky, PINKY)?;
    standin.wait_after(mark, "link-up", PATIENCE)?;
    wait::until_true("the address is on the new interface", PATIENCE, || {
        world.pinky.address(vip).is_some_and(|address| address.ifindex == nic.ifindex)
    })?;
    world.router_forgets()?;
    world.ask(vip, 200)?.wait_answered_by("pinky", 0, PATIENCE)?;
    home_returns(&world, &standin, mark)
}

fn interface_without_files(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let standin = stood_in(&world, Family::V4)?;
    let vip = Family::V4.vip(BRAIN);
    let process = standin.process().id();
    let allow = |files: usize| {
        let (process, files) = (process.to_string(), format!("--nofile={files}:"));
        tool(&["prlimit", "--pid", &process, &files], "util-linux")
    };
    let mark = standin.mark();
    world.pinky.route(|route| route.delete_link(world.pinky.nic().ifindex))?;
    standin.wait_after(mark, "link-down", PATIENCE)?;
    // Fewer than there are: they stay, and there are no more.
    allow(4)?;
    world.rewire(&world.pinky, PINKY)?;
    let trouble = standin.wait_after(mark, "trouble", PATIENCE)?;
    lab.say(format!("it says: {}", trouble.text("message")));
    ensure!(trouble.text("message").contains("open a packet socket"), "it says something else");
    allow(1024)?;
    standin.wait_after(mark, "link-up", PATIENCE)?;
    world.ask(vip, 200)?.wait_answered_by("pinky", 0, PATIENCE)?;
    home_returns(&world, &standin, mark)
}

fn interface_renamed(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let standin = stood_in(&world, Family::V4)?;
    let vip = Family::V4.vip(BRAIN);
    let nic = world.pinky.nic();
    let mark = standin.mark();
    // Older kernels want it down for that.
    world.pinky.route(|route| {
        route.set_link_up(nic.ifindex, false)?;
        route.rename_link(nic.ifindex, "lan0")?;
        route.set_link_up(nic.ifindex, true)
    })?;
    standin.wait_after(mark, "link-up", PATIENCE)?;
    world.router_forgets()?;
    // Its routes went with the interface.
    world.pinky.default_via(Family::V4.of(LAN, 1))?;
    world.ask(vip, 200)?.wait_answered_by("pinky", 0, PATIENCE)?;
    lab.say("another program strips it: put back on the interface of the new name");
    let mark = standin.mark();
    world.pinky.remove_address(vip)?;
    standin.wait_after(mark, "stripped", PATIENCE)?;
    wait::until_true("it is put back", PATIENCE, || world.pinky.has(vip))?;
    home_returns(&world, &standin, mark)
}

fn second_instance(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, "")?;
    let second =
        world.pinky.standin(lab, &format!("for {} --vip {vip}", Family::V4.real(BRAIN)))?;
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    ensure!(second.status.code() == Some(75), "{}: {error}", second.status);
    ensure!(error.contains("another standin") && error.contains(&vip.to_string()), "{error}");
    lab.say("another host's is no obstacle, and an end makes room");
    let snowball = world.add_host("snowball", SNOWBALL)?;
    super::stand_in_on(&world, &snowball, Family::V4, "")?.stop()?;
    standin.stop()?;
    stand_in(&world, Family::V4, "")?.stop()
}
