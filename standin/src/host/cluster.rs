//! What is found out about this host before `standin run` starts, and refused.
//!
//! Owns the way from a valid file to the core's configuration of this node. Changes nothing on the
//! host.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use standin_core::cluster::settings::{
    Authority, GroupSettings, MemberSettings, OnDoubt as CoreOnDoubt, Settings,
};
use standin_core::config::{Config, Home, OnCheckFailure, PeerId, Timing, VipId};
use standin_core::heartbeat::{ClusterId, ConfigDigest, KeyRing, fingerprint};
use standin_core::lease::Key;
use standin_core::place::{GroupRules, NodeId, NodeSet, PoolId, Preference, address_key};
use standin_sys::capability::Capability;
use standin_sys::sysctl;

use super::plan::{Plan, Wish};
use super::{Ground, Install, Kernel, Prepared, RealKernel, Resolved, locks_for, os, require};
use crate::checks::{Prober, probers};
use crate::failure::{Failure, Result};
use crate::fast::{self, Heartbeats, path};
use crate::file::{ClusterFile, OnDoubt, Placement, find_self};
use crate::keygen;

/// A node of a cluster, judged and ready.
#[derive(Debug)]
pub struct PreparedCluster {
    /// What every run needs.
    pub host: Prepared,
    /// The cluster in the core's terms.
    pub settings: Settings,
    /// The keys.
    pub keys: KeyRing,
    /// Where the heartbeats go.
    pub heartbeats: Heartbeats,
    /// Addresses that a killed run was giving to another node: to be removed before anything else
    /// makes the kernel answer for them.
    pub disowned: Vec<Install>,
}

/// Finds out and judges everything. The addresses in `held` are locked by this process already.
///
/// # Errors
/// The first reason not to start.
pub fn prepare_cluster(
    file: &ClusterFile,
    named: Option<&str>,
    held: &[IpAddr],
) -> Result<PreparedCluster> {
    require(&[Capability::NetAdmin, Capability::NetRaw])?;
    let keys = read_keys(file)?;
    let mut kernel = RealKernel::open().map_err(|error| os(&error))?;
    let nodename = sysctl::read("kernel/hostname").unwrap_or_default();
    let addresses: Vec<IpAddr> = kernel
        .addresses()
        .map_err(|error| os(&error))?
        .into_iter()
        .map(|address| address.ip)
        .collect();
    let me = find_self(file, &nodename, &addresses, named)?;
    let me = NodeId(u16::from(me.0));
    let vips: Vec<IpAddr> = file.addresses().collect();
    let locks = locks_for(&vips, held)?;
    let (mut plan, settings) = plan(file, me, &mut kernel)?;
    let disowned = plan.disown(&fast::left_quiet());
    let checks: Vec<_> = file.checks.iter().map(|named| named.check.clone()).collect();
    let (prepared_checks, core_checks) = place_checks(file, &plan, probers(&checks)?);
    let heartbeats = Heartbeats { port: file.port, paths: paths(file, &plan, &settings) };
    let config = Config::new(plan.links, plan.peers, plan.vips, core_checks, settings.timing)
        .map_err(|error| Failure::config(error.to_string()))?;
    let host = Prepared {
        config,
        ifindexes: plan.ifindexes,
        installs: plan.installs,
        checks: prepared_checks,
        warnings: plan.warnings,
        locks,
    };
    Ok(PreparedCluster { host, settings, keys, heartbeats, disowned })
}

/// The keys of the file: one to send with, a second one that is believed as well.
///
/// # Errors
/// It cannot be read, or is no key file.
pub fn read_keys(file: &ClusterFile) -> Result<KeyRing> {
    keygen::read_ring(&file.key_file, &file.cluster)
}

fn plan(file: &ClusterFile, me: NodeId, kernel: &mut dyn Kernel) -> Result<(Plan, Settings)> {
    let mut ground = Ground::survey(kernel)?;
    let mut plan = Plan::default();
    let real: Vec<IpAddr> =
        file.nodes.iter().flat_map(|node| node.addresses.iter().copied()).collect();
    let mut groups = Vec::new();
    for (pool, group) in (0..).map(PoolId).zip(&file.vips) {
        let mut vips = Vec::new();
        for (address, prefix) in group.addresses() {
            ground.judge_claim("VIP", address, &real)?;
            vips.push((address, VipId(plan.vips.len() as u32)));
            let wish = Wish {
                address,
                interface: group.interface.as_deref(),
                prefix: Some(prefix),
                label: &group.name,
                home: Home::Cluster,
                failback: group.failback,
                on_answer: group.on_answer,
                on_check_failure: OnCheckFailure::Warn,
            };
            plan.add_vip(&mut ground, &wish)?;
        }
        groups.extend(groups_of(group, pool, &vips));
        if group.on_doubt == OnDoubt::Hold && !file.isolated_when_unreachable.is_empty() {
            plan.warn(format!(
                "{}: this version does not follow on-doubt = \"hold\": a node that is cut off gives \
                 it up",
                group.name
            ));
        }
    }
    let mut members = Vec::new();
    for (node, settings) in (0..).map(NodeId).zip(&file.nodes) {
        if node == me {
            continue;
        }
        members.push(MemberSettings { node, peer: PeerId(plan.peers.len() as u32) });
        plan.add_peer(&settings.name);
        for ip in &settings.addresses {
            plan.add_peer_address(&mut ground, None, Resolved { ip: *ip, scope: None })?;
        }
    }
    let mut references = Vec::new();
    for ip in &file.isolated_when_unreachable {
        references.push(PeerId(plan.peers.len() as u32));
        plan.add_peer(&ip.to_string());
        plan.add_peer_address(&mut ground, None, Resolved { ip: *ip, scope: None })?;
    }
    plan.read_links(&mut ground)?;
    let names = file.nodes.iter().map(|node| node.name.as_str());
    let settings = Settings {
        cluster: ClusterId::of(&file.cluster),
        digest: ConfigDigest {
            nodes: fingerprint("standin nodes", names.clone().map(str::as_bytes)),
            vips: file.digest(),
        },
        me,
        names: names.map(Arc::from).collect(),
        witnesses: NodeSet::default(),
        authority: Authority::None,
        members,
        groups,
        references,
        timing: Timing {
            dead_after: file.timing.dead_after,
            interval: file.timing.interval,
            back_after: file.timing.back_after,
        },
    };
    Ok((plan, settings))
}

fn on_doubt(setting: OnDoubt) -> CoreOnDoubt {
    match setting {
        OnDoubt::Release => CoreOnDoubt::Release,
        OnDoubt::Hold => CoreOnDoubt::Hold,
    }
}

/// One group for addresses that move as one; one for each address of a pool.
fn groups_of(
    group: &crate::file::VipGroup,
    pool: PoolId,
    vips: &[(IpAddr, VipId)],
) -> Vec<GroupSettings> {
    let members: NodeSet =
        group.placement.eligible().iter().map(|node| NodeId(u16::from(node.0))).collect();
    let rules = |preference| GroupRules { preference, failback: group.failback, members };
    let key = |ip: &IpAddr| address_key(*ip);
    match &group.placement {
        Placement::Ordered(order) => {
            let order = order.iter().map(|node| NodeId(u16::from(node.0))).collect();
            vec![GroupSettings {
                name: group.name.as_str().into(),
                vips: vips.iter().map(|(_, vip)| *vip).collect(),
                rules: rules(Preference::Order(order)),
                key: vips.first().map_or(0, |(ip, _)| key(ip)),
                lease: Key::of(vips.iter().map(|(ip, _)| *ip)),
                on_doubt: on_doubt(group.on_doubt),
            }]
        }
        Placement::Spread(_) => vips
            .iter()
            .map(|(ip, vip)| GroupSettings {
                name: ip.to_string().into(),
                vips: vec![*vip],
                rules: rules(Preference::Spread(pool)),
                key: key(ip),
                lease: Key::of([*ip]),
                on_doubt: on_doubt(group.on_doubt),
            })
            .collect(),
    }
}

/// Every check of a group for each of its addresses.
fn place_checks(
    file: &ClusterFile,
    plan: &Plan,
    probers: Vec<Prober>,
) -> (Vec<super::PreparedCheck>, Vec<standin_core::config::Check>) {
    let probers: Vec<Arc<Prober>> = probers.into_iter().map(Arc::new).collect();
    let positions: BTreeMap<IpAddr, usize> =
        plan.vips.iter().enumerate().map(|(position, vip)| (vip.address, position)).collect();
    let mut placed = (Vec::new(), Vec::new());
    for group in &file.vips {
        for id in &group.checks {
            let named = file.check(*id);
            for (address, _) in group.addresses() {
                let (prober, position) = (&probers[id.0 as usize], positions[&address]);
                plan.place_check(&mut placed, prober, position, (&group.name, named.from));
            }
        }
    }
    placed
}

fn paths(file: &ClusterFile, plan: &Plan, settings: &Settings) -> Vec<Vec<SocketAddr>> {
    let mut paths = vec![Vec::new(); plan.peers.len()];
    for member in &settings.members {
        let addresses = &plan.peers[member.peer.index()].addresses;
        paths[member.peer.index()] = addresses
            .iter()
            .map(|address| {
                let ifindex = address.link.map(|link| plan.ifindexes[link.index()]);
                path(address.ip, file.port, ifindex)
            })
            .collect();
    }
    paths
}
