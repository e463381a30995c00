//! `standin run` on hosts whose administrator does something to an interface, an address or a file.
//!
//! Owns what is done by hand: IPv6 switched off, a cable pulled, a stranger's address, a new file on one
//! node.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use standin_sys::signal::SIGKILL;

use super::cluster::{Cluster, DEAD_AFTER, two_vips};
use super::{Case, beside};
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, Host, LAN, PINKY, World};

pub const CASES: &[Case] = &[
    beside(
        "cluster_kernel_refuses",
        "IPv6 is switched off on the holder, and on its heir: the next has the group",
        kernel_refuses,
    ),
    beside(
        "cluster_own_link_down",
        "a node whose link is down says nothing of the others, but that",
        own_link_down,
    ),
    beside(
        "cluster_half_a_group",
        "a stranger has one address of two: the group is drained all the same",
        half_a_group,
    ),
    beside(
        "quorum_fence_other_file",
        "a node with another file is not cut off for it, and one that dies is",
        fence_spares_the_living,
    ),
];

const LARRY: u8 = 6;
/// So long a kernel that refuses an address is asked again before another node is to have it, and a
/// planned move takes.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);

/// Switches IPv6 off on the first interface, which takes all of its addresses away, or on again.
fn switch_ipv6(host: &Host, on: bool) -> Result<()> {
    host.sysctl("net/ipv6/conf/eth0/disable_ipv6", if on { "0" } else { "1" })
}

fn kernel_refuses(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let (v4, v6) = (Family::V4.vip(BRAIN), Family::V6.vip(BRAIN));
    let text =
        format!("[[vip]]\nname = \"both\"\naddress = [\"{v4}\", \"{v6}\"]\nhome = \"brain\"\n");
    let cluster = Cluster::start(&world, 3, &text)?;
    let held_by = |name: &str| -> Result<()> {
        cluster.wait_held_by(v4, name)?;
        cluster.wait_held_by(v6, name)
    };
    held_by("brain")?;
    lab.say("IPv6 is switched off on Brain");
    switch_ipv6(&world.brain, false)?;
    wait::until_true("Pinky has both", REFUSED_WITHIN, || {
        cluster.holders(v4) == ["pinky"] && cluster.holders(v6) == ["pinky"]
    })?;
    world.ask(v6, 200)?.wait_answered_by("pinky", 0, PATIENCE)?;
    let why = cluster.ask(2, "explain both")?;
    ensure!(why.to_string().contains("brain's kernel refuses the address"), "{why}");
    lab.say("and on again");
    switch_ipv6(&world.brain, true)?;
    held_by("brain")?;
    lab.say("on Pinky, and Brain dies: it is Snowball's");
    switch_ipv6(&world.pinky, false)?;
    world.power_off(&world.brain)?;
    wait::until_true("Snowball has both", PATIENCE, || {
        cluster.holders(v4).contains(&"snowball") && cluster.holders(v6).contains(&"snowball")
    })?;
    // Half of the group was on Pinky for a moment.
    wait::until_true("and Pinky nothing", PATIENCE, || !world.pinky.has(v4))?;
    wait::throughout("it stays", 2 * DEAD_AFTER, || !world.pinky.has(v4))?;
    wait::until_true("Brain's kernel drops what nobody renews", PATIENCE, || {
        !world.brain.has(v4) && !world.brain.has(v6)
    })?;
    cluster.stop_all()
}

fn own_link_down(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let cluster = Cluster::start(&world, 2, &two_vips(Family::V4))?;
    cluster.wait_at_home()?;
    let pinky = |event: &str| cluster.daemon(0, |daemon| Ok(daemon.count(event)));
    let state = || -> Result<String> {
        let status = cluster.ask(0, "status")?;
        let nodes = status["nodes"].as_array().into_iter().flatten();
        let brain = nodes.into_iter().find(|node| node["name"] == "brain");
        Ok(brain.and_then(|node| node["state"].as_str()).unwrap_or_default().to_owned())
    };
    world.cut(&world.pinky, true)?;
    cluster.wait(0, "link-down")?;
    wait::until_true("Brain is out of reach", PATIENCE, || {
        state().is_ok_and(|state| state == "out of reach")
    })?;
    wait::throughout("and no more is known of it", 3 * DEAD_AFTER, || {
        state().is_ok_and(|state| state == "out of reach")
    })?;
    cluster.wait_held_by(Family::V4.vip(BRAIN), "brain")?;
    world.cut(&world.pinky, false)?;
    wait::until_true("Brain is heard", PATIENCE, || {
        state().is_ok_and(|state| state == "takes part")
    })?;
    wait::throughout("it stays", 3 * DEAD_AFTER, || {
        pinky("daemon-gone").is_ok_and(|said| said == 0)
    })?;
    cluster.wait_at_home()?;
    lab.say("what happened to its daemon meanwhile is told when its host answers");
    world.cut(&world.pinky, true)?;
    wait::until_true("Brain is out of reach", PATIENCE, || {
        state().is_ok_and(|state| state == "out of reach")
    })?;
    cluster.daemon(1, |daemon| daemon.signal(SIGKILL))?;
    world.cut(&world.pinky, false)?;
    cluster.wait(0, "daemon-gone")?;
    // Brain's kernel drops what nobody renews.
    for number in [PINKY, BRAIN] {
        cluster.wait_held_by(Family::V4.vip(number), "pinky")?;
    }
    cluster.stop_all()
}

fn half_a_group(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let larry = world.add_host("larry", LARRY)?;
    let (one, other) = (Family::V4.vip(BRAIN), Family::V6.vip(BRAIN));
    larry.configure(other)?;
    let text =
        format!("[[vip]]\nname = \"both\"\naddress = [\"{one}\", \"{other}\"]\nhome = \"brain\"\n");
    let cluster = Cluster::start(&world, 2, &text)?;
    cluster.wait_held_by(one, "brain")?;
    cluster.wait(1, "still-answered")?;
    cluster.ask(0, "drain brain")?;
    cluster.wait_held_by(one, "pinky")?;
    lab.say("and what the stranger had, when it lets go");
    larry.remove_address(other)?;
    cluster.wait_held_by(other, "pinky")?;
    cluster.ask(0, "undrain brain")?;
    cluster.wait_held_by(one, "brain")?;
    cluster.wait_held_by(other, "brain")?;
    cluster.stop_all()
}

fn fence_spares_the_living(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let directory = Lab::directory();
    let (script, fenced) = (directory.join("fence"), directory.join("fenced"));
    let text = format!("#!/bin/sh\necho \"$STANDIN_NODE\" >> {}\n", fenced.display());
    fs::write(&script, text).context("write the command")?;
    fs::set_permissions(&script, Permissions::from_mode(0o755)).context("make it a program")?;
    let top =
        format!("authority = \"quorum\"\nlease = \"1s\"\nfence = [\"{}\"]\n", script.display());
    let text = format!("{top}{}", two_vips(Family::V4));
    let cluster = Cluster::start(&world, 3, &text)?;
    cluster.wait_at_home()?;
    lab.say("Pinky has read another file, the others not yet");
    let more = format!("{text}[[vip]]\naddress = \"{}\"\n", Family::V4.of(LAN, 150));
    let more = format!("{more}home = \"pinky\"\n");
    cluster.write(0, "key", &more)?;
    cluster.ask(0, "reload")?;
    cluster.wait(0, "configuration-differs")?;
    wait::throughout("nobody is cut off for it", 5 * DEAD_AFTER, || {
        !fenced.exists() && cluster.holders(Family::V4.vip(BRAIN)) == ["brain"]
    })?;
    let status = cluster.ask(0, "status")?;
    ensure!(status["nodes"][1]["state"] == "other file", "{status}");
    for node in [1, 2] {
        cluster.write(node, "key", &more)?;
        cluster.ask(node, "reload")?;
    }
    cluster.wait_at_home()?;
    cluster.wait_held_by(Family::V4.of(LAN, 150), "pinky")?;
    lab.say("a node that dies is: its lease is longer than the time in which that is found");
    world.power_off(&world.brain)?;
    wait::until_true("Brain is cut off", PATIENCE, || {
        fs::read_to_string(&fenced).is_ok_and(|names| names.lines().all(|name| name == "brain"))
    })?;
    wait::until_true("Pinky has what was Brain's, and Brain drops it", PATIENCE, || {
        cluster.holders(Family::V4.vip(BRAIN)) == ["pinky"]
    })?;
    cluster.stop_all()
}
