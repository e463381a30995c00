//! How a node gets the lease of one group, keeps it, and gives it up.
//!
//! Owns one group's attempt: what was asked of each voter, what each said, when each is asked
//! again. Never sends. Invariant: [`Claim::until`] counts only grants of this tenure, each from the
//! stamp of its own request.
//!
//! ```text
//!          want                a majority promised            a majority granted
//!   Idle ───────▶ Preparing ─────────────────────▶ Proposing ───────────────────▶ held, renewed
//!    ▲               ▲ │ outbid: a higher ballot        │                            │
//!    └── give up ────┴─┴────────────────────────────────┴────────────────────────────┘
//! ```

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::electorate::Electorates;
use super::{Answer, Ask, Ballot, held_for};
use crate::place::{NodeId, NodeSet};
use crate::time::Instant;

/// A voter that does not answer is asked again after this share of the length, at first.
const PACE_SHARE: u32 = 32;
const PACE_LEAST: Duration = Duration::from_millis(2);
const PACE_MOST: Duration = Duration::from_millis(100);
/// The pause grows to this share of the length where nobody answers.
const PATIENCE_SHARE: u32 = 4;
/// A voter is asked anew after this share of what can be used of a lease, where no heartbeat did so
/// before.
const RENEW_SHARE: u32 = 3;
/// Less than these tenths of the holder's time left: every voter whose grant is old is pressed.
const PRESS_TENTHS: u32 = 4;
/// The receiver of a planned move tries again so soon after it heard that the giver has it still.
const EAGER_PAUSE: Duration = Duration::from_millis(1);
/// What is left of another's grant is told in microseconds.
const GRAIN: Duration = Duration::from_micros(100);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Preparing,
    Proposing,
}

/// One voter, as far as this group goes.
#[derive(Clone, Copy, Debug, Default)]
struct Vote {
    promised: bool,
    /// The end of its grant, on the holder's reckoning.
    until: Option<Instant>,
    asked_at: Option<Instant>,
    /// Requests since its last answer.
    unanswered: u32,
    /// Not before then, whatever the pace: it has said why.
    not_before: Option<Instant>,
    /// The most it binds itself for, where that is less than what was asked.
    most: Option<Duration>,
    /// It knows that we gave up.
    released: bool,
}

/// Why a claim has no majority, as its voters last said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Obstacle {
    /// Another node has it: its [`crate::heartbeat::NodeId`], its ballot, and until when at most.
    pub taken: Option<(u64, Ballot, Instant)>,
    /// Voters that have just started.
    pub quiet: NodeSet,
    /// Voters whose file is another.
    pub strangers: NodeSet,
}

/// One group's claim.
#[derive(Clone, Debug)]
pub struct Claim {
    length: Duration,
    /// The last part of a lease that is of no use here.
    reserve: Duration,
    stage: Stage,
    first: Ballot,
    ballot: Ballot,
    /// The tenure began then: no older stamp counts.
    since: Instant,
    votes: Vec<Vote>,
    /// Outbid: the next attempt begins then.
    retry_at: Option<Instant>,
    /// Given up: the voters are told until then.
    releasing: Option<Instant>,
    /// What is asked for is just being given up by its holder.
    eager: bool,
    obstacle: Obstacle,
}

impl Claim {
    /// Of a group that is not claimed. There are `nodes` nodes and witnesses.
    pub fn new(nodes: usize, length: Duration, now: Instant) -> Self {
        Self {
            length,
            reserve: Duration::ZERO,
            stage: Stage::Idle,
            first: Ballot::default(),
            ballot: Ballot::default(),
            since: now,
            votes: vec![Vote::default(); nodes],
            retry_at: None,
            releasing: None,
            eager: false,
            obstacle: Obstacle::default(),
        }
    }

    /// The same, where the last part of a lease is of no use: it is renewed that much earlier.
    #[must_use]
    pub fn with_reserve(self, reserve: Duration) -> Self {
        Self { reserve, ..self }
    }

    /// What there is of a lease to be used.
    fn usable(&self) -> Duration {
        held_for(self.length).saturating_sub(self.reserve)
    }

    /// Whether it is claimed or held.
    pub fn is_active(&self) -> bool {
        self.stage != Stage::Idle
    }

    /// What kept it from a majority when voters last said no.
    pub fn obstacle(&self) -> Obstacle {
        self.obstacle
    }

    /// Begins a claim with a ballot of this round. Where there is one already: nothing.
    pub fn begin(&mut self, now: Instant, ballot: Ballot) {
        if self.is_active() {
            return;
        }
        self.first = ballot;
        self.since = now;
        self.releasing = None;
        self.obstacle = Obstacle::default();
        for vote in &mut self.votes {
            let most = vote.most;
            *vote = Vote { most, ..Vote::default() };
        }
        self.prepare(ballot);
    }

    /// The holder is known to be giving it to us: a voter that says it is taken is asked again at
    /// once. Returns whether that is news.
    pub fn hurry(&mut self, eager: bool) -> bool {
        let news = self.eager != eager;
        if eager && news {
            for vote in &mut self.votes {
                vote.not_before = None;
            }
        }
        self.eager = eager;
        news
    }

    /// An attempt after one that was outbid. Grants that are alive stay so.
    fn prepare(&mut self, ballot: Ballot) {
        self.stage = Stage::Preparing;
        self.ballot = ballot;
        self.retry_at = None;
        for vote in &mut self.votes {
            vote.promised = false;
            vote.asked_at = None;
            vote.unanswered = 0;
        }
    }

    /// Gives it up: nothing of it counts from now on, and the voters are told. What the kernel
    /// answers for must have ended before.
    pub fn give_up(&mut self, now: Instant) {
        if !self.is_active() {
            return;
        }
        self.stage = Stage::Idle;
        self.retry_at = None;
        self.eager = false;
        self.releasing = Some(now + self.length);
        for vote in &mut self.votes {
            let most = vote.most;
            *vote = Vote { most, ..Vote::default() };
        }
    }

    /// Until when this node holds the group, on its own clock, for all that it knows.
    pub fn until(&self, voters: &Electorates) -> Option<Instant> {
        if !self.is_active() {
            return None;
        }
        voters.alive_until(|voter| self.vote(voter).and_then(|vote| vote.until))
    }

    /// The voters whose grants are alive.
    pub fn granted_by(&self, now: Instant) -> NodeSet {
        let alive = |vote: &Vote| vote.until.is_some_and(|until| now < until);
        let each = (0_u16..).map(NodeId).zip(&self.votes);
        each.filter(|(_, vote)| alive(vote)).map(|(voter, _)| voter).collect()
    }

    /// Whether the voters are still told that it was given up.
    fn releases(&self, now: Instant) -> bool {
        self.releasing.is_some_and(|until| now < until)
    }

    fn vote(&self, voter: NodeId) -> Option<&Vote> {
        self.votes.get(voter.index())
    }

    /// What is to be asked of a voter with the next word to it, and for how long; it is taken as
    /// asked `now`.
    pub fn ask(&mut self, now: Instant, voter: NodeId) -> Option<(Ask, Ballot, Duration)> {
        let (stage, ballot, length) = (self.stage, self.ballot, self.length);
        let releasing = self.releases(now);
        let waits = self.retry_at.is_some();
        let vote = self.votes.get_mut(voter.index())?;
        let ask = match stage {
            Stage::Idle if releasing && !vote.released => Ask::Release,
            Stage::Preparing if !vote.promised && !waits => Ask::Prepare,
            Stage::Proposing => Ask::Propose,
            Stage::Idle | Stage::Preparing => return None,
        };
        vote.asked_at = Some(now);
        vote.unanswered = vote.unanswered.saturating_add(1);
        vote.not_before = None;
        Some((ask, ballot, vote.most.map_or(length, |most| most.min(length))))
    }

    /// When a voter should be asked though no heartbeat goes to it.
    fn ask_at(&self, now: Instant, voter: NodeId, held_until: Option<Instant>) -> Option<Instant> {
        let vote = self.vote(voter)?;
        let asked = vote.asked_at;
        let pace = (self.length / PACE_SHARE).clamp(PACE_LEAST, PACE_MOST);
        let grown = pace * 2_u32.saturating_pow(vote.unanswered.saturating_sub(4).min(8));
        let pressed = grown.min(self.length / PATIENCE_SHARE).max(pace);
        let now_or = |wait: Duration| asked.map_or(Instant::default(), |at| at + wait);
        let at = match self.stage {
            Stage::Idle if self.releases(now) && !vote.released => now_or(pressed),
            Stage::Idle => return None,
            Stage::Preparing if self.retry_at.is_some() || vote.promised => return None,
            Stage::Preparing => now_or(pressed),
            Stage::Proposing => match held_until {
                // In good time: heartbeats carry the renewal, if they come often enough.
                Some(until) => {
                    let press = until - self.reserve - self.usable() * PRESS_TENTHS / 10;
                    let stale = vote.until.is_none_or(|end| end <= until);
                    let unhurried = now_or((self.usable() / RENEW_SHARE).max(PACE_LEAST));
                    if stale { unhurried.min(press.max(now_or(pressed))) } else { unhurried }
                }
                None => now_or(pressed),
            },
        };
        Some(vote.not_before.map_or(at, |not_before| at.max(not_before)))
    }

    /// The voters to be asked now, whether a heartbeat is due or not.
    pub fn due(&self, now: Instant, voters: &Electorates) -> NodeSet {
        let until = self.until(voters).filter(|until| now < *until);
        let due = |voter: &NodeId| self.ask_at(now, *voter, until).is_some_and(|at| at <= now);
        voters.voters().iter().filter(due).collect()
    }

    /// When [`Claim::due`] or [`Claim::retries`] has something new to say.
    pub fn timeout(&self, now: Instant, voters: &Electorates) -> Option<Instant> {
        let held = self.until(voters).filter(|until| now < *until);
        let asks = voters.voters().iter().filter_map(|voter| self.ask_at(now, voter, held)).min();
        [asks, held, self.retry_at].into_iter().flatten().min()
    }

    /// Whether an attempt that was outbid is to be made again now.
    pub fn retries(&self, now: Instant) -> bool {
        self.retry_at.is_some_and(|at| at <= now)
    }

    /// Makes it again, with a ballot of a higher round.
    pub fn retry(&mut self, ballot: Ballot) {
        self.prepare(ballot);
    }

    /// A voter has answered. Returns a ballot that this node has to outbid, if there is one, with
    /// `pause` before the next attempt.
    pub fn hear(
        &mut self,
        now: Instant,
        voters: &Electorates,
        voter: NodeId,
        (ballot, answer): (Ballot, Answer),
        pause: Duration,
    ) -> Option<Ballot> {
        let held = self.until(voters).is_some_and(|until| now < until);
        let (stage, current, since) = (self.stage, self.ballot, self.since);
        let of_tenure = ballot.run == current.run && self.first <= ballot && ballot <= current;
        let (eager, length) = (self.eager, self.length);
        let vote = self.votes.get_mut(voter.index())?;
        if answer == Answer::Released {
            vote.released |= stage == Stage::Idle && ballot == current;
            return None;
        }
        if !of_tenure || stage == Stage::Idle {
            return None;
        }
        vote.unanswered = 0;
        self.obstacle.quiet = self.obstacle.quiet.without(NodeSet::only(voter));
        self.obstacle.strangers = self.obstacle.strangers.without(NodeSet::only(voter));
        match answer {
            Answer::Promised if ballot == current && stage == Stage::Preparing => {
                vote.promised = true;
                self.count_promises(voters);
            }
            Answer::Granted { stamp, length } => {
                let stamp = Instant::from_nanos(stamp);
                if since <= stamp && stamp <= now {
                    let end = stamp + held_for(length);
                    vote.until = Some(vote.until.map_or(end, |old| old.max(end)));
                }
                self.obstacle.taken = None;
            }
            Answer::Taken { holder, ballot, left } => {
                // Its clock may be the faster one.
                let end = now + left + left / 50 + GRAIN;
                let pause = if eager {
                    EAGER_PAUSE
                } else if left > length / PATIENCE_SHARE {
                    left / 2
                } else {
                    end.since(now)
                };
                vote.not_before = Some(now + pause);
                self.obstacle.taken = Some((holder, ballot, end));
            }
            Answer::Quiet { left } => {
                vote.not_before = Some(now + left + left / 50 + GRAIN);
                self.obstacle.quiet.insert(voter);
            }
            Answer::TooLong { most } => {
                vote.most = Some(most);
                vote.asked_at = None;
            }
            Answer::Stranger => {
                vote.not_before = Some(now + length);
                self.obstacle.strangers.insert(voter);
            }
            Answer::Outbid(_) if ballot != current => {}
            Answer::Outbid(promised) if held => {
                // Its grant to us ran out and another asked: the majority that we have counts. It
                // hears us again with a higher ballot.
                return Some(promised);
            }
            Answer::Outbid(promised) => {
                self.stage = Stage::Preparing;
                self.retry_at.get_or_insert(now + pause);
                return Some(promised);
            }
            Answer::Promised | Answer::Released => {}
        }
        None
    }

    fn count_promises(&mut self, voters: &Electorates) {
        let each = (0_u16..).map(NodeId).zip(&self.votes);
        let promised = each.filter(|(_, vote)| vote.promised).map(|(voter, _)| voter).collect();
        if voters.is_majority(promised) {
            self.stage = Stage::Proposing;
            for vote in &mut self.votes {
                vote.asked_at = None;
                vote.unanswered = 0;
            }
        }
    }

    /// While it is held: renewals carry this higher ballot from now on.
    pub fn raise(&mut self, ballot: Ballot) {
        if self.stage == Stage::Proposing && ballot > self.ballot {
            self.ballot = ballot;
        }
    }

    /// The ballot of the present attempt.
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }
}
