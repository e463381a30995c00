//! Heartbeats that arrive, and what a host's kernel says of those that nobody took.

use core::net::IpAddr;

use super::Node;
use crate::cluster::Cluster;
use crate::cluster::group::{DrainOrder, Placement};
use crate::cluster::report::ClusterReport;
use crate::config::PeerId;
use crate::heartbeat::{Flags, Opened, PathId, Rejected, Verdict};
use crate::peer::Life;
use crate::place::NodeId;
use crate::time::Instant;

/// The kind of the section with the operator's placements: group u16, serial u32, author u16,
/// node u16 (all ones for none), ten bytes each.
pub(super) const PLACEMENTS: u8 = 3;
/// The kind of the section with the operator's drains: node u8, serial u32, author u16, drained u8.
pub(super) const DRAINS: u8 = 4;
/// Bytes of one drain.
const DRAIN_LENGTH: usize = 8;
/// Answers out of turn that one member gets within the time between two heartbeats; more than the
/// rounds of a burst.
const ANSWERS_PER_INTERVAL: u32 = 64;
/// Bytes of one placement.
pub(super) const PLACEMENT_LENGTH: usize = 10;

impl Node {
    /// How many heartbeats were refused since the start, for whatever reason.
    pub fn refused_heartbeats(&self) -> u64 {
        self.cluster.as_ref().map_or(0, |cluster| cluster.gate.refused_in_all())
    }

    /// How many heartbeats were refused since the start for this reason.
    pub fn refused_as(&self, why: Rejected) -> u64 {
        self.cluster.as_ref().map_or(0, |cluster| cluster.gate.refused_as(why))
    }

    pub(in crate::node) fn handle_heartbeat(&mut self, from: IpAddr, bytes: &[u8]) {
        self.with_cluster(|node, cluster| {
            let source = node.peer_of.get(&from).copied();
            match cluster.gate.open(bytes) {
                Ok(opened) => node.handle_opened(cluster, source, from, &opened),
                Err(why) => node.note_refused(cluster, source, why),
            }
        });
    }

    fn handle_opened(
        &mut self,
        cluster: &mut Cluster,
        source: Option<PeerId>,
        from: IpAddr,
        opened: &Opened<'_>,
    ) {
        let sender = opened.header().sender;
        let Some(member) = cluster.members.iter().position(|member| member.id == sender) else {
            return;
        };
        let path = self.path_of(cluster, member, source, from);
        let nonces = &mut cluster.nonces;
        let fellow = &mut cluster.members[member];
        let receipt = fellow.session.receive(opened, path, || nonces.draw());
        if receipt.path_alive {
            fellow.note_path(path, self.now);
        }
        match receipt.verdict {
            Verdict::Evidence { new_incarnation } => {
                self.handle_evidence(cluster, member, opened, new_incarnation);
            }
            Verdict::Overtaken | Verdict::Copy => {}
            Verdict::Rejected(why) => cluster.gate.count(why),
        }
        let query = opened.header().flags.contains(Flags::QUERY);
        let is_evidence = matches!(receipt.verdict, Verdict::Evidence { .. });
        let asked = receipt.answer || (query && is_evidence);
        let least = self.config.timing.interval / ANSWERS_PER_INTERVAL;
        // A request for a lease is new, whoever may have recorded others.
        let owed = is_evidence && cluster.leases.as_ref().is_some_and(|leases| leases.owes(member));
        if asked && (owed || cluster.members[member].may_answer(self.now, least)) {
            self.send_heartbeat(cluster, member, true);
        }
    }

    /// The newest word of a member.
    fn handle_evidence(
        &mut self,
        cluster: &mut Cluster,
        member: usize,
        opened: &Opened<'_>,
        new_incarnation: bool,
    ) {
        let now = self.now;
        let fellow = &mut cluster.members[member];
        let before = (fellow.takes_part(), fellow.discord);
        let known = fellow.daemon.heard_at().is_some();
        let trip = opened
            .header()
            .echo
            .map(|echo| now.since(Instant::from_nanos(echo.stamp.get())).saturating_sub(echo.held));
        fellow.daemon.handle_heard(now, trip);
        if let Some(trip) = trip {
            fellow.trips.record(trip);
        }
        if new_incarnation {
            fellow.forget_refusals();
        }
        let changed = fellow.listen(opened, &cluster.settings, now);
        let (peer, name) = (fellow.peer, cluster.settings.names[fellow.node.index()].clone());
        // Who was thought gone may say what it said before: it counts again all the same.
        let counts = (fellow.takes_part(), fellow.discord) != before;
        self.undecided |= changed || counts || new_incarnation;
        if fellow.takes_part() && (!before.0 || new_incarnation) {
            let restarted = known && new_incarnation;
            self.report_cluster(ClusterReport::MemberJoined { node: name.clone(), restarted });
        }
        if let Some(what) = cluster.members[member].discord
            && before.1 != Some(what)
        {
            self.report_cluster(ClusterReport::Discord { node: name, what });
        }
        self.merge_placements(cluster, opened);
        self.merge_drains(cluster, opened);
        self.hear_leases(cluster, member, opened);
        self.schedule_daemon(cluster, member);
        self.handle_peer_heard(peer, trip);
    }

    fn merge_placements(&mut self, cluster: &mut Cluster, opened: &Opened<'_>) {
        if opened.header().config.vips != cluster.digest().vips {
            return;
        }
        let sections = opened.payload().sections().filter(|(kind, _)| *kind == PLACEMENTS);
        for entry in sections.flat_map(|(_, body)| body.chunks_exact(PLACEMENT_LENGTH)) {
            let short = |at: usize| u16::from_be_bytes([entry[at], entry[at + 1]]);
            let serial = u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]);
            let node = Some(NodeId(short(8))).filter(|n| n.index() < cluster.settings.names.len());
            let placement = Placement { serial, by: short(6), node };
            if let Some(group) = cluster.groups.get_mut(usize::from(short(0)))
                && group.merge(placement)
            {
                cluster.news = true;
                self.undecided = true;
            }
        }
    }

    fn merge_drains(&mut self, cluster: &mut Cluster, opened: &Opened<'_>) {
        if opened.header().config.nodes != cluster.digest().nodes {
            return;
        }
        let sections = opened.payload().sections().filter(|(kind, _)| *kind == DRAINS);
        for entry in sections.flat_map(|(_, body)| body.chunks_exact(DRAIN_LENGTH)) {
            let serial = u32::from_be_bytes([entry[1], entry[2], entry[3], entry[4]]);
            let by = u16::from_be_bytes([entry[5], entry[6]]);
            let order = DrainOrder { serial, by, drained: entry[7] != 0 };
            if let Some(known) = cluster.drains.get_mut(usize::from(entry[0]))
                && known.is_none_or(|known| known < order)
            {
                *known = Some(order);
                cluster.news = true;
                self.undecided = true;
            }
        }
    }

    /// Which of the member's addresses it came from; from elsewhere counts as the first.
    fn path_of(
        &self,
        cluster: &Cluster,
        member: usize,
        source: Option<PeerId>,
        from: IpAddr,
    ) -> PathId {
        let peer = cluster.members[member].peer;
        let addresses = &self.config.peers[peer.index()].addresses;
        let place = addresses.iter().position(|address| address.ip == from);
        let place = place.filter(|_| source == Some(peer)).unwrap_or(0);
        PathId::new(place).unwrap_or_else(|| PathId::new(0).expect("zero is a path"))
    }

    /// Something that is none of ours came from a member's address: say so once.
    fn note_refused(&mut self, cluster: &mut Cluster, source: Option<PeerId>, why: Rejected) {
        let Some(member) = source.and_then(|peer| cluster.member_of(peer)) else { return };
        let telling = matches!(
            why,
            Rejected::Version(_)
                | Rejected::OtherCluster
                | Rejected::UnknownKey
                | Rejected::BadAuthentication
        );
        let fellow = &mut cluster.members[member];
        if telling && fellow.trouble != Some(why) && !fellow.takes_part() {
            fellow.trouble = Some(why);
            let why = alloc::string::ToString::to_string(&why);
            self.report_refused(cluster, member, &why);
        }
    }

    /// A member's kernel says that nobody takes our heartbeats: its host lives, its daemon does
    /// not. Anybody could have sent that, so it is not listened to before a heartbeat is missed, and
    /// only opens the question: the addresses are asked for before anything is taken over. Nothing is
    /// late for it, since the kernel of a daemon that has gone answers for them a while longer.
    pub(in crate::node) fn handle_refused(&mut self, from: IpAddr) {
        let Some(peer) = self.peer_of.get(&from).copied() else { return };
        self.with_cluster(|node, cluster| {
            let Some(member) = cluster.member_of(peer) else { return };
            let fellow = &mut cluster.members[member];
            // Who has said that it goes has gone when its kernel says so.
            let interval = node.config.timing.interval;
            let missed = if fellow.goes() { interval / 2 } else { interval * 3 / 2 };
            let lately = fellow.daemon.heard_at().is_some_and(|at| node.now.since(at) < missed);
            if lately || fellow.refused {
                return;
            }
            fellow.refused = true;
            node.undecided = true;
            node.handle_peer_heard(peer, None);
            if cluster.members[member].daemon.life() == Life::Alive {
                node.report_daemon_gone(cluster, member);
            }
        });
    }
}
