//! Who the nodes are: names and real addresses, out of what the files say of themselves and of
//! each other.
//!
//! Invariant: every node has a name of its own and an address of its own, or there is a failure
//! that says how to give them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use super::model::{Configuration, Said};
use super::remarks::{Kind, Remark, Remarks};
use super::texts::Place;
use crate::failure::{Failure, Result};

/// A node as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedNode {
    /// Its name.
    pub name: String,
    /// Its real addresses; at least one.
    pub addresses: Vec<IpAddr>,
}

/// A node of the cluster. The first ones have a configuration each, in order; the others are only
/// known as peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its real addresses; at least one.
    pub addresses: Vec<IpAddr>,
}

/// A configuration, and whose it is as far as the command line and the path say.
#[derive(Debug)]
pub struct Reading {
    /// The name that was given, or asked for by conditions.
    pub name: Option<String>,
    /// A name that the path suggests.
    pub path_name: Option<String>,
    /// What it says.
    pub configuration: Configuration,
    /// Where a remark on the whole file belongs.
    pub place: Place,
}

/// Whether a text can be the name of a node, a check or a group.
pub fn is_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=63).contains(&text.len()) && text.chars().all(legal) && !text.starts_with(['-', '.'])
}

/// The name that a path suggests: `web1.conf`, `keepalived-web1.conf`, `web1/keepalived.conf`.
pub fn name_of_path(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_string_lossy().into_owned();
    let parts = file.split(['.', '-', '_']).filter(|part| !matches!(*part, "keepalived" | "conf"));
    let name = parts.collect::<Vec<_>>().join("-");
    if !name.is_empty() {
        return Some(name).filter(|name| is_name(name));
    }
    let directory = path.parent()?.file_name()?.to_string_lossy().into_owned();
    (is_name(&directory) && directory != "keepalived").then_some(directory)
}

/// Finds the nodes.
///
/// # Errors
/// An address is not known, or there is no second node.
pub fn find(readings: &[Reading], given: &[NamedNode], remarks: &mut Remarks) -> Result<Vec<Node>> {
    let mut addresses: Vec<Vec<IpAddr>> = Vec::new();
    for (position, reading) in readings.iter().enumerate() {
        let given = given.get(position).map(|node| node.addresses.clone());
        addresses.push(given.unwrap_or_else(|| sources(&reading.configuration)));
    }
    deduce(readings, &mut addresses);
    let mut names = names(readings, given, &addresses, remarks);
    if let Some(position) = addresses.iter().position(Vec::is_empty) {
        let name = names.get(position).cloned().flatten();
        return Err(unknown_address(readings, &name.unwrap_or_else(|| "NAME".to_owned())));
    }
    let mut nodes: Vec<Node> = Vec::new();
    for (position, addresses) in addresses.into_iter().enumerate() {
        let name = names.get_mut(position).and_then(Option::take);
        let name = name.unwrap_or_else(|| name_of_address(&addresses));
        nodes.push(Node { name, addresses });
    }
    for node in given.iter().skip(readings.len()) {
        nodes.push(Node { name: node.name.clone(), addresses: node.addresses.clone() });
    }
    add_peers(readings, &mut nodes, remarks);
    for reading in readings {
        judge_local(reading, remarks);
    }
    if nodes.len() < 2 {
        return Err(Failure::config("the other nodes are not known: no file names a unicast_peer")
            .expected("the files of all nodes, or the addresses of the others")
            .advice("give the other nodes' files as well")
            .advice(
                "or say who they are: --node NAME=ADDRESS, once for each node, the first one \
                     for the file's own",
            ));
    }
    judge(&nodes)?;
    Ok(nodes)
}

/// What a configuration says of its own address.
fn sources(configuration: &Configuration) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for source in configuration.instances.iter().filter_map(|instance| instance.source.as_ref()) {
        if !all.contains(&source.value) && !is_local(&source.value) {
            all.push(source.value);
        }
    }
    all
}

fn peers(configuration: &Configuration) -> BTreeSet<IpAddr> {
    let peers = configuration.instances.iter().flat_map(|instance| &instance.peers);
    peers.map(|peer| peer.value).filter(|peer| !is_local(peer)).collect()
}

/// A link-local address is another host on every link: no address of a node.
fn is_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The first one that a file gives to its node or to a peer.
fn first_local(reading: &Reading) -> Option<(&'static str, &Said<IpAddr>)> {
    reading.configuration.instances.iter().find_map(|instance| {
        let own = instance.source.iter().map(|source| ("unicast_src_ip", source));
        let peers = instance.peers.iter().map(|peer| ("unicast_peer", peer));
        own.chain(peers).find(|(_, said)| is_local(&said.value))
    })
}

/// Of the addresses that all name as peers, a node's own is the one that it does not.
fn deduce(readings: &[Reading], addresses: &mut [Vec<IpAddr>]) {
    let all: BTreeSet<IpAddr> =
        readings.iter().flat_map(|reading| peers(&reading.configuration)).collect();
    for (position, reading) in readings.iter().enumerate() {
        if !addresses[position].is_empty() {
            continue;
        }
        let own = peers(&reading.configuration);
        let taken: BTreeSet<IpAddr> = addresses.iter().flatten().copied().collect();
        let mut left = all.iter().filter(|peer| !own.contains(peer) && !taken.contains(peer));
        if let (Some(only), None, false) = (left.next(), left.next(), own.is_empty()) {
            addresses[position].push(*only);
        }
    }
}

fn names(
    readings: &[Reading],
    given: &[NamedNode],
    addresses: &[Vec<IpAddr>],
    remarks: &mut Remarks,
) -> Vec<Option<String>> {
    let routers: Vec<Option<&str>> = readings
        .iter()
        .map(|reading| reading.configuration.router_id.as_ref().map(|said| said.value.as_str()))
        .collect();
    let mut names: Vec<Option<String>> = Vec::new();
    for (position, reading) in readings.iter().enumerate() {
        if let Some(name) = given.get(position).map(|node| &node.name).or(reading.name.as_ref()) {
            names.push(Some(name.clone()));
            continue;
        }
        let router = routers[position].filter(|router| {
            let same = routers.iter().filter(|other| other.is_some_and(|other| other == *router));
            is_name(router) && !router.starts_with("LVS_") && same.count() == 1
        });
        let name = router.map(str::to_owned).or_else(|| reading.path_name.clone());
        let name = name.filter(|name| {
            let is_it = |other: &Option<String>| {
                other.as_ref().is_some_and(|other| other.eq_ignore_ascii_case(name))
            };
            !names.iter().any(is_it)
        });
        if let Some(shown) = name.clone().or_else(|| {
            addresses.get(position).filter(|own| !own.is_empty()).map(|own| name_of_address(own))
        }) {
            let text = format!("this file's node is called {shown}");
            let remark = Remark::new(Kind::Assumed, reading.place, "node", text);
            remarks.push(remark.advise("a node finds itself by its host name or its address; rename \
                                   it in [nodes] and home, or import again with --node NAME=ADDRESS"));
        }
        names.push(name);
    }
    names
}

fn name_of_address(addresses: &[IpAddr]) -> String {
    let address = addresses.first().map(ToString::to_string).unwrap_or_default();
    format!("node-{}", address.replace(['.', ':'], "-"))
}

/// What keepalived sends IPv6 advertisements from and to is no way for heartbeats.
fn judge_local(reading: &Reading, remarks: &mut Remarks) {
    if let Some((keyword, said)) = first_local(reading) {
        let text = format!("{} is link-local, another host on every link", said.value);
        let remark = Remark::new(Kind::Left, said.place, keyword, text);
        remarks.push(remark.advise("heartbeats take the addresses in [nodes]"));
    }
}

/// Peers that no file is of.
fn add_peers(readings: &[Reading], nodes: &mut Vec<Node>, remarks: &mut Remarks) {
    if let [reading] = readings
        && nodes.len() == 1
        && let Some(twin) = one_peer(reading)
    {
        let name = name_of_address(&twin);
        let text = format!("one node with several addresses, called {name}: one peer on each path");
        let remark = Remark::new(Kind::Assumed, reading.place, "unicast_peer", text);
        remarks.push(remark.advise("rename it in [nodes] and home"));
        nodes.push(Node { name, addresses: twin });
    }
    for reading in readings {
        for peer in reading.configuration.instances.iter().flat_map(|instance| &instance.peers) {
            let known = nodes.iter().any(|node| node.addresses.contains(&peer.value));
            if known || is_local(&peer.value) {
                continue;
            }
            let name = name_of_address(&[peer.value]);
            let text = format!("{} is called {name}, after its address", peer.value);
            let remark = Remark::new(Kind::Assumed, peer.place, "unicast_peer", text);
            remarks.push(remark.advise(
                "rename it in [nodes] and home; import its file as well, and \
                                   its priorities are known",
            ));
            nodes.push(Node { name, addresses: vec![peer.value] });
        }
    }
}

/// The addresses of the other node, when this one has several and sees one peer from each.
fn one_peer(reading: &Reading) -> Option<Vec<IpAddr>> {
    let mut paths: BTreeMap<IpAddr, BTreeSet<IpAddr>> = BTreeMap::new();
    let mut order: Vec<IpAddr> = Vec::new();
    for instance in &reading.configuration.instances {
        let peers = instance.peers.iter().map(|peer| peer.value).filter(|peer| !is_local(peer));
        order.extend(peers.clone().filter(|peer| !order.contains(peer)).collect::<Vec<_>>());
        paths.entry(instance.source.as_ref()?.value).or_default().extend(peers);
    }
    let is_pair = paths.len() > 1 && order.len() == paths.len();
    (is_pair && paths.values().all(|peers| peers.len() == 1)).then_some(order)
}

fn judge(nodes: &[Node]) -> Result<()> {
    if nodes.len() > 64 {
        return Err(Failure::config(format!("{} nodes: a cluster has at most 64", nodes.len())));
    }
    for (position, node) in nodes.iter().enumerate() {
        for other in &nodes[..position] {
            if let Some(address) = node.addresses.iter().find(|one| other.addresses.contains(one)) {
                return Err(Failure::config(format!(
                    "{address} is the address of two nodes, {} and {}",
                    other.name, node.name
                ))
                .advice("say which is whose: --node NAME=ADDRESS, once for each file, in order"));
            }
            if other.name.eq_ignore_ascii_case(&node.name) {
                return Err(Failure::config(format!("two nodes are called {}", node.name))
                    .advice("name them: --node NAME=ADDRESS, once for each file, in order"));
            }
        }
    }
    Ok(())
}

fn unknown_address(readings: &[Reading], name: &str) -> Failure {
    let count = if readings.len() == 1 { "the file's node" } else { "every file's node, in order" };
    let expected = match readings.iter().find_map(first_local) {
        Some((keyword, said)) => format!(
            "another address than the {keyword} {}, which is link-local: another host on every link",
            said.value
        ),
        None => {
            "unicast_src_ip, mcast_src_ip, or the unicast_peer of another node's file".to_owned()
        }
    };
    Failure::config(format!("the address of the node {name} is not known"))
        .expected(expected)
        .advice(format!(
            "say it for {count}, and for those without a file behind: --node {name}=ADDRESS"
        ))
}
