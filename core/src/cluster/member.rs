//! One fellow node: whether its daemon is heard, and what it last said.
//!
//! Owns the session, the watch over the daemon (its host is watched as a peer like any other), and
//! its latest statement. Never sends. Invariant: `Member::said` is authentic and newer than
//! everything that was said before it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::time::Duration;

use super::outside::{self, Accusations};
use super::settings::{MemberSettings, Settings};
use crate::config::PeerId;
use crate::heartbeat::{self, Flags, Incarnation, Opened, PathId, Session, VipState, VipStates};
use crate::histogram::Histogram;
use crate::peer::{self, Peer};
use crate::place::{self, NodeId, NodeView};
use crate::time::Instant;

/// The kind of the section with the holders of which no answer comes: [`outside::encode`].
pub(crate) const OUTSIDE: u8 = 5;

/// For so long it is remembered that a kernel refused an address; as long as the longest pause of who is
/// refused.
const REMEMBERED: Duration = Duration::from_hours(1);

/// Why a member that is heard does not count as one of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discord {
    /// Its file names other nodes.
    Nodes,
    /// Its file names other VIPs or homes.
    Vips,
}

/// What a member last said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Those that say how it is.
    pub(crate) flags: Flags,
    /// By group.
    pub(crate) groups: Vec<VipState>,
    /// The rows that `groups` was last read from, by their first group: what comes again unchanged
    /// is not read again.
    rows: BTreeMap<u16, Vec<u8>>,
    /// Of which holders it gets no answer.
    pub(crate) accuses: Accusations,
    /// Whom it does not hear, a bit for each node.
    pub(crate) unreachable: u64,
}

/// A stamp that waits to be sent back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldStamp {
    pub(crate) stamp: NonZeroU64,
    pub(crate) received: Instant,
}

/// What one path has carried of a member.
#[derive(Clone, Debug, Default)]
pub(crate) struct PathTally {
    /// The last was then.
    pub(crate) heard_at: Option<Instant>,
    pub(crate) received: u64,
    /// From each to the next.
    pub(crate) gaps: Histogram,
    /// Since when something should come on it: the member is heard, and our end of it is up.
    expected_since: Option<Instant>,
    /// And nothing has for a long time.
    pub(crate) silent: bool,
}

impl PathTally {
    /// Whether it is silent by now.
    pub(crate) fn judge(&mut self, usable: bool, patience: Duration, now: Instant) {
        if !usable {
            (self.expected_since, self.silent) = (None, false);
            return;
        }
        let since = *self.expected_since.get_or_insert(now);
        let last = self.heard_at.map_or(since, |at| at.max(since));
        self.silent = now.since(last) >= patience;
    }
}

/// A fellow node.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) node: NodeId,
    pub(crate) peer: PeerId,
    pub(crate) id: heartbeat::NodeId,
    pub(crate) session: Session,
    /// The watch over its daemon: only authentic heartbeats count.
    pub(crate) daemon: Peer,
    /// Its host refuses our heartbeats: no daemon listens there.
    pub(crate) refused: bool,
    pub(crate) said: Said,
    pub(crate) discord: Option<Discord>,
    pub(crate) stamp: Option<HeldStamp>,
    /// What each path has carried of it.
    pub(crate) paths: Vec<PathTally>,
    /// The round trips of its heartbeats, by the path that was first.
    pub(crate) trips: Histogram,
    /// Why its heartbeats are refused, as far as it was told.
    pub(crate) trouble: Option<heartbeat::Rejected>,
    /// What it is told of every group, until something changes.
    pub(crate) told: Option<Arc<[VipState]>>,
    /// Its time is nearly over, and what would come here is asked for.
    pub(crate) anticipating: bool,
    /// Its daemon fell silent while nobody could know whether its host lives, and nobody was told.
    pub(crate) gone_untold: bool,
    /// When it last said of a group that its kernel refuses an address; rare.
    refusals: BTreeMap<usize, Instant>,
    /// The nonce was last renewed then.
    pub(crate) challenged_at: Instant,
    /// It was last answered out of turn then.
    pub(crate) answered_at: Option<Instant>,
}

impl Member {
    /// `own` is the incarnation of this node, `nonce` 64 random bits.
    pub(crate) fn new(
        member: &MemberSettings,
        settings: &Settings,
        (own, nonce): (Incarnation, u64),
        now: Instant,
    ) -> Self {
        Self {
            node: member.node,
            peer: member.peer,
            id: heartbeat::NodeId::of(settings.name(member.node)),
            session: Session::new(own, nonce),
            daemon: Peer::new(settings.timing, now),
            refused: false,
            said: Said::default(),
            discord: None,
            stamp: None,
            paths: Vec::new(),
            trips: Histogram::default(),
            trouble: None,
            told: None,
            anticipating: false,
            gone_untold: false,
            refusals: BTreeMap::new(),
            challenged_at: now,
            answered_at: None,
        }
    }

    /// Takes part: its daemon is heard, is not refused, and has our configuration.
    pub(crate) fn takes_part(&self) -> bool {
        self.daemon.life() == peer::Life::Alive && !self.refused && self.discord.is_none()
    }

    /// Its daemon is heard, whatever its configuration.
    pub(crate) fn is_heard(&self) -> bool {
        self.daemon.life() == peer::Life::Alive && !self.refused
    }

    /// It said last that it goes, be it to let a next run go on.
    pub(crate) fn goes(&self) -> bool {
        let said = self.said.flags;
        said.contains(Flags::LEAVING) || said.contains(Flags::KEEPING)
    }

    /// What the decision sees of it; `host` is the watch over its host.
    pub(crate) fn view(&self, host: &Peer) -> NodeView {
        let life = match (self.daemon.life(), host.life()) {
            _ if self.takes_part() => place::Life::Participating,
            (peer::Life::Alive, _) if !self.refused => place::Life::OtherFile,
            (_, peer::Life::Dead { .. }) => place::Life::Dead,
            (peer::Life::Unknown, _) if !self.refused => place::Life::Unknown,
            (_, peer::Life::Unknown) => place::Life::Unknown,
            (_, peer::Life::Alive) if host.is_stale() => place::Life::OutOfReach,
            (_, peer::Life::Alive) => place::Life::HostOnly,
        };
        let flags = self.said.flags;
        NodeView {
            life,
            ready: !flags.contains(Flags::NEWCOMER),
            draining: flags.contains(Flags::DRAINING),
            leaving: flags.contains(Flags::LEAVING),
            isolated: false,
        }
    }

    /// Whether nothing of it is heard, or of its daemon, for so long that its host may be cut off for it.
    /// That a kernel refuses heartbeats is no reason: anybody may have sent that. One with another file
    /// takes no part either, and lives; of one behind our own dead link nothing is known; and one that
    /// has said that it goes, be it for a restart, is well while its host answers.
    pub(crate) fn is_surely_gone(&self, host: &Peer) -> bool {
        let silent = matches!(self.daemon.life(), peer::Life::Dead { .. });
        match self.view(host).life {
            place::Life::Dead => true,
            place::Life::HostOnly => silent && !self.goes(),
            place::Life::Participating
            | place::Life::OtherFile
            | place::Life::OutOfReach
            | place::Life::Unknown => false,
        }
    }

    /// What it last said of a group.
    pub(crate) fn group(&self, group: usize) -> VipState {
        self.said.groups.get(group).copied().unwrap_or_default()
    }

    /// Whether its kernel refused an address of a group not long ago: that it is not known to do so now
    /// says little.
    pub(crate) fn has_lately_refused(&self, group: usize, now: Instant) -> bool {
        self.refusals.get(&group).is_some_and(|at| now.since(*at) < REMEMBERED)
    }

    /// It has started again, and may have been repaired.
    pub(crate) fn forget_refusals(&mut self) {
        self.refusals.clear();
    }

    /// The newest statement of it has come; whether a decision may depend on what is new in it.
    pub(crate) fn listen(
        &mut self,
        opened: &Opened<'_>,
        settings: &Settings,
        now: Instant,
    ) -> bool {
        let header = opened.header();
        self.refused = false;
        self.trouble = None;
        self.discord = if header.config.nodes != settings.digest.nodes {
            Some(Discord::Nodes)
        } else if header.config.vips != settings.digest.vips {
            Some(Discord::Vips)
        } else {
            None
        };
        let flags = header.flags.lasting();
        let mut news = core::mem::replace(&mut self.said.flags, flags) != flags;
        self.stamp = header.stamp.map(|stamp| HeldStamp { stamp, received: now });
        self.said.unreachable = opened.payload().unreachable.map_or(0, |nodes| nodes.0);
        if self.discord.is_some() {
            // Its numbers mean nothing to us.
            news |= !self.said.groups.is_empty() || !self.said.accuses.is_empty();
            self.said.groups.clear();
            self.said.rows.clear();
            self.said.accuses.clear();
            return news;
        }
        let mut sections = opened.payload().sections();
        if let Some((_, body)) = sections.find(|(kind, _)| *kind == OUTSIDE) {
            let accuses = outside::parse(body, settings.groups.len());
            news |= accuses != self.said.accuses;
            self.said.accuses = accuses;
        }
        if let Some(states) = opened.payload().vip_states {
            let (first, row) = states.raw();
            if self.said.rows.get(&first).is_none_or(|known| known != row) {
                news |= self.read_row(&states, settings.groups.len(), now);
            }
        }
        news
    }

    /// Reads the states of some groups; whether one is another than before.
    fn read_row(&mut self, states: &VipStates<'_>, groups: usize, now: Instant) -> bool {
        let (first, row) = states.raw();
        let said = &mut self.said;
        let mut news = said.groups.len() != groups;
        said.groups.resize(groups, VipState::default());
        // Another row may say something of the same groups: it is read again when it comes.
        said.rows.clear();
        said.rows.insert(first, row.to_vec());
        for (number, state) in states.iter() {
            if let Some(place) = said.groups.get_mut(usize::from(number)) {
                let before = core::mem::replace(place, state);
                news |= before != state;
                if before.refused || state.refused {
                    self.refusals.insert(usize::from(number), now);
                }
            }
        }
        news
    }

    /// A path carried something of it.
    pub(crate) fn note_path(&mut self, path: PathId, now: Instant) {
        let tally = self.path(path.number());
        if let Some(before) = tally.heard_at.replace(now) {
            tally.gaps.record(now.since(before));
        }
        tally.received = tally.received.saturating_add(1);
    }

    /// What a path has carried.
    pub(crate) fn path(&mut self, number: usize) -> &mut PathTally {
        if self.paths.len() <= number {
            self.paths.resize(number + 1, PathTally::default());
        }
        &mut self.paths[number]
    }

    /// Whether it may be answered out of turn now: recordings could ask for answers as well, so
    /// they are bounded.
    pub(crate) fn may_answer(&mut self, now: Instant, least: Duration) -> bool {
        let may = self.answered_at.is_none_or(|at| now.since(at) >= least);
        if may {
            self.answered_at = Some(now);
        }
        may
    }
}
