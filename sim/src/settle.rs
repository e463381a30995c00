//! Phase two: what must be so once a world is whole again.
//!
//! Owns the promises of liveness. Each is about the truth, which the checker knows and no node
//! does. Never changes a world.

use std::net::IpAddr;
use std::time::Duration;

use standin_core::cluster::settings::OnDoubt;
use standin_core::config::Failback;
use standin_core::place::Preference;

use crate::scenario::{GroupPlan, HostId, Kind, Scenario};
use crate::world::World;

/// How long a world is left to itself after a heal: a link that is not proven (3 s), deaths, two
/// moves of which the first goes wrong (5 s), the checks, and the failback. Routers that ask again
/// do so within this time.
pub fn bound(scenario: &Scenario) -> Duration {
    let wait = match scenario.groups[0].rules.failback {
        Failback::After(wait) => wait,
        Failback::Yes | Failback::No => Duration::ZERO,
    };
    // A lease that was granted before the heal runs to its end, a voter that has just started is
    // quiet for as long, and so may be the next.
    let lease = scenario.quorum.map_or(Duration::ZERO, |plan| plan.length * 3);
    Duration::from_secs(16) + scenario.timing.dead_after * 4 + wait + lease
}

/// Nothing may move for so long after that.
pub const STILL: Duration = Duration::from_secs(8);

/// What is not as it should be; `placed`: operators placed groups, so that preferences say little.
pub fn examine(world: &World, placed: bool) -> Result<(), String> {
    let scenario = &world.scenario;
    let eligible: Vec<HostId> = (0..scenario.nodes()).filter(|id| world.is_eligible(*id)).collect();
    let mut load = vec![0_usize; scenario.nodes()];
    for group in &scenario.groups {
        match world.has_majority() {
            Some(true) => {}
            Some(false) => {
                examine_without_majority(world, group)?;
                continue;
            }
            None => continue,
        }
        let mut holder = None;
        for vip in &group.addresses {
            let here = examine_address(world, *vip, &eligible)?;
            if *holder.get_or_insert(here) != here {
                return Err(format!("{} is in pieces", group.name));
            }
        }
        let Some(Some(holder)) = holder else { continue };
        load[holder] += 1;
        if !placed && group.rules.failback != Failback::No {
            examine_place(world, group.rules.preference.clone(), holder, &eligible)
                .map_err(|why| format!("{}: {why}", group.name))?;
        }
    }
    let spread = matches!(scenario.groups[0].rules.preference, Preference::Spread(_));
    if spread
        && world.has_majority() == Some(true)
        && !placed
        && scenario.groups[0].rules.failback != Failback::No
    {
        let loads = eligible.iter().map(|id| load[*id]);
        let (least, most) = (loads.clone().min().unwrap_or(0), loads.max().unwrap_or(0));
        if most > least + 1 {
            return Err(format!("the pool is uneven: {load:?}"));
        }
    }
    Ok(())
}

/// Without a majority of voters nobody has a right to anything; what was kept in doubt stays.
fn examine_without_majority(world: &World, group: &GroupPlan) -> Result<(), String> {
    for vip in &group.addresses {
        let holders = world.holders(*vip);
        let most = usize::from(group.on_doubt == OnDoubt::Hold);
        if holders.len() > most {
            let names: Vec<String> = holders.iter().map(|id| world.scenario.name(*id)).collect();
            return Err(format!("{} hold(s) {vip} without a majority", names.join(" and ")));
        }
    }
    Ok(())
}

/// Who holds it, where that is as it should be.
fn examine_address(
    world: &World,
    vip: IpAddr,
    eligible: &[HostId],
) -> Result<Option<HostId>, String> {
    let names = |ids: &[HostId]| {
        let names: Vec<String> = ids.iter().map(|id| world.scenario.name(*id)).collect();
        names.join(" and ")
    };
    let holders = world.holders(vip);
    if world.scenario.kind == Kind::Pair {
        return examine_pair(world, vip, &holders);
    }
    let holder = match holders[..] {
        [holder] => holder,
        [] if eligible.is_empty() => return Ok(None),
        [] => return Err(format!("nobody holds {vip}, and {} could", names(eligible))),
        _ => return Err(format!("{} all hold {vip}", names(&holders))),
    };
    if !eligible.is_empty() && !eligible.contains(&holder) {
        return Err(format!(
            "{} holds {vip} and should not; {} could",
            names(&holders),
            names(eligible)
        ));
    }
    if world.answerers(vip) != holders {
        return Err(format!("{} holds {vip} and does not answer for it", names(&holders)));
    }
    examine_routers(world, vip, holder)?;
    Ok(Some(holder))
}

fn examine_routers(world: &World, vip: IpAddr, holder: HostId) -> Result<(), String> {
    let scenario = &world.scenario;
    for router in scenario.routers() {
        let reached = world.reached_from(router, vip);
        if reached != Some(holder) && !world.is_forgotten(router, vip) {
            let router = scenario.name(router);
            let holder = scenario.name(holder);
            return Err(format!("{router} does not reach {vip}, which {holder} holds"));
        }
    }
    Ok(())
}

/// `standin for`: Brain has his own address when his daemon runs, else Pinky has it when hers does.
fn examine_pair(world: &World, vip: IpAddr, holders: &[HostId]) -> Result<Option<HostId>, String> {
    let (pinky, brain) = (0, 1);
    let expected = match (world.runs(brain), world.runs(pinky)) {
        (true, _) => Some(brain),
        (false, true) if !world.hosts[brain].powered => Some(pinky),
        (false, _) => return Ok(None),
    };
    if holders != expected.into_iter().collect::<Vec<_>>() {
        return Err(format!("{vip} is with {holders:?} instead of {expected:?}"));
    }
    if let Some(holder) = expected {
        examine_routers(world, vip, holder)?;
    }
    Ok(expected)
}

/// With failback a group is with the first of its order that can hold it.
fn examine_place(
    world: &World,
    preference: Preference,
    holder: HostId,
    eligible: &[HostId],
) -> Result<(), String> {
    let Preference::Order(order) = preference else { return Ok(()) };
    let best = order.iter().map(|node| node.index()).find(|node| eligible.contains(node));
    match best {
        Some(best) if best != holder && world.scenario.kind == Kind::Cluster => {
            let (best, holder) = (world.scenario.name(best), world.scenario.name(holder));
            Err(format!("it should be with {best} and is with {holder}"))
        }
        Some(_) | None => Ok(()),
    }
}
