//! What a configuration file says, typed. Every value has been judged: a [`ClusterFile`] that
//! exists contradicts neither itself nor what any host could do.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use standin_core::config::{Failback, OnAnswer, Vantage};
use standin_sys::realtime::Extent;

use super::address::AddressRange;
use crate::checks::Check;
use crate::checks::url::Url;

/// A node: its position in [`ClusterFile::nodes`]; a witness: its position in
/// [`ClusterFile::witnesses`] and the number of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u8);

/// A named check: its position in [`ClusterFile::checks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedCheckId(pub u32);

/// A whole configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFile {
    /// The cluster's name.
    pub cluster: String,
    /// The file with the keys, absolute or relative to the working directory.
    pub key_file: PathBuf,
    /// The UDP port of the heartbeats, the same on every node.
    pub port: u16,
    /// What gives a node the right to hold a VIP.
    pub authority: Authority,
    /// The command that cuts another node off.
    pub fence: Option<HookCommand>,
    /// 2 to 64 nodes, in the order of the file.
    pub nodes: Vec<Node>,
    /// Those that vote and hold nothing, in the order of the file; with the nodes at most 64.
    pub witnesses: Vec<Node>,
    /// The groups of VIPs, in the order of the file; at least one, at most 10 000 addresses.
    pub vips: Vec<VipGroup>,
    /// The checks, in the order of the file.
    pub checks: Vec<NamedCheck>,
    /// When a node is dead and when it is back.
    pub timing: Timing,
    /// What is run when something happens.
    pub hooks: Hooks,
    /// A node that reaches neither a peer nor any of these is cut off; empty: never judged so.
    pub isolated_when_unreachable: Vec<IpAddr>,
    /// Where the status is told and commands are taken.
    pub control: Control,
    /// Where the page and the metrics are served; none: nowhere.
    pub http: Option<Http>,
    /// Who is told of what happens, in the order of the file.
    pub webhooks: Vec<Webhook>,
    /// What keeps the loop that decides from being late.
    pub realtime: Realtime,
}

/// What gives a node the right to hold a VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Nothing but what it sees.
    None,
    /// A lease of a majority of the nodes and witnesses.
    Quorum {
        /// For how long a voter binds itself, and so the most that a takeover waits.
        lease: Duration,
    },
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, as its host name has it.
    pub name: String,
    /// Its real addresses; at least one. Each is a path for heartbeats.
    pub addresses: Vec<IpAddr>,
}

/// Addresses that share their settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VipGroup {
    /// How it is called: its `name`, or its addresses as they were written.
    pub name: String,
    /// The addresses; no two ranges overlap anywhere in the file.
    pub ranges: Vec<AddressRange>,
    /// Who may hold them.
    pub placement: Placement,
    /// The interface that carries them; none: the one whose subnet they are in.
    pub interface: Option<String>,
    /// The checks of their service.
    pub checks: Vec<NamedCheckId>,
    /// Whether and when they go home.
    pub failback: Failback,
    /// What a node that is cut off does with them.
    pub on_doubt: OnDoubt,
    /// The holder is silent, but something still answers for an address.
    pub on_answer: OnAnswer,
    /// How the kernel is told to have them; none: by their number.
    pub held_as: Option<HeldAs>,
    /// DNS names whose addresses are exactly these.
    pub dns: Vec<String>,
}

/// How the kernel is told to answer for the IPv4 addresses of a group. Those of IPv6 are always
/// addresses of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldAs {
    /// Each is an address of its interface, with a label and a lifetime.
    Addresses,
    /// As few local routes as there may be, silenced by nftables when the daemon dies.
    Routes,
}

/// From so many IPv4 addresses on a group is held as routes unless the file says otherwise. The
/// kernel compares an address that it adds to an interface with all that are there: 256 cost 3 ms,
/// 1000 23 ms, 10 000 2 s.
pub const ROUTES_FROM: u32 = 256;

impl VipGroup {
    /// Every address with its prefix length, made one by one.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> + '_ {
        self.ranges.iter().flat_map(|range| range.iter().map(move |ip| (ip, range.prefix)))
    }

    /// How many addresses there are.
    pub fn count(&self) -> u32 {
        self.ranges.iter().map(AddressRange::count).sum()
    }

    /// How many of them are of IPv4.
    pub fn count_v4(&self) -> u32 {
        let ranges = self.ranges.iter().filter(|range| range.first().is_ipv4());
        ranges.map(AddressRange::count).sum()
    }

    /// Whether its IPv4 addresses are to be held as routes, where the host can do that.
    pub fn wants_routes(&self) -> bool {
        match self.held_as {
            Some(held_as) => held_as == HeldAs::Routes,
            None => self.count_v4() >= ROUTES_FROM,
        }
    }

    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(address))
    }
}

/// Who may hold a group of VIPs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// All addresses on the first of these nodes that is fit; the first one is their home.
    Ordered(Vec<NodeId>),
    /// The addresses shared evenly over those of these nodes that are fit.
    Spread(Vec<NodeId>),
}

impl Placement {
    /// The nodes that may hold an address; at least one.
    pub fn eligible(&self) -> &[NodeId] {
        match self {
            Self::Ordered(nodes) | Self::Spread(nodes) => nodes,
        }
    }

    /// The node that all addresses prefer, if there is one.
    pub fn home(&self) -> Option<NodeId> {
        match self {
            Self::Ordered(nodes) => nodes.first().copied(),
            Self::Spread(_) => None,
        }
    }
}

/// What a node does with a VIP when it cannot know whether another node holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDoubt {
    /// It gives it up: better no holder than two.
    Release,
    /// It keeps it: better two holders than none.
    Hold,
}

/// A check with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCheck {
    /// The name, from `[check.NAME]`.
    pub name: String,
    /// The check, the same as a `--check` of the command line.
    pub check: Check,
    /// Who makes it.
    pub from: Vantage,
}

/// The times from which all others are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// A node is dead when nothing at all was heard of it for so long.
    pub dead_after: Duration,
    /// From one heartbeat to the next; at most half of `dead_after`.
    pub interval: Duration,
    /// A node is back when it was heard steadily for so long.
    pub back_after: Duration,
}

/// What is run when something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// A VIP was taken.
    pub on_take: Option<HookCommand>,
    /// A VIP was given up.
    pub on_release: Option<HookCommand>,
    /// This node does not know whether it may hold a VIP.
    pub on_doubt: Option<HookCommand>,
    /// Another host answers for a VIP that this node holds.
    pub on_conflict: Option<HookCommand>,
    /// The time that one run has.
    pub timeout: Duration,
}

/// A program with its arguments, run without a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand {
    /// Its absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Where the status is told and commands are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The Unix socket.
    pub socket: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// The group it belongs to; none: that of the process.
    pub group: Option<String>,
}

/// What keeps the loop that decides from being late on a busy host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realtime {
    /// Its real-time priority; 0: it is scheduled as any thread.
    pub priority: u8,
    /// How much of the program and its memory stays in memory; none: as it comes.
    pub lock_memory: Option<Extent>,
    /// The processors that it runs on, in rising order; empty: any.
    pub cpus: Vec<u16>,
}

/// Where the page and the metrics are served, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// The address and the TCP port.
    pub listen: SocketAddr,
    /// The file with the token that whoever asks has to know; none: nobody is asked for one.
    pub token_file: Option<PathBuf>,
    /// The certificate and its key; none: without TLS.
    pub tls: Option<TlsFiles>,
}

impl Http {
    /// Whether only this host reaches it.
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }
}

/// A server's certificate, both files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those between it and its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Somebody who is told of what happens, by HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// How it is called: its `name`, or its URL's scheme, host and port. The rest of a URL may be
    /// a secret.
    pub name: String,
    /// Where the events are sent.
    pub url: Url,
    /// Which; at least one, in order.
    pub events: Vec<WebhookEvent>,
    /// The file with the secret that they are signed with; none: they are not signed.
    pub secret_file: Option<PathBuf>,
    /// A PEM file of certificate authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The time that one attempt has.
    pub timeout: Duration,
    /// An event that is older is not tried again.
    pub retry_for: Duration,
}

/// What a webhook is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WebhookEvent {
    /// A VIP was taken.
    Take,
    /// A VIP was given up.
    Release,
    /// A VIP was lost: its lease or its lifetime ended, or somebody removed it.
    Lost,
    /// This node does not know whether it may hold a VIP.
    Doubt,
    /// Another host answers for a VIP that this node holds.
    Conflict,
    /// Nothing of a node answers.
    PeerDead,
    /// A node that was dead answers again.
    PeerAlive,
    /// A node's daemon has gone while its host answers.
    DaemonGone,
    /// It takes part again.
    DaemonBack,
    /// A check has begun to fail.
    CheckFailing,
    /// It passes again.
    CheckPassing,
    /// Anything else that somebody should look at.
    Warning,
}

impl WebhookEvent {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Take,
        Self::Release,
        Self::Lost,
        Self::Doubt,
        Self::Conflict,
        Self::PeerDead,
        Self::PeerAlive,
        Self::DaemonGone,
        Self::DaemonBack,
        Self::CheckFailing,
        Self::CheckPassing,
        Self::Warning,
    ];

    /// Its name in the file and in what is sent.
    pub fn name(self) -> &'static str {
        match self {
            Self::Take => "take",
            Self::Release => "release",
            Self::Lost => "lost",
            Self::Doubt => "doubt",
            Self::Conflict => "conflict",
            Self::PeerDead => "peer-dead",
            Self::PeerAlive => "peer-alive",
            Self::DaemonGone => "daemon-gone",
            Self::DaemonBack => "daemon-back",
            Self::CheckFailing => "check-failing",
            Self::CheckPassing => "check-passing",
            Self::Warning => "warning",
        }
    }
}

impl ClusterFile {
    /// A node or witness by its id.
    pub fn node(&self, id: NodeId) -> &Node {
        let position = usize::from(id.0);
        let witness = position.checked_sub(self.nodes.len());
        witness.map_or_else(|| &self.nodes[position], |witness| &self.witnesses[witness])
    }

    /// Whether it votes and holds nothing.
    pub fn is_witness(&self, id: NodeId) -> bool {
        usize::from(id.0) >= self.nodes.len()
    }

    /// The ids of all nodes and witnesses.
    pub fn voter_ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        // There are at most 64.
        (0..self.nodes.len() + self.witnesses.len()).map(|position| NodeId(position as u8))
    }

    /// The ids of all nodes.
    pub fn node_ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        // There are at most 64.
        (0..self.nodes.len()).map(|position| NodeId(position as u8))
    }

    /// A check by its id.
    pub fn check(&self, id: NamedCheckId) -> &NamedCheck {
        &self.checks[id.0 as usize]
    }

    /// The group that an address belongs to.
    pub fn group_of(&self, address: IpAddr) -> Option<&VipGroup> {
        self.vips.iter().find(|group| group.contains(address))
    }

    /// Every VIP, in the order of the file.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.vips.iter().flat_map(|group| group.addresses().map(|(address, _)| address))
    }

    /// How many VIPs there are.
    pub fn vip_count(&self) -> u32 {
        self.vips.iter().map(VipGroup::count).sum()
    }
}

impl fmt::Display for HookCommand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments may be secrets.
        write!(out, "{}", self.program.display())
    }
}
