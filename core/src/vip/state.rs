//! The states of a VIP's machine.
//!
//! Owns the data of each state and the small clocks in them. Takes no action.

use alloc::boxed::Box;
use core::num::NonZeroU8;
use core::time::Duration;

use super::announcer::{Announcer, Pace};
use super::{ASK_PROBES, CONTESTED_FIRST, DEFEND_INTERVAL};
use crate::config::RENEW_INTERVAL;
use crate::decide::Reason;
use crate::time::Instant;
use crate::wire::mac::Mac;

/// As many requests as there are within the lifetime of an address.
const EXPECTED_MOST: u32 = 4;

/// A question is begun again so often at most.
const AGAIN_MOST: u8 = 4;

/// The probes of a question.
const ALL_SENT: NonZeroU8 = NonZeroU8::new(ASK_PROBES as u8).expect("there are some");

/// Which acknowledgements of additions are still to come. They come in the order of the requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answers {
    expected: u32,
    /// So many of them are of requests before the address was lost.
    stale: u32,
}

impl Answers {
    /// One more request is on its way. Of answers that never come a few at most are waited for.
    pub(super) fn expect(&mut self) {
        self.expected = (self.expected + 1).min(EXPECTED_MOST);
    }

    /// What was asked for so far is not waited for any more.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The address was lost: the answers to come say nothing about it.
    pub(super) fn outdate(&mut self) {
        self.stale = self.expected;
    }

    /// An answer has come; whether it is of a request since the address was lost.
    pub(super) fn take(&mut self) -> bool {
        let fresh = self.stale == 0;
        self.expected = self.expected.saturating_sub(1);
        self.stale = self.stale.saturating_sub(1);
        fresh
    }
}

#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) sent: NonZeroU8,
    /// So often it was begun again because answers were lost.
    again: u8,
    /// The next probe, or the end of the silence after the last.
    pub(super) next: Instant,
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each set elsewhere")]
pub(super) struct Held {
    /// When the last renewal that was acknowledged was asked for: the kernel counts from then.
    pub(super) renewed_at: Instant,
    /// The first request that was not acknowledged yet.
    pub(super) asked_at: Option<Instant>,
    /// `None`: it shares a lifetime, and is there as far as anybody knows.
    pub(super) renew_at: Option<Instant>,
    pub(super) announcer: Announcer,
    /// The address has to be confirmed anew before anything is announced.
    pub(super) missing: bool,
    /// Asked before announcing again, after the link was down.
    pub(super) ask: Option<Ask>,
    /// A move that went wrong: asked whether the receiver has it before the kernel answers again.
    pub(super) resuming: Option<Ask>,
    pub(super) refused: bool,
    /// It is given away, or the kernel does not answer for it yet: nothing is announced.
    pub(super) muted: bool,
    /// There is no right to answer for it now: nothing is announced.
    pub(super) barred: bool,
    /// When it was last asked whether another host has it too, or else taken.
    pub(super) doubted_at: Instant,
    /// Rare, and so apart.
    pub(super) contested: Option<Box<Contested>>,
    pub(super) duplicate_reported: bool,
    /// Rare as well: what others have done to it.
    trouble: Option<Box<Trouble>>,
}

/// What others have done to an address since it is held.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) defended_at: Option<Instant>,
    /// How long nothing is to be heard of another claimant.
    pub(super) contested_for: Duration,
    /// Since when it was stripped so often.
    pub(super) stripped: (Instant, u32),
}

#[derive(Clone, Debug)]
pub(super) struct Contested {
    pub(super) by: Mac,
    pub(super) until: Instant,
    /// Claimants that were named, and since when they are counted.
    pub(super) named: (Instant, u32),
}

/// Who answered the question, and how often in a row.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) by: Mac,
    pub(super) times: u32,
    /// It has asked for the address as we do, and goes first. It has not said that it has it.
    pub(super) asks: bool,
    pub(super) said: bool,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    Away,
    Asking(Ask),
    Waiting { by: Mac, ask_at: Instant },
    Adding { sent_at: Instant, refused: bool },
    Held(Held),
    Removing { sent_at: Instant, reason: Reason, refused: bool },
    LetGo { ask: Ask, vouch: bool, seen: bool },
}

impl Held {
    /// The kernel's acknowledgement has come `now`, of a request of `asked_at`.
    pub(super) fn new(
        asked_at: Instant,
        now: Instant,
        contended: bool,
        pace: Option<Pace>,
        shares_lifetime: bool,
    ) -> Self {
        let renew_at = now + RENEW_INTERVAL - pace.map(Pace::ahead).unwrap_or_default();
        Self {
            renewed_at: asked_at,
            asked_at: None,
            renew_at: Some(renew_at).filter(|_| !shares_lifetime),
            announcer: Announcer::new(now, contended, pace),
            missing: false,
            ask: None,
            resuming: None,
            refused: false,
            muted: false,
            barred: false,
            doubted_at: now,
            contested: None,
            duplicate_reported: false,
            trouble: None,
        }
    }

    pub(super) fn may_announce(&self) -> bool {
        !self.missing
            && !self.muted
            && !self.barred
            && self.ask.is_none()
            && self.contested.is_none()
    }

    /// What others have done to it so far.
    pub(super) fn trouble(&mut self, now: Instant) -> &mut Trouble {
        self.trouble.get_or_insert_with(|| {
            let (contested_for, stripped) = (CONTESTED_FIRST, (now, 0));
            Box::new(Trouble { defended_at: None, contested_for, stripped })
        })
    }

    pub(super) fn defended_at(&self) -> Option<Instant> {
        self.trouble.as_ref().and_then(|trouble| trouble.defended_at)
    }

    pub(super) fn defended_recently(&self, now: Instant) -> bool {
        self.defended_at().is_some_and(|at| now.since(at) < DEFEND_INTERVAL)
    }

    /// It has to be confirmed anew, and from now on has a time of its own until it is.
    pub(super) fn miss(&mut self, now: Instant) {
        self.missing = true;
        if self.renew_at.is_none() {
            self.renewed_at = now;
            self.renew_at = Some(now + RENEW_INTERVAL);
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        // Asked for with every step of each of ten thousand.
        let mut at = self.renew_at;
        let mut sooner = |other: Instant| at = Some(at.map_or(other, |at| at.min(other)));
        if self.may_announce() {
            sooner(self.announcer.next());
        }
        if let Some(ask) = &self.ask {
            sooner(ask.next);
        }
        if let Some(ask) = &self.resuming {
            sooner(ask.next);
        }
        if let Some(contested) = &self.contested {
            sooner(contested.until);
        }
        at
    }
}

impl Ask {
    /// A question whose first probe is sent by the caller, now.
    pub(super) fn after_first(now: Instant, window: Duration) -> Self {
        Self { sent: NonZeroU8::MIN, again: 0, next: now + window / ASK_PROBES }
    }

    /// A question that need not be asked: its time is over.
    pub(super) fn needless(now: Instant) -> Self {
        Self { sent: ALL_SENT, again: AGAIN_MOST, next: now }
    }

    /// What was answered may have been lost, so its silence says nothing: the caller sends the first
    /// probe anew. Not for ever: where there is no end of frames somebody has to serve all the same.
    pub(super) fn begin_again(&mut self, now: Instant, window: Duration) -> bool {
        let again = self.again < AGAIN_MOST;
        if again {
            *self = Self { again: self.again + 1, ..Self::after_first(now, window) };
        }
        again
    }

    /// All probes were sent; `next` is when their time is over.
    pub(super) fn is_over(&self) -> bool {
        self.sent >= ALL_SENT
    }

    /// Whether the next probe is to be sent now.
    pub(super) fn take_due(&mut self, now: Instant, window: Duration) -> bool {
        if self.is_over() || now < self.next {
            return false;
        }
        self.sent = self.sent.saturating_add(1);
        self.next = now + window / ASK_PROBES;
        true
    }
}
