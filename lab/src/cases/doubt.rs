//! Silence that is no death: loss, a kernel that still answers, our own link, two that would claim.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Case, alone, beside, brain_has_its_vip, stand_in, stand_in_on};
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{BRAIN, Family, SNOWBALL, World};

const QUICK: &str = "--dead-after 300ms --back-after 500ms";

pub const CASES: &[Case] = &[
    beside(
        "home_kernel_answers",
        "silent at its real address, answering for the VIP: waited for",
        |lab| home_kernel_answers(lab, Family::V4),
    ),
    beside("home_kernel_answers_ipv6", "the same with IPv6", |lab| {
        home_kernel_answers(lab, Family::V6)
    }),
    beside(
        "home_kernel_answers_takeover",
        "--on-answer takeover claims, and says what it does",
        on_answer_takeover,
    ),
    alone(
        "loss_20_percent",
        "60 s of 20 % loss each way at --dead-after 200ms: no takeover",
        loss_20_percent,
    ),
    alone(
        "loss_and_real_death",
        "a death is found through 20 % loss, no later",
        loss_and_real_death,
    ),
    beside(
        "link_flap",
        "the stand-in's link flaps: the address is there and announced again",
        link_flap,
    ),
    beside(
        "own_link_down_is_no_death",
        "our own carrier goes and comes: no verdict, no takeover",
        own_link_down,
    ),
    beside(
        "partition_heals",
        "both hold while parted; one after the heal, and announced",
        partition_heals,
    ),
    beside("two_stand_ins", "two stand in for one home: exactly one holds", |lab| {
        two_stand_ins(lab, Family::V4)
    }),
    beside("two_stand_ins_ipv6", "the same with IPv6", |lab| two_stand_ins(lab, Family::V6)),
    beside(
        "two_stand_ins_one_dies",
        "the one that holds dies too: the other claims",
        two_stand_ins_one_dies,
    ),
];

fn home_kernel_answers(lab: &Lab, family: Family) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, family)?;
    let standin = stand_in(&world, family, QUICK)?;
    lab.say("Brain is silent at its real address and still answers for its VIP");
    world.brain.silence(family.real(BRAIN), true)?;
    let said = standin.wait("still-answered")?;
    ensure!(said.text("by") == world.brain.mac().to_string(), "{said:?}");
    standin.wait("peer-dead")?;
    wait::throughout("Pinky waits", Duration::from_secs(2), || !world.pinky.has(vip))?;
    lab.say("and now nothing of Brain answers");
    world.cut(&world.brain, true)?;
    standin.wait("answers-stopped")?;
    standin.wait("claimed")?;
    world.wait_router_sends(vip, &world.pinky)?;
    standin.stop()
}

fn on_answer_takeover(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, &format!("{QUICK} --on-answer takeover"))?;
    world.brain.silence(Family::V4.real(BRAIN), true)?;
    standin.wait("claimed")?;
    let duplicate = standin.wait("duplicate")?;
    ensure!(duplicate.text("theirs") == world.brain.mac().to_string(), "{duplicate:?}");
    world.wait_router_sends(vip, &world.pinky)?;
    standin.stop()
}

fn loss_20_percent(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, "--dead-after 200ms")?;
    world.switch.lose("brain", 20)?;
    wait::throughout("Pinky takes nothing", Duration::from_mins(1), || !world.pinky.has(vip))?;
    ensure!(standin.count("peer-dead") == 0, "{} verdicts", standin.count("peer-dead"));
    // It was a test at all: probes were lost, and suspicions arose and went.
    ensure!(standin.count("peer-suspected") > 0, "no suspicion ever arose");
    lab.say(format!("{} suspicions, no verdict", standin.count("peer-suspected")));
    standin.stop()
}

fn loss_and_real_death(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, "--dead-after 200ms")?;
    world.switch.lose("brain", 20)?;
    wait::throughout("Pinky takes nothing", Duration::from_secs(3), || !world.pinky.has(vip))?;
    let begun = Instant::now();
    world.power_off(&world.brain)?;
    wait::until_true("Pinky takes over", PATIENCE, || world.pinky.has(vip))?;
    let took = begun.elapsed();
    ensure!(took < Duration::from_millis(400), "it took {} ms", took.as_millis());
    standin.stop()
}

fn link_flap(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, QUICK)?;
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    world.wait_router_sends(vip, &world.pinky)?;
    for _ in 0..3 {
        let mark = standin.mark();
        world.cut(&world.pinky, true)?;
        standin.wait_after(mark, "link-down", PATIENCE)?;
        let wire = world.capture_at(&world.pinky)?;
        world.cut(&world.pinky, false)?;
        standin.wait_after(mark, "link-up", PATIENCE)?;
        wire.wait("announced again after the flap", 0, PATIENCE, |one| {
            !one.to_host && one.announces(world.pinky.mac(), vip)
        })?;
        ensure!(world.pinky.has(vip), "the address has gone");
    }
    world.ask(vip, 200)?.wait_answered_by("pinky", 0, PATIENCE)?;
    standin.stop()
}

fn own_link_down(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, "--dead-after 200ms")?;
    for _ in 0..2 {
        let mark = standin.mark();
        world.cut(&world.pinky, true)?;
        standin.wait_after(mark, "link-down", PATIENCE)?;
        wait::throughout("no verdict without a link", Duration::from_secs(1), || {
            standin.count("peer-dead") == 0 && !world.pinky.has(vip)
        })?;
        world.cut(&world.pinky, false)?;
        standin.wait_after(mark, "link-up", PATIENCE)?;
        wait::throughout("none after it either", Duration::from_secs(1), || {
            standin.count("peer-dead") == 0 && !world.pinky.has(vip)
        })?;
    }
    lab.say("and it still watches");
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    standin.stop()
}

fn partition_heals(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, QUICK)?;
    world.switch.partition("pinky", "brain", true)?;
    standin.wait("claimed")?;
    world.switch.partition("pinky", "brain", false)?;
    standin.wait("released")?;
    ensure!(!world.pinky.has(vip) && world.brain.has(vip), "not exactly one holds {vip}");
    world.wait_router_sends(vip, &world.brain)?;
    let client = world.ask(vip, 200)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    standin.stop()
}

fn two_stand_ins(lab: &Lab, family: Family) -> Result<()> {
    let world = World::new(lab)?;
    let snowball = world.add_host("snowball", SNOWBALL)?;
    let vip = brain_has_its_vip(&world, family)?;
    let one = stand_in(&world, family, QUICK)?;
    let other = stand_in_on(&world, &snowball, family, QUICK)?;
    for round in 1..=3 {
        lab.say(format!("round {round}"));
        let (mark_one, mark_other) = (one.mark(), other.mark());
        world.cut(&world.brain, true)?;
        one.wait_after(mark_one, "peer-dead", PATIENCE)?;
        other.wait_after(mark_other, "peer-dead", PATIENCE)?;
        let holders = || u32::from(world.pinky.has(vip)) + u32::from(snowball.has(vip));
        wait::until_true("somebody holds it", PATIENCE, || holders() > 0)?;
        wait::until_true("and only one", PATIENCE, || holders() == 1)?;
        wait::throughout("it stays one", Duration::from_secs(2), || holders() == 1)?;
        world.cut(&world.brain, false)?;
        wait::until_true("nobody but home holds it", PATIENCE, || holders() == 0)?;
        world.wait_router_sends(vip, &world.brain)?;
        // Who has not heard it yet would have nothing to say in the next round.
        one.wait_after(mark_one, "peer-alive", PATIENCE)?;
        other.wait_after(mark_other, "peer-alive", PATIENCE)?;
    }
    one.stop()?;
    other.stop()
}

fn two_stand_ins_one_dies(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let snowball = world.add_host("snowball", SNOWBALL)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let one = stand_in(&world, Family::V4, QUICK)?;
    let other = stand_in_on(&world, &snowball, Family::V4, QUICK)?;
    world.power_off(&world.brain)?;
    wait::until_true("somebody holds it", PATIENCE, || world.pinky.has(vip) || snowball.has(vip))?;
    one.wait("peer-dead")?;
    other.wait("peer-dead")?;
    let (holder, name) =
        if world.pinky.has(vip) { (&world.pinky, "snowball") } else { (&snowball, "pinky") };
    world.power_off(holder)?;
    let client = world.ask(vip, 200)?;
    client.wait_answered_by(name, 0, PATIENCE)?;
    Ok(())
}
