//! What a voter grants, and to whom it says no.
//!
//! Owns the promises and grants of one voter. Keeps no clock: `now` has to be sampled after the
//! request was received, since a grant counts from then. Invariants: at most one grant of a group is
//! alive; nothing is granted within one length after the start.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Answer, Ask, Ballot, Key};
use crate::time::Instant;

/// A group as a voter sees it.
#[derive(Clone, Debug)]
struct Slot {
    promised: Ballot,
    grant: Option<Grant>,
    quiet_until: Instant,
}

/// A vote that binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Grant {
    to: u64,
    ballot: Ballot,
    until: Instant,
}

/// One voter.
#[derive(Clone, Debug)]
pub struct Voter {
    length: Duration,
    slots: BTreeMap<Key, Slot>,
}

/// A request as it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks: [`crate::heartbeat::NodeId`].
    pub from: u64,
    /// For which group.
    pub key: Key,
    /// With which ballot.
    pub ballot: Ballot,
    /// What.
    pub ask: Ask,
    /// The asker's stamp, to be sent back.
    pub stamp: u64,
    /// For how long.
    pub length: Duration,
}

impl Voter {
    /// A voter that starts `now` and remembers nothing. It binds itself for `length` at most.
    pub fn new(keys: impl IntoIterator<Item = Key>, length: Duration, now: Instant) -> Self {
        let slot = Slot { promised: Ballot::default(), grant: None, quiet_until: now + length };
        Self { length, slots: keys.into_iter().map(|key| (key, slot.clone())).collect() }
    }

    /// The same voter after its file has changed: what it granted stands. A group that is new may
    /// have an address of one that was granted under another key, so it waits as after a start.
    pub fn change(&mut self, keys: impl IntoIterator<Item = Key>, length: Duration, now: Instant) {
        let quiet = self.length.max(length);
        let fresh = |key| {
            let slot = Slot { promised: Ballot::default(), grant: None, quiet_until: now + quiet };
            (key, slot)
        };
        let mut old = core::mem::take(&mut self.slots);
        let kept = keys.into_iter().map(|key| old.remove_entry(&key).unwrap_or_else(|| fresh(key)));
        self.slots = kept.collect();
        self.length = length;
    }

    /// Answers a request that was received before `now`.
    pub fn hear(&mut self, now: Instant, request: &Request) -> Answer {
        let most = self.length;
        let Some(slot) = self.slots.get_mut(&request.key) else { return Answer::Stranger };
        slot.grant = slot.grant.filter(|grant| now < grant.until);
        let ballot = request.ballot;
        if request.ask == Ask::Release {
            let over = |grant: &Grant| grant.ballot.run == ballot.run && grant.ballot <= ballot;
            slot.grant = slot.grant.filter(|grant| !over(grant));
            return Answer::Released;
        }
        if now < slot.quiet_until {
            return Answer::Quiet { left: slot.quiet_until.since(now) };
        }
        if request.length > most {
            return Answer::TooLong { most };
        }
        if let Some(grant) = slot.grant.filter(|grant| grant.to != request.from) {
            let left = grant.until.since(now);
            return Answer::Taken { holder: grant.to, ballot: grant.ballot, left };
        }
        if ballot < slot.promised {
            return Answer::Outbid(slot.promised);
        }
        slot.promised = ballot;
        match request.ask {
            Ask::Prepare => Answer::Promised,
            Ask::Propose => {
                // A shorter lease asked for later does not unbind from a longer one.
                let until = (now + request.length).max(slot.grant.map_or(now, |old| old.until));
                slot.grant = Some(Grant { to: request.from, ballot, until });
                Answer::Granted { stamp: request.stamp, length: request.length }
            }
            Ask::Release => Answer::Released,
        }
    }

    /// To whom each group is granted, and until when.
    pub fn grants(&self, now: Instant) -> Vec<(Key, u64, Instant)> {
        let each = self.slots.iter();
        each.filter_map(|(key, slot)| {
            let grant = slot.grant.filter(|grant| now < grant.until)?;
            Some((*key, grant.to, grant.until))
        })
        .collect()
    }

    /// How long it stays quiet after its start, at the most.
    pub fn quiet_for(&self, now: Instant) -> Duration {
        let each = self.slots.values().map(|slot| slot.quiet_until.since(now));
        each.max().unwrap_or_default()
    }
}
