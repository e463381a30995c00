//! Why a group is where it is, of each node why it is a candidate or not, and what would move it.
//!
//! Owns the questions, not the answers: 'what would change it' is found by deciding again on a
//! view in which one thing is different. Invariant: a change that is named does change it.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::plan::with_dead;
use super::reason::{Decision, Names, Reason};
use super::set::{MOST_NODES, NodeId, NodeSet};
use super::settle::decide;
use super::view::{Bar, Group, Health, Life, NodeView, Preference, Standing, View};
use crate::time::Spoken;

/// A decision with all that speaks for and against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// Of every node that may hold the group, and the one that does, in the order of their ids.
    pub nodes: Vec<NodeReport>,
    /// What would change it, the nearest first.
    pub changes: Vec<Change>,
}

/// Why a node is a candidate for a group, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// The node.
    pub node: NodeId,
    /// Its place in the group's order, from 0; `None` where that does not name it.
    pub place: Option<usize>,
    /// What is believed of it and the group.
    pub standing: Standing,
    /// Why it is not a candidate, the reason that tells most first; a candidate has none.
    pub bars: Vec<Bar>,
}

/// Something that would move a group; [`Change::sentence`] says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It moves of itself if nothing changes.
    Waits {
        /// Where to.
        to: NodeId,
        /// In how long.
        left: Duration,
    },
    /// A better node is there, and only the operator moves it.
    Asked {
        /// Where to.
        to: NodeId,
    },
    /// The node that has it, or is to have it, dies.
    Lost {
        /// That node.
        holder: NodeId,
        /// Who takes over.
        to: Option<NodeId>,
    },
    /// A node becomes a candidate.
    Recovers {
        /// That node: the group goes there.
        node: NodeId,
        /// What is against it now.
        bars: Vec<Bar>,
    },
}

/// Explains the decision for one group of a view; `None` when there is no such group.
///
/// In a pool, whose every change moves other groups too, a recovery is not looked into.
pub fn explain(view: &View<'_>, group: usize) -> Option<Explanation> {
    let subject = view.groups.get(group)?;
    let decision = *decide(view).get(group)?;
    let concerned = decision.present.into_iter().collect::<NodeSet>().union(subject.rules.members);
    let nodes: Vec<NodeReport> = concerned
        .iter()
        .take_while(|node| node.index() < view.nodes.len())
        .map(|node| report(view.nodes, subject, node))
        .collect();
    let mut changes = Vec::new();
    changes.extend(pending(&decision));
    if let Some(holder) = decision.holder {
        let nodes = with_dead(view.nodes, NodeSet::only(holder));
        let after = decide(&View { nodes: &nodes, groups: view.groups });
        let to = after.get(group).and_then(|decision| decision.holder);
        changes.push(Change::Lost { holder, to });
    }
    match subject.rules.preference {
        Preference::Order(_) => {
            let barred = nodes.iter().filter(|node| !node.bars.is_empty());
            changes
                .extend(barred.filter_map(|node| recovery(view.nodes, subject, &decision, node)));
        }
        Preference::Spread(_) => {}
    }
    Some(Explanation { decision, nodes, changes })
}

fn report(nodes: &[NodeView], group: &Group<'_>, node: NodeId) -> NodeReport {
    let place = match &group.rules.preference {
        Preference::Order(order) => order.iter().position(|listed| *listed == node),
        Preference::Spread(_) => None,
    };
    let bars = View::bars(nodes, group, node);
    NodeReport { node, place, standing: group.standing(node), bars }
}

/// What the decision itself says is to come.
fn pending(decision: &Decision) -> Option<Change> {
    match decision.reason {
        Reason::Returning { best, left, .. } => Some(Change::Waits { to: best, left }),
        Reason::NoFailback { best, .. } => Some(Change::Asked { to: best }),
        Reason::Best { .. }
        | Reason::Returned { .. }
        | Reason::HolderUnfit { .. }
        | Reason::NobodyPasses { .. }
        | Reason::NobodyElse { .. }
        | Reason::CutOff { .. }
        | Reason::WhenSilent { .. }
        | Reason::HolderDead { .. }
        | Reason::Unheld { .. }
        | Reason::Untried { .. }
        | Reason::Nobody { .. }
        | Reason::Duplicate { .. } => None,
    }
}

/// Whether the group would go to a node if that were a candidate, and had been one for long.
fn recovery(
    nodes: &[NodeView],
    group: &Group<'_>,
    decision: &Decision,
    report: &NodeReport,
) -> Option<Change> {
    let node = report.node;
    let mut nodes = nodes.to_vec();
    let view = nodes.get_mut(node.index())?;
    *view = NodeView { life: Life::Participating, ready: true, ..NodeView::default() };
    let length = group.standings.len().max(node.index() + 1).min(MOST_NODES);
    let ids = (0u16..).map(NodeId).take(length);
    let mut standings: Vec<Standing> = ids.map(|id| group.standing(id)).collect();
    let standing = standings.get_mut(node.index())?;
    *standing = Standing {
        health: Health::Good,
        link_up: true,
        eligible_for: Some(Duration::MAX),
        doubted: false,
        refused: false,
        ..*standing
    };
    let group = Group { standings: &standings, ..*group };
    let after = super::decide_group(&nodes, &group);
    let goes = after.holder == Some(node) && decision.holder != Some(node);
    goes.then(|| Change::Recovers { node, bars: report.bars.clone() })
}

impl Change {
    /// A word for machines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waits { .. } => "waits",
            Self::Asked { .. } => "asked",
            Self::Lost { .. } => "lost",
            Self::Recovers { .. } => "recovers",
        }
    }

    /// The change as a sentence, with the nodes' names in it.
    pub fn sentence<'a, N: Names + ?Sized>(&'a self, names: &'a N) -> ChangeSentence<'a, N> {
        ChangeSentence { change: self, names }
    }
}

/// A [`Change`] with names in it, for display.
#[derive(Clone, Copy, Debug)]
pub struct ChangeSentence<'a, N: ?Sized> {
    change: &'a Change,
    names: &'a N,
}

impl<N: Names + ?Sized> fmt::Display for ChangeSentence<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |node| self.names.name(node);
        match self.change {
            Change::Waits { to, left } => {
                write!(f, "it moves to {} in {}", name(*to), Spoken(*left))
            }
            Change::Asked { to } => {
                write!(f, "it moves to {} when asked to: failback is no", name(*to))
            }
            Change::Lost { holder, to: Some(to) } => {
                write!(f, "if {} dies, {} takes over", name(*holder), name(*to))
            }
            Change::Lost { holder, to: None } => {
                write!(f, "if {} dies, nobody can take over", name(*holder))
            }
            Change::Recovers { node, bars } => {
                let node = name(*node);
                write!(f, "it goes to {node} once ")?;
                let mut separator = "";
                for bar in bars {
                    write!(f, "{separator}")?;
                    write_remedy(f, *bar, node)?;
                    separator = " and ";
                }
                Ok(())
            }
        }
    }
}

/// What has to happen for a bar to be gone, as a clause.
fn write_remedy(f: &mut fmt::Formatter<'_>, bar: Bar, node: &str) -> fmt::Result {
    match bar {
        Bar::NotMember => write!(f, "{node} is one of its nodes"),
        Bar::Dead => write!(f, "{node} is back"),
        Bar::NotHeard => write!(f, "{node} is heard"),
        Bar::DaemonGone => write!(f, "{node}'s daemon is back"),
        Bar::OtherFile => write!(f, "the files of {node} and this node agree"),
        Bar::OutOfReach => write!(f, "{node} is within reach again"),
        Bar::Isolated => write!(f, "{node} reaches its peers again"),
        Bar::Leaving => write!(f, "{node} has started again"),
        Bar::Draining => write!(f, "{node} is undrained"),
        Bar::NotReady => write!(f, "{node} has listened to its peers for long enough"),
        Bar::LinkDown => write!(f, "{node}'s link is up"),
        Bar::Refused => write!(f, "{node}'s kernel takes the address"),
        Bar::FailsOutside => write!(f, "{node} passes the check of the other nodes"),
        Bar::FailedOutside => write!(f, "{node}'s pause after that is over"),
        Bar::CheckFails | Bar::CheckSilent => write!(f, "{node} passes its check"),
    }
}
