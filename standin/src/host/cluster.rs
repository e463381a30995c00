//! What is found out about this host before `standin run` starts, and refused.
//!
//! Owns the way from a valid file to the core's configuration of this node. Changes nothing on the
//! host.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use standin_core::cluster::settings::{
    GroupSettings, MemberSettings, OnDoubt as CoreOnDoubt, Settings,
};
use standin_core::config::{Config, Home, OnCheckFailure, PeerId, Timing, VipId};
use standin_core::heartbeat::{ClusterId, ConfigDigest, KeyRing, fingerprint};
use standin_core::lease::Key;
use standin_core::place::{GroupRules, NodeId, NodeSet, PoolId, Preference, address_key};
use standin_sys::capability::Capability;
use standin_sys::sysctl;

use super::plan::{Called, Plan, Wish};
use super::quorum::{authority, guard_plan, guarded, witnesses};
use super::{
    Ground, Install, Kernel, Prepared, RealKernel, Resolved, locks_for, os, require, routes,
};
use crate::checks::{Prober, prober};
use crate::failure::{Failure, Result};
use crate::fast::{self, Heartbeats, path};
use crate::file::{self, ClusterFile, OnDoubt, Placement, find_self};
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
    let guarded = guarded(file)?;
    let (mut plan, settings) =
        plan(file, me, guarded, &mut kernel).map_err(Failure::in_words_of_the_file)?;
    let address = |vip: VipId| plan.vips[vip.index()].address;
    let guard = guard_plan(&file.cluster, &settings, guarded, address).with_routes(plan.routed());
    if !guard.routed.is_empty() && !fast::left_alive(&guard.name) {
        plan.disown_routes();
    }
    let mut disowned = plan.disown(&fast::left_quiet(&guard.name));
    disowned.append(&mut plan.displaced);
    let probers = file.checks.iter().map(prober).collect::<Result<_>>()?;
    let (prepared_checks, core_checks) = place_checks(file, &plan, probers);
    let heartbeats =
        Heartbeats { port: file.port, paths: paths(file, &plan, &settings), guard: Some(guard) };
    let config = Config::new(plan.links, plan.peers, plan.vips, core_checks, settings.timing)
        .map_err(|error| Failure::config(error.to_string()))?;
    let host = Prepared {
        config,
        ifindexes: plan.ifindexes,
        installs: plan.installs,
        route_metric: Some(routes::metric(&file.cluster)),
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

pub(super) fn plan(
    file: &ClusterFile,
    me: NodeId,
    guarded: bool,
    kernel: &mut dyn Kernel,
) -> Result<(Plan, Settings)> {
    let mut ground = Ground::survey(kernel)?;
    ground.find_routes(routes::metric(&file.cluster))?;
    let mut plan = Plan::default();
    let real: Vec<IpAddr> =
        file.voter_ids().flat_map(|node| file.node(node).addresses.iter().copied()).collect();
    let mut groups = Vec::new();
    for (pool, group) in (0..).map(PoolId).zip(&file.vips) {
        let is_member = group.placement.eligible().iter().any(|node| u16::from(node.0) == me.0);
        if !is_member && !Plan::carries(&mut ground, group) {
            // It is for others, on a link that this host is not on.
            let addresses: Vec<IpAddr> = group.addresses().map(|(address, _)| address).collect();
            groups.extend(groups_of(group, pool, &addresses, |_| None));
            continue;
        }
        let first = plan.vips.len();
        let mut addresses = Vec::new();
        let routes = plan.judge_routes(&mut ground, group)?;
        for (address, prefix) in group.addresses() {
            ground.judge_claim("VIP", address, &real)?;
            addresses.push(address);
            let wish = Wish {
                address,
                interface: group.interface.as_deref(),
                prefix: Some(prefix),
                label: &group.name,
                home: Home::Cluster,
                failback: group.failback,
                on_answer: group.on_answer,
                on_check_failure: OnCheckFailure::Warn,
                route: routes && address.is_ipv4(),
            };
            plan.add_vip(&mut ground, &wish)?;
        }
        groups.extend(groups_of(group, pool, &addresses, |at| Some(VipId((first + at) as u32))));
        if group.on_doubt == OnDoubt::Hold
            && file.authority == file::Authority::None
            && !file.isolated_when_unreachable.is_empty()
        {
            plan.warn(format!(
                "{}: without a quorum this version does not follow on-doubt = \"hold\": a node that \
                 is cut off gives it up",
                group.name
            ));
        }
    }
    let mut members = Vec::new();
    let listed = file.voter_ids().map(|id| file.node(id));
    for (node, settings) in (0..).map(NodeId).zip(listed) {
        if node == me || file.authority == file::Authority::None && node.index() >= file.nodes.len()
        {
            continue;
        }
        members.push(MemberSettings { node, peer: PeerId(plan.peers.len() as u32) });
        plan.add_peer(&settings.name);
        for ip in &settings.addresses {
            let resolved = Resolved { ip: *ip, scope: None };
            plan.add_peer_address(&mut ground, None, resolved, Called::Node)?;
        }
    }
    let mut references = Vec::new();
    for ip in &file.isolated_when_unreachable {
        references.push(PeerId(plan.peers.len() as u32));
        plan.add_peer(&ip.to_string());
        let resolved = Resolved { ip: *ip, scope: None };
        plan.add_peer_address(&mut ground, None, resolved, Called::Reference)?;
    }
    plan.read_links(&mut ground)?;
    let settings = settings_of(file, me, guarded, members, groups, references);
    Ok((plan, settings))
}

/// What follows from the file and the numbers alone.
pub(super) fn settings_of(
    file: &ClusterFile,
    me: NodeId,
    guarded: bool,
    members: Vec<MemberSettings>,
    groups: Vec<GroupSettings>,
    references: Vec<PeerId>,
) -> Settings {
    let nodes = file.nodes.iter().map(|node| node.name.as_bytes());
    Settings {
        cluster: ClusterId::of(&file.cluster),
        digest: ConfigDigest { nodes: fingerprint("standin nodes", nodes), vips: file.digest() },
        me,
        names: file.voter_ids().map(|id| Arc::from(file.node(id).name.as_str())).collect(),
        witnesses: witnesses(file),
        authority: authority(file, guarded),
        members,
        groups,
        references,
        timing: Timing {
            dead_after: file.timing.dead_after,
            interval: file.timing.interval,
            back_after: file.timing.back_after,
        },
    }
}

fn on_doubt(setting: OnDoubt) -> CoreOnDoubt {
    match setting {
        OnDoubt::Release => CoreOnDoubt::Release,
        OnDoubt::Hold => CoreOnDoubt::Hold,
    }
}

/// The addresses of each group of a file, by its number.
pub fn addresses_of_groups(file: &ClusterFile) -> Vec<Vec<IpAddr>> {
    let mut groups = Vec::new();
    for group in &file.vips {
        let addresses = group.addresses().map(|(address, _)| address);
        match group.placement {
            Placement::Ordered(_) => groups.push(addresses.collect()),
            Placement::Spread(_) => groups.extend(addresses.map(|address| vec![address])),
        }
    }
    groups
}

/// One group for addresses that move as one; one for each address of a pool. `vip` gives the number
/// of an address on this host, where it may come here.
pub(super) fn groups_of(
    group: &crate::file::VipGroup,
    pool: PoolId,
    addresses: &[IpAddr],
    vip: impl Fn(usize) -> Option<VipId>,
) -> Vec<GroupSettings> {
    let members: NodeSet =
        group.placement.eligible().iter().map(|node| NodeId(u16::from(node.0))).collect();
    let one = |name: String, positions: std::ops::Range<usize>, preference| GroupSettings {
        name: name.into(),
        vips: positions.clone().filter_map(&vip).collect(),
        rules: GroupRules { preference, failback: group.failback, members },
        key: addresses.get(positions.start).map_or(0, |ip| address_key(*ip)),
        lease: Key::of(addresses[positions].iter().copied()),
        on_doubt: on_doubt(group.on_doubt),
    };
    match &group.placement {
        Placement::Ordered(order) => {
            let order = order.iter().map(|node| NodeId(u16::from(node.0))).collect();
            vec![one(group.name.clone(), 0..addresses.len(), Preference::Order(order))]
        }
        Placement::Spread(_) => addresses
            .iter()
            .enumerate()
            .map(|(at, ip)| one(ip.to_string(), at..at + 1, Preference::Spread(pool)))
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
            // Those that never come here have no position.
            let here = group.addresses().filter_map(|(address, _)| positions.get(&address));
            for position in here.copied() {
                let prober = &probers[id.0 as usize];
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
