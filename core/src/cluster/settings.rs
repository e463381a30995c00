//! What the file says of the cluster, in the core's terms.
//!
//! Owns the numbering: nodes by their place in the file, groups likewise. Invariant: equal on all
//! nodes that agree on the [`ConfigDigest`], but for `me`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::config::{PeerId, Timing, VipId};
use crate::heartbeat::{self, ClusterId, ConfigDigest};
use crate::place::{GroupRules, NodeId};

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
    /// The names of all nodes, by number.
    pub names: Vec<Arc<str>>,
    /// All nodes but this one.
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
