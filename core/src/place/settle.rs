//! From a case to a decision: one branch for each situation a group can be in.
//!
//! Owns the rules. Never reads a standing for itself: what the view amounts to is the case's
//! business. Invariant: who is decided for is the present holder, or may take the group.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::slice;
use core::time::Duration;

use super::case::{Case, Fit, Held};
use super::reason::{Course, Decision, Rank, Reason};
use super::set::{NodeId, NodeSet};
use super::spread::{Item, heaviest, spread};
use super::view::{Bar, Group, NodeView, PoolId, Preference, View, mix};
use crate::config::Failback;

/// Decides for every group; the decisions are in the order of the groups. Linear in the number
/// of groups, but for sorting those of a pool.
pub fn decide(view: &View<'_>) -> Vec<Decision> {
    let fit = Fit::new(view.nodes);
    let cases: Vec<Case> = view.groups.iter().map(|group| Case::new(&fit, group)).collect();
    let picks = share_pools(view, &cases);
    let each = view.groups.iter().zip(cases).zip(picks);
    each.map(|((group, case), pick)| Turn { nodes: view.nodes, fit, group, case, pick }.decide())
        .collect()
}

/// The candidates for every group, in the order of the groups: those for which there is no
/// [`Bar`]. What a caller remembers to say since when a node has been one
/// ([`Standing::eligible_for`](super::Standing::eligible_for), which this does not look at).
pub fn candidates(view: &View<'_>) -> Vec<NodeSet> {
    let fit = Fit::new(view.nodes);
    view.groups.iter().map(|group| Case::new(&fit, group).can_take).collect()
}

/// Decides for one group alone. A group of a pool is taken for the only one of it.
pub fn decide_group(nodes: &[NodeView], group: &Group<'_>) -> Decision {
    let groups = slice::from_ref(group);
    let fit = Fit::new(nodes);
    let case = Case::new(&fit, group);
    let pick = match group.rules.preference {
        Preference::Order(_) => Pick::Order,
        Preference::Spread(pool) => share_pool(pool, groups, &[case], &[0])[0],
    };
    Turn { nodes, fit, group, case, pick }.decide()
}

/// How the best of several nodes is found.
#[derive(Clone, Copy)]
enum Pick {
    /// By the group's order.
    Order,
    /// It is this one's share; how long until the pool may be made more even.
    Share(Option<NodeId>, Option<Duration>),
}

fn share_pools(view: &View<'_>, cases: &[Case]) -> Vec<Pick> {
    let mut picks = vec![Pick::Order; cases.len()];
    let mut pools: BTreeMap<PoolId, Vec<usize>> = BTreeMap::new();
    for (index, group) in view.groups.iter().enumerate() {
        if let Preference::Spread(pool) = group.rules.preference {
            pools.entry(pool).or_default().push(index);
        }
    }
    for (pool, members) in pools {
        let shares = share_pool(pool, view.groups, cases, &members);
        for (index, share) in members.into_iter().zip(shares) {
            picks[index] = share;
        }
    }
    picks
}

/// The shares of the members of a pool, in their order.
fn share_pool(pool: PoolId, groups: &[Group<'_>], cases: &[Case], members: &[usize]) -> Vec<Pick> {
    let items: Vec<Item> =
        members.iter().map(|index| pool_item(&groups[*index], &cases[*index])).collect();
    let waits = pool_waits(groups, cases, members);
    let takers = match members.first().map(|first| groups[*first].rules.failback) {
        None | Some(Failback::No) => NodeSet::EMPTY,
        Some(Failback::Yes | Failback::After(_)) => {
            NodeSet::ALL.without(waits.keys().copied().collect())
        }
    };
    let spread = spread(mix(u64::from(pool.0)), &items, takers);
    let lacking = waits.iter().filter(|(node, _)| spread.lacking.contains(**node));
    let again_in = lacking.map(|(_, left)| *left).min();
    spread.shares.into_iter().map(|node| Pick::Share(node, again_in)).collect()
}

/// The nodes that have not been candidates of a pool for the failback delay, and what is left.
fn pool_waits(
    groups: &[Group<'_>],
    cases: &[Case],
    members: &[usize],
) -> BTreeMap<NodeId, Duration> {
    let mut waits = BTreeMap::new();
    for index in members {
        let group = &groups[*index];
        let Failback::After(delay) = group.rules.failback else { continue };
        for node in cases[*index].can_take.iter() {
            let left = still_to_wait(delay, group, node);
            if !left.is_zero() {
                let longest = waits.entry(node).or_insert(left);
                *longest = left.max(*longest);
            }
        }
    }
    waits
}

fn still_to_wait(delay: Duration, group: &Group<'_>, node: NodeId) -> Duration {
    delay.saturating_sub(group.standing(node).eligible_for.unwrap_or_default())
}

fn pool_item(group: &Group<'_>, case: &Case) -> Item {
    let stays = case.present().filter(|holder| case.keep.contains(*holder));
    let can =
        stays.map_or_else(|| case.claimers(), |holder| case.can_take.union(NodeSet::only(holder)));
    let placed = group.placed.filter(|node| can.contains(*node));
    Item { key: group.key, can, holder: placed.or(stays), pinned: placed.is_some() }
}

/// Everything that the decision for one group needs.
struct Turn<'a> {
    nodes: &'a [NodeView],
    fit: Fit,
    group: &'a Group<'a>,
    case: Case,
    pick: Pick,
}

impl Turn<'_> {
    fn decide(&self) -> Decision {
        let decision = match self.case.held {
            Held::Nobody(last) => self.decide_unheld(last),
            Held::Several { winner, loser, holders } => {
                let reason = Reason::Duplicate { winner, loser, holders };
                self.decision(Some(winner), Course::Resolve, reason)
            }
            Held::By(holder) if !self.fit.hears(holder) => self.decide_unheard(holder),
            Held::By(holder) if self.case.keep.contains(holder) => self.decide_kept(holder),
            Held::By(holder) => self.decide_unfit(holder),
        };
        Decision { lapsed: self.lapsed(), ..decision }
    }

    fn decision(&self, holder: Option<NodeId>, course: Course, reason: Reason) -> Decision {
        let present = self.case.present();
        Decision { holder, present, course, reason, again_in: None, lapsed: false }
    }

    /// Nobody has it: the best claims it.
    fn decide_unheld(&self, last: Option<NodeId>) -> Decision {
        let Some((best, rank)) = self.best(self.case.claimers()) else {
            return self.decision(None, Course::Keep, Reason::Nobody { home: self.home_bar() });
        };
        let untried = self.case.could_try.contains(best);
        let reason = match last {
            _ if untried => Reason::Untried { best },
            Some(holder) => Reason::HolderDead { holder, best, rank },
            None => Reason::Unheld { best, rank, home: self.home_bar() },
        };
        self.decision(Some(best), Course::Claim, reason)
    }

    /// Whoever has it is not heard, but the address may still answer: nobody takes it on a
    /// decision alone.
    fn decide_unheard(&self, holder: NodeId) -> Decision {
        let bar = self.first_bar(holder).unwrap_or(Bar::NotHeard);
        let best = self.best(self.case.claimers()).map(|(best, _)| best);
        let course = if best.is_some() { Course::ClaimWhenSilent } else { Course::Keep };
        self.decision(best.or(Some(holder)), course, Reason::WhenSilent { holder, bar, best })
    }

    /// The holder is fit: it stays unless another is preferred and failback allows the move.
    fn decide_kept(&self, holder: NodeId) -> Decision {
        let among = self.case.can_take.union(NodeSet::only(holder));
        let (best, rank) = self.best(among).unwrap_or((holder, Rank::Other));
        let keep = |reason| self.decision(Some(holder), Course::Keep, reason);
        let back_for = self.group.standing(best).eligible_for;
        let returned = Reason::Returned { best, rank, back_for };
        let go = self.decision(Some(best), Course::Move, returned);
        if best == holder || rank == Rank::Other {
            let home = self.home_bar().filter(|(home, _)| *home != holder && rank != Rank::Placed);
            let reason = Reason::Best { holder, rank, home };
            return Decision { again_in: self.pool_again_in(), ..keep(reason) };
        }
        match (rank, self.group.rules.failback) {
            // Placed by the operator, or decided with the whole pool.
            (Rank::Placed | Rank::Share, _) | (_, Failback::Yes) => go,
            (Rank::Home | Rank::Order | Rank::Other, Failback::No) => {
                keep(Reason::NoFailback { holder, best, rank })
            }
            (Rank::Home | Rank::Order | Rank::Other, Failback::After(delay)) => {
                let left = still_to_wait(delay, self.group, best);
                if left.is_zero() {
                    return go;
                }
                let reason = Reason::Returning { holder, best, rank, left };
                Decision { again_in: Some(left), ..keep(reason) }
            }
        }
    }

    /// The holder is heard but should not have it: to the best, else it stays. A node whose
    /// service is not known to be up is no better.
    fn decide_unfit(&self, holder: NodeId) -> Decision {
        let bar = self.first_bar(holder).unwrap_or(Bar::NotMember);
        let doubted = (bar != Bar::FailsOutside).then(|| self.best(self.case.doubted)).flatten();
        if let Some((best, rank)) = self.best(self.case.can_take).or(doubted) {
            let reason = Reason::HolderUnfit { holder, bar, best, rank };
            return self.decision(Some(best), Course::Move, reason);
        }
        if bar == Bar::Isolated {
            return self.decision(None, Course::GiveUp, Reason::CutOff { holder });
        }
        let reason = if bar == Bar::CheckFails && self.nobody_passes() {
            Reason::NobodyPasses { holder }
        } else {
            Reason::NobodyElse { holder, bar }
        };
        self.decision(Some(holder), Course::Keep, reason)
    }

    /// The best of some, and why it comes before the others.
    fn best(&self, among: NodeSet) -> Option<(NodeId, Rank)> {
        if let Some(placed) = self.group.placed.filter(|node| among.contains(*node)) {
            return Some((placed, Rank::Placed));
        }
        match (self.pick, &self.group.rules.preference) {
            (Pick::Share(share, _), _) => {
                share.filter(|node| among.contains(*node)).map(|node| (node, Rank::Share))
            }
            (Pick::Order, Preference::Order(order)) => {
                let listed = order.iter().position(|node| among.contains(*node));
                match listed {
                    Some(0) => Some((order[0], Rank::Home)),
                    Some(place) => Some((order[place], Rank::Order)),
                    None => heaviest(self.group.key, among).map(|node| (node, Rank::Other)),
                }
            }
            (Pick::Order, Preference::Spread(_)) => among.first().map(|node| (node, Rank::Other)),
        }
    }

    /// The home of the group, and why it is not a candidate.
    fn home_bar(&self) -> Option<(NodeId, Bar)> {
        match &self.group.rules.preference {
            Preference::Order(order) => {
                let home = *order.first()?;
                self.first_bar(home).map(|bar| (home, bar))
            }
            Preference::Spread(_) => None,
        }
    }

    fn first_bar(&self, node: NodeId) -> Option<Bar> {
        View::bars(self.nodes, self.group, node).first().copied()
    }

    /// Whether every node that is heard and may hold the group fails its check.
    fn nobody_passes(&self) -> bool {
        let members = self.group.rules.members.iter().filter(|node| self.fit.hears(*node));
        members
            .into_iter()
            .all(|node| View::bars(self.nodes, self.group, node).contains(&Bar::CheckFails))
    }

    fn pool_again_in(&self) -> Option<Duration> {
        match self.pick {
            Pick::Share(_, again_in) => again_in,
            Pick::Order => None,
        }
    }

    /// Whether the operator's placement has outlived its node. A restart of its daemon does not
    /// end it, unless somebody else had to take over.
    fn lapsed(&self) -> bool {
        let Some(placed) = self.group.placed else { return false };
        let elsewhere = self.case.present().is_some_and(|present| present != placed);
        View::bars(self.nodes, self.group, placed)
            .into_iter()
            .any(|bar| !bar.is_passing() || (bar == Bar::DaemonGone && elsewhere))
    }
}
