//! Who votes, and what a majority is, also while that changes.
//!
//! Owns the counting. Invariant: two majorities share a voter, be they of one electorate or of two
//! that follow each other: those differ by one voter at most, and while not everybody has changed
//! over, both majorities are needed.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::heartbeat::fingerprint;
use crate::place::{NodeId, NodeSet};
use crate::time::Instant;

/// All who vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Electorate {
    /// A fingerprint of their names.
    pub tag: u64,
    /// By the numbers of the present file; one that left the file has none.
    pub voters: NodeSet,
    /// How many there are, with those that have no number.
    pub size: usize,
}

impl Electorate {
    /// The electorate of these names, with the number of each in the present file.
    pub fn new<'a>(voters: impl IntoIterator<Item = (&'a str, Option<NodeId>)>) -> Self {
        let mut voters: Vec<(&str, Option<NodeId>)> = voters.into_iter().collect();
        voters.sort_unstable();
        let tag = fingerprint("standin voters", voters.iter().map(|(name, _)| name.as_bytes()));
        Self {
            tag,
            size: voters.len(),
            voters: voters.into_iter().filter_map(|(_, number)| number).collect(),
        }
    }

    /// The electorate of these names, where nobody asks for their numbers.
    pub fn named(voters: &[&str]) -> Self {
        Self::new(voters.iter().map(|name| (*name, None)))
    }

    /// The fewest votes that are more than half.
    pub fn majority(&self) -> usize {
        self.size / 2 + 1
    }

    /// Whether these are more than half.
    pub fn is_majority(&self, yes: NodeSet) -> bool {
        self.voters.and(yes).len() >= self.majority()
    }

    /// Until when a majority of grants is alive; `ends` gives the end of each voter's.
    fn alive_until(&self, ends: impl Fn(NodeId) -> Option<Instant>) -> Option<Instant> {
        let mut ends: Vec<Instant> = self.voters.iter().filter_map(ends).collect();
        ends.sort_unstable();
        ends.len().checked_sub(self.majority()).map(|place| ends[place])
    }
}

/// The electorate of the present file and, until all have changed over, the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Electorates {
    /// Of the present file.
    pub present: Electorate,
    /// Of the file before.
    pub before: Option<Electorate>,
}

impl Electorates {
    /// All that may have a vote to give.
    pub fn voters(&self) -> NodeSet {
        self.before.map_or(self.present.voters, |before| before.voters.union(self.present.voters))
    }

    /// Whether these are a majority of each.
    pub fn is_majority(&self, yes: NodeSet) -> bool {
        self.present.is_majority(yes) && self.before.is_none_or(|before| before.is_majority(yes))
    }

    /// Until when a majority of grants of each is alive.
    pub fn alive_until(&self, ends: impl Fn(NodeId) -> Option<Instant>) -> Option<Instant> {
        let present = self.present.alive_until(&ends)?;
        match &self.before {
            Some(before) => Some(present.min(before.alive_until(&ends)?)),
            None => Some(present),
        }
    }

    /// Whether somebody with these tags votes together with us.
    pub fn knows(&self, tags: [u64; 2]) -> bool {
        let ours = [Some(self.present.tag), self.before.map(|before| before.tag)];
        ours.into_iter().flatten().any(|tag| tags.contains(&tag))
    }

    /// Both tags; the second is the first where there is one alone.
    pub fn tags(&self) -> [u64; 2] {
        [self.present.tag, self.before.map_or(self.present.tag, |before| before.tag)]
    }
}

/// Why other voters cannot be taken over now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeRefused {
    /// More than one voter comes or goes.
    TooMany {
        /// Those that come.
        added: Vec<String>,
        /// Those that go.
        removed: Vec<String>,
    },
    /// A voter has not changed over to the present file yet, or is not heard.
    Unsettled {
        /// Which.
        voter: String,
    },
    /// A voter that is to go has not changed over to the present file, or is not heard, and the
    /// others are no majority without it: it may be the half that somebody holds a lease by.
    Needed {
        /// Which.
        voter: String,
    },
}

impl fmt::Display for ChangeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { added, removed } => {
                f.write_str(
                    "voters change one at a time, so that two majorities always share one",
                )?;
                for (word, names) in [("comes", added), ("goes", removed)] {
                    for name in names {
                        write!(f, "; {name} {word}")?;
                    }
                }
                f.write_str(": reload every node after each single change")
            }
            Self::Unsettled { voter } => write!(
                f,
                "the voters changed before and {voter} has not taken that over yet, or is not \
                 heard: reload it, wait until `standin status` shows it, then try again"
            ),
            Self::Needed { voter } => write!(
                f,
                "{voter} is not heard, or has not taken over the latest change, and without it the \
                 others are no majority of the present voters: start it again, or another under its \
                 name, then try again"
            ),
        }
    }
}

/// Whether the voters may change so in one step.
///
/// # Errors
/// [`ChangeRefused::TooMany`].
pub fn judge_change(old: &[&str], new: &[&str]) -> Result<(), ChangeRefused> {
    let missing = |from: &[&str], of: &[&str]| -> Vec<String> {
        of.iter().filter(|name| !from.contains(name)).map(|name| String::from(*name)).collect()
    };
    let (added, removed) = (missing(old, new), missing(new, old));
    if added.len() + removed.len() > 1 {
        return Err(ChangeRefused::TooMany { added, removed });
    }
    Ok(())
}
