//! What was decided and why, as data and as sentences.
//!
//! Owns [`Decision`] and the words for it. Never decides. Invariant: a reason carries everything
//! its sentence says, so that it can be shown later, when the view has changed.

use core::fmt;
use core::time::Duration;

use super::set::NodeId;
use super::view::{Bar, BarSentence};
use crate::time::Spoken;

/// What a decision asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Nothing: it stays where it is, or nobody can hold it.
    Keep,
    /// The present holder starts a planned move to the one that is named.
    Move,
    /// The present holder gives it up though nobody takes it.
    GiveUp,
    /// Nobody holds it: the one that is named claims it.
    Claim,
    /// The one that is named claims it when nobody answers for it any more, and not before.
    ClaimWhenSilent,
    /// Several hold it: all but the one that is named withdraw, then that one announces again.
    Resolve,
}

/// Who should hold a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who should hold it; `None` when nobody can.
    pub holder: Option<NodeId>,
    /// Who has it now: of several, the one that keeps it; of a dead node, nobody.
    pub present: Option<NodeId>,
    /// What is to be done about the difference, and by whom.
    pub course: Course,
    /// Why.
    pub reason: Reason,
    /// In how long to decide again, though nothing changes.
    pub again_in: Option<Duration>,
    /// The node where the operator placed the group can no longer hold it: forget the placement.
    pub lapsed: bool,
}

/// Why one node comes before the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// It is the first of the group's order.
    Home,
    /// It is the first of the group's order that can hold it.
    Order,
    /// The order names nobody who can; it is the share of the group's key among those who can.
    Other,
    /// It is its share of a pool.
    Share,
    /// The operator placed it there.
    Placed,
}

/// Why a decision is as it is; [`Reason::sentence`] says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The present holder is the best.
    Best {
        /// Who holds it.
        holder: NodeId,
        /// Why it is the best.
        rank: Rank,
        /// The first of the order and why it is not that one.
        home: Option<(NodeId, Bar)>,
    },
    /// Another is better, and the setting is never to move it for that.
    NoFailback {
        /// Who holds it.
        holder: NodeId,
        /// Who is better.
        best: NodeId,
        /// Why.
        rank: Rank,
    },
    /// Another is better but has not been a candidate for long enough.
    Returning {
        /// Who holds it.
        holder: NodeId,
        /// Who is better.
        best: NodeId,
        /// Why.
        rank: Rank,
        /// How much longer it has to be one.
        left: Duration,
    },
    /// Another is better: it moves there from a holder that could keep it.
    Returned {
        /// Who is better.
        best: NodeId,
        /// Why.
        rank: Rank,
        /// For how long it has been a candidate.
        back_for: Option<Duration>,
    },
    /// The holder is unfit: it moves to the best of the others.
    HolderUnfit {
        /// Who holds it.
        holder: NodeId,
        /// What is wrong with it.
        bar: Bar,
        /// Who takes it.
        best: NodeId,
        /// Why that one.
        rank: Rank,
    },
    /// Nobody passes its check, the holder neither: it stays.
    NobodyPasses {
        /// Who keeps it.
        holder: NodeId,
    },
    /// The holder is unfit but nobody else can hold it: it stays.
    NobodyElse {
        /// Who keeps it.
        holder: NodeId,
        /// What is wrong with it.
        bar: Bar,
    },
    /// The holder reaches nobody and gives it up.
    CutOff {
        /// Who gives it up.
        holder: NodeId,
    },
    /// The holder's daemon is not heard but its host may still answer.
    WhenSilent {
        /// Who holds it, or did when it was last heard.
        holder: NodeId,
        /// Why it is not heard.
        bar: Bar,
        /// Who takes it over when nobody answers.
        best: Option<NodeId>,
    },
    /// The holder is dead.
    HolderDead {
        /// Who held it.
        holder: NodeId,
        /// Who takes it over.
        best: NodeId,
        /// Why that one.
        rank: Rank,
    },
    /// Nobody holds it.
    Unheld {
        /// Who takes it.
        best: NodeId,
        /// Why that one.
        rank: Rank,
        /// The first of the order and why it is not that one.
        home: Option<(NodeId, Bar)>,
    },
    /// Nobody holds it, and the check of no candidate has said anything yet.
    Untried {
        /// Who takes it.
        best: NodeId,
    },
    /// Nobody holds it and nobody can.
    Nobody {
        /// The first of the order and why it cannot.
        home: Option<(NodeId, Bar)>,
    },
    /// Several hold it.
    Duplicate {
        /// Who keeps it.
        winner: NodeId,
        /// The first of those who withdraw.
        loser: NodeId,
        /// How many hold it.
        holders: usize,
    },
}

impl Reason {
    /// A word for machines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Best { .. } => "best",
            Self::NoFailback { .. } => "no-failback",
            Self::Returning { .. } => "returning",
            Self::Returned { .. } => "returned",
            Self::HolderUnfit { .. } => "holder-unfit",
            Self::NobodyPasses { .. } => "nobody-passes",
            Self::NobodyElse { .. } => "nobody-else",
            Self::CutOff { .. } => "cut-off",
            Self::WhenSilent { .. } => "when-silent",
            Self::HolderDead { .. } => "holder-dead",
            Self::Unheld { .. } => "unheld",
            Self::Untried { .. } => "untried",
            Self::Nobody { .. } => "nobody",
            Self::Duplicate { .. } => "duplicate",
        }
    }

    /// The reason as a sentence, with the nodes' names in it.
    pub fn sentence<N: Names + ?Sized>(self, names: &N) -> Sentence<'_, N> {
        Sentence { reason: self, names }
    }
}

/// What the nodes are called.
pub trait Names {
    /// The name of a node; something readable for one that has none.
    fn name(&self, node: NodeId) -> &str;
}

impl<S: AsRef<str>> Names for [S] {
    fn name(&self, node: NodeId) -> &str {
        self.get(node.index()).map_or("an unknown node", AsRef::as_ref)
    }
}

/// A [`Reason`] with names in it, for display.
#[derive(Clone, Copy, Debug)]
pub struct Sentence<'a, N: ?Sized> {
    reason: Reason,
    names: &'a N,
}

impl<N: Names + ?Sized> Sentence<'_, N> {
    fn bar(&self, (node, bar): (NodeId, Bar)) -> BarSentence<'_> {
        bar.sentence(self.names.name(node))
    }
}

/// Why a node comes before the others, as a clause.
struct RankClause<'a>(Rank, &'a str);

impl fmt::Display for RankClause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(rank, node) = self;
        match rank {
            Rank::Home => write!(f, "{node} is home"),
            Rank::Order => write!(f, "{node} is next in its order"),
            Rank::Other => write!(f, "{node} is the next node that can hold it"),
            Rank::Share => write!(f, "it is {node}'s share of the pool"),
            Rank::Placed => write!(f, "the operator placed it on {node}"),
        }
    }
}

impl<N: Names + ?Sized> fmt::Display for Sentence<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |node| self.names.name(node);
        let clause = |rank, node| RankClause(rank, self.names.name(node));
        match self.reason {
            Reason::Best { holder, rank: Rank::Other, home: None } => {
                write!(f, "{} holds it and no node is preferred", name(holder))
            }
            Reason::Best { holder, rank: Rank::Other, home: Some(home) } => {
                write!(f, "{}; {} holds it and no other is preferred", self.bar(home), name(holder))
            }
            Reason::Best { holder, rank, home: None } => write!(f, "{}", clause(rank, holder)),
            Reason::Best { holder, rank, home: Some(home) } => {
                write!(f, "{}; {}", self.bar(home), clause(rank, holder))
            }
            Reason::NoFailback { holder, best, rank } => {
                write!(f, "{} holds it and failback is no", name(holder))?;
                write!(f, ", though {}", clause(rank, best))
            }
            Reason::Returning { holder, best, rank, left } => {
                write!(f, "{}; {} keeps it", clause(rank, best), name(holder))?;
                write!(f, " until {} has been back for {} more", name(best), Spoken(left))
            }
            Reason::Returned {
                best,
                rank: rank @ (Rank::Home | Rank::Order),
                back_for: Some(back),
            } if !back.is_zero() => {
                write!(f, "{} and has been back for {}", clause(rank, best), Spoken(back))
            }
            Reason::Returned { best, rank, back_for: _ } => write!(f, "{}", clause(rank, best)),
            Reason::HolderUnfit { holder, bar, best, rank } => {
                write!(f, "{}; {}", self.bar((holder, bar)), clause(rank, best))
            }
            Reason::NobodyPasses { holder } => {
                write!(f, "nobody passes its check; {} keeps it", name(holder))
            }
            Reason::NobodyElse { holder, bar } => {
                write!(f, "{} but nobody else can hold it", self.bar((holder, bar)))?;
                write!(f, "; {} keeps it", name(holder))
            }
            Reason::CutOff { holder } => {
                write!(f, "{} is cut off and gives it up", name(holder))
            }
            Reason::WhenSilent { holder, bar, best: Some(best) } => {
                write!(f, "{}; {}", self.bar((holder, bar)), name(best))?;
                write!(f, " takes over as soon as nobody answers")
            }
            Reason::WhenSilent { holder, bar, best: None } => {
                write!(f, "{} and nobody else can hold it", self.bar((holder, bar)))
            }
            Reason::HolderDead { holder, best, rank } => {
                write!(f, "{} is dead; {}", name(holder), clause(rank, best))
            }
            Reason::Unheld { best, rank, home: None } => {
                write!(f, "nobody holds it; {}", clause(rank, best))
            }
            Reason::Unheld { best, rank, home: Some(home) } => {
                write!(f, "nobody holds it; {}; {}", self.bar(home), clause(rank, best))
            }
            Reason::Untried { best } => {
                let best = name(best);
                write!(f, "nobody holds it and no check has said anything yet; {best} tries")
            }
            Reason::Nobody { home: None } => write!(f, "nobody can hold it"),
            Reason::Nobody { home: Some(home) } => {
                write!(f, "nobody can hold it; {}", self.bar(home))
            }
            Reason::Duplicate { winner, loser, holders: 2 } => {
                write!(f, "{} and {} both hold it", name(winner), name(loser))?;
                write!(f, "; {} withdraws first", name(loser))
            }
            Reason::Duplicate { winner, loser: _, holders } => {
                write!(f, "{holders} nodes hold it; all but {} withdraw first", name(winner))
            }
        }
    }
}
