//! One group of addresses as this node sees it.
//!
//! Owns the planned move, the operator's placement and the memory that a decision needs. Never
//! decides.

use alloc::vec;
use alloc::vec::Vec;

use super::handover::Handover;
use super::outside::Doubt;
use crate::place::{Course, Decision, NodeId};
use crate::time::Instant;

/// Where the operator put a group; of two placements the later counts, on every node alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placement {
    /// Rises with each placement, whoever makes it.
    pub(crate) serial: u32,
    /// The node that made it, so that two with one serial are told apart.
    pub(crate) by: u16,
    /// Where; `None` takes an earlier placement back.
    pub(crate) node: Option<NodeId>,
}

/// Whether the operator drains a node; of two orders the later counts, on every node alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DrainOrder {
    /// Rises with each order, whoever gives it.
    pub(crate) serial: u32,
    /// The node at which it was given.
    pub(crate) by: u16,
    /// Drained, or no longer.
    pub(crate) drained: bool,
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) handover: Handover,
    pub(crate) placement: Option<Placement>,
    /// The latest decision.
    pub(crate) decision: Option<Decision>,
    /// The holder and the course of the one that people know of.
    pub(crate) told: Option<(Option<NodeId>, Course)>,
    /// By node: since when it has been a candidate without a break.
    pub(crate) eligible_since: Vec<Option<Instant>>,
    /// Several held it: when the others have withdrawn, the one that keeps it announces again.
    pub(crate) disputed: bool,
    /// The giver's kernel was told to be quiet for it.
    pub(crate) quiet: bool,
    /// What this node has to hold against itself.
    pub(crate) doubt: Doubt,
    /// The holder that this node looks at from outside.
    pub(crate) watched: Option<NodeId>,
}

impl Group {
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            handover: Handover::default(),
            placement: None,
            decision: None,
            told: None,
            eligible_since: vec![None; nodes],
            disputed: false,
            quiet: false,
            doubt: Doubt::default(),
            watched: None,
        }
    }

    /// Where the operator wants it.
    pub(crate) fn placed(&self) -> Option<NodeId> {
        self.placement.and_then(|placement| placement.node)
    }

    /// Takes over a placement when it is the later one; whether it was.
    pub(crate) fn merge(&mut self, other: Placement) -> bool {
        let later = self.placement.is_none_or(|ours| ours < other);
        if later {
            self.placement = Some(other);
        }
        later
    }
}
