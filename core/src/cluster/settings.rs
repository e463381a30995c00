//! What the file says of the cluster, in the core's terms.
//!
//! Owns the numbering: nodes by their place in the file, groups likewise. Invariant: equal on all
//! nodes that agree on the [`ConfigDigest`], but for `me`.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::{PeerId, Timing, VipId};
use crate::heartbeat::{self, ClusterId, ConfigDigest};
use crate::lease::electorate::Electorates;
use crate::place::{GroupRules, NodeId, NodeSet};

/// What gives a node the right to hold a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authority {
    /// Nothing but what it sees: two may hold while they cannot hear each other.
    #[default]
    None,
    /// A lease of a majority: never two.
    Quorum(Quorum),
}

/// Who votes, and for how long a vote binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// All who vote: nodes and witnesses. And those who voted before the latest change of the
    /// file, until everybody has changed over: both majorities are needed.
    pub voters: Electorates,
    /// For how long a voter binds itself.
    pub length: Duration,
    /// Whether the kernel itself ends what is not renewed, to the millisecond. Without, addresses
    /// are only installed and renewed while the lease outlasts the lifetime that the kernel gives
    /// them.
    pub guarded: bool,
    /// Whether there is a fencing command.
    pub fence: bool,
}

/// What becomes of a group that is here when this node cannot know whether another has it: it is
/// cut off, or there is no majority for its lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDoubt {
    /// It goes: better none than two.
    #[default]
    Release,
    /// It stays: better two than none.
    Hold,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSettings {
    /// Its number.
    pub node: NodeId,
    /// As what it is watched: its addresses are the paths.
    pub peer: PeerId,
}

/// Addresses that move as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// Its name, for sentences.
    pub name: Arc<str>,
    /// Its addresses.
    pub vips: Vec<VipId>,
    /// Where it may and should be.
    pub rules: GroupRules,
    /// What a pool's shares are made from: [`crate::place::address_key`] of the first address.
    pub key: u64,
    /// What it is called among voters, made of all of its addresses.
    pub lease: crate::lease::Key,
    /// What becomes of it in doubt.
    pub on_doubt: OnDoubt,
}

/// The cluster of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which cluster.
    pub cluster: ClusterId,
    /// What has to be the same everywhere.
    pub digest: ConfigDigest,
    /// This node.
    pub me: NodeId,
    /// The names of all nodes by number, the witnesses behind them.
    pub names: Vec<Arc<str>>,
    /// Those that vote and hold nothing.
    pub witnesses: NodeSet,
    /// What gives a node the right to hold a group.
    pub authority: Authority,
    /// All nodes and witnesses but this one.
    pub members: Vec<MemberSettings>,
    /// The groups, by number.
    pub groups: Vec<GroupSettings>,
    /// Hosts outside the cluster: a node that reaches none of them and no member is cut off.
    pub references: Vec<PeerId>,
    /// The times.
    pub timing: Timing,
}

impl Settings {
    /// The name of a node.
    pub fn name(&self, node: NodeId) -> &str {
        self.names.get(node.index()).map_or("a node that is not in the file", |name| name)
    }

    /// This node in a packet.
    pub fn own_id(&self) -> heartbeat::NodeId {
        heartbeat::NodeId::of(self.name(self.me))
    }
}

impl crate::place::Names for Settings {
    fn name(&self, node: NodeId) -> &str {
        Settings::name(self, node)
    }
}
