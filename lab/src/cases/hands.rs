//! `standin run` on hosts whose administrator does something to the interface or the addresses.
//!
//! Owns what is done by hand: IPv6 switched off, routes taken away.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::cluster::{Cluster, DEAD_AFTER};
use super::{Case, beside};
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, Host, World};

pub const CASES: &[Case] = &[beside(
    "cluster_kernel_refuses",
    "IPv6 is switched off on the holder, and on its heir: the next has the group",
    kernel_refuses,
)];

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
