//! What a node knows of its cluster: its fellows, the groups, and its own part in them.
//!
//! Owns the state between heartbeats. The glue to the rest of a host is in `node::cluster`; the
//! rules are in [`crate::place`]; the bytes are in [`crate::heartbeat`]. Invariant: what a member
//! says about groups counts only while its daemon is heard and its configuration is ours.
//!
//! - [`settings`]: what the file says.
//! - [`handover`]: a planned move.
//! - [`leases`]: the right to hold, under `authority = "quorum"`.
//! - [`member`]: one fellow node.
//! - [`group`]: one group of addresses, seen from here.
//! - [`outside`]: what the others find at an address, and what its holder makes of it.

pub mod group;
pub mod handover;
pub mod leases;
pub mod member;
pub mod outside;
pub mod report;
pub mod settings;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::num::NonZeroU64;

use sha2::{Digest, Sha256};

use crate::config::{LinkId, PeerId};
use crate::heartbeat::{ConfigDigest, Flags, Gate, Incarnation, KeyRing};
use crate::peer::Peer;
use crate::place::{NodeId, NodeView};
use crate::time::Instant;
use crate::timers::Timer;

use group::{DrainOrder, Group};
use leases::Leases;
use member::Member;
use outside::Accusations;
use settings::{Authority, Settings};

/// Unguessable numbers from a secret seed: SHA-256 over the seed and a counter.
#[derive(Clone)]
pub(crate) struct Nonces {
    seed: [u8; 32],
    drawn: u64,
}

impl Nonces {
    pub(crate) fn draw(&mut self) -> u64 {
        self.drawn += 1;
        let mut digest = Sha256::new();
        digest.update(self.seed);
        digest.update(self.drawn.to_be_bytes());
        let digest: [u8; 32] = digest.finalize().into();
        let (front, _) = digest.split_first_chunk().expect("SHA-256 has 32 bytes");
        u64::from_be_bytes(*front)
    }
}

impl core::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

/// A link on which nobody is heard, or was not until a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    /// Nobody is heard on it now.
    pub(crate) lasts: bool,
    /// When it was found to be silent, or that it is not any more.
    pub(crate) since: Instant,
    /// That was so long ago that whoever hears the same has found it as well.
    pub(crate) settled: bool,
}

/// The cluster as one of its nodes sees it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each set elsewhere")]
pub(crate) struct Cluster {
    pub(crate) settings: Settings,
    pub(crate) gate: Gate,
    pub(crate) incarnation: Incarnation,
    pub(crate) nonces: Nonces,
    pub(crate) members: Vec<Member>,
    pub(crate) groups: Vec<Group>,
    /// The newcomer's wait is over.
    pub(crate) ready: bool,
    /// By node: whether the operator drains it.
    pub(crate) drains: Vec<Option<DrainOrder>>,
    /// Told to stop: everything is handed over first.
    pub(crate) leaving: bool,
    /// Told to stop and leave the addresses to the next run.
    pub(crate) keeping: bool,
    /// Neither a member nor a reference address answers.
    pub(crate) isolated: bool,
    /// Links on which nobody is heard, or was not until a moment ago, though fellows are heard by other
    /// paths.
    pub(crate) silent_links: BTreeMap<LinkId, Silence>,
    /// The holders of which this node gets no answer.
    pub(crate) accuses: Accusations,
    /// Something that the others should hear at once.
    pub(crate) news: bool,
    /// Under `authority = "quorum"`.
    pub(crate) leases: Option<Leases>,
}

impl Cluster {
    pub(crate) fn new(settings: Settings, keys: KeyRing, seed: [u8; 32], now: Instant) -> Self {
        let mut nonces = Nonces { seed, drawn: 0 };
        let incarnation = Incarnation::from_random(nonces.draw());
        let gate = Gate::new(settings.cluster, settings.own_id(), keys);
        let mut members = Vec::with_capacity(settings.members.len());
        for member in &settings.members {
            let session = (incarnation, nonces.draw());
            members.push(Member::new(member, &settings, session, now));
        }
        let leases = match &settings.authority {
            Authority::Quorum(quorum) => {
                Some(Leases::new(&settings, quorum, nonces.draw() as u32, now))
            }
            Authority::None => None,
        };
        Self {
            members,
            groups: settings.groups.iter().map(|_| Group::new(settings.names.len())).collect(),
            gate,
            incarnation,
            nonces,
            ready: false,
            drains: alloc::vec![None; settings.names.len()],
            leaving: false,
            keeping: false,
            isolated: false,
            silent_links: BTreeMap::new(),
            accuses: Accusations::new(),
            news: true,
            leases,
            settings,
        }
    }

    pub(crate) fn me(&self) -> NodeId {
        self.settings.me
    }

    pub(crate) fn digest(&self) -> ConfigDigest {
        self.settings.digest
    }

    /// The member that is watched as this peer.
    pub(crate) fn member_of(&self, peer: PeerId) -> Option<usize> {
        self.members.iter().position(|member| member.peer == peer)
    }

    /// The member that is this node.
    pub(crate) fn member_at(&self, node: NodeId) -> Option<&Member> {
        self.members.iter().find(|member| member.node == node)
    }

    /// What this node says of itself.
    pub(crate) fn flags(&self) -> Flags {
        let all = [
            (self.leaving, Flags::LEAVING),
            (self.keeping, Flags::KEEPING),
            (self.is_drained(self.me()), Flags::DRAINING),
            (!self.ready, Flags::NEWCOMER),
        ];
        let set = all.into_iter().filter(|(is, _)| *is);
        set.fold(Flags::NONE, |flags, (_, flag)| flags.with(flag))
    }

    /// This node, as the decision sees it.
    pub(crate) fn own_view(&self) -> NodeView {
        NodeView {
            life: crate::place::Life::Participating,
            ready: self.ready,
            draining: self.is_drained(self.me()),
            leaving: self.leaving,
            isolated: self.isolated,
        }
    }

    /// Whether the operator drains a node.
    pub(crate) fn is_drained(&self, node: NodeId) -> bool {
        self.drains.get(node.index()).copied().flatten().is_some_and(|order| order.drained)
    }

    /// A member as the decision sees it; `host` is the watch over its host.
    pub(crate) fn view_of(&self, member: &Member, host: &Peer) -> NodeView {
        let view = member.view(host);
        NodeView { draining: view.draining || self.is_drained(member.node), ..view }
    }

    pub(crate) fn timer(member: usize) -> Timer {
        Timer::Daemon(member as u32)
    }
}

/// A time as a stamp that only its owner reads.
pub(crate) fn stamp_of(now: Instant) -> Option<NonZeroU64> {
    NonZeroU64::new(now.as_nanos())
}
