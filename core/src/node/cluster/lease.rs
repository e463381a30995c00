//! The leases of a node: asked for, renewed, told to the kernel, and given up.
//!
//! Owns the way between a group's lease and its addresses. Invariants: an address is added and
//! announced only while [`Leases::right`] says so; a lease goes back to the voters only after the
//! kernel confirmed that it answers no more, or that it is quiet and ends within [`LINGER`].

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::Node;
use super::inquire::{LeaseStatus, QuorumStatus};
use crate::cluster::Cluster;
use crate::cluster::handover::{LINGER, Stage};
use crate::cluster::leases::{Ceding, Fenced, Leases, Memory};
use crate::cluster::member::Member;
use crate::cluster::report::ClusterReport;
use crate::cluster::settings::OnDoubt;
use crate::config::VipId;
use crate::decide::Reason;
use crate::heartbeat::Opened;
use crate::io::Action;
use crate::lease::electorate::ChangeRefused;
use crate::lease::message;
use crate::place::{NodeId, NodeSet};
use crate::time::{Instant, Spoken};
use crate::timers::Timer;

/// The kernel is told of a later end only when it is later by this share of the length.
const EXTEND_SHARE: u32 = 16;
/// A kernel that refused a lease is told again after this share of the length.
const REFUSED_SHARE: u32 = 32;
const REFUSED_LEAST: Duration = Duration::from_millis(2);
const REFUSED_MOST: Duration = Duration::from_millis(100);
/// Outbid, a claim waits for up to this share of the length before it tries again.
const DUEL_SHARE: u32 = 32;
const DUEL_LEAST: Duration = Duration::from_millis(2);
/// Steps that a claim can take by its own vote within one turn.
const OWN_STEPS: usize = 3;
/// No timer is set nearer than that.
const GRAIN: Duration = Duration::from_micros(50);
/// An address found at the start is kept without a lease for at least so long; the kernel does not
/// answer for it meanwhile.
const GRACE_LEAST: Duration = Duration::from_secs(1);
/// The fencing command is run against a node at most this often.
const FENCE_PAUSE: Duration = Duration::from_secs(30);

impl Node {
    /// What the next configuration in this process has to know of the leases.
    pub fn lease_memory(&self) -> Option<Memory> {
        self.cluster.as_ref()?.leases.as_ref().map(Leases::memory)
    }

    /// Goes on with what the configuration before knew of the leases; to be called before anything
    /// else.
    pub fn recall_leases(&mut self, memory: Memory) {
        let now = self.now;
        if let Some(leases) = self.cluster.as_mut().and_then(|cluster| cluster.leases.as_mut()) {
            leases.recall(memory, now);
        }
    }

    /// Whether voters of these names may be taken over by a reload now, in place of the present ones.
    ///
    /// # Errors
    /// Who has taken over neither the present ones nor these.
    pub fn judge_voters_settled(&self, next: &[&str]) -> Result<(), ChangeRefused> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let Some(leases) = &cluster.leases else { return Ok(()) };
        let heard = |member: usize| cluster.members[member].is_heard();
        leases.judge_settled(&cluster.settings, next, heard, self.now)
    }

    /// Addresses that an earlier run left here: their leases are asked for at once. They stay meanwhile
    /// where the kernel does not answer for them; where it would, nobody knows until when they may be
    /// here, and they go.
    pub(super) fn begin_leases(&mut self) {
        let now = self.now;
        let Self { vips, cluster, .. } = self;
        let Some(leases) = cluster.as_mut().and_then(|cluster| cluster.leases.as_mut()) else {
            return;
        };
        let length = leases.quorum.length;
        for tenure in &mut leases.tenures {
            let is_here = tenure.kernel.vips.iter().any(|vip| vips[vip.index()].is_on_host());
            if tenure.kernel.managed && is_here {
                tenure.grace_until = Some(now + GRACE_LEAST.max(length * 2));
            }
        }
        self.timers.set(Timer::Lease, Some(now));
        self.rights_end = Some(now);
        self.judge_rights();
    }

    /// What a member says of leases.
    pub(super) fn hear_leases(
        &mut self,
        cluster: &mut Cluster,
        member: usize,
        opened: &Opened<'_>,
    ) {
        let now = self.now;
        let random = &mut self.random;
        let fellow = &cluster.members[member];
        let (from, node) = (fellow.id.bits(), fellow.node);
        let Some(leases) = &mut cluster.leases else { return };
        let length = leases.quorum.length;
        let mut goes_by = None;
        for (kind, body) in opened.payload().sections() {
            match kind {
                message::VOTERS => goes_by = message::parse_voters(body),
                message::ASKS => leases.hear_asks(member, from, body, now),
                message::ANSWERS => {
                    leases.hear_answers(node, body, now, || duel_pause(random, length));
                }
                _ => {}
            }
        }
        if goes_by.is_some() {
            let before = leases.is_stranger(member);
            leases.note_voters(member, goes_by);
            if leases.is_stranger(member) && !before {
                let node = cluster.settings.names[node.index()].clone();
                self.report_cluster(ClusterReport::OtherVoters { node });
            }
        }
    }

    /// Everything that follows for the leases; everything that had arrived has been read.
    pub(in crate::node) fn drive_leases(&mut self) {
        self.with_cluster(|node, cluster| {
            let Some(mut leases) = cluster.leases.take() else { return };
            if core::mem::take(&mut leases.dirty) {
                node.drive(cluster, &mut leases);
            }
            cluster.leases = Some(leases);
            node.send_leases(cluster);
        });
    }

    fn drive(&mut self, cluster: &mut Cluster, leases: &mut Leases) {
        let now = self.now;
        let agreed = cluster.members.iter().enumerate().all(|(place, member)| {
            let votes = leases.quorum.voters.present.voters.contains(member.node);
            !votes || (member.is_heard() && leases.agrees(place).0)
        });
        leases.settle_voters(agreed, now);
        leases.fenced.retain(|fenced| now < fenced.until);
        for group in 0..leases.tenures.len() {
            self.begin_or_end(cluster, leases, group);
        }
        let (me, own) = (cluster.me(), cluster.settings.own_id().bits());
        let pause = duel_pause(&mut self.random, leases.quorum.length);
        for _ in 0..OWN_STEPS {
            leases.ask_own(me, own, now, pause);
        }
        for group in 0..leases.tenures.len() {
            self.extend(leases, group);
        }
        self.fence(cluster, leases);
        self.update_rights(cluster, leases);
        // Asking its own voter, and losing a right, count as news.
        leases.dirty = false;
    }

    /// Begins a claim for what should be here or is, and gives up what is neither.
    fn begin_or_end(&mut self, cluster: &Cluster, leases: &mut Leases, group: usize) {
        let now = self.now;
        let gives = matches!(
            cluster.groups[group].handover.stage(),
            Stage::Quieting { .. } | Stage::Quiet { .. } | Stage::Lingering { .. }
        );
        let tenure = &mut leases.tenures[group];
        let on_host = tenure.kernel.vips.iter().any(|vip| self.vips[vip.index()].is_on_host());
        let kernel = &mut tenure.kernel;
        if kernel.until.is_none_or(|until| now >= until)
            && kernel.asked.is_none_or(|until| now >= until)
        {
            kernel.until = None;
            kernel.asked = None;
            kernel.ending = false;
            if tenure.ceding == Ceding::Shortening {
                // It has ended before the kernel's word on its shortening was read.
                tenure.ceding = Ceding::Ceded;
                tenure.claim.give_up(now);
                tenure.had = false;
            }
        }
        if tenure.ceding == Ceding::Ceded && !gives {
            tenure.ceding = Ceding::No;
        }
        if tenure.ceding != Ceding::No {
            return;
        }
        if tenure.wanted || (on_host && !gives) {
            if !tenure.claim.is_active() {
                let ballot = leases.ballot(0);
                leases.tenures[group].claim.begin(now, ballot);
            } else if tenure.claim.retries(now) {
                let ballot = leases.ballot(0);
                leases.tenures[group].claim.retry(ballot);
            }
            return;
        }
        if on_host || !tenure.claim.is_active() {
            return;
        }
        if tenure.kernel.until.is_some() || tenure.kernel.asked.is_some() {
            if !core::mem::replace(&mut tenure.kernel.ending, true) {
                let vips = tenure.kernel.vips.clone();
                self.actions.push_back(Action::EndLease { group, vips });
            }
        } else {
            tenure.claim.give_up(now);
            tenure.had = false;
        }
    }

    /// Tells the kernel of a later end.
    fn extend(&mut self, leases: &mut Leases, group: usize) {
        let now = self.now;
        let least = leases.quorum.length / EXTEND_SHARE;
        let tenure = &mut leases.tenures[group];
        let kernel = &mut tenure.kernel;
        if !kernel.managed || kernel.ending || tenure.ceding != Ceding::No {
            return;
        }
        if kernel.refused.is_some_and(|again| now < again) {
            return;
        }
        let until = tenure.claim.until(&leases.quorum.voters).filter(|until| now < *until);
        let Some(until) = until else { return };
        let told = kernel.asked.max(kernel.until);
        if told.is_none_or(|told| until >= told + least) {
            kernel.asked = Some(until);
            let vips = kernel.vips.clone();
            self.actions.push_back(Action::ExtendLease { group, vips, until });
        }
    }

    /// The receiver of a planned move waits: the lease goes to it. Where the kernel is quiet for
    /// the addresses, what still comes here is served for a moment; elsewhere they go first.
    pub(super) fn cede(&mut self, cluster: &mut Cluster, group: usize) {
        let Some(leases) = &mut cluster.leases else { return };
        let tenure = &mut leases.tenures[group];
        if tenure.ceding != Ceding::No || !tenure.claim.is_active() {
            return;
        }
        let vips: Arc<[VipId]> = tenure.kernel.vips.clone();
        let quiet = vips.iter().all(|vip| self.vips[vip.index()].is_surely_quiet());
        tenure.wanted = false;
        leases.dirty = true;
        if tenure.kernel.managed && quiet {
            let end = self.now + LINGER;
            let until = tenure.kernel.until.map_or(end, |until| until.min(end));
            tenure.ceding = Ceding::Shortening;
            tenure.kernel.asked = Some(until);
            self.actions.push_back(Action::ExtendLease { group, vips, until });
        } else {
            for id in vips.iter().copied() {
                self.with_vip(id, |vip, around| vip.unwant(around, Reason::PlacedElsewhere));
            }
        }
    }

    pub(in crate::node) fn handle_lease_extended(
        &mut self,
        group: usize,
        until: Instant,
        result: Result<(), String>,
    ) {
        let now = self.now;
        let refusal = self.with_cluster(|node, cluster| {
            let leases = cluster.leases.as_mut()?;
            leases.dirty = true;
            let tenure = leases.tenures.get_mut(group)?;
            let kernel = &mut tenure.kernel;
            let latest = kernel.asked == Some(until);
            // A plain renewal changes nothing.
            node.undecided |= kernel.until.is_none() || tenure.ceding != Ceding::No;
            let Err(why) = result else {
                kernel.until = Some(until);
                if latest {
                    kernel.asked = None;
                }
                kernel.refused = None;
                if latest && tenure.ceding == Ceding::Shortening {
                    tenure.ceding = Ceding::Ceded;
                    tenure.claim.give_up(now);
                    tenure.had = false;
                }
                return None;
            };
            // It may be held until what was asked for; it is not known to be held at all.
            if latest && tenure.ceding == Ceding::Shortening {
                tenure.ceding = Ceding::No;
                let vips = tenure.kernel.vips.clone();
                for id in vips.iter().copied() {
                    node.with_vip(id, |vip, around| vip.unwant(around, Reason::PlacedElsewhere));
                }
                return None;
            }
            if latest {
                kernel.asked = None;
            }
            let pause = leases.quorum.length / REFUSED_SHARE;
            let again = now + pause.clamp(REFUSED_LEAST, REFUSED_MOST);
            let group = cluster.settings.groups[group].name.clone();
            let first = kernel.refused.replace(again).is_none();
            first.then_some(ClusterReport::LeaseNotTold { group, why })
        });
        if let Some(report) = refusal.flatten() {
            self.report_cluster(report);
        }
    }

    pub(in crate::node) fn handle_lease_ended(
        &mut self,
        group: usize,
        result: &Result<(), String>,
    ) {
        self.undecided = true;
        self.with_cluster(|_, cluster| {
            let Some(leases) = &mut cluster.leases else { return };
            let Some(tenure) = leases.tenures.get_mut(group) else { return };
            leases.dirty = true;
            // Refused: it ends at its time.
            if result.is_ok() {
                tenure.kernel.until = None;
                tenure.kernel.asked = None;
                tenure.kernel.ending = false;
            }
        });
    }

    /// Has the holder of what is wanted here cut off, where nothing of it or of its daemon is heard.
    fn fence(&mut self, cluster: &Cluster, leases: &mut Leases) {
        if !leases.quorum.fence {
            return;
        }
        let now = self.now;
        let wanted = leases.tenures.iter().filter(|tenure| tenure.wanted);
        let holders = wanted.filter_map(|tenure| tenure.claim.obstacle().taken);
        let holders: Vec<u64> =
            holders.filter(|(_, _, end)| now < *end).map(|(holder, ..)| holder).collect();
        for member in &cluster.members {
            if !holders.contains(&member.id.bits()) {
                continue;
            }
            let host = &self.peers[member.peer.index()].peer;
            let gone = member.is_surely_gone(host);
            let last = &mut leases.fencing[member.node.index()];
            if gone && last.is_none_or(|at| now.since(at) >= FENCE_PAUSE) {
                *last = Some(now);
                self.actions.push_back(Action::Fence { node: member.node });
            }
        }
    }

    pub(in crate::node) fn handle_fenced(&mut self, target: NodeId, result: &Result<(), String>) {
        let now = self.now;
        let report = self.with_cluster(|_, cluster| {
            let member = cluster.member_at(target)?;
            let (id, node) = (member.id.bits(), cluster.settings.names[target.index()].clone());
            let leases = cluster.leases.as_mut()?;
            if let Err(why) = result {
                return Some(ClusterReport::FenceFailed { node, why: why.clone() });
            }
            leases.dirty = true;
            let until = now + leases.quorum.length;
            let own = cluster.settings.own_id().bits();
            for group in 0..leases.tenures.len() {
                let tenure = &leases.tenures[group];
                let Some((holder, ballot, _)) = tenure.claim.obstacle().taken else { continue };
                if holder == id {
                    leases.end_grant(own, Fenced { key: tenure.key, ballot, until }, now);
                    leases.tenures[group].claim.hurry(true);
                }
            }
            Some(ClusterReport::Fenced { node })
        });
        if let Some(report) = report.flatten() {
            self.report_cluster(report);
        }
    }

    /// Before anything else at each time: what there is no right to hold any more.
    pub(in crate::node) fn judge_rights(&mut self) {
        if self.rights_end.is_none_or(|end| self.now < end) {
            return;
        }
        self.with_cluster(|node, cluster| {
            let Some(mut leases) = cluster.leases.take() else { return };
            node.update_rights(cluster, &mut leases);
            leases.dirty = true;
            cluster.leases = Some(leases);
        });
        self.undecided = true;
    }

    fn update_rights(&mut self, cluster: &Cluster, leases: &mut Leases) {
        let now = self.now;
        let mut next: Option<Instant> = None;
        for group in 0..leases.tenures.len() {
            let vips = leases.tenures[group].kernel.vips.clone();
            let is_here = vips.iter().any(|vip| self.vips[vip.index()].is_held());
            let right = leases.right(group, is_here).filter(|right| now < *right);
            let tenure = &mut leases.tenures[group];
            tenure.had |= right.is_some();
            if right.is_some() {
                tenure.grace_until = None;
                tenure.doubted = false;
            }
            let grace = tenure.grace_until.filter(|until| now < *until);
            next = [next, right, grace].into_iter().flatten().min();
            if core::mem::replace(&mut tenure.allowed, right.is_some()) && right.is_some() {
                continue;
            }
            let lost = right.is_none() && grace.is_none();
            let ceded = tenure.ceding != Ceding::No;
            let reason = if ceded { Reason::PlacedElsewhere } else { Reason::LeaseEnded };
            let mut gone = false;
            for id in vips.iter().copied() {
                let vip = &self.vips[id.index()];
                let goes = lost && vip.is_on_host() && !vip.is_removing();
                if vip.is_allowed() == right.is_some() && !goes {
                    continue;
                }
                gone |= goes;
                self.with_vip(id, |vip, around| {
                    vip.allow(right.is_some());
                    if goes {
                        vip.unwant(around, reason);
                    }
                });
                self.undecided = true;
            }
            if gone && !ceded && !core::mem::replace(&mut tenure.doubted, true) {
                let granted = tenure.claim.granted_by(now).len();
                let needed = leases.quorum.voters.present.majority();
                let group = cluster.settings.groups[group].name.clone();
                self.report_cluster(ClusterReport::LeaseLost { group, granted, needed });
            }
        }
        self.rights_end = next;
    }

    /// Asks every voter that is to be asked out of turn, and keeps the deadline.
    fn send_leases(&mut self, cluster: &mut Cluster) {
        let now = self.now;
        let Some(leases) = &cluster.leases else { return };
        let voters = leases.quorum.voters;
        let mut due = NodeSet::default();
        for tenure in &leases.tenures {
            due = due.union(tenure.claim.due(now, &voters));
        }
        for member in 0..cluster.members.len() {
            let node = cluster.members[member].node;
            if !due.contains(node) {
                continue;
            }
            if let Some(leases) = &mut cluster.leases {
                leases.pressing.insert(node);
            }
            self.send_heartbeat(cluster, member, false);
        }
        let Some(leases) = &mut cluster.leases else { return };
        leases.pressing = NodeSet::default();
        let claims = leases.tenures.iter().filter_map(|tenure| tenure.claim.timeout(now, &voters));
        let refused = leases.tenures.iter().filter_map(|tenure| tenure.kernel.refused);
        let refused = refused.filter(|again| now < *again).min();
        let next = [claims.min(), leases.settles_at(), self.rights_end, refused];
        let next = next.into_iter().flatten().min();
        let next = if leases.dirty { Some(now) } else { next };
        self.timers.set(Timer::Lease, next.map(|at| at.max(now + GRAIN)));
    }

    /// Something changed from which something may follow for the leases: the time, who is heard,
    /// what is on this host.
    pub(in crate::node) fn stir_leases(&mut self) {
        if let Some(leases) = self.cluster.as_mut().and_then(|cluster| cluster.leases.as_mut()) {
            leases.dirty = true;
        }
    }

    /// The lease of a group, for people.
    pub(super) fn lease_status(&self, cluster: &Cluster, group: usize) -> Option<LeaseStatus> {
        let now = self.now;
        let leases = cluster.leases.as_ref()?;
        let tenure = &leases.tenures[group];
        let is_here = tenure.kernel.vips.iter().any(|vip| self.vips[vip.index()].is_held());
        let lasts = match tenure.on_doubt {
            // It may stay without one, for ever.
            OnDoubt::Hold => tenure.claim.until(&leases.quorum.voters),
            OnDoubt::Release => leases.right(group, is_here),
        };
        let lasts = lasts.filter(|end| now < *end);
        let obstacle = tenure.claim.obstacle();
        let waits = (tenure.claim.is_active() && lasts.is_none()).then(|| {
            if let Some((holder, _, end)) = obstacle.taken.filter(|(.., end)| now < *end) {
                let holder = cluster.members.iter().find(|member| member.id.bits() == holder);
                let holder = holder.map_or("another", |it| cluster.settings.name(it.node));
                let left = Spoken(end.since(now));
                return alloc::format!("the lease of {holder}, which ends in {left} at the latest");
            }
            let names = |nodes: NodeSet| {
                let names: Vec<&str> = nodes.iter().map(|n| cluster.settings.name(n)).collect();
                names.join(", ")
            };
            // What voters last said holds while they are heard.
            let heard = |nodes: NodeSet| -> NodeSet {
                let is_heard =
                    |node: &NodeId| cluster.member_at(*node).is_some_and(Member::is_heard);
                nodes.iter().filter(is_heard).collect()
            };
            let (strangers, quiet) = (heard(obstacle.strangers), heard(obstacle.quiet));
            if !strangers.is_empty() {
                return alloc::format!("{}, whose file names other voters", names(strangers));
            }
            if !quiet.is_empty() {
                let quiet = names(quiet);
                return alloc::format!("{quiet}, which started a moment ago and does not vote yet");
            }
            String::from("a majority of the voters to answer")
        });
        Some(LeaseStatus {
            claimed: tenure.claim.is_active(),
            left: lasts.filter(|_| tenure.had).map(|end| end.since(now)),
            votes: tenure.claim.granted_by(now).len(),
            needed: leases.quorum.voters.present.majority(),
            waits,
        })
    }

    /// Who votes, for people.
    pub(super) fn quorum_status(&self, cluster: &Cluster) -> Option<QuorumStatus> {
        let leases = cluster.leases.as_ref()?;
        let voters = leases.quorum.voters;
        let names = voters.present.voters.iter();
        Some(QuorumStatus {
            length: leases.quorum.length,
            voters: names.map(|node| cluster.settings.names[node.index()].clone()).collect(),
            needed: voters.present.majority(),
            settled: leases.is_settled(self.now),
            guarded: leases.quorum.guarded,
            quiet_for: leases.voter.quiet_for(self.now),
        })
    }

    /// Whether nothing is left that would have to be given back.
    pub(in crate::node) fn leases_are_over(&self) -> bool {
        let leases = self.cluster.as_ref().and_then(|cluster| cluster.leases.as_ref());
        leases.is_none_or(|leases| leases.tenures.iter().all(|tenure| !tenure.claim.is_active()))
    }
}

fn duel_pause(random: &mut crate::random::Random, length: Duration) -> Duration {
    random.below((length / DUEL_SHARE).max(DUEL_LEAST))
}
