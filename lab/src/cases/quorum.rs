//! `authority = "quorum"`: at no moment do two answer, whatever fails; and how little that costs.
//!
//! Owns what is done to three voters, two nodes and a witness or three nodes. Every case is watched
//! from outside at 1 kHz ([`Watcher`]).

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use standin_sys::signal::{SIGCONT, SIGSTOP};

use super::voters::{self, Shape, Voters};
use super::{Case, alone};
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::watcher::Watcher;
use crate::world::{BRAIN, Family, World};

pub const CASES: &[Case] = &[
    alone("quorum_boots", "two nodes and a witness: held once, the witness says so", boots),
    alone("quorum_frozen", "the holder is stopped at a stroke: its kernel ends it", frozen),
    alone("quorum_frozen_three", "the same with three nodes", frozen_three),
    alone("quorum_partition_pairs", "each pair is parted: nothing moves", partition_pairs),
    alone("quorum_partition_holder", "the holder is parted from both: one after it", parted_holder),
    alone("quorum_one_way", "cuts in one direction, from the holder and to it", one_way),
    alone("quorum_witness_lost", "the witness goes and comes: nobody notices", witness_lost),
    alone("quorum_two_lost", "without a majority nobody answers, and with one again", two_lost),
    alone("quorum_power_off", "the holder loses its power: the lease is waited out", power_off),
    alone("quorum_moves", "planned moves: nothing lost, and one agreed overlap", moves),
    alone("quorum_restart_keep", "restart with --keep: never two, and soon there", restart_keep),
    alone("quorum_add_witness", "a witness is added by reloads, one at a time", add_witness),
    alone(
        "quorum_remove_dead_voter",
        "a dead witness is removed, and comes back unheard",
        remove_dead_voter,
    ),
    alone("quorum_short_lease", "a lease of 60 ms: never two, and answers go on", short_lease),
];

/// For so long a voter binds itself.
const LEASE: Duration = voters::LEASE;
/// The same while files are read again: each asks the kernel a lot, which takes a busy machine hundreds of
/// milliseconds.
const CHANGING: Duration = Duration::from_secs(1);

/// Brain's.
fn vip() -> IpAddr {
    Family::V4.vip(BRAIN)
}

fn boots(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start(&world, 2)?;
    let watcher = voters.watch()?;
    wait::throughout("it stays", 5 * LEASE, || voters.holders() == ["brain"])?;
    let status = voters.ask(1, "status")?;
    ensure!(status["authority"]["needed"] == 2, "{status}");
    ensure!(status["nodes"][2]["witness"] == true, "{status}");
    ensure!(status["groups"][0]["lease"]["votes"] == 3, "{status}");
    let seen = voters.ask(2, "status")?;
    ensure!(seen["node"] == "snowball" && seen["groups"][0]["holder"] == "brain", "{seen}");
    let verdict = watcher.finish()?;
    verdict.never_two(false)?;
    let silence = verdict.longest_silence();
    lab.say(format!("the longest time without an answer: {} ms", silence.as_millis()));
    ensure!(silence < LEASE, "a steady lease lapsed for {} ms", silence.as_millis());
    let at = &voters.hosts[1];
    let tables = at.command("nft").args(["list", "tables"]).output().context("nft")?;
    let tables = format!("{tables:?}");
    ensure!(tables.contains("table arp standin-lab"), "{tables}");
    let brain = at.clone();
    voters.stop_all()?;
    let tables = brain.command("nft").args(["list", "tables"]).output().context("nft")?;
    ensure!(!String::from_utf8_lossy(&tables.stdout).contains("standin"), "tables are left behind");
    Ok(())
}

fn frozen(lab: &Lab) -> Result<()> {
    freeze(lab, 2)
}

fn frozen_three(lab: &Lab) -> Result<()> {
    freeze(lab, 3)
}

fn freeze(lab: &Lab, nodes: usize) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start(&world, nodes)?;
    let watcher = voters.watch()?;
    for round in 1..=3 {
        lab.say(format!("round {round}: Brain's daemon is stopped"));
        let mark = Watcher::mark_ns();
        voters.daemon(1, |daemon| daemon.signal(SIGSTOP))?;
        watcher.wait_answered_by("pinky", mark)?;
        wait::throughout("nobody wakes up", LEASE, || voters.holders() != ["brain"])?;
        lab.say("it wakes up");
        let mark = Watcher::mark_ns();
        voters.daemon(1, |daemon| daemon.signal(SIGCONT))?;
        watcher.wait_answered_by("brain", mark)?;
        voters.wait_held_by("brain")?;
        wait::throughout("it stays", LEASE, || voters.holders() == ["brain"])?;
    }
    let verdict = watcher.finish()?;
    verdict.never_two(true)?;
    let gaps: Vec<u128> = verdict.gaps().iter().map(Duration::as_millis).collect();
    lab.say(format!("from the last answer of one to the first of another: {gaps:?} ms"));
    voters.stop_all()
}

fn partition_pairs(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start(&world, 2)?;
    let watcher = voters.watch()?;
    for (one, other) in [("pinky", "brain"), ("brain", "snowball"), ("pinky", "snowball")] {
        lab.say(format!("{one} and {other} are parted"));
        world.switch.partition(one, other, true)?;
        wait::throughout("Brain has it", 6 * LEASE, || voters.holders() == ["brain"])?;
        world.switch.partition(one, other, false)?;
        wait::throughout("Brain has it", 4 * LEASE, || voters.holders() == ["brain"])?;
    }
    let verdict = watcher.finish()?;
    verdict.never_two(false)?;
    let silence = verdict.longest_silence();
    lab.say(format!("the longest time without an answer: {} ms", silence.as_millis()));
    ensure!(silence < LEASE, "it lapsed for {} ms", silence.as_millis());
    voters.stop_all()
}

/// Brain hears neither of the other voters, or again. The watcher and the router reach it.
fn part_brain(world: &World<'_>, parted: bool) -> Result<()> {
    ["pinky", "snowball"].iter().try_for_each(|port| world.switch.partition("brain", port, parted))
}

fn parted_holder(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start(&world, 2)?;
    let watcher = voters.watch()?;
    for _ in 0..3 {
        lab.say("Brain is parted from both");
        let mark = Watcher::mark_ns();
        part_brain(&world, true)?;
        watcher.wait_answered_by("pinky", mark)?;
        wait::throughout("Pinky's alone", 3 * LEASE, || voters.holders() == ["pinky"])?;
        lab.say("and it is mended");
        let mark = Watcher::mark_ns();
        part_brain(&world, false)?;
        watcher.wait_answered_by("brain", mark)?;
        voters.wait_held_by("brain")?;
        wait::throughout("it stays", 2 * LEASE, || voters.holders() == ["brain"])?;
    }
    let verdict = watcher.finish()?;
    verdict.never_two(true)?;
    let gaps: Vec<u128> = verdict.gaps().iter().map(Duration::as_millis).collect();
    lab.say(format!("from the last answer of one to the first of another: {gaps:?} ms"));
    voters.stop_all()
}

fn one_way(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start(&world, 2)?;
    let watcher = voters.watch()?;
    for outwards in [true, false] {
        for others in [&["pinky"][..], &["snowball"], &["pinky", "snowball"]] {
            let set = |cut: bool| {
                others.iter().try_for_each(|other| {
                    let (from, to) = if outwards { ("brain", *other) } else { (*other, "brain") };
                    world.switch.cut_one_way(from, to, cut)
                })
            };
            let way = if outwards { "to" } else { "from" };
            lab.say(format!("nothing comes {way} {} of Brain's", others.join(" and ")));
            set(true)?;
            wait::throughout("never two have it in turn", 6 * LEASE, || {
                voters.holders().len() < 3
            })?;
            set(false)?;
            voters.wait_held_by("brain")?;
            watcher.wait_answered_by("brain", Watcher::mark_ns())?;
        }
    }
    watcher.finish()?.never_two(true)?;
    voters.stop_all()
}

fn witness_lost(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start(&world, 2)?;
    let watcher = voters.watch()?;
    voters.hosts[2].kill_processes()?;
    wait::throughout("Brain has it", 6 * LEASE, || voters.holders() == ["brain"])?;
    voters.start_one(2)?;
    wait::until_true("the witness votes again", PATIENCE, || {
        voters.ask(1, "status").is_ok_and(|status| status["groups"][0]["lease"]["votes"] == 3)
    })?;
    let verdict = watcher.finish()?;
    verdict.never_two(false)?;
    let silence = verdict.longest_silence();
    ensure!(silence < LEASE, "it lapsed for {} ms", silence.as_millis());
    voters.stop_all()
}

fn two_lost(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start(&world, 2)?;
    let watcher = voters.watch()?;
    lab.say("Pinky and the witness lose their power");
    voters.hosts[2].kill_processes()?;
    voters.hosts[0].kill_processes()?;
    wait::until_true("Brain gives it up", PATIENCE, || voters.holders().is_empty())?;
    let lost = voters.daemon(1, |daemon| daemon.wait("lease-lost"))?;
    ensure!(lost.text("group") == vip().to_string(), "{lost:?}");
    let mark = Watcher::mark_ns();
    wait::throughout("nobody has it", 4 * LEASE, || voters.holders().is_empty())?;
    ensure!(watcher.answers().iter().all(|one| one.at_ns <= mark), "somebody answered alone");
    voters.start_one(2)?;
    watcher.wait_answered_by("brain", Watcher::mark_ns())?;
    watcher.finish()?.never_two(false)?;
    voters.stop_all()
}

fn power_off(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    lose_power(&world, Voters::start(&world, 2)?)
}

/// Brain, the holder, loses its power; Pinky answers when the lease is over.
pub(super) fn lose_power(world: &World<'_>, voters: Voters<'_, '_>) -> Result<()> {
    let watcher = voters.watch()?;
    let mark = Watcher::mark_ns();
    world.power_off(&world.brain)?;
    watcher.wait_answered_by("pinky", mark)?;
    let verdict = watcher.finish()?;
    verdict.never_two(false)?;
    let silence = verdict.longest_silence();
    world.lab.say(format!("nobody answered for {} ms", silence.as_millis()));
    ensure!(silence <= LEASE + Duration::from_millis(150), "for {} ms", silence.as_millis());
    wait::until_true("Brain's kernel drops what nobody renews", PATIENCE, || {
        voters.holders() == ["pinky"]
    })?;
    voters.stop_all()
}

fn moves(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start(&world, 2)?;
    let watcher = voters.watch()?;
    let client = world.ask(vip(), 1000)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    for round in 0..6 {
        let to = ["pinky", "brain"][round % 2];
        let mark = Watcher::mark_ns();
        voters.ask(round % 2, &format!("move {} {to}", vip()))?;
        voters.wait_held_by(to)?;
        watcher.wait_answered_by(to, mark)?;
        client.wait_answered_by(to, client.mark(), PATIENCE)?;
        wait::throughout("it stays", LEASE, || voters.holders() == [to])?;
    }
    let record = client.finish();
    watcher.finish()?.never_two(true)?;
    lab.say(format!("{} requests, {} lost", record.sent(), record.lost()));
    ensure!(record.lost() == 0, "{} of {} were lost", record.lost(), record.sent());
    voters.stop_all()
}

fn restart_keep(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start(&world, 2)?;
    let watcher = voters.watch()?;
    voters.ask(1, "stop --keep")?;
    voters.daemon(1, |daemon| daemon.wait_end(PATIENCE).map(drop))?;
    let mark = Watcher::mark_ns();
    voters.start_one(1)?;
    watcher.wait_answered_by("brain", mark)?;
    voters.wait_held_by("brain")?;
    let verdict = watcher.finish()?;
    verdict.never_two(true)?;
    let silence = verdict.longest_silence();
    lab.say(format!("nobody answered for {} ms", silence.as_millis()));
    voters.stop_all()
}

fn add_witness(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start_as(&world, Shape { lease: CHANGING, ..Shape::three(2) })?;
    let watcher = voters.watch()?;
    // Who has just started may not know of an earlier change: for one lease no other is taken over.
    wait::throughout("it stays", 3 * CHANGING, || voters.holders() == ["brain"])?;
    lab.say("Edward is added to the file, one voter after the other");
    *voters.listed.borrow_mut() = 4;
    voters.start_one(3)?;
    for host in [2, 0, 1] {
        voters.reload(host, "reloaded")?;
    }
    wait::until_true("every voter has taken it over", PATIENCE, || {
        voters.ask(1, "status").is_ok_and(|status| {
            status["authority"]["settled"] == true && status["groups"][0]["lease"]["votes"] == 4
        })
    })?;
    lab.say("two at once are refused");
    *voters.listed.borrow_mut() = 2;
    let refused = voters.reload(0, "reload-refused")?;
    ensure!(refused.message().contains("voters change one at a time"), "{refused:?}");
    lab.say("three of the four are enough");
    voters.hosts[2].kill_processes()?;
    wait::throughout("Brain has it", 6 * CHANGING, || voters.holders() == ["brain"])?;
    let verdict = watcher.finish()?;
    verdict.never_two(false)?;
    let silence = verdict.longest_silence();
    lab.say(format!("the longest time without an answer: {} ms", silence.as_millis()));
    ensure!(silence < LEASE, "it lapsed for {} ms", silence.as_millis());
    voters.stop_all()
}

fn remove_dead_voter(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start_as(&world, Shape { lease: CHANGING, ..Shape::three(2) })?;
    let watcher = voters.watch()?;
    wait::throughout("it stays", 3 * CHANGING, || voters.holders() == ["brain"])?;
    lab.say("the witness dies for good, and is taken out of the file");
    voters.hosts[2].kill_processes()?;
    wait::throughout("it stays", 4 * CHANGING, || voters.holders() == ["brain"])?;
    *voters.listed.borrow_mut() = 2;
    for host in [0, 1] {
        voters.reload(host, "reloaded")?;
    }
    for host in [0, 1] {
        wait::until_true("both have settled without it", PATIENCE, || {
            voters.ask(host, "status").is_ok_and(|status| status["authority"]["settled"] == true)
        })?;
    }
    let status = voters.ask(1, "status")?;
    ensure!(status["authority"]["voters"].as_array().is_some_and(|all| all.len() == 2), "{status}");
    lab.say("with the file of before it may come back: nobody listens to it");
    *voters.listed.borrow_mut() = 3;
    voters.start_one(2)?;
    wait::throughout("it stays", 4 * CHANGING, || voters.holders() == ["brain"])?;
    voters.hosts[2].kill_processes()?;
    let verdict = watcher.finish()?;
    verdict.never_two(false)?;
    let silence = verdict.longest_silence();
    ensure!(silence < LEASE, "it lapsed for {} ms", silence.as_millis());
    voters.stop_all()
}

/// How long a lease lapses on a machine that keeps its processes waiting is no promise; that they are
/// answered for again, and mostly, is.
fn short_lease(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters =
        Voters::start_as(&world, Shape { lease: Duration::from_millis(60), ..Shape::three(2) })?;
    let watcher = voters.watch()?;
    let client = world.ask(vip(), 1000)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    wait::throughout("it goes on", Duration::from_secs(2), || true)?;
    for round in 0..10 {
        let to = ["pinky", "brain"][round % 2];
        let mark = Watcher::mark_ns();
        voters.ask(round % 2, &format!("move {} {to}", vip()))?;
        watcher.wait_answered_by(to, mark)?;
        client.wait_answered_by(to, client.mark(), PATIENCE)?;
    }
    let record = client.finish();
    watcher.finish()?.never_two(true)?;
    let (sent, lost) = (record.sent(), record.lost());
    lab.say(format!("{sent} requests, {lost} lost, the longest wait {:?}", record.longest_gap()));
    ensure!(lost * 10 < sent, "{lost} of {sent} were lost");
    voters.stop_all()
}
