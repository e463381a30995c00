//! The leases of one node: what it votes for, what it claims, and what its kernel was told.
//!
//! Owns the state between the voter and the claims of [`crate::lease`] and the rest of a cluster.
//! Decides neither who should hold a group nor what is sent when. Invariant: a lease is given up
//! only when the kernel answers for the group no more, or is quiet and about to end.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::settings::{OnDoubt, Quorum, Settings};
use crate::config::{ADDRESS_LIFETIME, VipId};
use crate::lease::claim::Claim;
use crate::lease::electorate::{ChangeRefused, Electorate};
use crate::lease::message::{self, AsksHead};
use crate::lease::voter::{Request, Voter};
use crate::lease::{Answer, Ask, Ballot, Key, LIFETIME_RESERVE, held_for};
use crate::place::{NodeId, NodeSet};
use crate::time::Instant;

/// What of a lease outlives a change of the configuration.
#[derive(Clone, Debug)]
pub struct Memory {
    voter: Voter,
    round: u32,
    before: Option<Electorate>,
    settled_from: Instant,
}

/// What the kernel was told of one group.
#[derive(Clone, Debug)]
pub(crate) struct InKernel {
    pub(crate) vips: Arc<[VipId]>,
    /// The kernel itself ends it.
    pub(crate) managed: bool,
    /// It answers until then, as it has confirmed.
    pub(crate) until: Option<Instant>,
    /// It was told so and has not confirmed it.
    pub(crate) asked: Option<Instant>,
    /// It was told to answer no more and has not confirmed it.
    pub(crate) ending: bool,
    /// It refused, which was said; it is told again from then on.
    pub(crate) refused: Option<Instant>,
}

/// How a group's lease goes to the receiver of a planned move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ceding {
    /// It does not.
    #[default]
    No,
    /// The kernel was told to end soon.
    Shortening,
    /// It is given up; what still comes here is served until the kernel's end.
    Ceded,
}

/// One group's lease.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each set elsewhere")]
pub(crate) struct Tenure {
    pub(crate) key: Key,
    pub(crate) claim: Claim,
    pub(crate) kernel: InKernel,
    /// This node should hold the group.
    pub(crate) wanted: bool,
    pub(crate) ceding: Ceding,
    /// Found on this host at the start: it is not removed before so much time was given to get the
    /// lease again.
    pub(crate) grace_until: Option<Instant>,
    pub(crate) on_doubt: OnDoubt,
    /// It was here under a lease in this run.
    pub(crate) had: bool,
    /// That there is no majority was said.
    pub(crate) doubted: bool,
    /// Its addresses know that they may be here, as they do at the start.
    pub(crate) allowed: bool,
}

/// A grant whose holder was cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fenced {
    pub(crate) key: Key,
    pub(crate) ballot: Ballot,
    pub(crate) until: Instant,
}

/// The leases of one node.
#[derive(Clone, Debug)]
pub(crate) struct Leases {
    pub(crate) quorum: Quorum,
    pub(crate) voter: Voter,
    pub(crate) tenures: Vec<Tenure>,
    group_of: BTreeMap<Key, usize>,
    /// By member: answers that wait for the next word to it.
    owed: Vec<BTreeMap<Key, (Ballot, Answer)>>,
    /// By member: the voters it goes by, and whether it has settled on them.
    goes_by: Vec<Option<(u64, bool)>>,
    /// What this node granted before it went by the present voters alone has run out by then.
    settled_from: Instant,
    /// All voters go by ours since then.
    pub(crate) agreed_since: Option<Instant>,
    round: u32,
    run: u32,
    pub(crate) fenced: Vec<Fenced>,
    /// By node: the fencing command was run then.
    pub(crate) fencing: Vec<Option<Instant>>,
    /// Something has changed from which something may follow.
    pub(crate) dirty: bool,
    /// Members that are asked out of turn.
    pub(crate) pressing: NodeSet,
    /// A renewal has no time to wait for the voter's next heartbeat.
    prompt: bool,
}

/// What should be left of a lease when a renewal comes: busy machines keep a process waiting for
/// tens of milliseconds.
const SLACK: Duration = Duration::from_millis(100);

/// Whether a renewal that waits for the voter's next heartbeat may come too late for a hold-up. One
/// heartbeat asks, up to an interval after the one before; the next of the voter answers, up to an
/// interval after that.
fn is_prompt(settings: &Settings, quorum: &Quorum) -> bool {
    let waits = settings.timing.interval * 2 + SLACK;
    let reserves = settings.groups.iter().map(|group| reserve(quorum.guarded, group.on_doubt));
    let usable = |reserve| held_for(quorum.length).saturating_sub(reserve);
    reserves.map(usable).min().is_some_and(|usable| usable < waits)
}

/// The last part of a lease in which a group may not be answered for.
fn reserve(guarded: bool, on_doubt: OnDoubt) -> core::time::Duration {
    match on_doubt {
        OnDoubt::Hold => Duration::ZERO,
        OnDoubt::Release if guarded => crate::lease::GUARD_RESERVE,
        OnDoubt::Release => crate::lease::LIFETIME_RESERVE,
    }
}

impl Leases {
    /// `run` is random.
    pub(crate) fn new(settings: &Settings, quorum: &Quorum, run: u32, now: Instant) -> Self {
        let nodes = settings.names.len();
        let tenures: Vec<Tenure> = settings
            .groups
            .iter()
            .map(|group| Tenure {
                key: group.lease,
                claim: Claim::new(nodes, quorum.length, now)
                    .with_reserve(reserve(quorum.guarded, group.on_doubt)),
                kernel: InKernel {
                    vips: Arc::from(&*group.vips),
                    managed: quorum.guarded && group.on_doubt == OnDoubt::Release,
                    until: None,
                    asked: None,
                    ending: false,
                    refused: None,
                },
                wanted: false,
                ceding: Ceding::No,
                grace_until: None,
                on_doubt: group.on_doubt,
                had: false,
                doubted: false,
                allowed: true,
            })
            .collect();
        let keys = tenures.iter().map(|tenure| tenure.key);
        Self {
            voter: Voter::new(keys.clone(), quorum.length, now),
            group_of: keys.zip(0..).collect(),
            tenures,
            owed: vec![BTreeMap::new(); settings.members.len()],
            goes_by: vec![None; settings.members.len()],
            settled_from: now + quorum.length,
            agreed_since: None,
            round: 0,
            run,
            fenced: Vec::new(),
            fencing: vec![None; nodes],
            dirty: true,
            pressing: NodeSet::default(),
            prompt: is_prompt(settings, quorum),
            quorum: quorum.clone(),
        }
    }

    /// What the next configuration of this node needs to know.
    pub(crate) fn memory(&self) -> Memory {
        Memory {
            voter: self.voter.clone(),
            round: self.round,
            before: self.quorum.voters.before,
            settled_from: self.settled_from,
        }
    }

    /// Goes on where the configuration before left off, in the same process.
    pub(crate) fn recall(&mut self, memory: Memory, now: Instant) {
        self.voter = memory.voter;
        let keys = self.tenures.iter().map(|tenure| tenure.key);
        self.voter.change(keys, self.quorum.length, now);
        self.round = memory.round;
        self.settled_from = memory.settled_from;
        let voters = &mut self.quorum.voters;
        if voters.before.is_none() {
            voters.before = memory.before;
        }
    }

    /// A ballot that no other attempt has, of a round above `over`.
    pub(crate) fn ballot(&mut self, over: u32) -> Ballot {
        self.round = self.round.max(over).saturating_add(1);
        Ballot { round: self.round, run: self.run }
    }

    /// A member says by which voters it goes.
    pub(crate) fn note_voters(&mut self, member: usize, said: Option<(u64, bool)>) {
        self.dirty |= self.goes_by[member] != said;
        self.goes_by[member] = said;
    }

    /// Whether a member goes by other voters than this node.
    pub(crate) fn is_stranger(&self, member: usize) -> bool {
        let tag = self.quorum.voters.present.tag;
        self.goes_by[member].is_some_and(|(theirs, _)| theirs != tag)
    }

    /// Drops the voters before once every voter has gone by the present ones for one length: all
    /// that was granted to another majority has run out.
    pub(crate) fn settle_voters(&mut self, agreed: bool, now: Instant) {
        if !agreed {
            self.agreed_since = None;
            return;
        }
        let since = *self.agreed_since.get_or_insert(now);
        if self.quorum.voters.before.is_some() && now.since(since) >= self.quorum.length {
            self.quorum.voters.before = None;
            // A grant may be longer than the present length: that may have changed as well.
            let bound = self.voter.grants(now).into_iter().map(|(_, _, until)| until);
            self.settled_from = bound.fold(now + self.quorum.length, Instant::max);
        }
    }

    /// Whether nothing lives any more that this node granted to those who went by voters before
    /// the present ones: it has gone by these alone for one length. Only then do others hear it,
    /// and take it as a reason to change the voters again.
    pub(crate) fn is_settled(&self, now: Instant) -> bool {
        self.quorum.voters.before.is_none() && self.settled_from <= now
    }

    /// When [`Leases::settle_voters`] drops the voters before.
    pub(crate) fn settles_at(&self) -> Option<Instant> {
        let since = self.agreed_since.filter(|_| self.quorum.voters.before.is_some())?;
        Some(since + self.quorum.length)
    }

    /// Whether a member has said the present tag, and whether it has settled.
    pub(crate) fn agrees(&self, member: usize) -> (bool, bool) {
        let tag = self.quorum.voters.present.tag;
        let said = self.goes_by[member].filter(|(theirs, _)| *theirs == tag);
        (said.is_some(), said.is_some_and(|(_, settled)| settled))
    }

    /// Whether voters of these names may come next; `heard` says which members are. Who goes by them
    /// already has asked the same before. One that leaves need not have settled, since it may be
    /// dead; but then the others have to be a majority of the present voters without it. Those of the
    /// voters before the present that may grant by these before alone are no majority of theirs then.
    pub(crate) fn judge_settled(
        &self,
        settings: &Settings,
        next: &[&str],
        heard: impl Fn(usize) -> bool,
        now: Instant,
    ) -> Result<(), ChangeRefused> {
        let name = |node| String::from(settings.name(node));
        if !self.is_settled(now) {
            return Err(ChangeRefused::Unsettled { voter: name(settings.me) });
        }
        let (present, tag) = (self.quorum.voters.present, Electorate::named(next).tag);
        let (mut settled, mut missing) = (NodeSet::only(settings.me), None);
        for (place, member) in settings.members.iter().enumerate() {
            let is_ahead = self.goes_by[place].is_some_and(|(theirs, _)| theirs == tag);
            if !present.voters.contains(member.node) {
                continue;
            }
            if heard(place) && (self.agrees(place).1 || is_ahead) {
                settled.insert(member.node);
            } else if next.contains(&settings.name(member.node)) {
                return Err(ChangeRefused::Unsettled { voter: name(member.node) });
            } else {
                missing = Some(member.node);
            }
        }
        match missing {
            Some(node) if !present.is_majority(settled) => {
                Err(ChangeRefused::Needed { voter: name(node) })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A member asks; its answers wait for the next word to it.
    pub(crate) fn hear_asks(&mut self, member: usize, from: u64, body: &[u8], now: Instant) {
        let Some((head, asks)) = message::parse_asks(body) else { return };
        let AsksHead { tags, stamp, length } = head;
        let known = self.quorum.voters.knows(tags);
        for (key, ballot, ask) in asks {
            let request = Request { from, key, ballot, ask, stamp, length };
            let answer = if known { self.voter.hear(now, &request) } else { Answer::Stranger };
            // One for each group that there is, whatever is asked.
            if self.group_of.contains_key(&key) {
                self.owed[member].insert(key, (ballot, answer));
            }
        }
    }

    /// Whether a member waits for an answer.
    pub(crate) fn owes(&self, member: usize) -> bool {
        !self.owed[member].is_empty()
    }

    /// A voter has answered. `pause` is how long to wait before outbidding another claim.
    pub(crate) fn hear_answers(
        &mut self,
        voter: NodeId,
        body: &[u8],
        now: Instant,
        mut pause: impl FnMut() -> Duration,
    ) {
        for (key, ballot, answer) in message::parse_answers(body).into_iter().flatten() {
            if let Some(group) = self.group_of.get(&key).copied() {
                self.hear_answer(group, voter, (ballot, answer), now, pause());
            }
        }
    }

    fn hear_answer(
        &mut self,
        group: usize,
        voter: NodeId,
        said: (Ballot, Answer),
        now: Instant,
        pause: Duration,
    ) {
        self.dirty = true;
        let (voters, tenure) = (&self.quorum.voters, &mut self.tenures[group]);
        let outbid = tenure.claim.hear(now, voters, voter, said, pause);
        if let Some(by) = outbid {
            let ballot = self.ballot(by.round);
            // Where it is held; otherwise the next attempt takes a still higher one.
            self.tenures[group].claim.raise(ballot);
        }
    }

    /// Asks this node's own voter whatever there is to ask.
    pub(crate) fn ask_own(&mut self, me: NodeId, own: u64, now: Instant, pause: Duration) {
        if !self.quorum.voters.voters().contains(me) {
            return;
        }
        for group in 0..self.tenures.len() {
            let tenure = &mut self.tenures[group];
            if !tenure.claim.due(now, &self.quorum.voters).contains(me) {
                continue;
            }
            let Some((ask, ballot, length)) = tenure.claim.ask(now, me) else { continue };
            let (key, stamp) = (tenure.key, now.as_nanos());
            let request = Request { from: own, key, ballot, ask, stamp, length };
            let answer = self.voter.hear(now, &request);
            self.hear_answer(group, me, (ballot, answer), now, pause);
        }
    }

    /// Whether a voter is to answer at once, and not with its next heartbeat.
    pub(crate) fn presses(&self, node: NodeId) -> bool {
        let asks = || self.tenures.iter().any(|tenure| tenure.claim.is_active());
        let votes = self.quorum.voters.voters().contains(node);
        self.pressing.contains(node) || (self.prompt && votes && asks())
    }

    /// The sections for a member, each no longer than `room` bytes: what is asked of it as a
    /// voter, and the answers that it waits for.
    pub(crate) fn sections_for(
        &mut self,
        member: usize,
        node: NodeId,
        now: Instant,
        room: usize,
    ) -> Vec<(u8, Vec<u8>)> {
        let mut sections = vec![(
            message::VOTERS,
            message::voters_body(self.quorum.voters.present.tag, self.is_settled(now)),
        )];
        self.put_asks(node, now, room, &mut sections);
        let mut body = Vec::new();
        for (key, (ballot, answer)) in core::mem::take(&mut self.owed[member]) {
            if body.len() + message::ANSWER_LENGTH_MAX > room {
                sections.push((message::ANSWERS, core::mem::take(&mut body)));
            }
            message::put_answer(&mut body, key, ballot, &answer);
        }
        if !body.is_empty() {
            sections.push((message::ANSWERS, body));
        }
        sections
    }

    fn put_asks(
        &mut self,
        node: NodeId,
        now: Instant,
        room: usize,
        sections: &mut Vec<(u8, Vec<u8>)>,
    ) {
        if !self.quorum.voters.voters().contains(node) {
            return;
        }
        // First: a voter keeps its last answer about a group, which is to be that to our claim.
        let fenced = self.fenced.iter().filter(|fenced| now < fenced.until);
        let fenced = fenced.map(|fenced| (fenced.key, fenced.ballot, Ask::Release));
        let mut asks: Vec<_> = fenced.collect();
        let mut length = self.quorum.length;
        for tenure in &mut self.tenures {
            if let Some((ask, ballot, most)) = tenure.claim.ask(now, node) {
                length = length.min(most);
                asks.push((tenure.key, ballot, ask));
            }
        }
        let head = AsksHead { tags: self.quorum.voters.tags(), stamp: now.as_nanos(), length };
        let most = (room.saturating_sub(message::ASKS_HEAD) / message::ASK_LENGTH).max(1);
        for chunk in asks.chunks(most) {
            let mut body = Vec::new();
            message::put_head(&mut body, &head);
            for (key, ballot, ask) in chunk {
                message::put_ask(&mut body, *key, *ballot, *ask);
            }
            sections.push((message::ASKS, body));
        }
    }

    /// Whether a group should be here.
    pub(crate) fn want(&mut self, group: usize, wanted: bool) {
        let tenure = &mut self.tenures[group];
        self.dirty |= core::mem::replace(&mut tenure.wanted, wanted) != wanted;
    }

    /// The lease of a group is being given up in our favour, or is not.
    pub(crate) fn hurry(&mut self, group: usize, eager: bool) {
        self.dirty |= self.tenures[group].claim.hurry(eager);
    }

    /// A grant whose holder was cut off is void: here, and for every voter that is asked.
    pub(crate) fn end_grant(&mut self, own: u64, fenced: Fenced, now: Instant) {
        let Fenced { key, ballot, .. } = fenced;
        let length = self.quorum.length;
        let ask = Ask::Release;
        let request = Request { from: own, key, ballot, ask, stamp: now.as_nanos(), length };
        self.voter.hear(now, &request);
        self.fenced.push(fenced);
    }

    /// For how long, `most` at most, an address of a group may be left behind when the daemon ends
    /// and the next run is to find it. Where the kernel does not end a lease by itself, the address
    /// has to be gone by its lifetime before the lease is over; none where there is no time.
    pub(crate) fn keeps_for(&self, group: usize, now: Instant, most: Duration) -> Option<Duration> {
        let tenure = &self.tenures[group];
        if tenure.kernel.managed || tenure.on_doubt == OnDoubt::Hold {
            return Some(most);
        }
        let left = tenure.claim.until(&self.quorum.voters)?.since(now);
        let outlives = LIFETIME_RESERVE.saturating_sub(ADDRESS_LIFETIME);
        // Lifetimes are whole seconds.
        let whole = Duration::from_secs(left.saturating_sub(outlives).as_secs());
        (!whole.is_zero()).then_some(whole.min(most))
    }

    /// Until when a group may be answered for here.
    pub(crate) fn right(&self, group: usize, is_here: bool) -> Option<Instant> {
        let tenure = &self.tenures[group];
        if tenure.ceding == Ceding::Ceded {
            return tenure.kernel.until;
        }
        let until = tenure.claim.until(&self.quorum.voters);
        match tenure.on_doubt {
            OnDoubt::Hold if is_here => Some(Instant::from_nanos(u64::MAX)),
            OnDoubt::Hold => until,
            OnDoubt::Release if tenure.kernel.managed => Some(tenure.kernel.until?.min(until?)),
            OnDoubt::Release => until.map(|until| until - crate::lease::LIFETIME_RESERVE),
        }
    }
}
