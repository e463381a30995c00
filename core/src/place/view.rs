//! What one node believes of the cluster, and the rules that the file gives.
//!
//! Owns the input types of the decision and [`Bar`], the reasons why a node may not hold a group.
//! Invariant: a node is a candidate exactly when there is no bar for it.

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use super::set::{NodeId, NodeSet};
use crate::config::Failback;
use crate::random::Random;

/// Whether a node takes part in the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// Its daemon is heard.
    Participating,
    /// Its daemon is gone but its host answers: what it held may still answer for a while.
    HostOnly,
    /// Its daemon is heard, and has other nodes or VIPs in its file: its numbers mean nothing to us.
    OtherFile,
    /// Our own link to it is down, or was and it has not been heard since: its silence says nothing.
    OutOfReach,
    /// Nothing of it answers.
    Dead,
    /// It has not been heard yet, nor been silent for long enough.
    #[default]
    Unknown,
}

/// What is believed of a node, whatever the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, each set elsewhere")]
pub struct NodeView {
    /// Whether it takes part.
    pub life: Life,
    /// A newcomer has listened to its peers for long enough to take a group.
    pub ready: bool,
    /// The operator drains it: it hands over what it has and takes nothing.
    pub draining: bool,
    /// Its daemon was told to stop and hands over what it has.
    pub leaving: bool,
    /// It reaches neither its peers nor the addresses that it should: it gives up what it has.
    pub isolated: bool,
}

/// Whether a node has a group on an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holding {
    /// It has not.
    #[default]
    No,
    /// It still has it but no longer answers for it: the giver of a planned move.
    Yielding,
    /// It has, or of a dead node: it had when it was last heard.
    Yes,
}

/// What a node's checks say of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// They have not said anything yet. Such a node is asked to take a group only when nobody
    /// holds it and nobody passes.
    #[default]
    Unknown,
    /// All pass. Also what a group without checks has everywhere.
    Good,
    /// At least one fails.
    Bad,
}

/// What is believed of one node and one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it has the group.
    pub holding: Holding,
    /// Whether its service is up.
    pub health: Health,
    /// Whether the interface that would carry the group is up.
    pub link_up: bool,
    /// For how long it has been a candidate without a break; `None` where that is not known,
    /// which counts as not at all.
    pub eligible_for: Option<Duration>,
    /// The other nodes get no answer of it there; of a node that has it no more: they got none
    /// when it had it last, and its pause is not over.
    pub doubted: bool,
    /// Its kernel refuses an address of the group.
    pub refused: bool,
}

/// A pool: groups that share the nodes evenly among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u32);

/// Where a group would rather be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preference {
    /// These nodes first, in this order. The others are equals, none of which takes it from another;
    /// when nobody holds the group it goes to that on which it weighs most, so that what many nodes
    /// leave behind is shared by those that are left.
    Order(Vec<NodeId>),
    /// Wherever the pool is even. All groups of a pool share one setting of failback.
    Spread(PoolId),
}

/// The settings of a group that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRules {
    /// Where it would rather be.
    pub preference: Preference,
    /// When it moves there from a node that is fit to keep it.
    pub failback: Failback,
    /// Which nodes may hold it at all.
    pub members: NodeSet,
}

/// One group: one address, or several that move as one.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// What its rendezvous weights are made from: [`address_key`] of its first address. Two
    /// groups of one pool have different keys.
    pub key: u64,
    /// Its settings.
    pub rules: &'a GroupRules,
    /// Of each node by id; a node past the end has no standing and takes nothing.
    pub standings: &'a [Standing],
    /// Where the operator placed it: it goes there, and stays as with `failback = "no"` until
    /// that node can no longer hold it ([`Decision::lapsed`](super::Decision::lapsed)).
    pub placed: Option<NodeId>,
}

/// Everything a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The nodes by id, at most [`MOST_NODES`](super::MOST_NODES); those past that are ignored.
    pub nodes: &'a [NodeView],
    /// The groups; decisions come in the same order.
    pub groups: &'a [Group<'a>],
}

/// A well-mixed number for an address, the same on every node and in every version.
pub fn address_key(address: IpAddr) -> u64 {
    let octets = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let number = u128::from_be_bytes(octets);
    let (high, low) = ((number >> 64) as u64, number as u64);
    mix(mix(high) ^ low)
}

/// A 64-bit permutation in which every bit of the input reaches every bit of the output.
pub(super) fn mix(number: u64) -> u64 {
    Random::new(number).next()
}

/// Why a node may not take a group; the one that tells most comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bar {
    /// The group's settings do not name it.
    NotMember,
    /// Nothing of it answers.
    Dead,
    /// It has not been heard yet.
    NotHeard,
    /// Its daemon is gone but its host answers.
    DaemonGone,
    /// Its file names other nodes or VIPs.
    OtherFile,
    /// Our own link to it is down.
    OutOfReach,
    /// It reaches neither its peers nor the addresses it should.
    Isolated,
    /// Its daemon is stopping.
    Leaving,
    /// The operator drains it.
    Draining,
    /// It has just come and still listens to its peers.
    NotReady,
    /// The interface is down.
    LinkDown,
    /// Its kernel refuses an address of the group.
    Refused,
    /// Its check fails.
    CheckFails,
    /// It has the group, and most others get no answer of it.
    FailsOutside,
    /// It had the group, and most others got no answer of it.
    FailedOutside,
    /// Its check has not said anything yet.
    CheckSilent,
}

impl Bar {
    /// A word for machines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotMember => "not-member",
            Self::Dead => "dead",
            Self::NotHeard => "not-heard",
            Self::DaemonGone => "daemon-gone",
            Self::OtherFile => "other-file",
            Self::OutOfReach => "out-of-reach",
            Self::Isolated => "isolated",
            Self::Leaving => "leaving",
            Self::Draining => "draining",
            Self::NotReady => "not-ready",
            Self::LinkDown => "link-down",
            Self::Refused => "refused",
            Self::CheckFails => "check-fails",
            Self::FailsOutside => "fails-outside",
            Self::FailedOutside => "failed-outside",
            Self::CheckSilent => "check-silent",
        }
    }

    /// Whether it is a reason not to take a group, but none to give up one that is held: a
    /// daemon that restarts without giving up its groups is new and unchecked for a while.
    pub const fn lets_keep(self) -> bool {
        matches!(self, Self::NotReady | Self::CheckSilent)
    }

    /// Whether it may be gone in a moment of itself, so that an operator's placement outlasts it.
    pub(super) const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::NotReady
                | Self::CheckSilent
                | Self::NotHeard
                | Self::DaemonGone
                | Self::OtherFile
                | Self::OutOfReach
        )
    }

    /// The bar as a sentence about a node.
    pub fn sentence(self, node: &str) -> BarSentence<'_> {
        BarSentence { bar: self, node }
    }
}

/// A [`Bar`] with a name in it, for display.
#[derive(Clone, Copy, Debug)]
pub struct BarSentence<'a> {
    bar: Bar,
    node: &'a str,
}

impl fmt::Display for BarSentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node;
        match self.bar {
            Bar::NotMember => write!(f, "{node} is not one of its nodes"),
            Bar::Dead => write!(f, "{node} is dead"),
            Bar::NotHeard => write!(f, "{node} has not been heard yet"),
            Bar::DaemonGone => write!(f, "{node}'s daemon is gone though its host answers"),
            Bar::OtherFile => write!(f, "{node} has another file"),
            Bar::OutOfReach => write!(f, "{node} is out of reach: the link to it is down"),
            Bar::Isolated => write!(f, "{node} is cut off"),
            Bar::Leaving => write!(f, "{node} is stopping"),
            Bar::Draining => write!(f, "{node} is drained"),
            Bar::NotReady => write!(f, "{node} is new and still listens to its peers"),
            Bar::LinkDown => write!(f, "{node}'s link is down"),
            Bar::Refused => write!(f, "{node}'s kernel refuses the address"),
            Bar::CheckFails => write!(f, "{node} fails its check"),
            Bar::FailsOutside => write!(f, "{node} fails the check of the other nodes"),
            Bar::FailedOutside => write!(f, "{node} lately failed the check of the other nodes"),
            Bar::CheckSilent => write!(f, "{node}'s check has not said anything yet"),
        }
    }
}

impl NodeView {
    /// Why the node may take no group at all.
    pub(super) fn bars(self) -> impl Iterator<Item = Bar> {
        let life = match self.life {
            Life::Participating => None,
            Life::HostOnly => Some(Bar::DaemonGone),
            Life::OtherFile => Some(Bar::OtherFile),
            Life::OutOfReach => Some(Bar::OutOfReach),
            Life::Dead => Some(Bar::Dead),
            Life::Unknown => Some(Bar::NotHeard),
        };
        // Of a node that is not heard, the rest is what it once said.
        let heard = life.is_none();
        let own = [
            (self.isolated, Bar::Isolated),
            (self.leaving, Bar::Leaving),
            (self.draining, Bar::Draining),
            (!self.ready, Bar::NotReady),
        ];
        life.into_iter()
            .chain(own.into_iter().filter_map(move |(is, bar)| (heard && is).then_some(bar)))
    }
}

impl Standing {
    /// Why a node with this standing may not take the group, whatever else is so.
    pub(super) fn bars(self) -> impl Iterator<Item = Bar> {
        let link = (!self.link_up).then_some(Bar::LinkDown);
        let refused = self.refused.then_some(Bar::Refused);
        let health = match self.health {
            Health::Good => None,
            Health::Bad => Some(Bar::CheckFails),
            Health::Unknown => Some(Bar::CheckSilent),
        };
        let outside = self.doubted.then_some(match self.holding {
            Holding::No => Bar::FailedOutside,
            Holding::Yielding | Holding::Yes => Bar::FailsOutside,
        });
        // What fails comes before what has not said anything yet.
        let (failing, silent) = match health {
            Some(Bar::CheckSilent) => (None, health),
            failing => (failing, None),
        };
        link.into_iter().chain(refused).chain(failing).chain(outside).chain(silent)
    }
}

impl Group<'_> {
    /// The standing of a node; the default for one that has none.
    pub(super) fn standing(&self, node: NodeId) -> Standing {
        self.standings.get(node.index()).copied().unwrap_or_default()
    }
}

impl View<'_> {
    /// Every reason why a node may not take a group, the one that tells most first; none for a
    /// candidate.
    pub(super) fn bars(nodes: &[NodeView], group: &Group<'_>, node: NodeId) -> Vec<Bar> {
        let outsider = (!group.rules.members.contains(node)).then_some(Bar::NotMember);
        let view = nodes.get(node.index()).copied().unwrap_or_default();
        let heard = view.life == Life::Participating;
        let placed = group.placed == Some(node);
        let own = group.standing(node).bars();
        let own = own.filter(|bar| heard && !(placed && *bar == Bar::FailedOutside));
        outsider.into_iter().chain(view.bars()).chain(own).collect()
    }
}
