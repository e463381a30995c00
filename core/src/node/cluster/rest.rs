//! Who holds nothing speaks seldom.
//!
//! Owns how often this node sends heartbeats to each member, and by which times it watches those that
//! send theirs seldom. Of a node that holds nothing no address is missed when it dies, so nobody has
//! to learn of that within milliseconds; yet where all speak alike, most of what a cluster sends and
//! hears comes from such nodes.
//!
//! ```text
//!    this node                                   a member
//!    holds nothing ───── RESTING ──────────────▶ watches by Timing::resting from now on
//!    sends seldom  ◀──── PATIENT, and what ─────
//!                        was last told echoed
//!    news, or a group ── not RESTING ──────────▶ watches as it watches all
//!    comes here: sends often at once
//! ```
//!
//! Invariants: this node sends seldom only to who has heard everything that it told and watches it by
//! those times, so that no loss of a packet makes it be missed; and as soon as anybody is suspected,
//! whoever rests is asked as well ([`Node::look_closely`]) and judged by the same times as a holder:
//! two that die together are found dead together.
//!
//! Under `authority = "quorum"` nobody rests: the heartbeats of those who hold nothing carry votes.

use super::Node;
use crate::cluster::Cluster;
use crate::config::PeerId;
use crate::heartbeat::{Flags, Header};
use crate::peer::Life;
use crate::time::Instant;

impl Node {
    /// Whether nobody would miss this node at once: it holds nothing, and has nothing under way.
    pub(super) fn may_rest(&self, cluster: &Cluster) -> bool {
        let timing = self.config.timing;
        let settled = cluster.ready && !cluster.leaving && !cluster.keeping;
        settled && cluster.idle && cluster.leases.is_none() && timing != timing.resting()
    }

    /// Whether anything is here, as it is being told.
    pub(super) fn note_idle(&mut self, cluster: &mut Cluster, idle: bool) {
        if core::mem::replace(&mut cluster.idle, idle) != idle {
            self.stay_awake(cluster);
        }
    }

    /// Something is told that everybody is to hear, so it is told often until it was heard.
    pub(super) fn stay_awake(&mut self, cluster: &mut Cluster) {
        cluster.told_at = self.now;
        for member in 0..cluster.members.len() {
            if core::mem::take(&mut cluster.members[member].lets_rest) {
                self.pace(cluster, member);
                self.schedule_daemon(cluster, member);
            }
        }
    }

    /// What the newest word of a member says about rest, its own and this node's; before anything is
    /// made of its having been heard.
    pub(super) fn note_rest(&mut self, cluster: &mut Cluster, member: usize, header: &Header) {
        let told_at = cluster.told_at;
        let fellow = &mut cluster.members[member];
        fellow.rests = header.flags.contains(Flags::RESTING);
        let heard = header.echo.is_some_and(|e| Instant::from_nanos(e.stamp.get()) >= told_at);
        let patient = header.flags.contains(Flags::PATIENT);
        fellow.lets_rest = patient && (fellow.lets_rest || heard);
        let mut timing = self.config.timing;
        if fellow.rests && fellow.impatient.is_none() {
            timing = timing.resting();
        }
        if timing != fellow.daemon.timing() {
            fellow.daemon.watch(timing);
            fellow.expect_anew(self.now);
            self.peers[fellow.peer.index()].peer.watch(timing);
        }
        self.pace(cluster, member);
    }

    /// How often this node speaks to a member.
    pub(super) fn pace(&self, cluster: &mut Cluster, member: usize) {
        let timing = self.config.timing;
        let rests = self.may_rest(cluster);
        let fellow = &mut cluster.members[member];
        let seldom = rests && fellow.lets_rest && fellow.daemon.life() == Life::Alive;
        let pace = if seldom { timing.resting().interval } else { timing.interval };
        fellow.daemon.set_pace(pace, self.now);
    }

    /// Somebody is suspected who does not rest, or is to be given something: whether those that rest
    /// still live has to be known as soon as that is.
    pub(super) fn look_closely(&mut self, cluster: &mut Cluster) {
        for member in 0..cluster.members.len() {
            self.look_closely_at(cluster, member);
        }
    }

    /// The same, when a host has become suspected.
    pub(in crate::node) fn look_closely_for(&mut self, suspected: PeerId) {
        self.with_cluster(|node, cluster| {
            let member = cluster.member_of(suspected);
            if member.is_none_or(|member| !cluster.members[member].rests) {
                node.look_closely(cluster);
            }
        });
    }

    /// Of one that was heard a moment ago enough is known.
    fn look_closely_at(&mut self, cluster: &mut Cluster, member: usize) {
        let (timing, now) = (self.config.timing, self.now);
        let fellow = &mut cluster.members[member];
        let lately = fellow.daemon.heard_at().is_some_and(|at| now.since(at) < timing.interval);
        let alive = fellow.daemon.life() == Life::Alive;
        if !alive || lately || !fellow.is_watched_as_resting(&self.config) {
            return;
        }
        let peer = fellow.peer;
        fellow.daemon.watch_closely(timing, now);
        fellow.expect_anew(now);
        self.peers[peer.index()].peer.watch_closely(timing, now);
        self.send_heartbeat(cluster, member, false);
        self.schedule_daemon(cluster, member);
        self.schedule_peer(peer);
    }

    /// A member's daemon is gone: its host is watched by what it answers, as any other.
    pub(super) fn watch_host_alone(&mut self, cluster: &mut Cluster, member: usize) {
        let (timing, now) = (self.config.timing, self.now);
        let fellow = &mut cluster.members[member];
        fellow.daemon.watch(timing);
        fellow.lets_rest = false;
        let peer = fellow.peer;
        let host = &mut self.peers[peer.index()].peer;
        if host.timing() != timing {
            host.watch_closely(timing, now);
        }
        self.pace(cluster, member);
        self.schedule_peer(peer);
    }

    /// One of a member's paths has carried nothing for longer than it should, or all have again: a
    /// path is judged by many heartbeats, so a member is asked for more of them.
    pub(super) fn note_overdue(&mut self, cluster: &mut Cluster, member: usize, overdue: bool) {
        let fellow = &mut cluster.members[member];
        if fellow.impatient.is_some() != overdue {
            fellow.impatient = overdue.then_some(self.now);
            if overdue {
                self.look_closely_at(cluster, member);
            }
        }
    }
}
