//! What people are told about the cluster.
//!
//! Owns the words. Invariant: a report names the node or the group it is about, and says why.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::member::Discord;
use crate::report::{Level, Value};

/// Something about the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the words of the sentences in Display below")]
pub enum ClusterReport {
    /// This node has listened to its fellows for long enough.
    Ready { heard: usize, of: usize },
    /// A member's daemon is heard.
    MemberJoined { node: Arc<str>, restarted: bool },
    /// A member's daemon is gone while its host answers.
    DaemonGone { node: Arc<str>, refused: bool },
    /// A member's daemon was told to stop, as it said.
    MemberLeft { node: Arc<str>, keeps: bool },
    /// A member is heard but was told other things by its file.
    Discord { node: Arc<str>, what: Discord },
    /// Heartbeats from a member's address are refused.
    Refused { node: Arc<str>, why: String },
    /// A decision about a group changed.
    Placed {
        group: Arc<str>,
        holder: Option<Arc<str>>,
        sentence: String,
        /// The reason as a word for machines.
        why: &'static str,
        /// Who held it and is silent, where that is the reason.
        silent: Option<Arc<str>>,
    },
    /// A planned move went wrong and was undone.
    MoveFailed { group: Arc<str>, with: Arc<str> },
    /// A lease ended although this node should hold the group.
    LeaseLost { group: Arc<str>, granted: usize, needed: usize },
    /// The kernel does not take a lease.
    LeaseNotTold { group: Arc<str>, why: String },
    /// A member goes by other voters.
    OtherVoters { node: Arc<str> },
    /// The fencing command says that a node is cut off.
    Fenced { node: Arc<str> },
    /// The fencing command failed.
    FenceFailed { node: Arc<str>, why: String },
    /// Neither a member nor a reference address answers.
    CutOff,
    /// Somebody answers again.
    Reconnected,
    /// Nobody is heard on a link although fellows are heard by other paths.
    LinkSilent { link: Arc<str> },
    /// Somebody is, again.
    LinkHeard { link: Arc<str> },
}

impl ClusterReport {
    /// A word for machines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "ready",
            Self::MemberJoined { .. } => "member-joined",
            Self::DaemonGone { .. } => "daemon-gone",
            Self::MemberLeft { .. } => "member-left",
            Self::Discord { .. } => "configuration-differs",
            Self::Refused { .. } => "heartbeats-refused",
            Self::Placed { .. } => "placed",
            Self::MoveFailed { .. } => "move-failed",
            Self::LeaseLost { .. } => "lease-lost",
            Self::LeaseNotTold { .. } => "lease-refused",
            Self::OtherVoters { .. } => "voters-differ",
            Self::Fenced { .. } => "fenced",
            Self::FenceFailed { .. } => "fence-failed",
            Self::CutOff => "cut-off",
            Self::Reconnected => "reconnected",
            Self::LinkSilent { .. } => "link-silent",
            Self::LinkHeard { .. } => "link-heard",
        }
    }

    /// What should follow from it.
    pub const fn level(&self) -> Level {
        match self {
            Self::Ready { .. }
            | Self::MemberJoined { .. }
            | Self::MemberLeft { .. }
            | Self::Placed { .. }
            | Self::Fenced { .. }
            | Self::Reconnected
            | Self::LinkHeard { .. } => Level::Info,
            Self::DaemonGone { .. }
            | Self::Discord { .. }
            | Self::Refused { .. }
            | Self::MoveFailed { .. }
            | Self::LeaseLost { .. }
            | Self::LeaseNotTold { .. }
            | Self::OtherVoters { .. }
            | Self::FenceFailed { .. }
            | Self::CutOff
            | Self::LinkSilent { .. } => Level::Warn,
        }
    }

    /// The parts for machines.
    pub fn fields(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &str| Value::Text(text.to_string());
        match self {
            Self::Ready { heard, of } => alloc::vec![
                ("heard", Value::Number(*heard as u64)),
                ("members", Value::Number(*of as u64))
            ],
            Self::MemberJoined { node, .. }
            | Self::DaemonGone { node, .. }
            | Self::MemberLeft { node, .. }
            | Self::OtherVoters { node }
            | Self::Fenced { node } => {
                alloc::vec![("node", text(node))]
            }
            Self::Discord { node, what } => {
                let what = match what {
                    Discord::Nodes => "nodes",
                    Discord::Vips => "vips",
                };
                alloc::vec![("node", text(node)), ("differs", text(what))]
            }
            Self::Refused { node, why } => alloc::vec![("node", text(node)), ("why", text(why))],
            Self::Placed { group, holder, why, .. } => {
                let holder = holder.as_deref().unwrap_or("nobody");
                alloc::vec![("group", text(group)), ("holder", text(holder)), ("reason", text(why))]
            }
            Self::MoveFailed { group, with } => {
                alloc::vec![("group", text(group)), ("with", text(with))]
            }
            Self::LeaseLost { group, granted, needed } => alloc::vec![
                ("group", text(group)),
                ("granted", Value::Number(*granted as u64)),
                ("needed", Value::Number(*needed as u64)),
            ],
            Self::LeaseNotTold { group, why } => {
                alloc::vec![("group", text(group)), ("why", text(why))]
            }
            Self::FenceFailed { node, why } => {
                alloc::vec![("node", text(node)), ("why", text(why))]
            }
            Self::LinkSilent { link } | Self::LinkHeard { link } => {
                alloc::vec![("interface", text(link))]
            }
            Self::CutOff | Self::Reconnected => Vec::new(),
        }
    }
}

impl fmt::Display for ClusterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { heard, of } => {
                write!(f, "ready: {heard} of {of} other nodes are heard")
            }
            Self::MemberJoined { node, restarted: false } => write!(f, "{node} takes part"),
            Self::MemberJoined { node, restarted: true } => {
                write!(f, "{node} takes part again, after a restart")
            }
            Self::MemberLeft { node, keeps: false } => {
                write!(f, "{node} has stopped, having given up what it held")
            }
            Self::MemberLeft { node, keeps: true } => {
                write!(f, "{node} has stopped and left what it holds to its next run")
            }
            Self::DaemonGone { node, refused } => {
                let how = if *refused { "refuses heartbeats" } else { "is silent" };
                write!(
                    f,
                    "{node}'s daemon {how} though its host answers: what it holds is taken over \
                     when nobody answers for it any more"
                )
            }
            Self::Discord { node, what } => {
                let what = match what {
                    Discord::Nodes => "nodes",
                    Discord::Vips => "VIPs or homes",
                };
                write!(
                    f,
                    "{node} has other {what} in its file: nothing is moved to or from it until the \
                     files agree"
                )
            }
            Self::Refused { node, why } => write!(f, "heartbeats from {node} are refused: {why}"),
            Self::Placed { group, sentence, .. } => write!(f, "{group}: {sentence}"),
            Self::MoveFailed { group, with } => {
                write!(f, "the move of {group} with {with} did not get on: it was undone")
            }
            Self::LeaseLost { group, granted, needed } => write!(
                f,
                "{group}: the lease ended, {granted} of the {needed} votes that it takes are \
                 there: it is released"
            ),
            Self::LeaseNotTold { group, why } => {
                write!(f, "{group}: the kernel does not take the lease: {why}")
            }
            Self::OtherVoters { node } => write!(
                f,
                "{node} has other nodes or witnesses in its file: they do not vote for each other \
                 until both have the same"
            ),
            Self::Fenced { node } => {
                write!(f, "{node} was cut off by the fencing command: its leases are over")
            }
            Self::FenceFailed { node, why } => {
                write!(f, "the fencing command did not cut off {node}: {why}")
            }
            Self::CutOff => f.write_str(
                "cut off: neither a member nor an address of isolated-when-unreachable answers",
            ),
            Self::Reconnected => f.write_str("no longer cut off"),
            Self::LinkSilent { link } => write!(
                f,
                "nobody is heard on {link}, though other nodes are by other paths: it counts as \
                 down"
            ),
            Self::LinkHeard { link } => write!(f, "somebody is heard on {link} again"),
        }
    }
}
