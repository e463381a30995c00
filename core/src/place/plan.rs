//! What would happen if some nodes failed, computed by the decision itself.
//!
//! Owns nothing but the question: the view with those nodes dead.

use alloc::vec::Vec;

use super::reason::Decision;
use super::set::{NodeId, NodeSet};
use super::settle::decide;
use super::view::{Life, NodeView, View};

/// What would become of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Who has it now, or would be given it now where nobody has it.
    pub before: Option<NodeId>,
    /// What would be decided; its holder is who would have it then.
    pub after: Decision,
}

impl Planned {
    /// Whether it would be elsewhere, or nowhere.
    pub fn moves(&self) -> bool {
        self.before != self.after.holder
    }
}

/// What every node would decide once it saw the failing nodes dead, in the order of the groups.
pub fn plan(view: &View<'_>, failing: NodeSet) -> Vec<Planned> {
    let nodes = with_dead(view.nodes, failing);
    let now = decide(view);
    let then = decide(&View { nodes: &nodes, groups: view.groups });
    now.into_iter()
        .zip(then)
        .map(|(now, after)| Planned { before: now.present.or(now.holder), after })
        .collect()
}

/// The nodes, some of them dead.
pub(super) fn with_dead(nodes: &[NodeView], failing: NodeSet) -> Vec<NodeView> {
    let ids = (0u16..).map(NodeId);
    ids.zip(nodes)
        .map(|(node, view)| {
            let life = if failing.contains(node) { Life::Dead } else { view.life };
            NodeView { life, ..*view }
        })
        .collect()
}
