//! What the kernel and people see of a held address: its form, the log, the status.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Case, beside, brain_has_its_vip, stand_in};
use crate::event::Event;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{Family, PINKY, World};

const QUICK: &str = "--dead-after 300ms --back-after 500ms";
/// Set in `ifa_flags` where the kernel shall not look for duplicates.
const IFA_F_NODAD: u32 = 0x02;
/// What standin writes into `IFA_PROTO`.
const PROTO: u8 = 93;

pub const CASES: &[Case] = &[
    beside(
        "address_in_kernel",
        "prefix, label, origin and lifetime as promised",
        address_in_kernel,
    ),
    beside("address_in_kernel_ipv6", "no DAD, never a source address", address_in_kernel_ipv6),
    beside(
        "address_prefix_and_label",
        "--prefix, --label, and a label cut to 15 characters",
        prefix_and_label,
    ),
    beside(
        "address_of_named_host",
        "HOST by name: resolved, and its name is the label",
        named_host,
    ),
    beside(
        "log_json_well_formed",
        "every line is an object with time, level, event and sentence",
        log_json,
    ),
    beside("log_text_readable", "a line per event, with why", log_text),
    beside("status_over_socket", "standin status tells what is held and why", status_over_socket),
];

fn address_in_kernel(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, QUICK)?;
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    let address = world.pinky.address(vip).context("it is not there")?;
    ensure!(address.prefix == 32, "{address:?}");
    ensure!(address.label.as_deref() == Some("eth0:10.9.0.3"), "{address:?}");
    ensure!(address.proto == Some(PROTO), "{address:?}");
    ensure!(address.valid_lft_s.is_some_and(|left| left <= 2), "{address:?}");
    lab.say("with a lifetime of two seconds it is there for five");
    wait::throughout("it is renewed", Duration::from_secs(5), || world.pinky.has(vip))?;
    ensure!(standin.count("stripped") == 0 && standin.count("lapsed") == 0, "it was lost");
    standin.stop()
}

fn address_in_kernel_ipv6(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V6)?;
    // An ordinary host looks for duplicates.
    world.pinky.sysctl("net/ipv6/conf/eth0/accept_dad", "1")?;
    world.pinky.sysctl("net/ipv6/conf/eth0/dad_transmits", "1")?;
    let standin = stand_in(&world, Family::V6, QUICK)?;
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    let address = world.pinky.address(vip).context("it is not there")?;
    ensure!(address.prefix == 128 && address.proto == Some(PROTO), "{address:?}");
    ensure!(address.flags & IFA_F_NODAD != 0 && !address.is_tentative(), "{address:?}");
    ensure!(address.preferred_lft_s == Some(0), "it may become a source address: {address:?}");
    ensure!(address.valid_lft_s.is_some_and(|left| left <= 2), "{address:?}");
    standin.stop()
}

fn prefix_and_label(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let more = format!("{QUICK} --prefix 24 --label a-very-long-name-for-a-label");
    let standin = stand_in(&world, Family::V4, &more)?;
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    let address = world.pinky.address(vip).context("it is not there")?;
    ensure!(address.prefix == 24, "{address:?}");
    ensure!(address.label.as_deref() == Some("eth0:a-very-lon"), "{address:?}");
    standin.stop()?;
    ensure!(!world.pinky.has(vip), "left behind");
    ensure!(world.pinky.has(Family::V4.real(PINKY)), "the host's own address went with it");
    Ok(())
}

fn named_host(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = world.pinky.standin_for(lab, &format!("brain --vip {vip} {QUICK}"))?;
    let alive = standin.wait("peer-alive")?;
    ensure!(alive.text("peer") == "brain", "{alive:?}");
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    let address = world.pinky.address(vip).context("it is not there")?;
    ensure!(address.label.as_deref() == Some("eth0:brain"), "{address:?}");
    standin.stop()
}

fn log_json(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, QUICK)?;
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    world.power_on(&world.brain)?;
    standin.wait("handed-back")?;
    standin.stop()?;
    let text = standin.text();
    let mut last_ns = 0;
    for line in text.lines() {
        let event = Event::parse(line).with_context(|| line.to_owned())?;
        ensure!(event.at_ns + 1_000_000 >= last_ns, "time goes back: {line}");
        last_ns = last_ns.max(event.at_ns);
    }
    for name in ["started", "peer-alive", "peer-dead", "claimed", "released", "stopping"] {
        ensure!(standin.count(name) > 0, "no event is called {name}:\n{text}");
    }
    Ok(())
}

fn log_text(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let mut command = world.pinky.command(lab.standin());
    command.args(["for", "brain", "--vip", &vip.to_string(), "--dead-after", "300ms"]);
    let standin = world.pinky.start(lab, "standin", &mut command)?;
    wait::until_true("it hears Brain", PATIENCE, || standin.text().contains("brain answers"))?;
    world.power_off(&world.brain)?;
    let why = "is here and announced: brain is dead: nothing has answered for";
    wait::until_true("the reason is told", PATIENCE, || standin.text().contains(why))?;
    let text = standin.text();
    ensure!(!text.contains('\u{1b}'), "colours without a terminal: {text}");
    let line = text.lines().find(|line| line.contains(why)).unwrap_or_default();
    ensure!(line.contains("INFO") && line.contains(&vip.to_string()), "{line}");
    standin.stop()
}

fn status_over_socket(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let socket = Lab::directory().join("status.sock");
    let path = socket.display();
    let standin = stand_in(&world, Family::V4, &format!("{QUICK} --socket {path}"))?;
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    let told = wait::until("the status says so", PATIENCE, || {
        let output = world.pinky.standin(lab, &format!("status --socket {path} --json")).ok()?;
        let value: Value = serde_json::from_slice(&output.stdout).ok()?;
        value.to_string().contains("\"dead\"").then_some(value)
    })?;
    ensure!(told.to_string().contains(&vip.to_string()), "{told}");
    let table = world.pinky.standin(lab, &format!("status --socket {path}"))?;
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    ensure!(table.contains(&vip.to_string()) && table.contains("dead"), "{table}");
    standin.stop()?;
    ensure!(!socket.exists(), "the socket was left behind");
    let late = world.pinky.standin(lab, &format!("status --socket {path}"))?;
    let error = String::from_utf8_lossy(&late.stderr).into_owned();
    ensure!(late.status.code() == Some(69), "{}: {error}", late.status);
    Ok(())
}
