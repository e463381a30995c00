//! `authority = "quorum"` on other hosts and networks: IPv6, kernels without nftables, frozen control
//! groups, more voters, voters behind a router or with two paths, and `on-doubt = "hold"`.
//!
//! Owns what is done to them. All but the last are held to the one promise, never two, by a watch
//! at 1 kHz.

use std::time::Duration;

use anyhow::{Result, ensure};
use standin_sys::signal::{SIGCONT, SIGSTOP};

use super::quorum::lose_power;
use super::voters::{LEASE, Shape, Voters};
use super::{Case, alone};
use crate::cgroup::Cgroup;
use crate::daemon::Daemon;
use crate::story::Lab;
use crate::wait;
use crate::watcher::Watcher;
use crate::world::{Family, World};

pub const CASES: &[Case] = &[
    alone("quorum_frozen_cgroup", "the holder is frozen by its cgroup", frozen_cgroup),
    alone("quorum_frozen_ipv6", "IPv6 all through: the holder is stopped", frozen_ipv6),
    alone("quorum_partition_ipv6", "the same, parted from both others", partition_ipv6),
    alone("quorum_power_off_ipv6", "the same, without power", power_off_ipv6),
    alone("quorum_without_nftables", "no nftables: lifetimes end a lease of 5 s", no_nftables),
    alone("quorum_on_doubt_hold", "on-doubt = hold: kept in doubt, one in the end", on_doubt_hold),
    alone("quorum_five_two_lost", "of five voters two are lost: nobody notices", five_two_lost),
    alone("quorum_witness_behind_router", "a witness elsewhere votes", witness_behind_router),
    alone("quorum_two_paths", "the first of two paths dies between all", two_paths),
];

/// The shortest that is safe where addresses are ended by their lifetimes.
const UNGUARDED: Duration = Duration::from_secs(5);
/// Stopped, frozen or parted so often.
const ROUNDS: usize = 2;

/// Takes the holder away and gives it back, again and again: another answers after it, and then it
/// does. Never two.
fn away_and_back(
    lab: &Lab,
    voters: &Voters<'_, '_>,
    watcher: Watcher,
    lease: Duration,
    away: impl Fn(bool) -> Result<()>,
) -> Result<()> {
    for _ in 0..ROUNDS {
        let mark = Watcher::mark_ns();
        away(true)?;
        watcher.wait_answered_by("pinky", mark)?;
        wait::throughout("Pinky has it", lease, || voters.holders().contains(&"pinky"))?;
        let mark = Watcher::mark_ns();
        away(false)?;
        watcher.wait_answered_by("brain", mark)?;
        voters.wait_held_by("brain")?;
        wait::throughout("it stays", lease, || voters.holders() == ["brain"])?;
    }
    let verdict = watcher.finish()?;
    verdict.never_two(true)?;
    let gaps: Vec<u128> = verdict.gaps().iter().map(Duration::as_millis).collect();
    lab.say(format!("from the last answer of one to the first of another: {gaps:?} ms"));
    Ok(())
}

fn stop_and_go(voters: &Voters<'_, '_>, stopped: bool) -> Result<()> {
    voters.daemon(1, |daemon| daemon.signal(if stopped { SIGSTOP } else { SIGCONT }))
}

/// Brain hears neither of the other voters, or again. The watcher reaches it.
fn part_brain(world: &World<'_>, parted: bool) -> Result<()> {
    ["pinky", "snowball"].iter().try_for_each(|port| world.switch.partition("brain", port, parted))
}

fn frozen_cgroup(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let group = Cgroup::create()?;
    let voters = Voters::start(&world, 2)?;
    let watcher = voters.watch()?;
    voters.daemon(1, |daemon| group.take(daemon.process().id()))?;
    away_and_back(lab, &voters, watcher, LEASE, |away| {
        lab.say(if away { "Brain is frozen" } else { "Brain is thawed" });
        group.freeze(away)
    })?;
    voters.stop_all()
}

const IPV6: Shape = Shape { family: Family::V6, ..Shape::three(2) };

fn frozen_ipv6(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start_as(&world, IPV6)?;
    let watcher = voters.watch()?;
    away_and_back(lab, &voters, watcher, LEASE, |away| stop_and_go(&voters, away))?;
    voters.stop_all()
}

fn partition_ipv6(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start_as(&world, IPV6)?;
    let watcher = voters.watch()?;
    away_and_back(lab, &voters, watcher, LEASE, |away| part_brain(&world, away))?;
    voters.stop_all()
}

fn power_off_ipv6(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    lose_power(&world, Voters::start_as(&world, IPV6)?)
}

fn no_nftables(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let shape = Shape { nftables: false, ..Shape::three(2) };
    let refused = Voters::of(&world, shape)?.start_one(1);
    let said = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(said.contains("ended"), "a lease of {} ms was taken: {said}", LEASE.as_millis());
    drop(world);
    let world = World::new(lab)?;
    let voters = Voters::start_as(&world, Shape { lease: UNGUARDED, ..shape })?;
    let tables = world.brain.command("nft").args(["list", "tables"]).output()?;
    ensure!(tables.stdout.is_empty(), "there are tables all the same: {tables:?}");
    let watcher = voters.watch()?;
    lab.say("Brain is stopped");
    let mark = Watcher::mark_ns();
    stop_and_go(&voters, true)?;
    watcher.wait_answered_by("pinky", mark)?;
    stop_and_go(&voters, false)?;
    voters.wait_held_by("brain")?;
    watcher.wait_answered_by("brain", Watcher::mark_ns())?;
    lab.say("Brain is parted from both");
    let mark = Watcher::mark_ns();
    part_brain(&world, true)?;
    watcher.wait_answered_by("pinky", mark)?;
    part_brain(&world, false)?;
    voters.wait_held_by("brain")?;
    watcher.wait_answered_by("brain", Watcher::mark_ns())?;
    lab.say("Brain's daemon is killed");
    let mark = Watcher::mark_ns();
    voters.hosts[1].kill_processes()?;
    watcher.wait_answered_by("pinky", mark)?;
    watcher.finish()?.never_two(true)?;
    wait::until_true("Brain's kernel drops it", wait::PATIENCE, || voters.holders() == ["pinky"])?;
    voters.stop_all()
}

fn on_doubt_hold(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start_as(&world, Shape { holds: true, ..Shape::three(2) })?;
    let watcher = voters.watch()?;
    lab.say("Brain is parted from both: it keeps the address, and they take it after the lease");
    let mark = Watcher::mark_ns();
    part_brain(&world, true)?;
    watcher.wait_answered_by("pinky", mark)?;
    wait::throughout("Brain keeps it too", 5 * LEASE, || {
        voters.holders().iter().all(|name| ["pinky", "brain"].contains(name))
            && voters.holders().contains(&"brain")
    })?;
    watcher.wait_answered_by("brain", Watcher::mark_ns())?;
    let lease = &voters.ask(1, "status")?["groups"][0]["lease"];
    ensure!(lease["left_ms"].is_null() && lease["votes"] == 1, "it holds without one: {lease}");
    ensure!(lease["waits"] == "a majority of the voters to answer", "{lease}");
    lab.say("it is mended: one has it in the end, and it stays");
    part_brain(&world, false)?;
    voters.wait_held_by("brain")?;
    wait::throughout("it stays", 5 * LEASE, || voters.holders() == ["brain"])?;
    lab.say("Pinky and the witness die: Brain keeps it alone");
    for host in [0, 2] {
        voters.hosts[host].kill_processes()?;
    }
    wait::throughout("Brain keeps it", 5 * LEASE, || voters.holders() == ["brain"])?;
    watcher.wait_answered_by("brain", Watcher::mark_ns())?;
    drop(watcher);
    voters.stop_all()
}

fn five_two_lost(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start_as(&world, Shape { listed: 5, ..Shape::three(3) })?;
    let watcher = voters.watch()?;
    let wait_votes = |wanted: u64| {
        wait::until_true(&format!("{wanted} vote"), wait::PATIENCE, || {
            voters.ask(1, "status").is_ok_and(|it| it["groups"][0]["lease"]["votes"] == wanted)
        })
    };
    wait_votes(5)?;
    lab.say("a witness and a node are lost");
    voters.hosts[0].kill_processes()?;
    voters.hosts[4].kill_processes()?;
    wait::throughout("Brain has it", 6 * LEASE, || voters.holders() == ["brain"])?;
    wait_votes(3)?;
    let silence = watcher.finish()?.longest_silence();
    ensure!(silence < LEASE, "it lapsed for {} ms", silence.as_millis());
    lab.say("and a third: nobody has it");
    voters.hosts[3].kill_processes()?;
    wait::until_true("it goes", wait::PATIENCE, || voters.holders().is_empty())?;
    wait::throughout("nobody has it", 4 * LEASE, || voters.holders().is_empty())?;
    voters.start_one(4)?;
    voters.wait_held_by("brain")?;
    voters.stop_all()
}

fn witness_behind_router(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start_as(&world, Shape { last_outside: true, ..Shape::three(2) })?;
    let watcher = voters.watch()?;
    lab.say("Pinky dies: the witness is the other half of the majority");
    voters.hosts[0].kill_processes()?;
    wait::throughout("Brain has it", 6 * LEASE, || voters.holders() == ["brain"])?;
    voters.start_one(0)?;
    voters.daemon(0, |daemon: &Daemon| daemon.wait("ready").map(drop))?;
    lab.say("Brain loses its power: the witness gives it to Pinky");
    let mark = Watcher::mark_ns();
    world.power_off(&world.brain)?;
    watcher.wait_answered_by("pinky", mark)?;
    watcher.finish()?.never_two(false)?;
    wait::until_true("Brain's kernel drops it", wait::PATIENCE, || voters.holders() == ["pinky"])?;
    voters.stop_all()
}

fn two_paths(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let voters = Voters::start_as(&world, Shape { two_paths: true, ..Shape::three(2) })?;
    let watcher = voters.watch()?;
    let pairs = [("pinky", "brain"), ("brain", "snowball"), ("pinky", "snowball")];
    let part = |suffix: &str, parted: bool| {
        pairs.iter().try_for_each(|(one, other)| {
            let (one, other) = (format!("{one}{suffix}"), format!("{other}{suffix}"));
            world.switch.partition(&one, &other, parted)
        })
    };
    for suffix in ["-2", ""] {
        lab.say(format!("nothing passes on the path of pinky{suffix}"));
        part(suffix, true)?;
        wait::throughout("Brain has it", 6 * LEASE, || voters.holders() == ["brain"])?;
        part(suffix, false)?;
        wait::throughout("Brain has it", 2 * LEASE, || voters.holders() == ["brain"])?;
    }
    let verdict = watcher.finish()?;
    verdict.never_two(false)?;
    let silence = verdict.longest_silence();
    ensure!(silence < LEASE, "it lapsed for {} ms", silence.as_millis());
    voters.stop_all()
}
