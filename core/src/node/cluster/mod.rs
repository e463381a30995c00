//! A host as a node of a cluster: heartbeats in and out, and the groups where they belong.
//!
//! Owns the way between the rest of a [`Node`] and its [`Cluster`]. Invariant: an address of a
//! group is claimed only for a decision of [`crate::place`], or for an offer of its holder.
//!
//! - [`hear`]: what arrives.
//! - [`inquire`]: what people ask.
//! - [`lease`]: the right to hold.
//! - [`outside`]: checks of what others hold.
//! - [`silence`]: links on which nobody is heard.
//! - [`speak`]: what is sent.
//! - [`settle`]: who should hold what, and what this node does about it.

mod hear;
pub mod inquire;
mod lease;
mod outside;
mod settle;
mod silence;
mod speak;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use core::time::Duration;

use super::Node;
use crate::cluster::Cluster;
use crate::cluster::group::{DrainOrder, Placement};
use crate::cluster::report::ClusterReport;
use crate::cluster::settings::Settings;
use crate::config::{Config, PeerId, VipId};
use crate::decide::Reason;
use crate::heartbeat::{Flags, KeyRing};
use crate::io::Action;
use crate::peer::{Change, Life};
use crate::place::{NodeId, Preference};
use crate::report::Report;
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::mac::Mac;

/// A node that stops waits so long for others to take over what it holds.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(2);
/// What is left to the next run of this program lives so long without it.
pub const KEEP_LIFETIME: Duration = Duration::from_secs(30);

impl Node {
    /// A node of a cluster. `secret` is random and known to nobody else.
    pub fn in_cluster(
        config: Config,
        settings: Settings,
        keys: KeyRing,
        secret: [u8; 32],
        now: Instant,
    ) -> Self {
        let seed = u64::from_le_bytes(core::array::from_fn(|i| secret[i] ^ secret[i + 8]));
        let mut node = Self::new(config, seed, now);
        let cluster = Cluster::new(settings, keys, secret, now);
        for member in 0..cluster.members.len() {
            node.timers.set(Cluster::timer(member), Some(now));
        }
        node.cluster = Some(Box::new(cluster));
        node.begin_leases();
        node
    }

    /// The next step of a key's rotation, while everything goes on: sessions do not depend on the
    /// key. Outside a cluster nothing happens.
    pub fn change_keys(&mut self, keys: KeyRing) {
        self.with_cluster(|_, cluster| {
            cluster.gate.change_keys(keys);
            // Under the new key a refusal is worth another word.
            for member in &mut cluster.members {
                member.trouble = None;
            }
            cluster.news = true;
        });
    }

    /// The others are to hear soon how things are here.
    pub(super) fn tell_at_once(&mut self) {
        self.with_cluster(|_, cluster| cluster.news = true);
    }

    /// Runs something on the cluster and the host together.
    fn with_cluster<T>(&mut self, run: impl FnOnce(&mut Self, &mut Cluster) -> T) -> Option<T> {
        let mut cluster = self.cluster.take()?;
        let result = run(self, &mut cluster);
        self.cluster = Some(cluster);
        Some(result)
    }

    /// A round of heartbeats to one member is due, or its silence begins to count.
    pub(super) fn handle_daemon_timeout(&mut self, member: usize) {
        self.with_cluster(|node, cluster| {
            let Some(fellow) = cluster.members.get_mut(member) else { return };
            let (_, due) = fellow.daemon.handle_timeout(node.now);
            if due {
                if node.now.since(fellow.challenged_at) >= node.config.timing.dead_after {
                    fellow.challenged_at = node.now;
                    let nonce = cluster.nonces.draw();
                    fellow.session.renew_challenge(nonce);
                }
                node.send_heartbeat(cluster, member, false);
                node.judge_paths(cluster, member);
            }
            node.schedule_daemon(cluster, member);
        });
    }

    fn schedule_daemon(&mut self, cluster: &Cluster, member: usize) {
        self.timers.set(Cluster::timer(member), cluster.members[member].daemon.timeout());
    }

    /// Everything that had arrived has been read: which daemons are gone?
    pub(super) fn judge_daemons(&mut self) {
        self.with_cluster(|node, cluster| {
            for member in 0..cluster.members.len() {
                let fellow = &mut cluster.members[member];
                let Some(Change::Died { .. }) = fellow.daemon.judge(node.now) else {
                    node.report_late(cluster, member);
                    continue;
                };
                node.undecided = true;
                node.schedule_daemon(cluster, member);
                // A refusal has said so already.
                if !cluster.members[member].refused {
                    node.report_daemon_gone(cluster, member);
                }
            }
            node.judge_readiness(cluster);
            node.judge_isolation(cluster);
        });
    }

    /// A daemon fell silent while its host did, or while our own link to it was down: by now the host is
    /// dead, or has answered for so long that its daemon could have been heard as well.
    fn report_late(&mut self, cluster: &mut Cluster, member: usize) {
        let fellow = &mut cluster.members[member];
        if !fellow.gone_untold {
            return;
        }
        let host = &self.peers[fellow.peer.index()].peer;
        let steady = host.steady_since();
        let needless = fellow.daemon.life() == Life::Alive || host.life() != Life::Alive;
        let patience = self.config.timing.dead_after;
        if needless || steady.is_some_and(|since| self.now.since(since) >= patience) {
            fellow.gone_untold = false;
        }
        if !needless && !fellow.gone_untold {
            self.report_daemon_gone(cluster, member);
        }
    }

    /// Tells of it when the host lives; when it does not, its death says everything. Whether it does is not
    /// known while it is suspected, or our own link is down.
    fn report_daemon_gone(&mut self, cluster: &mut Cluster, member: usize) {
        let fellow = &mut cluster.members[member];
        let host = &self.peers[fellow.peer.index()].peer;
        fellow.gone_untold = host.is_stale() || host.is_suspected();
        if host.life() == Life::Alive && !fellow.gone_untold {
            let node = cluster.settings.names[fellow.node.index()].clone();
            self.report_cluster(if fellow.goes() {
                let keeps = fellow.said.flags.contains(Flags::KEEPING);
                ClusterReport::MemberLeft { node, keeps }
            } else {
                ClusterReport::DaemonGone { node, refused: fellow.refused }
            });
        }
    }

    /// A newcomer waits until it has heard each of its fellows, or has heard nothing for so long
    /// that they count as gone.
    fn judge_readiness(&mut self, cluster: &mut Cluster) {
        if cluster.ready {
            return;
        }
        let unknown = cluster.members.iter().any(|member| {
            let host = &self.peers[member.peer.index()].peer;
            cluster.view_of(member, host).life == crate::place::Life::Unknown
        });
        if unknown {
            return;
        }
        cluster.ready = true;
        cluster.news = true;
        self.undecided = true;
        let heard = cluster.members.iter().filter(|member| member.takes_part()).count();
        self.report_cluster(ClusterReport::Ready { heard, of: cluster.members.len() });
    }

    fn judge_isolation(&mut self, cluster: &mut Cluster) {
        let references = &cluster.settings.references;
        let is_dead =
            |peer: &PeerId| matches!(self.peers[peer.index()].peer.life(), Life::Dead { .. });
        // A host that answers is reached, whatever its daemon does.
        let mut members = cluster.members.iter().map(|member| &member.peer);
        let isolated =
            !references.is_empty() && references.iter().all(is_dead) && members.all(is_dead);
        if isolated == cluster.isolated {
            return;
        }
        cluster.isolated = isolated;
        self.undecided = true;
        let report = if isolated { ClusterReport::CutOff } else { ClusterReport::Reconnected };
        self.report_cluster(report);
    }

    /// Told to stop. In a cluster the others take over first, if they can.
    pub(super) fn handle_stop(&mut self) {
        self.undecided = true;
        let now = self.now;
        let handed_over = self.with_cluster(|node, cluster| {
            if !core::mem::replace(&mut cluster.leaving, true) {
                node.timers.set(Timer::Stop, Some(now + HAND_OVER_PATIENCE));
            }
            cluster.news = true;
        });
        if handed_over.is_none() {
            self.stopping = true;
        }
    }

    /// Told to leave everything to the next run; but what is half given or half taken is the
    /// other's, who would have it besides.
    pub(super) fn handle_stop_keeping(&mut self) {
        let kept = self.with_cluster(|node, cluster| {
            let mut kept = BTreeMap::new();
            for (number, settings) in cluster.settings.groups.iter().enumerate() {
                let moving = cluster.groups[number].handover.is_committed();
                let lifetime = match &cluster.leases {
                    _ if moving => None,
                    Some(leases) => leases.keeps_for(number, node.now, KEEP_LIFETIME),
                    None => Some(KEEP_LIFETIME),
                };
                kept.extend(settings.vips.iter().map(|vip| (*vip, lifetime)));
            }
            kept
        });
        let kept: BTreeMap<VipId, Option<Duration>> = kept.unwrap_or_default();
        for id in self.vip_ids() {
            let lifetime = kept.get(&id).copied().unwrap_or(Some(KEEP_LIFETIME));
            self.with_vip(id, |vip, around| vip.leave_behind(around, lifetime));
        }
        self.with_cluster(|node, cluster| {
            cluster.keeping = true;
            cluster.news = true;
            node.spread_news(cluster);
        });
        if !core::mem::replace(&mut self.stopped, true) {
            self.actions.push_back(Action::Stopped);
        }
    }

    /// Whether this node hands over what it holds because it stops.
    pub(super) fn is_leaving(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| cluster.leaving)
    }

    /// Asks ahead for what would come here if a member that is silent turns out to be dead.
    pub(super) fn ask_ahead(&mut self) {
        let window = super::ask_window(self.config.timing.dead_after);
        self.with_cluster(|node, cluster| {
            for member in 0..cluster.members.len() {
                let fellow = &cluster.members[member];
                let ask_at = node.peers[fellow.peer.index()].peer.ask_at(window);
                let soon = ask_at.is_some_and(|at| at <= node.now);
                if soon == fellow.anticipating {
                    continue;
                }
                let dying = fellow.node;
                cluster.members[member].anticipating = soon;
                let heir = if soon {
                    node.heir_to(cluster, dying)
                } else {
                    (0..cluster.groups.len()).collect()
                };
                for group in heir {
                    for id in cluster.settings.groups[group].vips.clone() {
                        node.with_vip(id, |vip, around| vip.anticipate(around, soon));
                    }
                }
            }
        });
    }

    /// A watched host announces an address that is here. Where its daemon is heard, the heartbeats
    /// settle it; where only its announcements are, the one that comes later in the group's order
    /// withdraws, and the other says again where it is.
    pub(super) fn handle_peer_claim(&mut self, vip: VipId, mac: Mac) {
        let claimant = self.peer_ids().find(|id| self.peers[id.index()].macs.contains(&mac));
        self.with_cluster(|node, cluster| {
            let Some(member) = claimant.and_then(|peer| cluster.member_of(peer)) else { return };
            let fellow = &cluster.members[member];
            if fellow.takes_part() {
                node.with_vip(vip, |vip, around| vip.handle_fellow(around, mac));
                return;
            }
            let groups = cluster.settings.groups.iter();
            let Some(group) = groups.clone().find(|group| group.vips.contains(&vip)) else {
                return;
            };
            let rank = |id: NodeId| match &group.rules.preference {
                Preference::Order(order) => (order.iter().position(|n| *n == id), id),
                Preference::Spread(_) => (None, id),
            };
            let rank = |id| {
                let (listed, id) = rank(id);
                (listed.unwrap_or(usize::MAX), id)
            };
            let yields = rank(fellow.node) < rank(cluster.me());
            node.with_vip(vip, |vip, around| {
                if yields {
                    vip.unwant(around, Reason::PlacedElsewhere);
                } else {
                    vip.announce_again(around);
                }
            });
        });
    }

    /// The operator drains a node, or takes that back; the node hears of it by heartbeat.
    pub(super) fn handle_drain(&mut self, target: NodeId, drained: bool) {
        self.with_cluster(|node, cluster| {
            let by = cluster.me().0;
            let Some(order) = cluster.drains.get_mut(target.index()) else { return };
            let serial = order.map_or(1, |old| old.serial.saturating_add(1));
            *order = Some(DrainOrder { serial, by, drained });
            cluster.news = true;
            node.undecided = true;
        });
    }

    /// The operator places a group.
    pub(super) fn handle_place(&mut self, group: usize, target: Option<NodeId>) {
        self.with_cluster(|node, cluster| {
            let by = cluster.me().0;
            let Some(group) = cluster.groups.get_mut(group) else { return };
            let serial = group.placement.map_or(1, |old| old.serial.saturating_add(1));
            group.placement = Some(Placement { serial, by, node: target });
            cluster.news = true;
            node.undecided = true;
        });
    }

    /// The daemon of this peer is heard, so that its host need not be asked as well.
    pub(super) fn is_heard_as_member(&self, id: PeerId) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| {
            cluster.member_of(id).is_some_and(|member| {
                let fellow = &cluster.members[member];
                fellow.daemon.life() == Life::Alive && !fellow.refused
            })
        })
    }

    fn report_cluster(&mut self, report: ClusterReport) {
        self.actions.push_back(Action::Report(Report::Cluster(report)));
    }

    fn report_refused(&mut self, cluster: &Cluster, member: usize, why: &str) {
        let node = cluster.settings.names[cluster.members[member].node.index()].clone();
        self.report_cluster(ClusterReport::Refused { node, why: why.to_string() });
    }
}
