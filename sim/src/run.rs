//! One seed from its beginning to its verdict.
//!
//! Owns the two phases. Invariant: a seed is run twice, and both runs are the same to the last byte
//! that was sent.

use crate::plan;
use crate::random::Random;
use crate::scenario::{GroupPlan, Scenario};
use crate::settle;
use crate::world::{Operation, World};

/// How a seed ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which.
    pub seed: u64,
    /// The promise that was broken.
    pub broken: Option<String>,
    /// Stands for everything that happened.
    pub fingerprint: u64,
    /// How many events that were.
    pub events: u64,
    /// What happened, for people, where that was asked for.
    pub story: Vec<String>,
}

/// Runs a seed once.
pub fn run_once(seed: u64, story: bool) -> Verdict {
    run_with(seed, Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed), story)
}

/// Runs what these numbers choose; `seed` is its name.
pub fn run_with(seed: u64, mut random: Random, story: bool) -> Verdict {
    let scenario = Scenario::draw(&mut random);
    let (plan, length) = plan::draw(&scenario, &mut random);
    let placed = plan.iter().any(|(_, operation)| matches!(operation, Operation::Place(..)));
    let mut world = World::new(scenario, Random::new(random.draw()), story);
    let beginning = world.now;
    for (at, operation) in plan {
        world.plan(beginning + at, operation);
    }
    world.run_to(beginning + length);
    for operation in plan::heal(&world, &mut random) {
        if world.broken.is_none() {
            world.operate(&operation);
        }
    }
    for (at, operation) in plan::heal_later(&world) {
        world.plan(at, operation);
    }
    let now = world.now;
    for (after, operation) in plan::heal_voters(&world) {
        world.plan(now + after, operation);
    }
    world.run(settle::bound(&world.scenario));
    let broken = world.broken.clone().or_else(|| examine_twice(&mut world, placed).err());
    if broken.is_some() {
        world.tell_views();
    }
    Verdict {
        seed,
        broken,
        fingerprint: world.fingerprint(),
        events: world.events,
        story: world.story.take().unwrap_or_default(),
    }
}

/// All is as it should be, stays so, and nothing moves meanwhile.
fn examine_twice(world: &mut World, placed: bool) -> Result<(), String> {
    let late = |why| format!("{why}, {:?} after the heal", settle::bound(&world.scenario));
    settle::examine(world, placed).map_err(late)?;
    let before = world.changes;
    world.run(settle::STILL);
    if let Some(broken) = &world.broken {
        return Err(broken.clone());
    }
    if world.changes != before {
        return Err(String::from("an address moved though nothing had happened for long"));
    }
    settle::examine(world, placed)
}

/// Runs a seed twice.
pub fn run(seed: u64) -> Verdict {
    let (mut first, second) = (run_once(seed, false), run_once(seed, false));
    if first != second && first.broken.is_none() {
        first.broken = Some(String::from("two runs of this seed differ"));
    }
    first
}

/// Whether a seed is about authority `quorum`.
pub fn is_of_quorum(seed: u64) -> bool {
    let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed);
    Scenario::draw(&mut random).quorum.is_some()
}

/// What a seed is about, in a few words.
pub fn describe(seed: u64) -> String {
    let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed);
    let scenario = Scenario::draw(&mut random);
    let groups: Vec<String> = scenario
        .groups
        .iter()
        .map(|group| {
            let addresses: Vec<String> = group.addresses.iter().map(ToString::to_string).collect();
            let GroupPlan { name, rules, on_doubt, .. } = group;
            format!(
                "    {name}: {} {:?}, on doubt {on_doubt:?}",
                addresses.join(" "),
                rules.preference
            )
        })
        .collect();
    format!(
        "seed {seed}: {:?} of {}, {:?}, dead-after {:?}, failback {:?}, {} path(s), heartbeats over \
         IPv{}, checks {}, references {}, routers {:?}, {} witness(es), {:?}, {:?}\n{}",
        scenario.kind,
        scenario.names.join(", "),
        scenario.manner,
        scenario.timing.dead_after,
        scenario.groups[0].rules.failback,
        scenario.paths,
        if scenario.heartbeats_v6 { 6 } else { 4 },
        scenario.checked,
        scenario.references,
        scenario.routers,
        scenario.witnesses,
        scenario.quorum,
        scenario.stall,
        groups.join("\n")
    )
}
