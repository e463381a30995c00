//! What is found out about this host before `standin witness` starts.
//!
//! Owns the way from a valid file to the core's configuration of a voter that holds nothing. Asks
//! for no right and looks at no interface.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use standin_core::cluster::settings::MemberSettings;
use standin_core::config::{Config, Peer, PeerAddress, PeerId, Timing};
use standin_core::place::{NodeId, PoolId};
use standin_sys::process;

use super::cluster::{groups_of, read_keys, settings_of};
use super::{Prepared, PreparedCluster};
use crate::failure::{Failure, Result};
use crate::fast::Heartbeats;
use crate::file::{Authority, ClusterFile, find_witness};

/// Finds out and judges everything.
///
/// # Errors
/// The first reason not to start.
pub fn prepare_witness(file: &ClusterFile, named: Option<&str>) -> Result<PreparedCluster> {
    if file.authority == Authority::None {
        return Err(Failure::config("a witness votes in a quorum, and authority is \"none\"")
            .expected("authority = \"quorum\" in the file"));
    }
    let keys = read_keys(file)?;
    let me = NodeId(u16::from(find_me(file, named)?.0));
    let (mut members, mut peers, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    for (node, id) in (0..).map(NodeId).zip(file.voter_ids()) {
        if node == me {
            continue;
        }
        let member = file.node(id);
        members.push(MemberSettings { node, peer: PeerId(peers.len() as u32) });
        let address = |ip: &IpAddr| PeerAddress { ip: *ip, link: None };
        let addresses = member.addresses.iter().map(address).collect();
        peers.push(Peer { name: member.name.as_str().into(), addresses });
        let path = |ip: &IpAddr| SocketAddr::new(*ip, file.port);
        paths.push(member.addresses.iter().map(path).collect());
    }
    let mut groups = Vec::new();
    for (pool, group) in (0..).map(PoolId).zip(&file.vips) {
        let addresses: Vec<IpAddr> = group.addresses().map(|(address, _)| address).collect();
        groups.extend(groups_of(group, pool, &addresses, |_| None));
    }
    let settings = settings_of(file, me, false, members, groups, Vec::new());
    let Timing { dead_after, interval, back_after } = settings.timing;
    let timing = Timing { dead_after, interval, back_after };
    let config = Config::new(Vec::new(), peers, Vec::new(), Vec::new(), timing)
        .map_err(|error| Failure::config(error.to_string()))?;
    let host = Prepared {
        config,
        ifindexes: Vec::new(),
        installs: Vec::new(),

        route_metric: None,
        checks: Vec::new(),
        warnings: Vec::new(),
        locks: Vec::new(),
    };
    let heartbeats = Heartbeats { port: file.port, paths, guard: None };
    Ok(PreparedCluster { host, settings, keys, heartbeats, disowned: Vec::new() })
}

fn find_me(file: &ClusterFile, named: Option<&str>) -> Result<crate::file::NodeId> {
    let witnesses = file.witnesses.iter().flat_map(|witness| &witness.addresses);
    let own: Vec<IpAddr> = witnesses.copied().filter(|address| is_here(*address)).collect();
    find_witness(file, &process::hostname(), &own, named)
}

/// A socket can be bound to an address only where it is: that needs no right, and no netlink.
fn is_here(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}
