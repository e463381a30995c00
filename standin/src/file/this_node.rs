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
    let found = find(file, Kind::Node, hostname, own_addresses, named);
    if found.is_err()
        && let Ok(id) = find(file, Kind::Witness, hostname, own_addresses, named)
    {
        return Err(Failure::config(format!("{} is a witness", file.node(id).name))
            .expected("one of the nodes, which may hold a VIP")
            .advice("standin witness"));
    }
    found
}

/// Finds this host among the witnesses, in the same ways.
///
/// # Errors
/// As of [`find_self`].
pub fn find_witness(
    file: &ClusterFile,
    hostname: &str,
    own_addresses: &[IpAddr],
    named: Option<&str>,
) -> Result<NodeId> {
    if file.witnesses.is_empty() {
        return Err(Failure::config("the file has no witness")
            .expected("[witnesses], a table like [nodes]")
            .advice("on a node: standin run"));
    }
    let found = find(file, Kind::Witness, hostname, own_addresses, named);
    if found.is_err()
        && let Ok(id) = find(file, Kind::Node, hostname, own_addresses, named)
    {
        return Err(Failure::config(format!(
            "{} is a node, which votes anyway",
            file.node(id).name
        ))
        .expected("one of the witnesses")
        .advice("standin run"));
    }
    found
}

/// Among whom a host is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Node,
    Witness,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Witness => "witness",
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::Node => "[nodes]",
            Self::Witness => "[witnesses]",
        }
    }

    fn ids(self, file: &ClusterFile) -> impl Iterator<Item = NodeId> {
        file.voter_ids().filter(move |id| file.is_witness(*id) == (self == Self::Witness))
    }
}

fn find(
    file: &ClusterFile,
    kind: Kind,
    hostname: &str,
    own_addresses: &[IpAddr],
    named: Option<&str>,
) -> Result<NodeId> {
    let find =
        |name: &str| kind.ids(file).find(|id| file.node(*id).name.eq_ignore_ascii_case(name));
    if let Some(name) = named {
        return find(name).ok_or_else(|| not_there(file, kind, name));
    }
    let short = hostname.split('.').next().unwrap_or(hostname);
    let by_name = find(hostname).or_else(|| find(short));
    let by_address: Vec<NodeId> = kind
        .ids(file)
        .filter(|id| file.node(*id).addresses.iter().any(|ip| own_addresses.contains(ip)))
        .collect();
    let name = |id: NodeId| file.node(id).name.as_str();
    let word = kind.word();
    match (by_name, by_address.as_slice()) {
        (Some(id), []) => Ok(id),
        (Some(id), addresses) if addresses == [id] => Ok(id),
        (None, [id]) => Ok(*id),
        (Some(id), others) => {
            let other = others.iter().find(|other| **other != id).copied().unwrap_or(id);
            let what = format!(
                "this host is called '{hostname}' but has {} of the {word} {}",
                address_of(file, other, own_addresses),
                name(other)
            );
            Err(ambiguous(kind, what))
        }
        (None, [one, other, ..]) => {
            let what = format!(
                "this host has {} of the {word} {} and {} of the {word} {}",
                address_of(file, *one, own_addresses),
                name(*one),
                address_of(file, *other, own_addresses),
                name(*other)
            );
            Err(ambiguous(kind, what))
        }
        (None, []) => Err(nobody(file, kind, hostname)),
    }
}

fn address_of(file: &ClusterFile, id: NodeId, own: &[IpAddr]) -> String {
    let address = file.node(id).addresses.iter().find(|address| own.contains(address));
    address.map(IpAddr::to_string).unwrap_or_default()
}

fn ambiguous(kind: Kind, what: String) -> Failure {
    Failure::config(what)
        .expected(format!("one {} that this host is", kind.word()))
        .advice(format!("say which: --node NAME, or put {} right", kind.table()))
}

fn names(file: &ClusterFile, kind: Kind) -> Vec<&str> {
    kind.ids(file).map(|id| file.node(id).name.as_str()).collect()
}

fn not_there(file: &ClusterFile, kind: Kind, name: &str) -> Failure {
    let names = names(file, kind);
    let failure = Failure::config(format!("--node {name}: there is no such {}", kind.word()))
        .expected(format!("one of {}", names.join(", ")));
    match nearest(name, names) {
        Some(meant) => failure.advice(format!("--node {meant}")),
        None => failure,
    }
}

fn nobody(file: &ClusterFile, kind: Kind, hostname: &str) -> Failure {
    let word = kind.word();
    let whose = if kind == Kind::Node { "nodes'" } else { "witnesses'" };
    Failure::config(format!(
        "this host is no {word}: it is called '{hostname}' and has none of the {whose} addresses"
    ))
    .expected(format!("one of {}", names(file, kind).join(", ")))
    .advice(format!("say which it is: --node NAME, or add it to {}", kind.table()))
}
