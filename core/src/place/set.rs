//! The nodes of a cluster as numbers, and sets of them that fit in a register.
//!
//! Owns [`NodeId`] and [`NodeSet`]. Invariant: a set never names a node past [`MOST_NODES`].

use core::fmt;

/// The most nodes that a cluster may have.
pub const MOST_NODES: usize = 64;

/// A node: its position in the list of the configuration, which is the same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

impl NodeId {
    /// The position in the list.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Some of the nodes of a cluster, in the order of their ids.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeSet(u64);

impl NodeSet {
    /// No node.
    pub const EMPTY: Self = Self(0);
    /// Every node that there can be.
    pub const ALL: Self = Self(u64::MAX);

    /// Just this one.
    pub const fn only(node: NodeId) -> Self {
        let mut set = Self::EMPTY;
        set.insert(node);
        set
    }

    /// Adds a node. An id of [`MOST_NODES`] or more names nobody and adds nobody.
    pub const fn insert(&mut self, node: NodeId) {
        if node.index() < MOST_NODES {
            self.0 |= 1 << node.0;
        }
    }

    /// Whether it is one of them.
    pub const fn contains(self, node: NodeId) -> bool {
        node.index() < MOST_NODES && self.0 & (1 << node.0) != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The one with the lowest id.
    pub fn first(self) -> Option<NodeId> {
        self.iter().next()
    }

    /// Those of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// One after the other, the lowest id first.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let lowest = u16::try_from(left.trailing_zeros()).ok().filter(|_| left != 0)?;
            left &= left - 1;
            Some(NodeId(lowest))
        })
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        let mut set = Self::EMPTY;
        for node in nodes {
            set.insert(node);
        }
        set
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|node| node.0)).finish()
    }
}
