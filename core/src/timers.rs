//! The node's deadlines, one per machine, in order of time.
//!
//! Owns nothing but the order. Invariant: a key has at most one deadline, so the queue is bounded
//! by the number of machines.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::config::{CheckId, PeerId, VipId};
use crate::time::Instant;

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A probe, the start of suspicion, a verdict or the end of the wait for steadiness.
    Peer(PeerId),
    /// A run of a check.
    Check(CheckId),
    /// A round of heartbeats to a member of the cluster, by its place in the list.
    Daemon(u32),
    /// A decision about a group that time alone changes.
    Group(u32),
    /// A lease that is to be asked for, renewed or given up, or that ends.
    Lease,
    /// A planned move that waits.
    Handover(u32),
    /// A decision that time alone changes.
    Decision(VipId),
    /// The end of the time in which others may take over what a node that stops holds.
    Stop,
    /// A question, an announcement, a renewal or a missing acknowledgement.
    Vip(VipId),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    order: BTreeSet<(Instant, Timer)>,
    deadlines: BTreeMap<Timer, Instant>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, deadline: Option<Instant>) {
        let old = match deadline {
            Some(at) => self.deadlines.insert(timer, at),
            None => self.deadlines.remove(&timer),
        };
        if old == deadline {
            return;
        }
        if let Some(at) = old {
            self.order.remove(&(at, timer));
        }
        if let Some(at) = deadline {
            self.order.insert((at, timer));
        }
    }

    pub(crate) fn next(&self) -> Option<(Instant, Timer)> {
        self.order.first().copied()
    }

    /// Takes the earliest timer that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        let (at, timer) = self.next().filter(|(at, _)| *at <= now)?;
        self.set(timer, None);
        Some((at, timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_deadline_and_the_earliest_comes_first() {
        let mut timers = Timers::default();
        let at = Instant::from_nanos;
        timers.set(Timer::Peer(PeerId(0)), Some(at(30)));
        timers.set(Timer::Vip(VipId(0)), Some(at(20)));
        timers.set(Timer::Peer(PeerId(0)), Some(at(10)));
        assert_eq!(timers.pop_due(at(5)), None);
        assert_eq!(timers.pop_due(at(25)), Some((at(10), Timer::Peer(PeerId(0)))));
        assert_eq!(timers.pop_due(at(25)), Some((at(20), Timer::Vip(VipId(0)))));
        assert_eq!(timers.next(), None);
    }
}
