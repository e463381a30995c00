//! From what the nodes say to one cluster: groups, checks, the time until a node is dead, hooks.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::checks::{self, Checks};
use super::draft::Draft;
use super::groups::{self, Group};
use super::model::{Configuration, Event, Notify};
use super::nodes::Node;
use super::remarks::{Kind, Remark, Remarks};
use super::texts::Fault;
use crate::duration;

/// What `dead-after` may be.
const DEAD_AFTER: (Duration, Duration) = (Duration::from_millis(5), Duration::from_hours(1));
/// VRRP's own defaults: an advertisement a second, and three that are missed.
const ADVERT: Duration = Duration::from_secs(1);
const ADVERTS: u32 = 3;
/// Priorities are of 256.
const RANKS: u32 = 256;

/// Makes the cluster. The first nodes have a configuration each.
pub fn cluster(
    name: &str,
    nodes: Vec<Node>,
    configurations: &[Configuration],
    faults: &mut Vec<Fault>,
    remarks: &mut Remarks,
) -> Draft {
    let groups = groups::find(configurations, remarks);
    judge_real(&groups, &nodes, faults);
    let mut checks = Checks::default();
    let mut vips = Vec::new();
    for group in &groups {
        let mut vip = groups::vip(group, &nodes, configurations.len(), remarks);
        vip.checks = checks.of(group, configurations, vip.interface.as_deref(), remarks);
        vips.push(vip);
    }
    drop_twin_names(&mut vips);
    checks::untracked(&groups, configurations, remarks);
    let dead_after = dead_after(&groups, remarks);
    let on_take = hook(&groups, Event::Master, remarks);
    let on_release = hook(&groups, Event::Backup, remarks);
    let checks = checks.finish();
    Draft { cluster: name.to_owned(), nodes, vips, checks, dead_after, on_take, on_release }
}

/// Two groups of one name would not do; then they are called by their addresses.
fn drop_twin_names(vips: &mut [super::draft::DraftVip]) {
    let names: Vec<Option<String>> = vips.iter().map(|vip| vip.name.clone()).collect();
    for vip in vips {
        if names.iter().filter(|name| **name == vip.name).count() > 1 {
            vip.name = None;
        }
    }
}

/// An address that moves cannot be one that stays.
fn judge_real(groups: &[Group<'_>], nodes: &[Node], faults: &mut Vec<Fault>) {
    let owner = |ip: IpAddr| nodes.iter().find(|node| node.addresses.contains(&ip));
    for member in groups.iter().flat_map(|group| &group.members) {
        for address in &member.instance.addresses {
            if let Some(node) = owner(address.ip) {
                let text =
                    format!("{} moves, and is the real address of {}", address.ip, node.name);
                let help = "a node needs an address of its own that never moves; name it by \
                            unicast_src_ip, or --node NAME=ADDRESS";
                faults.push(
                    Fault::new(address.place, text).label("an address that moves").help(help),
                );
            }
        }
    }
}

/// The shortest time after which a group of keepalived's would have been taken over.
fn dead_after(groups: &[Group<'_>], remarks: &mut Remarks) -> (Duration, String) {
    let times: Vec<(Duration, String)> = groups.iter().map(master_down).collect();
    let Some((shortest, why)) = times.iter().min_by_key(|(time, _)| *time).cloned() else {
        return (ADVERT * ADVERTS, String::new());
    };
    for (group, (time, _)) in groups.iter().zip(&times) {
        if time.abs_diff(shortest) > shortest / 2 {
            let said = group.members.iter().find_map(|member| member.instance.advert.as_ref());
            let text = format!(
                "here it took {}; dead-after is one for the whole cluster: {}",
                duration::show(*time),
                duration::show(shortest)
            );
            let place = said.map_or(group.place(), |said| said.place);
            remarks.push(Remark::new(Kind::Changed, place, "advert_int", text));
        }
    }
    let chosen = shortest.clamp(DEAD_AFTER.0, DEAD_AFTER.1);
    let shorter = if chosen > Duration::from_secs(1) {
        ". standin does well with \"1s\", its default, or less"
    } else {
        ""
    };
    (chosen, format!("As long as keepalived took: {why}{shorter}."))
}

/// VRRP's `Master_Down_Interval` (RFC 9568, section 6.1; RFC 3768 for version 2): advertisements that
/// are missed, and a skew by the priority of the one that takes over.
fn master_down(group: &Group<'_>) -> (Duration, String) {
    let first = group.members[0];
    let said = |find: &dyn Fn(&super::model::Instance) -> Option<Duration>| {
        group.members.iter().find_map(|member| find(member.instance))
    };
    let advert = said(&|instance| instance.advert.as_ref().map(|said| said.value));
    let advert = advert.unwrap_or(ADVERT);
    let count = first.instance.down_adverts.or(first.configuration.down_adverts);
    let count = count.unwrap_or(ADVERTS);
    let is_v6 = first.instance.addresses.iter().any(|address| address.ip.is_ipv6());
    let version = first.instance.version.or(first.configuration.version);
    let is_v3 = version.map_or(is_v6, |version| version == 3);
    // The second in the order is the one that takes over.
    let nodes: BTreeSet<usize> = group.members.iter().map(|member| member.node).collect();
    let mut ranks: Vec<u32> = nodes.iter().filter_map(|node| group.rank(*node)).collect();
    ranks.sort_unstable_by(|one, other| other.cmp(one));
    let rank = ranks.get(1).or(ranks.first()).copied().unwrap_or(100);
    let skew = if is_v3 { advert } else { ADVERT } * (RANKS - rank.min(RANKS)) / RANKS;
    let time = rounded(advert * count + skew);
    let why = format!(
        "{count} times an advert_int of {}, and a skew of {}",
        duration::show(advert),
        duration::show(rounded(skew))
    );
    (time, why)
}

/// Up to the next hundredth of a second, or millisecond for a short time.
fn rounded(time: Duration) -> Duration {
    let step = if time >= Duration::from_secs(1) { 10_000_000 } else { 1_000_000 };
    let nanos = time.as_nanos().div_ceil(step) * step;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A hook is one for all addresses; scripts that differ are listed.
fn hook(groups: &[Group<'_>], event: Event, remarks: &mut Remarks) -> Option<Vec<String>> {
    let of = |group: &'_ Group<'_>| -> Vec<Notify> {
        let all = group.tracking.iter().flat_map(|(_, tracking)| &tracking.notify);
        all.filter(|notify| notify.event == event).cloned().collect()
    };
    let all: Vec<Vec<Notify>> = groups.iter().map(of).collect();
    let (key, keyword) = match event {
        Event::Master => ("on-take", "notify_master"),
        Event::Backup => ("on-release", "notify_backup"),
    };
    let first = all.iter().flatten().next()?.command.clone();
    let is_everywhere =
        all.iter().all(|of| of.first().is_some_and(|notify| notify.command == first));
    let is_absolute = first.first().is_some_and(|program| program.starts_with('/'));
    for notify in all.iter().flatten() {
        let remark = |kind, text: &str| Remark::new(kind, notify.place, keyword, text);
        remarks.push(if !is_absolute {
            remark(Kind::Left, "a hook's program has an absolute path")
                .advise(format!("name it in [hooks] {key} with its path"))
        } else if !is_everywhere {
            remark(
                Kind::Left,
                "a hook is one for all addresses, and not every instance has this one",
            )
            .advise(format!("name a script in [hooks] {key} that looks at STANDIN_VIP"))
        } else if notify.command != first {
            remark(Kind::Left, "a hook is one for all addresses; another one is taken")
                .advise(format!("let {key} look at STANDIN_VIP, or differ in this node's own file"))
        } else {
            remark(Kind::Changed, "it runs once for each address, and is told by STANDIN_VIP which")
        });
    }
    (is_everywhere && is_absolute).then_some(first)
}
