//! What the view of one group amounts to: who could take it, who could keep it, who has it.
//!
//! Owns the reading of the view. Never weighs a preference but to tell which of several holders
//! keeps the group. Invariant: a node in `can_take` has no [`Bar`](super::Bar) for the group.

use super::set::{MOST_NODES, NodeId, NodeSet};
use super::spread::weight;
use super::view::{Group, Health, Holding, Life, NodeView, Preference};

/// What is so of the nodes whatever the group, found once for all groups.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    /// Those without a bar.
    take: NodeSet,
    /// Those without a bar but such as lets them keep what they have.
    keep: NodeSet,
    /// Those whose daemon is heard.
    heard: NodeSet,
    /// Those of which nothing answers.
    dead: NodeSet,
}

impl Fit {
    pub(super) fn new(nodes: &[NodeView]) -> Self {
        let those = |fits: &dyn Fn(NodeView) -> bool| {
            let ids = (0u16..).zip(nodes).take(MOST_NODES);
            ids.filter(|(_, node)| fits(**node)).map(|(id, _)| NodeId(id)).collect::<NodeSet>()
        };
        Self {
            take: those(&|node| node.bars().next().is_none()),
            keep: those(&|node| node.bars().all(super::Bar::lets_keep)),
            heard: those(&|node| node.life == Life::Participating),
            dead: those(&|node| node.life == Life::Dead),
        }
    }

    /// Whether its daemon is heard.
    pub(super) const fn hears(&self, node: NodeId) -> bool {
        self.heard.contains(node)
    }
}

/// Who has a group.
#[derive(Clone, Copy)]
pub(super) enum Held {
    /// Nobody; the dead node that had it when it was last heard.
    Nobody(Option<NodeId>),
    /// One node, or one of several that are not heard.
    By(NodeId),
    /// Several that are heard.
    Several { winner: NodeId, loser: NodeId, holders: usize },
}

/// A group as the decision sees it.
#[derive(Clone, Copy)]
pub(super) struct Case {
    /// Those who may take it from anybody.
    pub(super) can_take: NodeSet,
    /// Those who only lack the word of their check: the last resort of a group that nobody holds.
    pub(super) could_try: NodeSet,
    /// Those who could take it but for the word of the others when they last had it: better than
    /// nobody, and than a holder that has another fault.
    pub(super) doubted: NodeSet,
    /// Those whose kernel refuses an address, and who lack nothing else: they try again where nobody
    /// has it and nobody else can.
    refused: NodeSet,
    /// Those who are fit to keep it if they have it.
    pub(super) keep: NodeSet,
    /// Who has it.
    pub(super) held: Held,
}

impl Case {
    pub(super) fn new(fit: &Fit, group: &Group<'_>) -> Self {
        let (mut good, mut silent, mut bad, mut link_up) =
            (NodeSet::EMPTY, NodeSet::EMPTY, NodeSet::EMPTY, NodeSet::EMPTY);
        let (mut holding, mut yielding) = (NodeSet::EMPTY, NodeSet::EMPTY);
        let (mut doubted, mut refused) = (NodeSet::EMPTY, NodeSet::EMPTY);
        for (id, standing) in (0u16..).zip(group.standings).take(MOST_NODES) {
            let node = NodeId(id);
            match standing.health {
                Health::Good => good.insert(node),
                Health::Unknown => silent.insert(node),
                Health::Bad => bad.insert(node),
            }
            match standing.holding {
                Holding::No => {}
                Holding::Yielding => yielding.insert(node),
                Holding::Yes => holding.insert(node),
            }
            if standing.link_up {
                link_up.insert(node);
            }
            if standing.refused {
                refused.insert(node);
            }
            let excused = group.placed == Some(node) && standing.holding == Holding::No;
            if standing.doubted && !excused {
                doubted.insert(node);
            }
        }
        let on_link = group.rules.members.and(link_up);
        let member = on_link.without(refused);
        let refused = refused.and(on_link).and(fit.take).and(good);
        let could_take = member.and(fit.take).and(good);
        let can_take = could_take.without(doubted);
        let could_try = member.and(fit.take).and(silent);
        let keep = member.and(fit.keep).without(bad).without(doubted);
        let held = find_holder(fit, group, can_take, keep, (holding, yielding));
        Self { can_take, could_try, doubted: could_take.and(doubted), refused, keep, held }
    }

    /// Those among whom a group that nobody holds is claimed.
    pub(super) const fn claimers(&self) -> NodeSet {
        match (self.can_take.is_empty(), self.could_try.is_empty()) {
            (false, _) => self.can_take,
            (true, false) => self.could_try,
            (true, true) if self.doubted.is_empty() => self.refused,
            (true, true) => self.doubted,
        }
    }

    /// The one that has it; of several, the one that keeps it.
    pub(super) const fn present(&self) -> Option<NodeId> {
        match self.held {
            Held::Nobody(_) => None,
            Held::By(node) | Held::Several { winner: node, .. } => Some(node),
        }
    }
}

/// Who has the group. What a node that is not heard once said counts only when none that is heard
/// has it: the address dies with the daemon that renewed it, and it cannot be told to withdraw. A
/// giver that yields counts last: its receiver has it already, or it takes it up again.
fn find_holder(
    fit: &Fit,
    group: &Group<'_>,
    can_take: NodeSet,
    keep: NodeSet,
    (holding, yielding): (NodeSet, NodeSet),
) -> Held {
    let unheard = holding.without(fit.heard).without(fit.dead);
    let ranked = |node: NodeId| {
        let unfit = (!can_take.contains(node), !keep.contains(node));
        (unfit, group.placed != Some(node), order_rank(group, node), node)
    };
    let first = |nodes: NodeSet| nodes.iter().min_by_key(|node| ranked(*node));
    let stages = [
        (holding.and(fit.heard), true),
        (unheard, false),
        (yielding.and(fit.heard), true),
        (yielding.without(fit.heard).without(fit.dead), false),
    ];
    for (nodes, can_withdraw) in stages {
        let Some(winner) = first(nodes) else { continue };
        let losers = nodes.without(NodeSet::only(winner));
        return match losers.first() {
            Some(loser) if can_withdraw => Held::Several { winner, loser, holders: nodes.len() },
            Some(_) | None => Held::By(winner),
        };
    }
    Held::Nobody(first(holding.union(yielding).and(fit.dead)))
}

/// The place of a node in the group's preference, the lowest first.
fn order_rank(group: &Group<'_>, node: NodeId) -> u64 {
    match &group.rules.preference {
        Preference::Order(order) => {
            order.iter().position(|listed| *listed == node).unwrap_or(order.len()) as u64
        }
        Preference::Spread(_) => !weight(group.key, node),
    }
}
