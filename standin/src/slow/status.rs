//! What the fast loop knows at one moment, and the same as JSON.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};
use standin_core::config::Vantage;
use standin_core::io::CheckTarget;
use standin_core::node::{ClusterStatus, GroupStatus, LeaseStatus, NodeStatus};
use standin_core::place::Life;
use standin_core::status::{Check, Peer, Status, Vip};
use standin_core::vip::Place;

use crate::link::Pulse;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Of this host.
    pub status: Status,
    /// Of the cluster, in one.
    pub cluster: Option<SeenCluster>,
    /// Of the fast loop itself.
    pub pulse: Pulse,
}

/// A cluster at one moment, with the names in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenCluster {
    /// Its name.
    pub name: String,
    /// This node's name.
    pub node: String,
    /// The addresses of its groups, by number.
    pub addresses: Vec<Vec<IpAddr>>,
    /// What this node knows of it.
    pub status: ClusterStatus,
}

impl SeenCluster {
    /// Its groups, each with its addresses.
    pub fn groups(&self) -> impl Iterator<Item = (&GroupStatus, &[IpAddr])> {
        let groups = self.status.groups.iter();
        groups.zip(self.addresses.iter().map(Vec::as_slice))
    }
}

impl Seen {
    /// As `standin status --json` prints it.
    pub fn to_json(&self) -> Value {
        match &self.cluster {
            Some(cluster) => of_cluster(cluster, &self.status),
            None => of_host(&self.status),
        }
    }
}

/// Of `standin for`.
fn of_host(status: &Status) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "vips": status.vips.iter().map(of_vip).collect::<Vec<_>>(),
        "hosts": status.peers.iter().map(of_peer).collect::<Vec<_>>(),
        "checks": status.checks.iter().map(of_check).collect::<Vec<_>>(),
        "malformed": counters(&status.malformed),
    })
}

/// Of a node of a cluster.
fn of_cluster(seen: &SeenCluster, status: &Status) -> Value {
    let cluster = &seen.status;
    let groups: Vec<Value> = seen
        .groups()
        .map(|(group, addresses)| {
            json!({
                "group": &*group.name,
                "addresses": addresses,
                "holder": group.present.as_deref(),
                "should_hold": group.holder.as_deref(),
                "moving": group.moving,
                "placed": group.placed.as_deref(),
                "lease": group.lease.as_ref().map(of_lease),
                "reason": group.reason,
                "contested": of_rivals(group, status),
            })
        })
        .collect();
    let peers: BTreeMap<&str, &Peer> =
        status.peers.iter().map(|peer| (&*peer.name, peer)).collect();
    let nodes = cluster.nodes.iter().map(|node| of_node(node, peers.get(&*node.name).copied()));
    let members = |peer: &&Peer| !cluster.nodes.iter().any(|node| node.name == peer.name);
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "node": seen.node,
        "cluster": seen.name,
        "authority": of_authority(cluster),
        "cut_off": cluster.isolated,
        "nodes": nodes.collect::<Vec<_>>(),
        "groups": groups,
        "vips": status.vips.iter().map(of_cluster_vip).collect::<Vec<_>>(),
        "hosts": status.peers.iter().filter(members).map(of_peer).collect::<Vec<_>>(),
        "checks": status.checks.iter().map(of_check).collect::<Vec<_>>(),
        "malformed": counters(&status.malformed),
        "refused_heartbeats": counters(&cluster.refused),
    })
}

/// Other hosts that have what this node holds of a group.
pub(super) fn of_rivals(group: &GroupStatus, status: &Status) -> Vec<Value> {
    let vips = group.vips.iter().filter_map(|vip| status.vips.get(vip.index()));
    let rivals = vips.filter_map(|vip| {
        let mac = vip.contested_by?.to_string();
        Some(json!({ "address": vip.address, "mac": mac }))
    });
    rivals.collect()
}

/// `"none"`, or who votes.
fn of_authority(cluster: &ClusterStatus) -> Value {
    let Some(quorum) = &cluster.quorum else { return json!("none") };
    let is_witness = cluster.nodes.iter().any(|node| node.is_this && node.witness);
    json!({
        "voters": quorum.voters.iter().map(|name| &**name).collect::<Vec<_>>(),
        "needed": quorum.needed,
        "settled": quorum.settled,
        "lease_ms": millis(quorum.length),
        "kernel_ends_it": (!is_witness).then_some(quorum.guarded),
        "votes_in_ms": millis(quorum.quiet_for),
    })
}

/// The lease of one group, as this node has it.
pub(super) fn of_lease(lease: &LeaseStatus) -> Value {
    json!({
        "claimed": lease.claimed,
        "left_ms": lease.left.map(millis),
        "votes": lease.votes,
        "needed": lease.needed,
        "waits": lease.waits,
    })
}

fn counters(counts: &[(&'static str, u64)]) -> BTreeMap<&'static str, u64> {
    counts.iter().copied().filter(|(_, count)| *count > 0).collect()
}

fn of_node(node: &NodeStatus, peer: Option<&Peer>) -> Value {
    let state = match node.life {
        _ if node.leaving => "stopping",
        Life::Participating if node.keeping => "restarting",
        Life::Participating if !node.ready => "listening",
        Life::Participating => "takes part",
        Life::HostOnly => "daemon gone",
        Life::OtherFile => "other file",
        Life::OutOfReach => "out of reach",
        Life::Dead => "dead",
        Life::Unknown => "not heard yet",
    };
    let addresses = peer.map(|peer| peer.addresses.as_slice()).unwrap_or_default();
    let paths = addresses
        .iter()
        .zip(&node.paths)
        .zip(node.traffic.paths.iter().map(Some).chain(std::iter::repeat(None)))
        .map(|((address, heard), traffic)| {
            json!({
                "address": address,
                "heard_ms_ago": heard.map(millis),
                "received": traffic.map(|traffic| traffic.received),
                "lost": traffic.map(|traffic| traffic.lost),
            })
        });
    json!({
        "name": &*node.name,
        "this": node.is_this,
        "witness": node.witness,
        "state": state,
        "drained": node.draining,
        "heard_ms_ago": node.heard_ago.map(millis),
        "round_trip_us": node.round_trip.map(|trip| trip.as_micros() as u64),
        "paths": paths.collect::<Vec<_>>(),
        "host": peer.map(|peer| peer.life.name()),
        "trouble": node.trouble,
    })
}

/// In a cluster a VIP's home and reason are its group's.
fn of_cluster_vip(vip: &Vip) -> Value {
    let mut told = match of_vip(vip) {
        Value::Object(told) => told,
        _ => Map::new(),
    };
    told.remove("home");
    told.remove("reason");
    Value::Object(told)
}

fn of_vip(vip: &Vip) -> Value {
    let (place, answered_by) = match vip.place {
        Place::Away => ("away", None),
        Place::Asking => ("asking", None),
        Place::Waiting(mac) => ("waiting", Some(mac.to_string())),
        Place::Adding => ("adding", None),
        Place::Held => ("held", None),
        Place::Removing => ("removing", None),
    };
    let home = vip.home.as_deref().unwrap_or("this host");
    json!({
        "address": vip.address,
        "interface": &*vip.link,
        "home": home,
        "state": place,
        "since_ms": millis(vip.since),
        "reason": vip.reason.sentence(home).to_string(),
        "answered_by": answered_by,
        "contested": vip.contested_by.is_some(),
        "contested_by": vip.contested_by.map(|mac| mac.to_string()),
    })
}

fn of_peer(peer: &Peer) -> Value {
    json!({
        "name": &*peer.name,
        "addresses": peer.addresses,
        "state": peer.life.name(),
        "heard_ms_ago": peer.heard_ago.map(millis),
        "round_trip_us": peer.round_trip.map(|trip| trip.as_micros() as u64),
        "mac": peer.macs.first().map(ToString::to_string),
        "rounds_of_probes": peer.rounds_sent,
        "signs_of_life": peer.answers,
    })
}

fn of_check(check: &Check) -> Value {
    let target = match check.target {
        CheckTarget::Vip => check.vip,
        CheckTarget::Home(address) => address,
    };
    json!({
        "check": &*check.name,
        "vip": check.vip,
        "at": target,
        "from": match check.vantage {
            Vantage::OnItself => "self",
            Vantage::Peers => "peers",
        },
        "state": check.state.name(),
        "since_ms": check.since.map(millis),
        "last_failure": check.last_failure,
    })
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
