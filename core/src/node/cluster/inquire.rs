//! Questions people ask of a node of a cluster: how things are, why, and what would be.
//!
//! Owns the answers, in words and plain values. Every decision in them is made by the very function
//! that decides when it matters. Changes nothing but the memory of since when a node has been a
//! candidate.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Node;
use crate::cluster::Cluster;
use crate::cluster::handover::Stage;
use crate::cluster::member::{Discord, Member};
use crate::config::VipId;
use crate::heartbeat::PathId;
#[cfg(doc)]
use crate::heartbeat::Session;
use crate::histogram::Histogram;
use crate::place::{self, Life, NodeId, NodeSet};

/// A node of the cluster, as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each set elsewhere")]
pub struct NodeStatus {
    /// Its name.
    pub name: Arc<str>,
    /// It is this one.
    pub is_this: bool,
    /// It votes and holds nothing.
    pub witness: bool,
    /// Whether it takes part.
    pub life: Life,
    /// It has listened to the others for long enough.
    pub ready: bool,
    /// The operator drains it.
    pub draining: bool,
    /// It stops.
    pub leaving: bool,
    /// It restarts and keeps what it has.
    pub keeping: bool,
    /// Why its word does not count, or its heartbeats are refused.
    pub trouble: Option<String>,
    /// Since its last heartbeat.
    pub heard_ago: Option<Duration>,
    /// The smoothed round trip of heartbeats.
    pub round_trip: Option<Duration>,
    /// For each of its addresses, since something of it came that way.
    pub paths: Vec<Option<Duration>>,
    /// The heartbeats to and from it.
    pub traffic: Traffic,
}

/// Heartbeats to and from one node, since this run of the configuration began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Made for it; each goes out on every path.
    pub sent: u64,
    /// The round trips that were measured.
    pub round_trips: Histogram,
    /// What came from each of its addresses.
    pub paths: Vec<PathTraffic>,
}

/// Heartbeats from one address of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathTraffic {
    /// That were news on this path.
    pub received: u64,
    /// That never came on it, though the node sent them; see [`Session::lost`].
    pub lost: u64,
    /// From one to the next.
    pub gaps: Histogram,
}

/// A group, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Its addresses.
    pub vips: Vec<VipId>,
    /// Who has it, as far as this node knows.
    pub present: Option<Arc<str>>,
    /// Who should.
    pub holder: Option<Arc<str>>,
    /// Why, as a sentence.
    pub reason: String,
    /// A move that is under way, in a few words.
    pub moving: Option<String>,
    /// Where the operator placed it.
    pub placed: Option<Arc<str>>,
    /// Its lease, under `authority = "quorum"`.
    pub lease: Option<LeaseStatus>,
}

/// The lease of a group, as this node has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseStatus {
    /// This node claims it, or holds it.
    pub claimed: bool,
    /// What is left of it here, less what the kernel was not told yet.
    pub left: Option<Duration>,
    /// Voters that grant it to this node.
    pub votes: usize,
    /// Votes that it takes.
    pub needed: usize,
    /// What it waits for, as a sentence.
    pub waits: Option<String>,
}

/// Who votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumStatus {
    /// For how long a voter binds itself.
    pub length: Duration,
    /// The voters' names.
    pub voters: Vec<Arc<str>>,
    /// Votes that a lease takes.
    pub needed: usize,
    /// This node goes by the present list alone, and so does all that it granted.
    pub settled: bool,
    /// The kernel ends a lease by itself.
    pub guarded: bool,
    /// This node has just started: it votes only after so long.
    pub quiet_for: Duration,
}

/// A cluster at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// The nodes, by number.
    pub nodes: Vec<NodeStatus>,
    /// The groups, by number.
    pub groups: Vec<GroupStatus>,
    /// Who votes, under `authority = "quorum"`.
    pub quorum: Option<QuorumStatus>,
    /// This node is cut off.
    pub isolated: bool,
    /// Datagrams that were refused, by every reason there is.
    pub refused: Vec<(&'static str, u64)>,
}

/// Why a group is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The group.
    pub group: Arc<str>,
    /// Who has it.
    pub present: Option<Arc<str>>,
    /// Who should, and why.
    pub holder: Option<Arc<str>>,
    /// The reason as a sentence.
    pub reason: String,
    /// Of each node, why it is a candidate or not.
    pub nodes: Vec<String>,
    /// What would move it.
    pub changes: Vec<String>,
}

/// What would become of a group if some nodes failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// The group.
    pub group: Arc<str>,
    /// Who has it now.
    pub before: Option<Arc<str>>,
    /// Who would have it.
    pub after: Option<Arc<str>>,
    /// Why, as a sentence.
    pub reason: String,
}

impl Node {
    /// How the cluster is, `None` outside one.
    pub fn cluster_status(&self) -> Option<ClusterStatus> {
        let cluster = self.cluster.as_ref()?;
        Some(ClusterStatus {
            nodes: (0..cluster.settings.names.len())
                .map(|place| self.node_status(cluster, NodeId(place as u16)))
                .collect(),
            groups: (0..cluster.groups.len()).map(|g| self.group_status(cluster, g)).collect(),
            quorum: self.quorum_status(cluster),
            isolated: cluster.isolated,
            refused: cluster.gate.refused().collect(),
        })
    }

    /// Why a group is where it is; `None` when there is no such group.
    pub fn explain(&mut self, group: usize) -> Option<Explained> {
        self.with_cluster(|node, cluster| {
            let seen = node.look(cluster);
            let groups = super::settle::group_views(cluster, &seen);
            let view = place::View { nodes: &seen.nodes, groups: &groups };
            let explanation = place::explain(&view, group)?;
            let settings = &cluster.settings;
            let name = |node: NodeId| settings.names.get(node.index()).cloned();
            let decision = explanation.decision;
            let nodes = explanation.nodes.iter().map(|report| {
                let node = settings.name(report.node);
                if report.bars.is_empty() {
                    return alloc::format!("{node} is a candidate");
                }
                let bars = report.bars.iter().map(|bar| bar.sentence(node).to_string());
                bars.collect::<Vec<_>>().join("; ")
            });
            Some(Explained {
                group: settings.groups[group].name.clone(),
                present: decision.present.and_then(name),
                holder: decision.holder.and_then(name),
                reason: decision.reason.sentence(settings).to_string(),
                nodes: nodes.collect(),
                changes: explanation
                    .changes
                    .iter()
                    .map(|c| c.sentence(settings).to_string())
                    .collect(),
            })
        })?
    }

    /// What would become of every group if these nodes failed; empty outside a cluster.
    pub fn foresee(&mut self, failing: &[NodeId]) -> Vec<Foreseen> {
        let failing: NodeSet = failing.iter().copied().collect();
        let foreseen = self.with_cluster(|node, cluster| {
            let seen = node.look(cluster);
            let groups = super::settle::group_views(cluster, &seen);
            let view = place::View { nodes: &seen.nodes, groups: &groups };
            let planned = place::plan(&view, failing).into_iter().zip(&cluster.settings.groups);
            let name = |node: NodeId| cluster.settings.names.get(node.index()).cloned();
            planned
                .map(|(planned, settings)| Foreseen {
                    group: settings.name.clone(),
                    before: planned.before.and_then(name),
                    after: planned.after.holder.and_then(name),
                    reason: planned.after.reason.sentence(&cluster.settings).to_string(),
                })
                .collect()
        });
        foreseen.unwrap_or_default()
    }

    fn node_status(&self, cluster: &Cluster, id: NodeId) -> NodeStatus {
        let name = cluster.settings.names[id.index()].clone();
        let witness = cluster.settings.witnesses.contains(id);
        let Some(member) = cluster.member_at(id) else {
            return NodeStatus {
                name,
                is_this: true,
                witness,
                life: Life::Participating,
                ready: cluster.ready,
                draining: cluster.is_drained(id),
                leaving: cluster.leaving,
                keeping: cluster.keeping,
                trouble: None,
                heard_ago: None,
                round_trip: None,
                paths: Vec::new(),
                traffic: Traffic::default(),
            };
        };
        let view = cluster.view_of(member, &self.peers[member.peer.index()].peer);
        let discord = member.discord.map(|what| match what {
            Discord::Nodes => "its file names other nodes".to_string(),
            Discord::Vips => "its file names other VIPs or homes".to_string(),
        });
        let refused = member.refused.then(|| "its host refuses heartbeats".to_string());
        let paths = self.config.peers[member.peer.index()].addresses.len();
        NodeStatus {
            name,
            is_this: false,
            witness,
            life: view.life,
            ready: view.ready,
            draining: view.draining,
            leaving: view.leaving,
            keeping: member.said.flags.contains(crate::heartbeat::Flags::KEEPING),
            trouble: discord.or(member.trouble.map(|why| why.to_string())).or(refused),
            heard_ago: member.daemon.heard_at().map(|at| self.now.since(at)),
            round_trip: member.daemon.round_trip(),
            paths: (0..paths)
                .map(|path| member.paths.get(path).and_then(|tally| tally.heard_at))
                .map(|heard| heard.map(|at| self.now.since(at)))
                .collect(),
            traffic: traffic(member, paths),
        }
    }

    fn group_status(&self, cluster: &Cluster, group: usize) -> GroupStatus {
        let settings = &cluster.settings;
        let state = &cluster.groups[group];
        let name = |node: NodeId| settings.names.get(node.index()).cloned();
        let decision = state.decision.as_ref();
        let moving = match state.handover.stage() {
            Stage::Idle => None,
            Stage::Offered { to, .. } => Some(alloc::format!("offered to {}", settings.name(to))),
            Stage::Quieting { to, .. } | Stage::Quiet { to, .. } | Stage::Lingering { to, .. } => {
                Some(alloc::format!("being given to {}", settings.name(to)))
            }
            Stage::Accepting { from, .. } | Stage::Taking { from, .. } => {
                Some(alloc::format!("being taken from {}", settings.name(from)))
            }
        };
        GroupStatus {
            name: settings.groups[group].name.clone(),
            vips: settings.groups[group].vips.clone(),
            present: decision.and_then(|decision| decision.present).and_then(name),
            holder: decision.and_then(|decision| decision.holder).and_then(name),
            reason: decision.map_or_else(
                || "nothing has been decided yet".to_string(),
                |decision| decision.reason.sentence(settings).to_string(),
            ),
            moving,
            placed: state.placed().and_then(name),
            lease: self.lease_status(cluster, group),
        }
    }
}

fn traffic(member: &Member, paths: usize) -> Traffic {
    let path = |path: PathId| {
        let tally = member.paths.get(path.number());
        PathTraffic {
            received: tally.map_or(0, |tally| tally.received),
            lost: member.session.lost(path),
            gaps: tally.map(|tally| tally.gaps.clone()).unwrap_or_default(),
        }
    };
    Traffic {
        sent: member.session.sent(),
        round_trips: member.trips.clone(),
        paths: (0..paths).filter_map(PathId::new).map(path).collect(),
    }
}
