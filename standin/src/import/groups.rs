//! What moves together: instances of all nodes that share an address, and those of a sync group.
//!
//! Owns the grouping, the order of nodes by priority, and the settings of one `[[vip]]`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::draft::DraftVip;
use super::model::{Address, Configuration, Instance, Tracking};
use super::nodes::{Node, is_name};
use super::remarks::{Kind, Remark, Remarks};
use super::texts::Place;
use crate::duration;

/// An instance of one node.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The node, by its place among all nodes.
    pub node: usize,
    /// What it says.
    pub instance: &'a Instance,
    /// The rest of its file.
    pub configuration: &'a Configuration,
}

/// Instances that move together.
#[derive(Debug)]
pub struct Group<'a> {
    /// At least one; those of the first node first.
    pub members: Vec<Member<'a>>,
    /// The name of the sync group, if it is one.
    pub sync: Option<&'a str>,
    /// What the instances watch and run, and what their sync groups do; with the node.
    pub tracking: Vec<(usize, &'a Tracking)>,
}

impl Group<'_> {
    /// The priority of a node in this group; none when its file is not known or has no such
    /// instance.
    pub fn rank(&self, node: usize) -> Option<u32> {
        let members = self.members.iter().filter(|member| member.node == node);
        members.map(|member| member.instance.rank()).max()
    }

    /// Where it begins.
    pub fn place(&self) -> Place {
        self.members[0].instance.place
    }
}

/// Groups the instances of all nodes.
pub fn find<'a>(configurations: &'a [Configuration], remarks: &mut Remarks) -> Vec<Group<'a>> {
    let mut members: Vec<Member<'a>> = Vec::new();
    for (node, configuration) in configurations.iter().enumerate() {
        for instance in &configuration.instances {
            if instance.addresses.is_empty() {
                let text = "it has no address that moves";
                remarks.push(Remark::new(Kind::Left, instance.place, &*instance.name, text));
            } else {
                members.push(Member { node, instance, configuration });
            }
        }
    }
    let mut root: Vec<usize> = (0..members.len()).collect();
    let mut by_address: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for (position, member) in members.iter().enumerate() {
        for address in &member.instance.addresses {
            let first = *by_address.entry(address.ip).or_insert(position);
            union(&mut root, first, position);
        }
    }
    join_synchronised(configurations, &members, &mut root, remarks);
    let mut groups: BTreeMap<usize, Vec<Member<'a>>> = BTreeMap::new();
    for (position, member) in members.iter().enumerate() {
        groups.entry(find_root(&mut root, position)).or_default().push(*member);
    }
    groups.into_values().map(|members| with_tracking(configurations, members)).collect()
}

fn join_synchronised(
    configurations: &[Configuration],
    members: &[Member<'_>],
    root: &mut [usize],
    remarks: &mut Remarks,
) {
    // The first of each name, as keepalived takes it.
    let mut by_name: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    for (position, member) in members.iter().enumerate() {
        by_name.entry((member.node, &member.instance.name)).or_insert(position);
    }
    for (node, configuration) in configurations.iter().enumerate() {
        for group in &configuration.groups {
            let mut first = None;
            for said in &group.members {
                let Some(position) = by_name.get(&(node, said.value.as_str())) else {
                    let text = "there is no vrrp_instance with an address of this name";
                    remarks.push(Remark::new(Kind::Left, said.place, &*said.value, text));
                    continue;
                };
                union(root, *first.get_or_insert(*position), *position);
            }
            if first.is_none() {
                let text = "a group without an instance";
                remarks.push(Remark::new(Kind::Left, group.place, &*group.name, text));
            }
        }
    }
}

fn with_tracking<'a>(configurations: &'a [Configuration], members: Vec<Member<'a>>) -> Group<'a> {
    let mut tracking: Vec<(usize, &Tracking)> =
        members.iter().map(|member| (member.node, &member.instance.tracking)).collect();
    let mut sync = None;
    for (node, configuration) in configurations.iter().enumerate() {
        for group in &configuration.groups {
            let is_in = |member: &Member<'_>| {
                member.node == node
                    && group.members.iter().any(|said| said.value == member.instance.name)
            };
            if members.iter().any(is_in) {
                tracking.push((node, &group.tracking));
                sync.get_or_insert(group.name.as_str());
            }
        }
    }
    Group { members, sync, tracking }
}

fn find_root(root: &mut [usize], mut at: usize) -> usize {
    while root[at] != at {
        root[at] = root[root[at]];
        at = root[at];
    }
    at
}

fn union(root: &mut [usize], one: usize, other: usize) {
    let (one, other) = (find_root(root, one), find_root(root, other));
    root[one.max(other)] = one.min(other);
}

/// The `[[vip]]` of a group, without its checks.
pub fn vip(group: &Group<'_>, nodes: &[Node], known: usize, remarks: &mut Remarks) -> DraftVip {
    let order = order(group, nodes, known, remarks);
    let home = order.first().copied().unwrap_or_default();
    let mut names: Vec<&str> = Vec::new();
    for member in &group.members {
        if !names.contains(&member.instance.name.as_str()) {
            names.push(&member.instance.name);
        }
    }
    let routers: Vec<String> = group
        .members
        .iter()
        .filter_map(|member| member.instance.router)
        .fold(Vec::new(), |mut all, router| {
            let router = router.to_string();
            if !all.contains(&router) {
                all.push(router);
            }
            all
        });
    let mut origin = match group.sync {
        Some(sync) => format!("vrrp_sync_group {sync}: vrrp_instance {}", names.join(", ")),
        None => format!("vrrp_instance {}", names.join(", ")),
    };
    if !routers.is_empty() {
        origin = format!("{origin}; virtual_router_id {}", routers.join(", "));
    }
    let name = group.sync.unwrap_or(names[0]);
    DraftVip {
        origin,
        name: (is_name(name) && name.parse::<IpAddr>().is_err()).then(|| name.to_owned()),
        addresses: addresses(group, remarks),
        home: order.iter().map(|node| nodes[*node].name.clone()).collect(),
        interface: interface(group, remarks),
        failback: failback(group, home, remarks),
        checks: Vec::new(),
    }
}

/// The nodes that may hold it, the preferred one first.
fn order(group: &Group<'_>, nodes: &[Node], known: usize, remarks: &mut Remarks) -> Vec<usize> {
    let mut ranked: Vec<(usize, u32)> =
        (0..nodes.len()).filter_map(|node| Some((node, group.rank(node)?))).collect();
    // Of two with the same priority VRRP prefers the one with the higher address.
    ranked.sort_by_key(|(node, rank)| (Reverse(*rank), Reverse(nodes[*node].addresses.first())));
    if let [(one, first), (other, second), ..] = ranked.as_slice()
        && first == second
    {
        let (one, other) = (&nodes[*one].name, &nodes[*other].name);
        let text = format!(
            "{one} and {other} have the same priority, {first}; {one} has the higher address and \
             comes first"
        );
        remarks
            .push(Remark::new(Kind::Assumed, group.place(), "priority", text).advise("check home"));
    }
    let mut order: Vec<usize> = ranked.iter().map(|(node, _)| *node).collect();
    let unknown = known..nodes.len();
    if unknown.is_empty() {
        if let [only] = order.as_slice() {
            let name = &nodes[*only].name;
            let text = format!("only {name} has it, so nobody stands in");
            let remark = Remark::new(Kind::Left, group.place(), "vrrp_instance", text);
            remarks
                .push(remark.advise(format!("home = \"{name}\", without brackets, lets others")));
        }
        return order;
    }
    let first = group.members[0].instance;
    let is_preferred = match first.begins_as_master {
        Some(true) => true,
        Some(false) | None => first.rank() >= 100 || first.nopreempt.is_some(),
    };
    if is_preferred {
        order.extend(unknown);
    } else {
        order.splice(0..0, unknown);
    }
    let home = &nodes[order[0]].name;
    let text = format!(
        "the priorities of the nodes without a file are not known; {home} is taken for home, by \
         the state and the priority in this one"
    );
    let remark = Remark::new(Kind::Assumed, group.place(), "priority", text);
    remarks.push(remark.advise("import the files of all nodes at once, or check home"));
    order
}

fn addresses(group: &Group<'_>, remarks: &mut Remarks) -> Vec<(IpAddr, Option<u8>)> {
    let mut all: Vec<(IpAddr, Option<u8>)> = Vec::new();
    let nodes: Vec<usize> = {
        let mut nodes: Vec<usize> = group.members.iter().map(|member| member.node).collect();
        nodes.dedup();
        nodes
    };
    let mut seen: BTreeMap<IpAddr, Vec<usize>> = BTreeMap::new();
    for member in &group.members {
        for address in &member.instance.addresses {
            let of = seen.entry(address.ip).or_default();
            if of.contains(&member.node) {
                let text = format!("{} is there twice", address.ip);
                remarks.push(Remark::new(Kind::Changed, address.place, "virtual_ipaddress", text));
                continue;
            }
            if of.is_empty() {
                all.push((address.ip, prefix(address, remarks)));
            }
            of.push(member.node);
        }
    }
    for member in &group.members {
        for address in &member.instance.addresses {
            if seen.get(&address.ip).is_some_and(|of| of.len() < nodes.len()) {
                let text = format!("{} is not in every file; every node has it now", address.ip);
                remarks.push(Remark::new(Kind::Changed, address.place, "virtual_ipaddress", text));
            }
        }
    }
    all
}

/// The prefix length, unless no host can have the address in that subnet.
fn prefix(address: &Address, remarks: &mut Remarks) -> Option<u8> {
    let prefix = address.prefix?;
    let (number, width) = match address.ip {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    if prefix == width {
        return None;
    }
    let mask = 1_u128.checked_shl(u32::from(width - prefix)).map_or(u128::MAX, |size| size - 1);
    let is_end = number & mask == 0 || width == 32 && number & mask == mask;
    if width - prefix < 2 || !is_end {
        return Some(prefix);
    }
    let text = format!("{} is an end of its /{prefix}; it is taken as /{width}", address.ip);
    remarks.push(Remark::new(Kind::Changed, address.place, "virtual_ipaddress", text));
    None
}

fn interface(group: &Group<'_>, remarks: &mut Remarks) -> Option<String> {
    let mut all: Vec<Option<&str>> = Vec::new();
    for member in &group.members {
        let of_instance = member.instance.interface.as_deref();
        let usual = of_instance.or(member.configuration.default_interface.as_deref());
        for address in &member.instance.addresses {
            let interface = address.interface.as_deref().or(usual);
            if !all.contains(&interface) {
                all.push(interface);
            }
        }
    }
    let legal = |name: &str| {
        name.len() <= 15
            && !matches!(name, "" | "." | "..")
            && name.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | ':'))
    };
    match all.as_slice() {
        [Some(one)] if legal(one) => Some((*one).to_owned()),
        [None] | [] => None,
        several => {
            let names: Vec<&str> = several.iter().map(|name| name.unwrap_or("none")).collect();
            let text = format!(
                "the interface is not the same everywhere ({}), so each address goes to the \
                 interface whose subnet it is in",
                names.join(", ")
            );
            let remark = Remark::new(Kind::Changed, group.place(), "interface", text);
            remarks.push(remark.advise("check with standin check on each node"));
            None
        }
    }
}

/// `failback`: what the home node says counts, as it is the one that would take back.
fn failback(group: &Group<'_>, home: usize, remarks: &mut Remarks) -> Option<String> {
    let of_home: Vec<&Member<'_>> =
        group.members.iter().filter(|member| member.node == home).collect();
    let members = if of_home.is_empty() { group.members.iter().collect() } else { of_home };
    for member in members {
        let instance = member.instance;
        let is_ignored = instance.begins_as_master == Some(true);
        if let Some(place) = instance.nopreempt {
            if is_ignored {
                let text = "keepalived ignores it with state MASTER, and so does this";
                let remark = Remark::new(Kind::Left, place, "nopreempt", text);
                remarks.push(remark.advise("failback = \"no\" in the [[vip]], if it was meant"));
            } else {
                return Some("no".to_owned());
            }
        }
        if let Some(delay) = instance.preempt_delay.as_ref().filter(|said| !said.value.is_zero()) {
            if is_ignored {
                let text = "keepalived ignores it with state MASTER, and so does this";
                let remark = Remark::new(Kind::Left, delay.place, "preempt_delay", text);
                let time = duration::show(delay.value);
                remarks.push(remark.advise(format!("failback = \"{time}\", if it was meant")));
            } else {
                return Some(duration::show(delay.value));
            }
        }
    }
    None
}
