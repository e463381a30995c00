//! A cluster to decide about, built in the words of the tests.

use std::time::Duration;

use standin_core::config::Failback;
use standin_core::place::{
    Decision, Group, GroupRules, Health, Holding, Life, NodeId, NodeSet, NodeView, Preference,
    Standing, View, decide, decide_group,
};

pub const NAMES: [&str; 4] = ["pinky", "brain", "snowball", "larry"];
pub const PINKY: NodeId = NodeId(0);
pub const BRAIN: NodeId = NodeId(1);
pub const SNOWBALL: NodeId = NodeId(2);
pub const LARRY: NodeId = NodeId(3);

pub const fn secs(length: u64) -> Duration {
    Duration::from_secs(length)
}

/// A node of which all is well.
pub fn well() -> NodeView {
    NodeView { life: Life::Participating, ready: true, ..NodeView::default() }
}

/// A standing of which all is well, for 12 s.
pub fn fit(holding: Holding) -> Standing {
    let eligible_for = Some(secs(12));
    Standing {
        holding,
        health: Health::Good,
        link_up: true,
        eligible_for,
        doubted: false,
        refused: false,
    }
}

/// What is seen of one node and the group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen {
    Well,
    /// A candidate for so many seconds.
    WellFor(u64),
    /// A candidate, since nobody knows when.
    WellSinceEver,
    Dead,
    NotHeard,
    DaemonGone,
    OtherFile,
    OutOfReach,
    Isolated,
    Leaving,
    Drained,
    New,
    LinkDown,
    /// Its kernel refuses the address.
    Refused,
    Fails,
    Unchecked,
    /// The others get no answer of the group there, or lately got none.
    Unanswered,
    /// A restarted daemon: new and unchecked.
    Restarted,
}

use Seen::*;

impl Seen {
    pub fn node(self) -> NodeView {
        match self {
            Well | WellFor(_) | WellSinceEver | LinkDown | Refused | Fails | Unchecked
            | Unanswered => well(),
            Dead => NodeView { life: Life::Dead, ..well() },
            NotHeard => NodeView::default(),
            DaemonGone => NodeView { life: Life::HostOnly, ..well() },
            OtherFile => NodeView { life: Life::OtherFile, ..well() },
            OutOfReach => NodeView { life: Life::OutOfReach, ..well() },
            Isolated => NodeView { isolated: true, ..well() },
            Leaving => NodeView { leaving: true, ..well() },
            Drained => NodeView { draining: true, ..well() },
            New | Restarted => NodeView { ready: false, ..well() },
        }
    }

    pub fn standing(self, holding: Holding) -> Standing {
        let fit = fit(holding);
        match self {
            WellFor(length) => Standing { eligible_for: Some(secs(length)), ..fit },
            WellSinceEver => Standing { eligible_for: None, ..fit },
            LinkDown => Standing { link_up: false, ..fit },
            Refused => Standing { refused: true, ..fit },
            Fails => Standing { health: Health::Bad, ..fit },
            Unanswered => Standing { doubted: true, ..fit },
            Unchecked | Restarted => Standing { health: Health::Unknown, ..fit },
            Well | Dead | NotHeard | DaemonGone | OtherFile | OutOfReach | Isolated | Leaving
            | Drained | New => fit,
        }
    }
}

/// A group in an order and what is seen of its nodes.
#[derive(Clone, Debug)]
pub struct World {
    pub nodes: Vec<NodeView>,
    pub standings: Vec<Standing>,
    pub rules: GroupRules,
    pub placed: Option<NodeId>,
}

impl World {
    /// Nodes in the order of their ids, each with what is seen of it; `holders` have the group.
    pub fn new(order: &[NodeId], seen: &[Seen], holders: &[NodeId]) -> Self {
        let ids = (0u16..).map(NodeId);
        let standings = ids.zip(seen).map(|(node, seen)| {
            let holding = if holders.contains(&node) { Holding::Yes } else { Holding::No };
            seen.standing(holding)
        });
        Self {
            nodes: seen.iter().map(|seen| seen.node()).collect(),
            standings: standings.collect(),
            rules: GroupRules {
                preference: Preference::Order(order.to_vec()),
                failback: Failback::Yes,
                members: NodeSet::ALL,
            },
            placed: None,
        }
    }

    pub fn failback(mut self, failback: Failback) -> Self {
        self.rules.failback = failback;
        self
    }

    pub fn placed(mut self, node: NodeId) -> Self {
        self.placed = Some(node);
        self
    }

    pub fn yielding(mut self, node: NodeId) -> Self {
        self.standings[node.index()].holding = Holding::Yielding;
        self
    }

    pub fn group(&self) -> Group<'_> {
        Group { key: 7, rules: &self.rules, standings: &self.standings, placed: self.placed }
    }

    /// The decision, which is the same alone and as one of many.
    pub fn decide(&self) -> Decision {
        let groups = [self.group(), self.group()];
        let decision = decide_group(&self.nodes, &groups[0]);
        assert_eq!(decide(&View { nodes: &self.nodes, groups: &groups }), [decision; 2]);
        decision
    }
}
