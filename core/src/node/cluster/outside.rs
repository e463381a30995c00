//! Checks that nodes make of addresses which others hold, and what the holder makes of them.
//!
//! Owns when such a check runs and whose word counts. The count and the pause after a move are in
//! [`crate::cluster::outside`]. Invariant: a verdict is about one holder; when another holds the
//! group it is forgotten.

use alloc::vec::Vec;

use super::Node;
use super::settle::standing_of;
use crate::cluster::Cluster;
use crate::cluster::handover::{Here, Stage};
use crate::cluster::member::Member;
use crate::cluster::outside::{Accusations, Presence, is_majority};
use crate::config::{CheckId, Vantage};
use crate::decide::Service;
use crate::place::{Decision, NodeId};

impl Node {
    /// What the others say of the groups that are here.
    pub(super) fn follow_doubts(&self, cluster: &mut Cluster) {
        for group in 0..cluster.groups.len() {
            let presence = match (self.here(cluster, group), cluster.groups[group].handover.stage())
            {
                (Here::None, _) => Presence::Away,
                (Here::Partly | Here::All, Stage::Idle | Stage::Offered { .. }) => {
                    let (accusers, judges) = cluster.accusers(group);
                    Presence::Here { accused: is_majority(accusers, judges) }
                }
                (Here::Partly | Here::All, _) => Presence::Leaving,
            };
            let doubt = &mut cluster.groups[group].doubt;
            let before = doubt.is_doubted();
            doubt.follow(self.now, presence);
            cluster.news |= before != doubt.is_doubted();
        }
    }

    /// Looks at the present holder of a group from outside, or at nobody.
    pub(super) fn watch_from_outside(
        &mut self,
        cluster: &mut Cluster,
        group: usize,
        decision: &Decision,
    ) {
        let checks = self.outside_checks(cluster, group);
        if checks.is_empty() {
            return;
        }
        let own = self.own_standing(cluster, group);
        let heard = |node: &NodeId| cluster.member_at(*node).is_some_and(Member::takes_part);
        let here = self.here(cluster, group) != Here::None;
        let watched = decision.present.filter(heard).filter(|_| own.link_up && !here);
        if watched == cluster.groups[group].watched {
            return;
        }
        cluster.groups[group].watched = watched;
        for id in checks {
            let interval = self.config.checks[id.index()].interval;
            // The new holder has only just announced; and the nodes are not to ask in step.
            let first_run = self.now + interval / 2 + self.random.below(interval / 2);
            let check = &mut self.checks[id.index()];
            match watched {
                Some(_) => check.begin(first_run),
                None => check.rest(),
            }
            self.schedule_check(id);
        }
    }

    /// The holders of which this node gets no answer; whether they changed is news.
    pub(super) fn accuse(&self, cluster: &mut Cluster) {
        let mut accusations = Accusations::new();
        for (number, group) in (0_u16..=u16::MAX).zip(0..cluster.groups.len()) {
            let Some(holder) = cluster.groups[group].watched else { continue };
            let checks = self.outside_checks(cluster, group);
            let fails =
                |id: &CheckId| matches!(self.checks[id.index()].service(), Service::Failing(_));
            if checks.iter().any(fails) {
                accusations.insert(number, holder);
            }
        }
        cluster.news |= accusations != cluster.accuses;
        cluster.accuses = accusations;
    }

    fn outside_checks(&self, cluster: &Cluster, group: usize) -> Vec<CheckId> {
        let vips = &cluster.settings.groups[group].vips;
        let checks = (0..).map(CheckId).zip(&self.config.checks);
        let mine = checks
            .filter(|(_, check)| check.vantage == Vantage::Peers && vips.contains(&check.vip));
        mine.map(|(id, _)| id).collect()
    }
}

impl Cluster {
    /// How many of those who are heard get no answer of a group that is here, and how many they
    /// are.
    fn accusers(&self, group: usize) -> (usize, usize) {
        // Who has no link to the group does not look.
        let looks = |member: &Member| standing_of(member.group(group), member.said.flags).link_up;
        let judges = self.members.iter().filter(|member| member.takes_part() && looks(member));
        let means_us = |said: &Accusations| {
            u16::try_from(group).is_ok_and(|group| said.get(&group) == Some(&self.me()))
        };
        let accusers = judges.clone().filter(|member| means_us(&member.said.accuses));
        (accusers.count(), judges.count())
    }
}
