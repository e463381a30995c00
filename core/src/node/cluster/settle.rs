//! Who should hold which group, and what this node does about it.
//!
//! Owns the view that the decision is made from, and the step from a decision to the addresses.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::Node;
use crate::check;
use crate::cluster::Cluster;
use crate::cluster::handover::{Command, Facts, Here, Other, Stage};
use crate::cluster::report::ClusterReport;
use crate::cluster::settings::OnDoubt;
use crate::config::{Vantage, VipId};
use crate::decide::{Reason, Service};
use crate::heartbeat::{Flags, Role, VipState};
use crate::place::{
    self, Course, Decision, Health, Holding, NodeId, NodeSet, NodeView, Standing, View,
};
use crate::timers::Timer;
use crate::vip::Place;

/// Steps of one move within one turn: each is a different stage.
const STEPS_PER_TURN: usize = 6;

/// Whether a node may take a group.
pub(super) fn is_candidate(node: NodeView, standing: Standing) -> bool {
    node.life == place::Life::Participating
        && node.ready
        && !node.draining
        && !node.leaving
        && !node.isolated
        && standing.link_up
        && !standing.refused
        && standing.health == Health::Good
}

/// Nodes and, by group, their standings: what [`View`] borrows.
pub(super) struct Seen {
    pub(super) nodes: Vec<NodeView>,
    standings: Vec<Vec<Standing>>,
}

impl Node {
    /// Decides for all groups and does what follows; everything that had arrived has been read.
    pub(in crate::node) fn settle_groups(&mut self) {
        self.with_cluster(|node, cluster| {
            node.follow_doubts(cluster);
            let seen = node.look(cluster);
            let groups = group_views(cluster, &seen);
            let decisions = place::decide(&View { nodes: &seen.nodes, groups: &groups });
            for (group, decision) in decisions.into_iter().enumerate() {
                node.note_decision(cluster, group, decision);
                node.apply(cluster, group, decision);
                node.watch_from_outside(cluster, group, &decision);
            }
            node.accuse(cluster);
        });
    }

    /// What the others should hear at once.
    pub(in crate::node) fn tell_news(&mut self) {
        self.with_cluster(Self::spread_news);
    }

    pub(super) fn look(&mut self, cluster: &mut Cluster) -> Seen {
        let count = cluster.settings.names.len();
        let mut nodes = alloc::vec![NodeView::default(); count];
        nodes[cluster.me().index()] = cluster.own_view();
        for member in &cluster.members {
            let host = &self.peers[member.peer.index()].peer;
            nodes[member.node.index()] = cluster.view_of(member, host);
        }
        let mut standings = Vec::with_capacity(cluster.groups.len());
        for group in 0..cluster.groups.len() {
            let mut each = alloc::vec![Standing::default(); count];
            each[cluster.me().index()] = self.own_standing(cluster, group);
            for member in &cluster.members {
                each[member.node.index()] = standing_of(member.group(group), member.said.flags);
            }
            for (place, standing) in each.iter_mut().enumerate() {
                let since = &mut cluster.groups[group].eligible_since[place];
                if !is_candidate(nodes[place], *standing) || standing.doubted {
                    *since = None;
                    continue;
                }
                let since = *since.get_or_insert(self.now);
                standing.eligible_for = Some(self.now.since(since));
            }
            standings.push(each);
        }
        Seen { nodes, standings }
    }

    /// Which groups would come here if that node were gone.
    pub(super) fn heir_to(&mut self, cluster: &mut Cluster, dying: NodeId) -> Vec<usize> {
        let seen = self.look(cluster);
        let groups = group_views(cluster, &seen);
        let view = View { nodes: &seen.nodes, groups: &groups };
        let me = Some(cluster.me());
        let planned = place::plan(&view, NodeSet::only(dying)).into_iter().enumerate();
        planned
            .filter(|(_, planned)| planned.after.holder == me && planned.before != me)
            .map(|(group, _)| group)
            .collect()
    }

    pub(super) fn own_standing(&self, cluster: &Cluster, group: usize) -> Standing {
        let vips = &cluster.settings.groups[group].vips;
        let holding = match self.here(cluster, group) {
            Here::None => Holding::No,
            Here::Partly | Here::All if cluster.groups[group].quiet => Holding::Yielding,
            Here::Partly | Here::All => Holding::Yes,
        };
        let checks = vips.iter().flat_map(|vip| self.checks_of(*vip));
        let checks =
            checks.filter(|id| self.config.checks[id.index()].vantage == Vantage::OnItself);
        let services: Vec<Service> =
            checks.map(|check| self.checks[check.index()].service()).collect();
        let health = match check::together(services.iter().copied()) {
            Service::Unknown if services.is_empty() => Health::Good,
            Service::Unknown => Health::Unknown,
            Service::Passing(_) => Health::Good,
            Service::Failing(_) => Health::Bad,
        };
        // Without the group's addresses there is no link of its on this host.
        let holds = holding != Holding::No;
        let carries = |vip: &VipId| self.carries(cluster, self.vips[vip.index()].link(), holds);
        let link_up = !vips.is_empty() && vips.iter().all(carries);
        let doubted = cluster.groups[group].doubt.is_doubted();
        let refused = vips.iter().any(|vip| self.vips[vip.index()].is_refused(self.now));
        Standing { holding, health, link_up, eligible_for: None, doubted, refused }
    }

    /// How much of a group is on this host, confirmed.
    pub(super) fn here(&self, cluster: &Cluster, group: usize) -> Here {
        let vips = &cluster.settings.groups[group].vips;
        let held = vips.iter().filter(|vip| self.vips[vip.index()].is_held()).count();
        match held {
            0 => Here::None,
            all if all == vips.len() => Here::All,
            _ => Here::Partly,
        }
    }

    /// Remembers a decision and tells of it when it is another one.
    fn note_decision(&mut self, cluster: &mut Cluster, group: usize, decision: Decision) {
        let state = &mut cluster.groups[group];
        let again_at = decision.again_in.map(|wait| self.now + wait).into_iter();
        let vips = &cluster.settings.groups[group].vips;
        let refused = vips.iter().filter_map(|vip| self.vips[vip.index()].refused_until());
        let refused = refused.filter(|until| *until > self.now);
        let again_at = again_at.chain(state.doubt.timeout()).chain(refused).min();
        self.timers.set(Timer::Group(group as u32), again_at);
        state.decision = Some(decision);
        if decision.lapsed
            && let Some(placement) = &mut state.placement
        {
            placement.node = None;
            placement.serial = placement.serial.saturating_add(1);
            cluster.news = true;
        }
        // What a newcomer makes of hearsay is soon out of date; and that a group which was to
        // come somewhere has come there is no other decision.
        let news = cluster.ready
            && state.told.is_none_or(|(holder, course)| {
                let another = course != decision.course && decision.course != Course::Keep;
                holder != decision.holder || another
            });
        if cluster.ready {
            state.told = Some((decision.holder, decision.course));
        }
        if news {
            let settings = &cluster.settings;
            let holder = decision.holder.map(|node| settings.names[node.index()].clone());
            let sentence = decision.reason.sentence(settings).to_string();
            let group = settings.groups[group].name.clone();
            let silent = match decision.reason {
                place::Reason::HolderDead { holder, .. }
                | place::Reason::WhenSilent { holder, .. } => Some(holder),
                _ => None,
            };
            let silent = silent.map(|node| settings.names[node.index()].clone());
            let why = match decision.reason {
                place::Reason::Returned { rank: place::Rank::Placed, .. } => "ordered",
                reason => reason.name(),
            };
            self.report_cluster(ClusterReport::Placed { group, holder, sentence, why, silent });
        }
    }

    /// Does what a decision, or a move that is under way, asks of this node.
    fn apply(&mut self, cluster: &mut Cluster, group: usize, decision: Decision) {
        for _ in 0..STEPS_PER_TURN {
            let facts = self.facts(cluster, group, decision);
            let handover = &mut cluster.groups[group].handover;
            let (before, with) = (handover.stage(), handover.with());
            let command = handover.advance(self.now, &facts);
            let after = cluster.groups[group].handover.stage();
            if let Some(command) = command {
                self.obey(cluster, group, command, with);
            }
            if before == after {
                break;
            }
            cluster.news = true;
        }
        let handover = &cluster.groups[group].handover;
        self.timers.set(Timer::Handover(group as u32), handover.timeout());
        let stage = handover.stage();
        if let Some(leases) = &mut cluster.leases {
            leases.hurry(group, matches!(stage, Stage::Taking { .. }));
        }
        if matches!(stage, Stage::Quiet { .. } | Stage::Lingering { .. }) {
            self.cede(cluster, group);
        }
        if stage == Stage::Idle {
            self.follow(cluster, group, decision);
        }
    }

    /// Only a part of the group is here and the rest does not come: the kernel refuses it, or another
    /// host answers for it. A planned move is of the whole.
    fn is_stuck(&self, cluster: &Cluster, group: usize) -> bool {
        let vips = cluster.settings.groups[group].vips.iter();
        let mut vips = vips.map(|vip| &self.vips[vip.index()]);
        self.here(cluster, group) == Here::Partly
            && vips.any(|vip| vip.is_refused(self.now) || matches!(vip.place(), Place::Waiting(_)))
    }

    fn facts(&self, cluster: &Cluster, group: usize, decision: Decision) -> Facts {
        let me = cluster.me();
        let moves = decision.course == Course::Move && decision.present == Some(me);
        let other = cluster.groups[group].handover.with().and_then(|node| {
            let member = cluster.member_at(node)?;
            let state = member.group(group);
            Some(Other {
                takes_part: member.takes_part(),
                holds: matches!(state.role, Role::Holding | Role::Yielding),
                quiet_for_us: state.role == Role::Yielding && state.asked,
                offers_us: matches!(state.role, Role::Holding | Role::Yielding) && state.asked,
                takes_from_us: state.role == Role::Taking && state.asked,
            })
        });
        let offers = cluster.members.iter().find(|member| {
            let state = member.group(group);
            member.takes_part() && state.role == Role::Holding && state.asked
        });
        let vips = &cluster.settings.groups[group].vips;
        Facts {
            here: self.here(cluster, group),
            quieted: vips.iter().all(|vip| self.vips[vip.index()].is_quiet()),
            target: decision.holder.filter(|_| moves),
            offered_by: offers.map(|member| member.node),
            may_take: is_candidate(cluster.own_view(), self.own_standing(cluster, group)),
            other,
        }
    }

    fn obey(
        &mut self,
        cluster: &mut Cluster,
        group: usize,
        command: Command,
        with: Option<NodeId>,
    ) {
        let vips: Vec<VipId> = cluster.settings.groups[group].vips.clone();
        cluster.groups[group].quiet = command == Command::Quiet;
        if let Some(leases) = &mut cluster.leases {
            leases.want(group, command != Command::Remove);
        }
        for id in vips {
            self.with_vip(id, |vip, around| match command {
                Command::Quiet => vip.quiet(around, true),
                Command::Resume => vip.resume(around),
                Command::Take => vip.take(around, Reason::PlacedHere),
                Command::Remove => vip.unwant(around, Reason::PlacedElsewhere),
            });
            self.aim_checks(id);
        }
        if command == Command::Resume
            && let Some(with) = with
        {
            let group = cluster.settings.groups[group].name.clone();
            let with = cluster.settings.names[with.index()].clone();
            self.report_cluster(ClusterReport::MoveFailed { group, with });
        }
    }

    /// No move is under way: hold, claim, or leave alone.
    fn follow(&mut self, cluster: &mut Cluster, group: usize, decision: Decision) {
        let me = cluster.me();
        let mine = decision.holder == Some(me);
        let present = decision.present == Some(me);
        // A node that stops gives up what nobody takes.
        let lets_go = cluster.leaving && decision.course != Course::Move;
        let wants = !lets_go
            && match decision.course {
                Course::Keep | Course::Claim | Course::ClaimWhenSilent | Course::Resolve => mine,
                // The holder keeps it until the receiver is ready, and a part of it rather than give up
                // for one that is likely to take no more.
                Course::Move => {
                    let vain = decision.holder.is_some_and(|to| {
                        let to = cluster.member_at(to);
                        to.is_some_and(|member| member.has_lately_refused(group, self.now))
                    });
                    present && (vain || !self.is_stuck(cluster, group))
                }
                // Cut off, and told to keep it all the same.
                Course::GiveUp => {
                    let on_doubt = cluster.settings.groups[group].on_doubt;
                    present && cluster.isolated && on_doubt == OnDoubt::Hold
                }
            };
        if let Some(leases) = &mut cluster.leases {
            leases.want(group, wants);
        }
        let disputed = decision.course == Course::Resolve && mine;
        let state = &mut cluster.groups[group];
        let settled = core::mem::replace(&mut state.disputed, disputed) && !disputed && mine;
        let vips: Vec<VipId> = cluster.settings.groups[group].vips.clone();
        let reason = match (wants, lets_go) {
            (true, _) => Reason::PlacedHere,
            (false, true) => Reason::Stopping,
            (false, false) => Reason::PlacedElsewhere,
        };
        for id in vips {
            let before = self.vips[id.index()].place();
            self.with_vip(id, |vip, around| {
                if wants {
                    vip.want(around, None, reason);
                } else {
                    vip.unwant(around, reason);
                }
                if settled {
                    vip.announce_again(around);
                }
            });
            cluster.news |= before != self.vips[id.index()].place();
            self.aim_checks(id);
        }
    }
}

/// What [`fitness`] said, as the one who said it sees it: views that differ could have two holders
/// each wait for the other to withdraw.
pub(super) fn standing_of(state: VipState, flags: Flags) -> Standing {
    let health = match (state.healthy, state.eligible) {
        (true, _) => Health::Good,
        (false, true) => Health::Unknown,
        (false, false) => Health::Bad,
    };
    let barred = [Flags::NEWCOMER, Flags::LEAVING, Flags::DRAINING];
    let excused = barred.into_iter().any(|flag| flags.contains(flag));
    Standing {
        holding: match state.role {
            Role::Idle | Role::Taking => Holding::No,
            Role::Holding => Holding::Yes,
            Role::Yielding => Holding::Yielding,
        },
        health,
        // What else keeps a healthy node from being eligible is told by its flags.
        link_up: state.eligible || excused || state.refused || health == Health::Bad,
        eligible_for: None,
        doubted: state.doubted,
        refused: state.refused,
    }
}

/// Whether this node is eligible and healthy, as it is said in a heartbeat. 'Eligible and not
/// healthy' is one whose check has not said anything yet and that lacks nothing else.
pub(super) fn fitness(node: NodeView, standing: Standing) -> (bool, bool) {
    match standing.health {
        Health::Good => (is_candidate(node, standing), true),
        Health::Bad => (false, false),
        Health::Unknown => {
            let ready = NodeView { ready: true, ..node };
            (is_candidate(ready, Standing { health: Health::Good, ..standing }), false)
        }
    }
}

pub(super) fn group_views<'a>(cluster: &'a Cluster, seen: &'a Seen) -> Vec<place::Group<'a>> {
    let each = cluster.settings.groups.iter().zip(&cluster.groups).zip(&seen.standings);
    each.map(|((settings, group), standings)| place::Group {
        key: settings.key,
        rules: &settings.rules,
        standings,
        placed: group.placed(),
    })
    .collect()
}
