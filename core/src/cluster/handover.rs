//! A planned move that loses nothing: who says what, and when, as the giver and as the receiver.
//!
//! Owns one node's part in moving one group. Decides neither whether nor whither it moves, and
//! touches no address. Invariants: the giver stops answering ARP and NDP before the receiver adds
//! the address; it removes its own only [`LINGER`] after the receiver has announced; and a move
//! that does not get on in time leaves the group with the giver.
//!
//! ```text
//!  giver                                            receiver
//!  Idle ─ target is another ─▶ Offered              Idle
//!                                 │ ───── offers ─────▶ Accepting
//!                              Quieting ◀── taking ──────┘ │
//!                                 │ kernel: no answers     │
//!                               Quiet ────── quiet ──────▶ Taking: add, announce
//!                                 │ ◀─────── holds ────────┘ │
//!                             Lingering                     Idle, holding
//!                                 │ 50 ms
//!                              remove ─▶ Idle
//! ```

use core::time::Duration;

use crate::place::NodeId;
use crate::time::Instant;

/// How long the giver serves packets that still reach it after the receiver has announced.
pub const LINGER: Duration = Duration::from_millis(50);
/// How long an offer waits for the receiver, and a receiver for the giver's silence.
const OFFER_PATIENCE: Duration = Duration::from_secs(1);
/// How long the giver stays quiet without hearing that the receiver holds the group.
const QUIET_PATIENCE: Duration = Duration::from_millis(300);
/// After a move that failed the next is tried so much later.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Where the move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No move.
    Idle,
    /// Offered to that node.
    Offered {
        /// The receiver.
        to: NodeId,
        /// When.
        since: Instant,
    },
    /// The kernel was told to answer no more.
    Quieting {
        /// The receiver.
        to: NodeId,
        /// When.
        since: Instant,
    },
    /// The kernel answers no more; the receiver may add the addresses.
    Quiet {
        /// The receiver.
        to: NodeId,
        /// When.
        since: Instant,
    },
    /// The receiver holds them; packets that still come here are served until then.
    Lingering {
        /// The receiver.
        to: NodeId,
        /// When ours are removed.
        until: Instant,
    },
    /// Ready to take what that node offers.
    Accepting {
        /// The giver.
        from: NodeId,
        /// When.
        since: Instant,
    },
    /// Adding what that node no longer answers for.
    Taking {
        /// The giver.
        from: NodeId,
        /// When.
        since: Instant,
    },
}

/// How much of the group is on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Here {
    /// No address of it.
    None,
    /// Some, or the kernel has not confirmed all.
    Partly,
    /// Every one, confirmed.
    All,
}

/// What the other side was last heard to say of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each set elsewhere")]
pub struct Other {
    /// It takes part in the cluster and is heard.
    pub takes_part: bool,
    /// It has the group, be it that it gives it on already.
    pub holds: bool,
    /// It no longer answers for it, in favour of us.
    pub quiet_for_us: bool,
    /// It offers it to us.
    pub offers_us: bool,
    /// It is ready to take it from us.
    pub takes_from_us: bool,
}

/// What there is to go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How much is on this host.
    pub here: Here,
    /// The kernel answers for none of it.
    pub quieted: bool,
    /// Who should hold it, where that is another node and this one holds it.
    pub target: Option<NodeId>,
    /// A node that offers it to us.
    pub offered_by: Option<NodeId>,
    /// This node may take it.
    pub may_take: bool,
    /// The other side of the present move.
    pub other: Option<Other>,
}

/// What follows for the addresses of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Stop answering ARP and NDP.
    Quiet,
    /// Answer again, and announce.
    Resume,
    /// Add without asking: the giver is quiet.
    Take,
    /// Remove what was taken or given.
    Remove,
}

/// One node's part in moving one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    stage: Stage,
    retry_at: Option<Instant>,
}

impl Default for Handover {
    fn default() -> Self {
        Self { stage: Stage::Idle, retry_at: None }
    }
}

impl Handover {
    /// Where the move is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The other side, while there is a move.
    pub fn with(&self) -> Option<NodeId> {
        match self.stage {
            Stage::Idle => None,
            Stage::Offered { to, .. }
            | Stage::Quieting { to, .. }
            | Stage::Quiet { to, .. }
            | Stage::Lingering { to, .. } => Some(to),
            Stage::Accepting { from, .. } | Stage::Taking { from, .. } => Some(from),
        }
    }

    /// The group is half here and half there: neither side could go on by itself as if nothing had
    /// been said.
    pub fn is_committed(&self) -> bool {
        match self.stage {
            Stage::Quieting { .. }
            | Stage::Quiet { .. }
            | Stage::Lingering { .. }
            | Stage::Taking { .. } => true,
            Stage::Idle | Stage::Offered { .. } | Stage::Accepting { .. } => false,
        }
    }

    /// When [`Handover::advance`] is to be called though nothing was heard.
    pub fn timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Idle => self.retry_at,
            Stage::Offered { since, .. } | Stage::Accepting { since, .. } => {
                Some(since + OFFER_PATIENCE)
            }
            Stage::Quieting { since, .. } | Stage::Quiet { since, .. } => {
                Some(since + QUIET_PATIENCE)
            }
            Stage::Lingering { until, .. } => Some(until),
            Stage::Taking { since, .. } => Some(since + OFFER_PATIENCE),
        }
    }

    /// Takes one step, where the facts allow one; to be called until it gives `None` and the stage
    /// stands still.
    pub fn advance(&mut self, now: Instant, facts: &Facts) -> Option<Command> {
        match self.stage {
            Stage::Idle => self.begin(now, facts),
            Stage::Offered { .. }
            | Stage::Quieting { .. }
            | Stage::Quiet { .. }
            | Stage::Lingering { .. } => self.give(now, facts),
            Stage::Accepting { .. } | Stage::Taking { .. } => self.take(now, facts),
        }
    }

    fn begin(&mut self, now: Instant, facts: &Facts) -> Option<Command> {
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_at = None;
        }
        if let (Here::All, Some(to), None) = (facts.here, facts.target, self.retry_at) {
            self.stage = Stage::Offered { to, since: now };
        } else if let (Here::None, Some(from), true) =
            (facts.here, facts.offered_by, facts.may_take)
        {
            self.stage = Stage::Accepting { from, since: now };
        }
        None
    }

    fn give(&mut self, now: Instant, facts: &Facts) -> Option<Command> {
        let other = facts.other.filter(|other| other.takes_part);
        match self.stage {
            Stage::Offered { to, since } => {
                let given_up = facts.target != Some(to) || facts.here != Here::All;
                if given_up || other.is_none() || now >= since + OFFER_PATIENCE {
                    return self.fail(now, given_up, None);
                }
                if other.is_some_and(|other| other.takes_from_us) {
                    self.stage = Stage::Quieting { to, since: now };
                    return Some(Command::Quiet);
                }
                None
            }
            Stage::Quieting { to, since } | Stage::Quiet { to, since } => {
                if other.is_some_and(|other| other.holds) {
                    self.stage = Stage::Lingering { to, until: now + LINGER };
                } else if other.is_none() || now >= since + QUIET_PATIENCE {
                    return self.fail(now, false, Some(Command::Resume));
                } else if facts.quieted && matches!(self.stage, Stage::Quieting { .. }) {
                    self.stage = Stage::Quiet { to, since: now };
                }
                None
            }
            Stage::Lingering { .. } if other.is_none_or(|other| !other.holds) => {
                // The receiver has died or let go within the moment: it is ours again.
                self.fail(now, false, Some(Command::Resume))
            }
            Stage::Lingering { until, .. } if now >= until => {
                self.stage = Stage::Idle;
                Some(Command::Remove)
            }
            Stage::Idle
            | Stage::Lingering { .. }
            | Stage::Accepting { .. }
            | Stage::Taking { .. } => None,
        }
    }

    fn take(&mut self, now: Instant, facts: &Facts) -> Option<Command> {
        let other = facts.other.filter(|other| other.takes_part);
        match self.stage {
            Stage::Accepting { from, since } => {
                if other.is_some_and(|other| other.quiet_for_us) {
                    self.stage = Stage::Taking { from, since: now };
                    return Some(Command::Take);
                }
                let gone = other.is_none_or(|other| !other.offers_us) || !facts.may_take;
                if gone || now >= since + OFFER_PATIENCE {
                    self.stage = Stage::Idle;
                }
                None
            }
            Stage::Taking { since, .. } => {
                let resumed = other.is_some_and(|other| other.holds && !other.quiet_for_us);
                if facts.here == Here::All && !resumed {
                    self.stage = Stage::Idle;
                    return None;
                }
                if resumed || now >= since + OFFER_PATIENCE {
                    self.stage = Stage::Idle;
                    return Some(Command::Remove);
                }
                None
            }
            Stage::Idle
            | Stage::Offered { .. }
            | Stage::Quieting { .. }
            | Stage::Quiet { .. }
            | Stage::Lingering { .. } => None,
        }
    }

    fn fail(&mut self, now: Instant, willingly: bool, command: Option<Command>) -> Option<Command> {
        self.stage = Stage::Idle;
        self.retry_at = (!willingly).then(|| now + RETRY_AFTER);
        command
    }
}
