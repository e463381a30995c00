//! Which node of the file this host is.

use std::net::IpAddr;

use super::model::{ClusterFile, NodeId};
use crate::failure::{Failure, Result, nearest};

/// Finds this host among the nodes: by `named` (`--node`) if given, else by its host name (in full
/// or up to the first dot), else by owning a node's real address.
///
/// # Errors
/// `named` is no node, name and addresses tell of different nodes, or nothing does.
pub fn find_self(
    file: &ClusterFile,
    hostname: &str,
    own_addresses: &[IpAddr],
    named: Option<&str>,
) -> Result<NodeId> {
    let find =
        |name: &str| file.node_ids().find(|id| file.node(*id).name.eq_ignore_ascii_case(name));
    if let Some(name) = named {
        return find(name).ok_or_else(|| not_a_node(file, name));
    }
    let short = hostname.split('.').next().unwrap_or(hostname);
    let by_name = find(hostname).or_else(|| find(short));
    let by_address: Vec<NodeId> = file
        .node_ids()
        .filter(|id| file.node(*id).addresses.iter().any(|ip| own_addresses.contains(ip)))
        .collect();
    let name = |id: NodeId| file.node(id).name.as_str();
    match (by_name, by_address.as_slice()) {
        (Some(id), []) => Ok(id),
        (Some(id), addresses) if addresses == [id] => Ok(id),
        (None, [id]) => Ok(*id),
        (Some(id), others) => {
            let other = others.iter().find(|other| **other != id).copied().unwrap_or(id);
            Err(ambiguous(format!(
                "this host is called '{hostname}' but has {} of the node {}",
                address_of(file, other, own_addresses),
                name(other)
            )))
        }
        (None, [one, other, ..]) => Err(ambiguous(format!(
            "this host has {} of the node {} and {} of the node {}",
            address_of(file, *one, own_addresses),
            name(*one),
            address_of(file, *other, own_addresses),
            name(*other)
        ))),
        (None, []) => Err(nobody(file, hostname)),
    }
}

fn address_of(file: &ClusterFile, id: NodeId, own: &[IpAddr]) -> String {
    let address = file.node(id).addresses.iter().find(|address| own.contains(address));
    address.map(IpAddr::to_string).unwrap_or_default()
}

fn ambiguous(what: String) -> Failure {
    Failure::config(what)
        .expected("one node that this host is")
        .advice("say which: --node NAME, or put [nodes] right")
}

fn names(file: &ClusterFile) -> Vec<&str> {
    file.nodes.iter().map(|node| node.name.as_str()).collect()
}

fn not_a_node(file: &ClusterFile, name: &str) -> Failure {
    let failure = Failure::config(format!("--node {name}: there is no such node"))
        .expected(format!("one of {}", names(file).join(", ")));
    match nearest(name, names(file)) {
        Some(meant) => failure.advice(format!("--node {meant}")),
        None => failure,
    }
}

fn nobody(file: &ClusterFile, hostname: &str) -> Failure {
    Failure::config(format!(
        "this host is no node: it is called '{hostname}' and has none of the nodes' addresses"
    ))
    .expected(format!("one of {}", names(file).join(", ")))
    .advice("say which it is: --node NAME, or add it to [nodes]")
}
